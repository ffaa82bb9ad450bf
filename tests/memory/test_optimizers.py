"""State and temporaries of each optimizer, tensor by tensor."""

import pytest

from app.memory.architecture import ParameterKind
from app.memory.optimizers import (
    OPTIMIZER_ALIASES,
    OPTIMIZERS,
    SMALLEST_8BIT_TENSOR,
    TrainedTensor,
    state_bytes,
    step_temporary_bytes,
)
from app.memory.result import ComponentName, PhaseName
from tests.memory.runs import SMALL, estimate, part, phase_bytes

ELEMENTS, ROWS = 1_048_576, 1024


def matrix(width: int = 2, kind: ParameterKind = ParameterKind.LINEAR, elements: int = ELEMENTS) -> TrainedTensor:
    return TrainedTensor(kind, elements, ROWS, width)


@pytest.mark.parametrize(
    ("name", "bytes_per_element"),
    [
        ("adamw_torch_fused", 2 * 2),
        ("adamw_torch", 2 * 2),
        ("adamw_bnb_8bit", 2 * (1 + 4 / 256)),
        ("paged_adamw_8bit", 2 * (1 + 4 / 256)),
        ("paged_adamw_32bit", 2 * 4),
        ("lion_32bit", 4),
        ("paged_lion_32bit", 4),
        ("lion_8bit", 1 + 4 / 256),
        ("paged_lion_8bit", 1 + 4 / 256),
        ("adagrad", 2),
        ("rmsprop", 2),
        ("sgd", 0),
        ("adafactor", 4 * (ROWS + ELEMENTS / ROWS) / ELEMENTS),
    ],
)
def test_state_of_a_16_bit_matrix(name: str, bytes_per_element: float) -> None:
    assert state_bytes(OPTIMIZERS[name], [matrix()], False) == bytes_per_element * ELEMENTS


def test_every_optimizer_is_tested_and_every_alias_leads_to_one() -> None:
    assert set(OPTIMIZER_ALIASES.values()) <= set(OPTIMIZERS)
    assert all(optimizer.source and optimizer.title for optimizer in OPTIMIZERS.values())


@pytest.mark.parametrize("name", ["adamw_torch_fused", "adamw_torch", "rmsprop"])
def test_torch_keeps_state_at_the_parameter_s_width(name: str) -> None:
    optimizer = OPTIMIZERS[name]
    assert state_bytes(optimizer, [matrix(4)], False) == 2 * state_bytes(optimizer, [matrix(2)], False)


@pytest.mark.parametrize("name", ["adamw_bnb_8bit", "lion_8bit"])
def test_eight_bit_state_depends_on_the_element_count_alone(name: str) -> None:
    assert state_bytes(OPTIMIZERS[name], [matrix(4)], False) == state_bytes(OPTIMIZERS[name], [matrix(2)], False)


def test_small_tensors_keep_32_bit_state() -> None:
    """At 4,096 elements state falls from two float32 moments to two bytes with a scale a block of 256."""
    optimizer = OPTIMIZERS["adamw_bnb_8bit"]
    below = state_bytes(optimizer, [matrix(elements=SMALLEST_8BIT_TENSOR - 1)], False)
    at = state_bytes(optimizer, [matrix(elements=SMALLEST_8BIT_TENSOR)], False)
    assert below == 2 * 4 * SMALLEST_8BIT_TENSOR  # 16,380 bytes, rounded up to 512-byte blocks
    assert at == 2 * (SMALLEST_8BIT_TENSOR + 512)


def test_a_rank_one_adapter_can_hold_more_8_bit_state_than_a_rank_two_one() -> None:
    """With 2,048 features rank 1 gives 2,048 elements, in 32 bits, and rank 2 gives 4,096, in 8 bits."""
    config = {**SMALL, "hidden_size": 2048, "num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 256}
    states = [
        part(
            estimate(config, optimizer="adamw_bnb_8bit", lora_rank=rank),
            ComponentName.OPTIMIZER_STATE,
            PhaseName.OPTIMIZER_STEP,
        )
        for rank in (1, 2)
    ]
    tensors = 4 * 4 * 2
    assert states == [tensors * 2 * 4 * 2048, tensors * 2 * (4096 + 512)]
    assert states[1] < states[0]


def test_the_trainer_keeps_embeddings_in_32_bits() -> None:
    optimizer = OPTIMIZERS["adamw_bnb_8bit"]
    embedding, linear = matrix(kind=ParameterKind.EMBEDDING), matrix()
    assert state_bytes(optimizer, [embedding], True) == 2 * 4 * ELEMENTS
    assert state_bytes(optimizer, [embedding], False) == state_bytes(optimizer, [linear], True)


def test_adafactor_keeps_vectors_whole() -> None:
    vector = TrainedTensor(ParameterKind.NORM, 4096, 1, 2)
    assert state_bytes(OPTIMIZERS["adafactor"], [vector], False) == 4 * 4096


def test_state_is_rounded_to_the_allocator_s_block_for_each_tensor() -> None:
    tiny = TrainedTensor(ParameterKind.NORM, 3, 1, 2, count=10)
    assert state_bytes(OPTIMIZERS["adamw_torch_fused"], [tiny], False) == 10 * 2 * 512


@pytest.mark.parametrize(
    ("name", "copies"),
    [("adamw_torch_fused", 0), ("adamw_torch", 1), ("rmsprop", 1), ("adagrad", 2), ("sgd", 0), ("adamw_bnb_8bit", 0)],
)
def test_foreach_implementations_copy_everything_that_trains(name: str, copies: int) -> None:
    tensors = [matrix(), matrix(elements=2 * ELEMENTS)]
    assert step_temporary_bytes(OPTIMIZERS[name], tensors) == copies * 2 * 3 * ELEMENTS


@pytest.mark.parametrize(("width", "copies"), [(2, 4), (4, 2)])
def test_adafactor_copies_the_largest_tensor_in_float32(width: int, copies: int) -> None:
    tensors = [matrix(width), matrix(width, elements=2 * ELEMENTS)]
    assert step_temporary_bytes(OPTIMIZERS["adafactor"], tensors) == copies * 4 * 2 * ELEMENTS


def test_a_run_s_update_holds_weights_gradients_state_and_the_temporary() -> None:
    result = estimate(method="full", optimizer="adamw_torch", max_grad_norm=0)
    total = result.parameters.total
    assert phase_bytes(result, PhaseName.OPTIMIZER_STEP) == pytest.approx(5 * 2 * total, rel=0.001)
