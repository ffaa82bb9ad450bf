"""The step's phases: when gradients coexist with activations, what a tied head and autocast's copies cost."""

from typing import Any

import pytest

from app.memory.result import ComponentName, PhaseName
from app.units import GB
from tests.memory.runs import SMALL, estimate, part, phase_bytes

LLAMA_3_2_1B = {
    "model_type": "llama", "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192,
    "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64,
    "tie_word_embeddings": True,
}  # fmt: skip
TABLE = SMALL["vocab_size"] * SMALL["hidden_size"]
TIED = {**SMALL, "tie_word_embeddings": True}


def test_phases_come_in_the_order_of_the_step() -> None:
    names = [phase.name for phase in estimate(method="full").phases]
    assert names == [name for name in PhaseName if name in names]
    assert PhaseName.CLIP in names
    assert PhaseName.CLIP not in [phase.name for phase in estimate(method="full", max_grad_norm=0).phases]


@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
def test_gradients_appear_in_backward_and_are_whole_at_the_update(method: str) -> None:
    result = estimate(method=method)
    assert part(result, ComponentName.GRADIENTS, PhaseName.FORWARD) == 0
    assert part(result, ComponentName.GRADIENTS, PhaseName.OPTIMIZER_STEP) == 2 * result.parameters.trainable


def test_full_fine_tuning_peaks_when_activations_are_gone() -> None:
    """At a small batch the end of backward is the peak, with and without checkpointing alike."""
    peaks = {
        policy: estimate(
            method="full", micro_batch_size=1, sequence_length=64, gradient_checkpointing=policy
        ).peak_allocated_bytes
        for policy in ("none", "full")
    }
    assert peaks["none"] == peaks["full"]


def test_accumulation_keeps_gradients_beside_activations() -> None:
    """Traced: Llama-3.2-1B full, 10.94 GB with one micro-batch, 13.21 GB with more."""
    peaks = [
        estimate(
            LLAMA_3_2_1B,
            method="full",
            micro_batch_size=1,
            sequence_length=1024,
            gradient_accumulation_steps=steps,
            gradient_checkpointing="full",
        )
        for steps in (1, 2, 4)
    ]
    assert peaks[1].peak_allocated_bytes > peaks[0].peak_allocated_bytes
    assert peaks[2].peak_allocated_bytes == peaks[1].peak_allocated_bytes
    assert part(peaks[1], ComponentName.GRADIENTS, PhaseName.FORWARD) == 2 * peaks[1].parameters.trainable


def test_a_tied_head_s_gradient_meets_the_embedding_s() -> None:
    """The two are summed out of place: two more 16-bit tables at the end of backward."""
    runs: dict[str, Any] = {"method": "full", "micro_batch_size": 1, "sequence_length": 16}
    tied, untied = estimate(TIED, **runs), estimate(SMALL, **runs)
    assert tied.peak_phase is PhaseName.BACKWARD
    extra = phase_bytes(tied, PhaseName.BACKWARD) - phase_bytes(tied, PhaseName.OPTIMIZER_STEP)
    assert extra == pytest.approx(2 * 2 * TABLE, rel=0.02)
    assert phase_bytes(untied, PhaseName.BACKWARD) - phase_bytes(untied, PhaseName.OPTIMIZER_STEP) < 0.1 * 2 * TABLE


def test_autocast_keeps_a_16_bit_copy_of_every_trained_weight_through_forward() -> None:
    result = estimate(method="full", precision="bf16-mixed")
    norms = (2 * 4 + 1) * 256
    matrices = result.parameters.total - norms - TABLE  # the embedding is looked up, not multiplied
    assert part(result, ComponentName.GATHERED_WEIGHTS, PhaseName.LOSS) == 2 * matrices


def test_a_run_without_autocast_copies_no_weights() -> None:
    for phase in (PhaseName.FORWARD, PhaseName.LOSS, PhaseName.BACKWARD):
        assert part(estimate(method="full"), ComponentName.GATHERED_WEIGHTS, phase) == 0


def test_a_dequantised_weight_lives_for_one_product() -> None:
    """One 16-bit copy of the largest projection, never of two."""
    result = estimate(method="qlora", micro_batch_size=1, sequence_length=8)
    assert part(result, ComponentName.GATHERED_WEIGHTS, PhaseName.BACKWARD) <= 2 * 256 * 704


def test_checkpointing_recomputes_a_layer_in_backward() -> None:
    """The layer's activations live again while its backward runs, beside the inputs of those before it."""
    kept = estimate(gradient_checkpointing="full", loss_kernel="chunked", sequence_length=2048)
    whole = estimate(gradient_checkpointing="none", loss_kernel="chunked", sequence_length=2048)
    inputs = part(kept, ComponentName.ACTIVATIONS, PhaseName.LOSS)
    assert inputs < part(kept, ComponentName.ACTIVATIONS, PhaseName.BACKWARD)
    assert kept.peak_allocated_bytes < whole.peak_allocated_bytes


@pytest.mark.parametrize(
    "fields", [{"method": "full"}, {"method": "lora", "loss_kernel": "chunked"}, {"method": "qlora", "packing": False}]
)
def test_the_moments_reproduce_the_peak_at_every_micro_batch(fields: dict[str, Any]) -> None:
    """One evaluation answers for a whole family of runs."""
    of_one = estimate(micro_batch_size=1, **fields)
    for size in (1, 2, 3, 8, 64):
        assert of_one.growth.peak_bytes(size) == estimate(micro_batch_size=size, **fields).peak_allocated_bytes


@pytest.mark.parametrize(("tokens", "peak_gb"), [(8192, 31.1)])
def test_a_large_vocabulary_s_logits_at_long_sequences(tokens: int, peak_gb: float) -> None:
    """Traced: Llama-3-8B LoRA at 8,192 tokens, checkpointed: 12.6 of 31.1 GB are logits."""
    config = {**LLAMA_3_2_1B, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32}
    config |= {"head_dim": 128, "tie_word_embeddings": False}
    result = estimate(config, sequence_length=tokens, micro_batch_size=1, gradient_checkpointing="full")
    assert result.peak_allocated_bytes / GB == pytest.approx(peak_gb, rel=0.01)
    assert part(result, ComponentName.LOGITS) / GB == pytest.approx(12.6, rel=0.01)
