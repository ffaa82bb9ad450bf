"""The loss and its copies of the logits: bytes per token and word of the vocabulary, by kernel."""

from typing import Any

import pytest

from app.memory.build import parse_config
from app.memory.head import CHUNK_TOKENS, CHUNK_WORDS, LossTile, bounding_tiles, loss_tile
from app.memory.inputs import LossKernel
from app.memory.result import ComponentName, PhaseName
from tests.memory.runs import SMALL, estimate, part, phase_bytes

VOCABULARY = 64_000
WIDE = {**SMALL, "vocab_size": VOCABULARY}
"""So wide that the logits decide the peak."""
BATCH, LENGTH = 2, 512
CELLS = BATCH * LENGTH * VOCABULARY


def logits(phase: PhaseName, config: dict[str, Any] | None = None, **fields: Any) -> float:
    """Bytes of logits per cell in a phase."""
    result = estimate(config or WIDE, micro_batch_size=BATCH, sequence_length=LENGTH, **fields)
    return part(result, ComponentName.LOGITS, phase) / CELLS


@pytest.mark.parametrize(
    ("fields", "forward", "backward"),
    [
        # 16-bit logits, their float32 copy, log-softmax; backward: log-softmax and two float32 gradients
        ({}, 2 + 4 + 4, 4 + 4 + 4),
        ({"method": "full"}, 10, 12),
        ({"method": "full", "precision": "fp32"}, 8, 12),
        ({"precision": "bf16-mixed"}, 10, 12),
        # the trainer keeps the outputs: the 16-bit logits, or accelerate's float32 copy of them
        ({"keep_logits": True}, 10, 14),
        # (made when the loss is there: 2 + 4 of log-softmax + 4)
        ({"keep_logits": True, "precision": "bf16-mixed"}, 10, 16),
        # a head in float32 whose autocast result is 16 bits wide
        ({"method": "qlora", "precision": "bf16-mixed", "upcast_non_quantized": True}, 10, 12),
    ],
)
def test_the_standard_loss_holds_several_copies_of_all_logits(
    fields: dict[str, Any], forward: float, backward: float
) -> None:
    assert logits(PhaseName.LOSS, **fields) == forward
    assert logits(PhaseName.BACKWARD_LOSS, **fields) == backward


@pytest.mark.parametrize(
    ("kernel", "forward", "backward"),
    [
        # the model's float32 logits, their shifted copy and log-softmax; backward as today, and padding to full length
        ("upcast", 4 + 4 + 4, 4 + 4 + 4),
        # 16-bit logits held by the model's output as well
        ("shifted", 2 + 4 + 4 + 4, 4 + 4 + 4),
        # no log-softmax; the gradient takes the copy's place and is padded into a second tensor
        ("upcast_in_place", 4 + 4, 4 + 4),
        ("shifted_in_place", 2 + 4 + 4, 4 + 4),
    ],
)
def test_older_losses_copy_the_shifted_logits(kernel: str, forward: float, backward: float) -> None:
    assert logits(PhaseName.LOSS, loss_kernel=kernel) == forward
    assert logits(PhaseName.BACKWARD_LOSS, loss_kernel=kernel) == backward


@pytest.mark.parametrize("kernel", ["upcast", "shifted"])
def test_one_sequence_is_shifted_without_a_copy(kernel: str) -> None:
    one = estimate(WIDE, micro_batch_size=1, sequence_length=LENGTH, loss_kernel=kernel)
    two = estimate(WIDE, micro_batch_size=2, sequence_length=LENGTH, loss_kernel=kernel)
    cells = LENGTH * VOCABULARY
    copied = part(two, ComponentName.LOGITS, PhaseName.LOSS) - 2 * part(one, ComponentName.LOGITS, PhaseName.LOSS)
    assert copied == 2 * 4 * cells
    # what grows with the batch starts from two sequences, so that it also bounds one
    assert one.growth == two.growth


BIGCODE = {
    "model_type": "gpt_bigcode",
    "vocab_size": VOCABULARY,
    "n_embd": 256,
    "n_layer": 4,
    "n_head": 8,
    "n_positions": 2048,
    "multi_query": True,
}


@pytest.mark.parametrize(
    ("fields", "width", "returning"),
    [
        # log-softmax of the copy beside both: 2 + 2 + 2 a cell
        ({"method": "full"}, 2, 6),
        # the copy alone, which becomes its own gradient
        ({"method": "full", "loss_kernel": "shifted_in_place"}, 2, 4),
        # the 4-bit layers' results are float32 as their normed inputs are, under autocast; accelerate's copy of the
        # logits comes when log-softmax stands alone beside them, or the copy of the in-place loss
        ({"method": "qlora", "precision": "bf16-mixed"}, 4, 12),
        ({"method": "qlora", "precision": "bf16-mixed", "loss_kernel": "shifted_in_place"}, 4, 8),
    ],
)
def test_gpt_bigcode_of_old_fills_a_cache_that_lives_until_the_loss(
    fields: dict[str, Any], width: int, returning: int
) -> None:
    """Keys and values are a view of the fused projection's output, which lives whole: 256 + 2 × 32 wide."""
    asked: dict[str, Any] = {"loss_kernel": "shifted", "gradient_checkpointing": "full", "micro_batch_size": BATCH}
    asked |= {"sequence_length": LENGTH, **fields}
    old = estimate(BIGCODE, **asked)
    assert part(old, ComponentName.LOGITS, PhaseName.LOSS) == returning * CELLS
    today = estimate(BIGCODE, **{**asked, "loss_kernel": "standard"})
    more = part(old, ComponentName.ACTIVATIONS, PhaseName.LOSS) - part(today, ComponentName.ACTIVATIONS, PhaseName.LOSS)
    log_sum_exp = 4 if asked["loss_kernel"] == "shifted_in_place" else 0
    assert more == (4 * width * (256 + 2 * 32) + log_sum_exp) * BATCH * LENGTH


def test_soft_capping_keeps_a_tanh() -> None:
    gemma = {**WIDE, "model_type": "gemma2", "final_logit_softcapping": 30.0, "sliding_window": None}
    uncapped = {**gemma, "final_logit_softcapping": None}
    assert logits(PhaseName.BACKWARD_LOSS, gemma) == 14
    assert logits(PhaseName.BACKWARD_LOSS, uncapped) == 12


@pytest.mark.parametrize("kernel", ["liger", "chunked"])
@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
def test_a_fused_loss_never_holds_all_logits(kernel: str, method: str) -> None:
    standard = estimate(WIDE, micro_batch_size=8, sequence_length=1024, method=method)
    fused = estimate(WIDE, micro_batch_size=8, sequence_length=1024, method=method, loss_kernel=kernel)
    all_logits = 8 * 1024 * VOCABULARY
    assert part(standard, ComponentName.LOGITS, PhaseName.LOSS) == 10 * all_logits
    assert part(fused, ComponentName.LOGITS, PhaseName.LOSS) < all_logits
    assert fused.peak_allocated_bytes < standard.peak_allocated_bytes


def test_trl_s_chunk_is_a_tile_of_tokens_and_words() -> None:
    def tile(tokens: int) -> int:
        result = estimate(WIDE, micro_batch_size=1, sequence_length=tokens, loss_kernel="chunked")
        return part(result, ComponentName.LOGITS, PhaseName.LOSS)

    assert tile(1000) == 1000 * CHUNK_WORDS * 2
    assert tile(CHUNK_TOKENS) == tile(4 * CHUNK_TOKENS) == CHUNK_TOKENS * CHUNK_WORDS * 2


def test_a_small_vocabulary_is_one_chunk_wide() -> None:
    result = estimate(SMALL, micro_batch_size=1, sequence_length=1000, loss_kernel="chunked")
    assert part(result, ComponentName.LOGITS, PhaseName.LOSS) == 1000 * SMALL["vocab_size"] * 2


def test_liger_s_chunk_is_about_as_large_as_the_hidden_states() -> None:
    """Rows = 2^⌈log₂⌈tokens ÷ ⌈V ÷ h⌉⌉⌉: for 64,000 words over 256 features, 250 parts."""
    result = estimate(WIDE, micro_batch_size=1, sequence_length=8000, loss_kernel="liger")
    rows = 32  # 8,000 ÷ 250
    assert part(result, ComponentName.LOGITS, PhaseName.LOSS) == rows * VOCABULARY * 2


def test_liger_keeps_the_hidden_states_gradient_from_forward_to_backward() -> None:
    """2h a token for a frozen head, and a trained head's gradient too."""
    frozen = estimate(WIDE, micro_batch_size=BATCH, sequence_length=LENGTH, loss_kernel="liger", method="lora")
    without_tile = part(frozen, ComponentName.ACTIVATIONS, PhaseName.LOSS)
    standard = estimate(WIDE, micro_batch_size=BATCH, sequence_length=LENGTH, method="lora")
    assert without_tile - part(standard, ComponentName.ACTIVATIONS, PhaseName.LOSS) == 2 * 256 * BATCH * LENGTH


@pytest.mark.parametrize("tokens", [1, 7, 250, 251, 511, 512, 4095, 4096, 4097, 100_000])
@pytest.mark.parametrize("kernel", LossKernel)
def test_bounding_tiles_are_never_smaller_than_the_tile(kernel: LossKernel, tokens: int) -> None:
    architecture = parse_config(WIDE)

    def elements(tile: LossTile) -> int:
        return tile.fixed_elements + tile.elements_per_token * tokens

    bounds = [elements(tile) for tile in bounding_tiles(kernel, architecture)]
    exact = elements(loss_tile(kernel, architecture, tokens))
    assert min(bounds) >= exact
    if kernel is not LossKernel.LIGER:
        assert min(bounds) == exact


@pytest.mark.parametrize("tokens", [1, 7, 511, 512, 4095, 4096, 100_000])
def test_a_tile_is_no_larger_than_all_logits(tokens: int) -> None:
    architecture = parse_config(WIDE)
    for kernel in LossKernel:
        tile = loss_tile(kernel, architecture, tokens)
        assert tile.fixed_elements + tile.elements_per_token * tokens <= tokens * VOCABULARY


def test_the_loss_s_own_backward_is_its_own_phase() -> None:
    result = estimate(WIDE, micro_batch_size=BATCH, sequence_length=LENGTH)
    assert result.peak_phase is PhaseName.BACKWARD_LOSS
    assert phase_bytes(result, PhaseName.BACKWARD_LOSS) == result.peak_allocated_bytes
