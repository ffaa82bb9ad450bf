"""Every catalogued model's configuration, read and counted to the parameter."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.memory.build import parse_config
from app.memory.inputs import Adapter, Batch, LoraTargetPreset, Method, MethodKind, PrecisionPolicy
from app.memory.policy import make_policy
from app.memory.states import model_states

ROOT = Path(__file__).parents[2]
MODELS: list[dict[str, Any]] = json.loads((ROOT / "app/catalogue/data/models.json").read_text())["models"]
SHAPES: list[dict[str, Any]] = [
    json.loads(line) for line in (ROOT / "benchmarks/accuracy/data/parameter_counts.jsonl").read_text().splitlines()
]
PRESETS = {"attention": LoraTargetPreset.ATTENTION, "all-linear": LoraTargetPreset.ALL_LINEAR}


@pytest.mark.parametrize("row", MODELS, ids=lambda row: row["slug"])
def test_a_catalogued_model_is_counted_exactly(row: dict[str, Any]) -> None:
    architecture = parse_config(row["config"])
    assert architecture.total_parameters == row["total_parameters"]
    assert architecture.active_parameters == row["active_parameters"]
    assert architecture.recognised or architecture.notes


def test_every_verified_model_is_recognised() -> None:
    verified = [row for row in MODELS if row["verified"]]
    assert len(verified) >= 235
    assert all(parse_config(row["config"]).recognised for row in verified)


@pytest.mark.parametrize("row", SHAPES, ids=lambda row: row["name"])
def test_a_made_up_shape_is_counted_exactly(row: dict[str, Any]) -> None:
    assert parse_config(row["config"]).total_parameters == row["parameters"]


ADAPTED = [
    pytest.param(row, preset, id=f"{row['name']}-{preset}")
    for row in SHAPES
    for preset in sorted(PRESETS)
    if row["adapter_parameters"].get(preset) is not None
]
"""Without what PEFT refuses to adapt so."""


@pytest.mark.parametrize(("row", "preset"), ADAPTED)
def test_adapters_of_a_made_up_shape_are_counted_exactly(row: dict[str, Any], preset: str) -> None:
    """What PEFT adapts, fused experts and routers among it, differs from family to family."""
    method = Method(kind=MethodKind.LORA, adapter=Adapter(rank=row["lora_rank"], targets=PRESETS[preset]))
    policy = make_policy(method, PrecisionPolicy.BF16, Batch(micro_batch_size=1, sequence_length=8))
    assert model_states(parse_config(row["config"]), method, policy).counts.adapter == row["adapter_parameters"][preset]
