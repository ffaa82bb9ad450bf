"""The committed traces are whole, add up, and are those of the designed cases."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.accuracy.tracing import replay
from benchmarks.accuracy.tracing.case import PLAIN_DEFAULTS, TraceCase
from benchmarks.accuracy.tracing.suites import SUITES
from benchmarks.accuracy.tracing.suites.shapes import deepened, shape, shapes

FILES = {
    "dense": "traced_dense.jsonl",
    "architectures": "traced_architectures.jsonl",
    "layers": "kept_per_layer.jsonl",
    "parameters": "parameter_counts.jsonl",
    "wrappers": "wrapper_counts.jsonl",
    "transformers_4": "traced_transformers_4.jsonl",
    "transformers_4_48": "traced_transformers_4_48.jsonl",
    "transformers_4_45": "traced_transformers_4_45.jsonl",
    "trl": "traced_trl.jsonl",
    "liger": "traced_liger.jsonl",
}
STACKS = ("transformers_4", "transformers_4_48", "transformers_4_45", "trl", "liger")
TRACED = ("dense", "architectures", *STACKS)


def rows(suite: str) -> Iterator[dict[str, Any]]:
    with (replay.DATA / FILES[suite]).open() as lines:
        yield from map(json.loads, lines)


@pytest.mark.parametrize("suite", FILES)
def test_every_designed_case_has_one_row(suite: str) -> None:
    designed = [case.case_id for case in SUITES[suite]()]
    assert sorted(row["case_id"] for row in rows(suite)) == sorted(designed)


@pytest.mark.parametrize("suite", TRACED)
def test_components_sum_to_the_peak_and_no_phase_exceeds_it(suite: str) -> None:
    for row in rows(suite):
        peak = row["peak_allocated_bytes"]
        assert sum(row["component_bytes"].values()) == peak
        assert max(row["phase_peak_bytes"].values()) <= peak
        if row["peak_step"] == 2:
            assert row["phase_peak_bytes"][row["peak_phase"]] == peak


@pytest.mark.parametrize("suite", TRACED)
def test_a_row_names_its_case(suite: str) -> None:
    for row in rows(suite):
        case = TraceCase(config=row["config"], fields=row["request"])
        assert case.case_id == row["case_id"]
        assert case.request == row["request"]


@pytest.mark.parametrize("suite", TRACED)
def test_what_trains_is_counted_once(suite: str) -> None:
    for row in rows(suite):
        parameters = row["parameters"]
        added = 0 if row["request"]["method"] == "full" else parameters["trainable"]
        assert parameters["total"] == parameters["base"] + added


@pytest.mark.parametrize(
    ("suite", "package", "version"),
    [
        ("transformers_4", "transformers", "4.57.6"),
        ("transformers_4_48", "transformers", "4.48.1"),
        ("transformers_4_45", "transformers", "4.45.2"),
        ("trl", "trl", "1.16.0"),
        ("liger", "liger-kernel", "0.6.4"),
    ],
)
def test_a_stack_s_rows_are_of_its_version(suite: str, package: str, version: str) -> None:
    found = list(rows(suite))
    assert len(found) >= 20
    assert {row["versions"][package] for row in found} == {version}


def test_every_earlier_case_can_be_expressed() -> None:
    cases = [replay.as_case(row) for row in replay.earlier_rows()]
    assert len(cases) == 208
    assert all(set(case.fields) <= set(PLAIN_DEFAULTS) for case in cases)


def test_an_unknown_field_or_a_missing_model_type_is_refused() -> None:
    with pytest.raises(ValueError, match="lora_rnk"):
        TraceCase(config={"model_type": "llama"}, fields={"lora_rnk": 8})
    with pytest.raises(ValueError, match="model_type"):
        TraceCase(config={"hidden_size": 64})


def test_precision_decides_the_types() -> None:
    def case(**fields: Any) -> TraceCase:
        return TraceCase(config={"model_type": "llama"}, fields=fields)

    assert case(method="full", precision="bf16-mixed").base_dtype == "float32"
    assert case(method="lora", precision="bf16-mixed").base_dtype == "bfloat16"
    assert case(method="qlora", precision="fp16-mixed").base_dtype == "float16"
    assert case(precision="bf16").autocast_dtype is None
    assert case(precision="bf16-mixed").has_float32_adapters
    assert not case(precision="bf16").has_float32_adapters
    assert not case(precision="bf16-mixed", adapter_dtype="bfloat16").has_float32_adapters


def test_cutting_and_doubling_layers_keeps_the_pattern() -> None:
    pattern = shapes()["gpt-oss-20b"]["layer_types"]
    cut = shape("gpt-oss-20b", layers=2)
    assert cut["layer_types"] == pattern[:2]
    doubled, added = deepened(cut)
    assert (doubled["num_hidden_layers"], added) == (4, 2)
    assert doubled["layer_types"] == pattern[:2] * 2
