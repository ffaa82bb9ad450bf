"""Weights, adapters, gradients and counts, to the byte."""

from typing import Any

import pytest

from app.memory.architecture import Parameter, ParameterKind
from app.memory.build import parse_config
from app.memory.inputs import QuantizationFormat
from app.memory.result import ComponentName, PhaseName
from app.memory.states import quantised_bytes
from tests.memory.runs import SMALL, estimate, part

H, I, Q, K, V, L = 256, 704, 256, 64, 4096, 4  # noqa: E741
LINEAR_OF_A_LAYER = H * Q + 2 * H * K + Q * H + 3 * H * I
LINEAR = L * LINEAR_OF_A_LAYER
NORMS = (2 * L + 1) * H
TABLE = V * H
TOTAL = LINEAR + NORMS + 2 * TABLE

TIED = {**SMALL, "tie_word_embeddings": True}


def weights(config: Any = SMALL, **fields: Any) -> int:
    return part(estimate(config, **fields), ComponentName.WEIGHTS, PhaseName.FORWARD)


def test_every_parameter_is_counted_once() -> None:
    assert parse_config(SMALL).total_parameters == TOTAL
    assert parse_config(TIED).total_parameters == TOTAL - TABLE


@pytest.mark.parametrize(("method", "trains"), [("full", True), ("lora", False), ("qlora", False)])
def test_counts_add_up(method: str, trains: bool) -> None:
    counts = estimate(method=method).parameters
    assert counts.total == counts.trainable + counts.frozen
    assert counts.adapter == (0 if trains else 16 * L * (H + Q + 2 * (H + K) + Q + H))
    assert counts.trainable == (TOTAL if trains else counts.adapter)
    assert counts.total == TOTAL + counts.adapter


@pytest.mark.parametrize(
    ("targets", "widths"),
    [
        ("attention", H + Q + 2 * (H + K) + Q + H),
        ("qv", H + Q + H + K),
        ("all-linear", H + Q + 2 * (H + K) + Q + H + 3 * (H + I)),
        (["up_proj"], H + I),
    ],
)
@pytest.mark.parametrize("rank", [1, 16, 64])
def test_an_adapter_is_two_matrices_of_its_rank_a_projection(targets: Any, widths: int, rank: int) -> None:
    result = estimate(lora_target_modules=targets, lora_rank=rank)
    assert result.parameters.adapter == L * rank * widths


def test_saved_modules_are_full_copies_beside_the_frozen_ones() -> None:
    plain, saving = estimate(), estimate(modules_to_save=["embed_tokens", "lm_head"])
    assert saving.parameters.adapter - plain.parameters.adapter == 2 * TABLE
    assert saving.parameters.frozen == plain.parameters.frozen
    assert part(saving, ComponentName.ADAPTERS) - part(plain, ComponentName.ADAPTERS) == 2 * 2 * TABLE


@pytest.mark.parametrize(
    ("fields", "width"),
    [
        ({"method": "full"}, 2),
        ({"method": "full", "precision": "bf16-mixed"}, 4),
        ({"method": "full", "precision": "fp16-mixed"}, 4),
        ({"method": "full", "precision": "fp32"}, 4),
        ({"method": "lora"}, 2),
        ({"method": "lora", "precision": "bf16-mixed"}, 2),
        ({"method": "lora", "precision": "fp32"}, 4),
    ],
)
def test_weights_are_kept_at_the_policy_s_width(fields: dict[str, Any], width: int) -> None:
    assert weights(**fields) == width * TOTAL


@pytest.mark.parametrize(("upcast", "width"), [(False, 2), (True, 4)])
def test_quantisation_leaves_norms_embeddings_and_head_whole(upcast: bool, width: int) -> None:
    assert weights(method="qlora", upcast_non_quantized=upcast) == LINEAR // 2 + width * (NORMS + 2 * TABLE)


@pytest.mark.parametrize(
    ("format_", "nested", "bytes_per_weight"),
    [
        (QuantizationFormat.NF4, False, 0.5 + 4 / 64),
        (QuantizationFormat.NF4, True, 0.5 + 1 / 64 + 4 / (64 * 256)),
        (QuantizationFormat.FP4, False, 0.5 + 4 / 64),
        (QuantizationFormat.INT8, False, 1 + 4 / 4096),
    ],
)
def test_bytes_of_a_quantised_weight(format_: QuantizationFormat, nested: bool, bytes_per_weight: float) -> None:
    projection = Parameter(ParameterKind.LINEAR, 4096 * 4096, rows=4096)
    packed, state = quantised_bytes(projection, format_, nested)
    codes = 0 if format_ is QuantizationFormat.INT8 else 512 * (2 if nested else 1)
    assert packed + state - codes == bytes_per_weight * 4096 * 4096


def test_double_quantisation_saves_three_eighths_of_a_bit_a_weight() -> None:
    """QLoRA, arXiv 2305.14314, section 3: 0.373 bits a parameter."""
    projection = Parameter(ParameterKind.LINEAR, 4096 * 4096, rows=4096)
    sizes = [sum(quantised_bytes(projection, QuantizationFormat.NF4, nested)) for nested in (False, True)]
    assert 8 * (sizes[0] - sizes[1]) / projection.elements == pytest.approx(0.373, abs=0.001)


@pytest.mark.parametrize(
    ("fields", "width"),
    [
        ({"precision": "bf16"}, 2),
        ({"precision": "bf16-mixed"}, 4),
        ({"precision": "bf16-mixed", "adapter_dtype": "bfloat16"}, 2),
        ({"precision": "bf16", "adapter_dtype": "float32"}, 4),
        ({"precision": "fp32"}, 4),
    ],
)
def test_adapters_their_gradients_and_state_have_the_adapter_s_dtype(fields: dict[str, Any], width: int) -> None:
    result = estimate(max_grad_norm=0, **fields)
    adapter = result.parameters.adapter
    step = PhaseName.OPTIMIZER_STEP
    assert part(result, ComponentName.ADAPTERS, step) == width * adapter
    assert part(result, ComponentName.GRADIENTS, step) == width * adapter
    assert part(result, ComponentName.OPTIMIZER_STATE, step) == 2 * width * adapter
