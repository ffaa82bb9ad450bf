"""Every formula of a peak comes to its component's bytes when somebody else works it out."""

import re
from typing import Any

import pytest

from app.memory.build import parse_config
from app.memory.estimate import estimate_memory
from app.memory.explain import explained
from app.memory.result import ComponentName, OverheadName
from tests.memory.runs import SMALL, estimate, groups

RUNS: list[dict[str, Any]] = [
    {"method": "full"},
    {"method": "full", "optimizer": "adamw_torch", "sequence_length": 16, "micro_batch_size": 1},
    {"method": "full", "optimizer": "adamw_bnb_8bit", "embedding_state_32bit": True, "gradient_checkpointing": "full"},
    {"method": "full", "optimizer": "adafactor"},
    {"method": "lora", "gradient_checkpointing": "full", "sequence_length": 2048},
    {"method": "lora", "precision": "bf16-mixed", "attention": "eager", "packing": False},
    {"method": "qlora", "double_quantization": True, "loss_kernel": "chunked"},
    {"method": "qlora", "double_quantization": False, "upcast_non_quantized": True, "precision": "bf16-mixed"},
    {"method": "qlora", "quantization": "int8", "gradient_checkpointing": "reentrant"},
    {"method": "full", "num_gpus": 8, "strategy": "fsdp2"},
    {"method": "lora", "num_gpus": 4, "strategy": "ddp"},
    {"method": "full", "num_gpus": 4, "pipeline_parallel": 4, "gradient_accumulation_steps": 8},
]


def worked_out(formula: str) -> tuple[float, int]:
    """What the left side comes to, and what it says it comes to."""
    left, _, right = formula.partition(" = ")
    stated = int((right or left).removesuffix(" B").replace(",", ""))
    arithmetic = left.replace(",", "").replace("½", "0.5").replace("²", "**2").replace("−", "-")
    arithmetic = arithmetic.replace("×", "*").replace("÷", "/").replace("KiB", "* 1024").replace(" B", "")
    assert re.fullmatch(r"[\d.+\-*/() ]+", arithmetic), formula
    return eval(arithmetic), stated


@pytest.mark.parametrize("fields", RUNS, ids=lambda fields: "-".join(map(str, fields.values())))
def test_formulas_come_to_the_bytes(fields: dict[str, Any]) -> None:
    asked = groups(**fields)
    result = estimate_memory(parse_config(SMALL), asked.method, asked.precision, asked.batch, asked.cluster)
    components, overheads = explained(result)
    assert [part.name for part in components] == [part.name for part in result.components]
    for part in (*components, *overheads):
        assert part.formula, part.name
        value, stated = worked_out(part.formula)
        assert stated == part.bytes, part.formula
        assert value == pytest.approx(part.bytes, abs=1), part.formula


def test_the_numbers_in_a_formula_are_the_run_s() -> None:
    result = estimate(method="lora", sequence_length=1024, micro_batch_size=2, gradient_checkpointing="full")
    found = {part.name: part.formula or "" for part in explained(result)[0]}
    counts = result.parameters
    assert found[ComponentName.WEIGHTS] == f"{counts.frozen:,} × 2 B = {2 * counts.frozen:,} B"
    assert found[ComponentName.OPTIMIZER_STATE].startswith(f"2 × {counts.trainable:,} × 2 B")
    assert found[ComponentName.LOGITS].startswith("2,048 × 4,096 × ")
    assert found[ComponentName.ACTIVATIONS].startswith("2,048 × 4 × 256 × 2 B + ")


def test_slack_is_a_share_of_the_peak() -> None:
    result = estimate()
    slack = next(part for part in explained(result)[1] if part.name is OverheadName.ALLOCATOR_SLACK)
    assert slack.formula == f"{result.peak_allocated_bytes:,} B × 0.068 = {slack.bytes:,} B"
