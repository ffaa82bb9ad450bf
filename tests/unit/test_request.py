"""The flat request: parsing, aliases, contradictions, derived fields, permalinks."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.memory.inputs import AdapterDtype, Checkpointing, LossKernel, MethodKind, PrecisionPolicy
from app.request import (
    FIELDS,
    STACK_FIELDS,
    FieldSource,
    Kind,
    RequestError,
    Run,
    names_of,
    parse_json,
    parse_query,
    permalink,
    resolve,
    to_groups,
)
from app.stacks import STACKS


def run_of(**fields: Any) -> Run:
    return resolve(parse_json({"model": "m", **fields})).run


def fields_refused(**fields: Any) -> set[str]:
    with pytest.raises(RequestError) as caught:
        resolve(parse_json({"model": "m", **fields}))
    return {error.field for error in caught.value.errors}


def test_every_field_describes_itself() -> None:
    for spec in FIELDS.values():
        assert spec.label, spec.name
        assert spec.help.endswith("."), spec.name
        if spec.kind in {Kind.INTEGER, Kind.NUMBER}:
            assert spec.minimum is not None, spec.name
            assert spec.maximum is not None, spec.name


def test_no_alias_means_two_fields() -> None:
    aliases = [alias for spec in FIELDS.values() for alias in spec.aliases]
    assert len(aliases) == len(set(aliases))
    assert not set(aliases) & set(FIELDS)


@pytest.mark.parametrize(
    ("pasted", "field", "value"),
    [
        ({"per_device_train_batch_size": 2}, "micro_batch_size", 2),
        ({"max_seq_length": 2048}, "sequence_length", 2048),
        ({"max_length": 2048}, "sequence_length", 2048),
        ({"sequence_len": 2048}, "sequence_length", 2048),
        ({"lora_r": 8}, "lora_rank", 8),
        ({"r": 8}, "lora_rank", 8),
        ({"optim": "adamw_8bit"}, "optimizer", "adamw_bnb_8bit"),
        ({"attn_implementation": "eager"}, "attention", "eager"),
        ({"use_liger_kernel": True}, "loss_kernel", LossKernel.LIGER),
        ({"num_train_epochs": 1}, "epochs", 1.0),
        ({"gradient_checkpointing": True}, "gradient_checkpointing", Checkpointing.FULL),
        ({"gradient_checkpointing": False}, "gradient_checkpointing", Checkpointing.NONE),
        ({"bf16": True}, "precision", PrecisionPolicy.BF16_MIXED),
        ({"load_in_4bit": True}, "method", MethodKind.QLORA),
        ({"base_model": "x/y"}, "model", "x/y"),
        ({"lora_target_modules": "q_proj, v_proj"}, "lora_target_modules", ("q_proj", "v_proj")),
        ({"target_modules": ["all-linear"]}, "lora_target_modules", "all-linear"),
        ({"quantization": "none"}, "method", MethodKind.LORA),
    ],
)
def test_what_people_paste_is_understood(pasted: dict[str, Any], field: str, value: object) -> None:
    base = {} if "base_model" in pasted else {"model": "m"}
    assert getattr(resolve(parse_json({**base, **pasted})).run, field) == value


def test_a_switch_turned_off_is_not_given() -> None:
    assert "quantization" not in parse_json({"load_in_4bit": False}).model_fields_set
    assert "loss_kernel" not in parse_json({"use_liger_kernel": False}).model_fields_set


def test_blank_and_null_mean_not_given() -> None:
    assert parse_query([("model", " "), ("lora_rank", ""), ("packing", "")]).model_fields_set == set()
    assert parse_json(dict.fromkeys(FIELDS)).model_fields_set == set()


def test_an_unknown_field_names_the_nearest() -> None:
    with pytest.raises(RequestError) as caught:
        parse_json({"model": "m", "sequence_lenght": 3})
    (error,) = caught.value.errors
    assert error.field == "sequence_lenght"
    assert error.suggestions[0] == "sequence_length"


def test_pages_ignore_unknown_keys() -> None:
    assert parse_query([("utm_source", "x"), ("model", "m")], ignore_unknown=True).model == "m"
    with pytest.raises(RequestError):
        parse_query([("utm_source", "x"), ("model", "m")])


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"lora_rank": "8"}, {"lora_rank"}),
        ({"lora_rank": 0}, {"lora_rank"}),
        ({"lora_rank": True}, {"lora_rank"}),
        ({"lora_rank": 1.5}, {"lora_rank"}),
        ({"micro_batch_size": -1}, {"micro_batch_size"}),
        ({"sequence_length": 10**30}, {"sequence_length"}),
        ({"packing": "perhaps"}, {"packing"}),
        ({"packing": 1}, {"packing"}),
        ({"lora_dropout": 1.5}, {"lora_dropout"}),
        ({"method": "dpo"}, {"method"}),
        ({"optimizer": "adam_w"}, {"optimizer"}),
        ({"currency": "dollars"}, {"currency"}),
        ({"lora_target_modules": ["q proj"]}, {"lora_target_modules"}),
        ({"lora_target_modules": ["attention", "q_proj"]}, {"lora_target_modules"}),
        ({"lora_rank": 8, "r": 16}, {"r"}),
        ({"stack": "nothing"}, {"stack"}),
        ({"config": [1]}, {"config"}),
        ({"lora_rank": 0, "epochs": 0, "what": 1}, {"lora_rank", "epochs", "what"}),
    ],
)
def test_bad_values_are_refused_at_their_field(fields: dict[str, Any], refused: set[str]) -> None:
    assert fields_refused(**fields) == refused


def test_a_choice_that_is_none_offers_the_nearest_and_what_is_allowed() -> None:
    with pytest.raises(RequestError) as caught:
        parse_json({"optimizer": "adamw_torch_fuse"})
    (error,) = caught.value.errors
    assert error.suggestions[0] == "adamw_torch_fused"
    assert error.allowed is not None
    assert "adafactor" in error.allowed


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"method": "full", "quantization": "nf4"}, {"quantization"}),
        ({"method": "qlora", "quantization": "none"}, {"quantization"}),
        ({"global_batch_size": 10, "micro_batch_size": 4}, {"global_batch_size"}),
        (
            {"global_batch_size": 10, "micro_batch_size": 4, "gradient_accumulation_steps": 2},
            {"global_batch_size"},
        ),
        ({"num_gpus": 3, "tensor_parallel": 2}, {"num_gpus"}),
        ({"num_gpus": 2, "strategy": "single"}, {"strategy"}),
        ({"num_gpus": 8, "expert_parallel": 3}, {"expert_parallel"}),
    ],
)
def test_contradictions_are_refused(fields: dict[str, Any], refused: set[str]) -> None:
    assert fields_refused(**fields) == refused


def test_method_and_quantisation_imply_each_other() -> None:
    assert run_of(method="qlora").quantization == "nf4"
    resolved = resolve(parse_json({"model": "m", "method": "lora", "quantization": "int8"}))
    assert resolved.run.method is MethodKind.QLORA
    assert resolved.field_sources["method"] is FieldSource.DERIVED
    assert run_of().method is MethodKind.LORA


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (4, 1, 4)),
        ({"global_batch_size": 32}, (4, 8, 32)),
        ({"global_batch_size": 10}, (2, 5, 10)),
        ({"global_batch_size": 1}, (1, 1, 1)),
        ({"global_batch_size": 16, "gradient_accumulation_steps": 2}, (8, 2, 16)),
        ({"micro_batch_size": 2, "gradient_accumulation_steps": 8}, (2, 8, 16)),
        ({"micro_batch_size": 2, "global_batch_size": 64, "num_gpus": 8}, (2, 4, 64)),
        ({"micro_batch_size": 2, "num_gpus": 8, "tensor_parallel": 4}, (2, 1, 4)),
        ({"micro_batch_size": 2, "num_gpus": 4, "strategy": "device_map"}, (2, 1, 2)),
    ],
)
def test_batch_fields_derive_each_other(fields: dict[str, Any], expected: tuple[int, int, int]) -> None:
    run = run_of(**fields)
    assert (run.micro_batch_size, run.gradient_accumulation_steps, run.global_batch_size) == expected


def test_fields_without_effect_are_kept_and_listed() -> None:
    resolved = resolve(parse_json({"model": "m", "method": "full", "lora_rank": 8, "double_quantization": True}))
    assert resolved.ignored == ("lora_rank", "double_quantization")
    assert resolved.run.lora_rank == 8
    assert resolve(parse_json({"model": "m", "max_steps": 10, "epochs": 2})).ignored == ("epochs",)


def test_sources_say_where_each_value_came_from() -> None:
    sources = resolve(parse_json({"model": "m", "lora_rank": 8})).field_sources
    assert set(sources) == set(FIELDS)
    assert sources["lora_rank"] is FieldSource.REQUEST
    assert sources["lora_alpha"] is FieldSource.DERIVED
    assert sources["precision"] is FieldSource.STACK
    assert sources["num_gpus"] is FieldSource.DEFAULT


def test_the_plain_stack_is_the_contracts_column() -> None:
    run = run_of(stack="plain")
    for name in STACK_FIELDS:
        assert getattr(run, name) == FIELDS[name].default, name


def test_the_default_stack_is_trl() -> None:
    lora, qlora = run_of(method="lora"), run_of(method="qlora")
    assert lora.stack == "trl"
    assert lora.precision is PrecisionPolicy.BF16_MIXED
    assert lora.gradient_checkpointing is Checkpointing.FULL
    assert (lora.adapter_dtype, qlora.adapter_dtype) == (AdapterDtype.AUTO, AdapterDtype.BFLOAT16)


def test_stacks_set_their_fields_only_and_cite_each() -> None:
    for stack in STACKS.values():
        for method in MethodKind:
            values = stack.sourced_for(method)
            assert set(values) == STACK_FIELDS
            assert all(value.source for value in values.values())


def test_a_request_beats_its_stack() -> None:
    assert run_of(stack="trl", gradient_checkpointing="none").gradient_checkpointing is Checkpointing.NONE


def test_groups_hold_what_the_method_needs() -> None:
    assert to_groups(run_of(method="full")).method.adapter is None
    assert to_groups(run_of(method="lora")).method.quantization is None
    qlora = to_groups(run_of(method="qlora", lora_rank=8)).method
    assert qlora.adapter is not None
    assert qlora.adapter.rank == 8
    assert qlora.quantization is not None
    assert qlora.quantization.format == "nf4"


def test_a_permalink_carries_only_what_was_given() -> None:
    run = parse_json({"model": "m", "r": 8, "lora_target_modules": ["q_proj", "v_proj"], "packing": False})
    assert permalink(run) == "model=m&lora_rank=8&lora_target_modules=q_proj,v_proj&packing=false"
    assert permalink(run, {"lora_rank": None, "gpu": "l4"}).endswith("packing=false&gpu=l4")


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**13),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["lora", "full", "qlora", "nf4", "none", "sdpa", "true", "bf16", "attention", "q_proj,v_proj"]),
    st.lists(st.text(max_size=8), max_size=4),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)
KEYS = st.sampled_from(sorted(names_of(Run))) | st.text(max_size=12)


def accepted(parse: Callable[[], Run]) -> Run | None:
    """The run, or None where it was refused with reasons; anything else is raised."""
    try:
        return parse()
    except RequestError as error:
        return None if error.errors and all(item.message for item in error.errors) else pytest.fail("no reason given")


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=8))
def test_any_object_is_a_run_or_a_request_error(payload: dict[str, Any]) -> None:
    run = accepted(lambda: resolve(parse_json(payload)).run)
    assert run is None or to_groups(run).batch.micro_batch_size >= 1


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(KEYS, st.text(max_size=20) | st.integers().map(str)), max_size=8), st.booleans())
def test_any_query_is_a_run_or_a_request_error(pairs: list[tuple[str, str]], ignore: bool) -> None:
    run = accepted(lambda: parse_query(pairs, ignore_unknown=ignore))
    if run is not None:
        again = parse_query(parse_qsl(permalink(run)))
        assert again == run
        assert again.model_fields_set == run.model_fields_set
