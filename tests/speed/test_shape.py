"""FLOPs and bytes follow from the architecture by arithmetic that can be done by hand."""

from dataclasses import replace

import pytest

from app.memory.build import parse_config
from app.memory.inputs import (
    Adapter,
    AttentionImplementation,
    Batch,
    Checkpointing,
    LoraTargetPreset,
    LossKernel,
    Method,
    MethodKind,
    PrecisionPolicy,
    Quantization,
)
from app.speed.shape import RunShape, run_shape
from app.speed.work import KernelStack, architecture_work, kept_share

HIDDEN, INTERMEDIATE, LAYERS, HEADS, VOCABULARY = 64, 256, 3, 4, 1000
CONFIG = {
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": INTERMEDIATE,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "vocab_size": VOCABULARY,
    "tie_word_embeddings": False,
}
MODEL = parse_config(CONFIG)
LINEAR = LAYERS * (HIDDEN * (64 + 32 + 32 + 64) + 3 * HIDDEN * INTERMEDIATE)
NORMS = LAYERS * 2 * HIDDEN
BATCH = Batch(micro_batch_size=2, sequence_length=128)
TOKENS = 256
FULL = Method(kind=MethodKind.FULL)
LORA = Method(kind=MethodKind.LORA, adapter=Adapter(rank=8, targets=LoraTargetPreset.ALL_LINEAR))
QLORA = Method(kind=MethodKind.QLORA, adapter=Adapter(rank=8), quantization=Quantization())


def shape(method: Method, batch: Batch = BATCH, policy: PrecisionPolicy = PrecisionPolicy.BF16) -> RunShape:
    return run_shape(MODEL, method, policy, batch, KernelStack.EAGER)


def test_full_trains_at_six_flops_a_weight_and_token() -> None:
    assert shape(FULL).matmul_flops == 6 * (LINEAR + NORMS) * TOKENS
    assert shape(FULL).head_flops == 6 * HIDDEN * VOCABULARY * TOKENS


def test_a_frozen_weight_has_no_weight_gradient() -> None:
    adapters = LAYERS * 8 * (HIDDEN + 64 + 2 * (HIDDEN + 32) + 64 + HIDDEN + 3 * (HIDDEN + INTERMEDIATE))
    assert shape(LORA).matmul_flops == (4 * (LINEAR + NORMS) + 6 * adapters) * TOKENS
    assert shape(LORA).head_flops == 4 * HIDDEN * VOCABULARY * TOKENS


@pytest.mark.parametrize(("checkpointing", "repeated"), [(Checkpointing.FULL, 1.0), (Checkpointing.SELECTIVE, 0.5)])
def test_checkpointing_repeats_the_layers_forward_but_not_the_heads(
    checkpointing: Checkpointing, repeated: float
) -> None:
    checkpointed = shape(FULL, replace(BATCH, gradient_checkpointing=checkpointing))
    assert checkpointed.matmul_flops == (6 + 2 * repeated) * (LINEAR + NORMS) * TOKENS
    assert checkpointed.model_matmul_flops == shape(FULL).matmul_flops
    assert checkpointed.head_flops == shape(FULL).head_flops
    assert checkpointed.elementwise_bytes > shape(FULL).elementwise_bytes


def test_flash_attention_skips_what_the_causal_mask_hides() -> None:
    forward = 4 * HIDDEN * (128 / 2) * TOKENS * LAYERS
    assert shape(FULL).attention.flops == pytest.approx(forward * 3.5)
    padded = shape(FULL, replace(BATCH, packing=False)).attention
    assert padded.flops == pytest.approx(2 * forward * 3.5)
    eager = shape(FULL, replace(BATCH, attention=AttentionImplementation.EAGER)).attention
    assert eager.flops == pytest.approx(2 * forward * 3.0)
    assert eager.score_bytes > padded.score_bytes > shape(FULL).attention.score_bytes == 0


def test_a_window_bounds_what_a_token_attends_to() -> None:
    # 112 tokens see 16 others; the first 16 see 8 on average.
    assert kept_share(16, 128) == pytest.approx((112 * 16 + 16 * 8) / 128**2)
    assert kept_share(16, 16) == kept_share(None, 16) == 0.5
    (attention,) = architecture_work(MODEL, KernelStack.EAGER).attention
    assert attention.score_flops == 4 * HIDDEN * LAYERS


def test_a_window_is_masked_once_the_sequence_reaches_it() -> None:
    windowed = parse_config({**CONFIG, "model_type": "mistral", "sliding_window": 64})
    short, long = (
        run_shape(windowed, FULL, PrecisionPolicy.BF16, replace(BATCH, sequence_length=length), KernelStack.EAGER)
        for length in (63, 64)
    )
    assert short.attention.flops < short.attention.whole_flops
    assert short.attention.score_bytes == 0
    assert long.attention.flops == long.attention.whole_flops
    assert long.attention.score_bytes == long.attention.whole_score_bytes > 0
    assert long.attention.model_flops == pytest.approx(long.attention.whole_flops * 3 / 3.5 / 2)


def test_dequantisation_is_paid_once_a_pass_whatever_the_tokens() -> None:
    once = shape(QLORA).dequantised_bytes
    assert once == LINEAR * 2.5 * 2
    assert shape(QLORA, replace(BATCH, micro_batch_size=50)).dequantised_bytes == once
    assert shape(QLORA, replace(BATCH, gradient_checkpointing=Checkpointing.FULL)).dequantised_bytes == 1.5 * once
    assert shape(LORA).dequantised_bytes == 0


def test_the_optimizers_bytes_follow_what_trains() -> None:
    fused = replace(FULL, optimizer="adamw_torch_fused", max_grad_norm=0.0)
    assert shape(fused).optimizer_bytes == 7 * 2 * MODEL.total_parameters
    assert shape(fused, policy=PrecisionPolicy.BF16_MIXED).optimizer_bytes == 7 * 4 * MODEL.total_parameters
    clipped = shape(replace(fused, max_grad_norm=1.0))
    assert clipped.optimizer_bytes == 10 * 2 * MODEL.total_parameters
    eight_bit = shape(replace(fused, optimizer="adamw_bnb_8bit"))
    assert eight_bit.optimizer_bytes == (3 * 2 + 4) * MODEL.total_parameters
    assert shape(LORA).optimizer_bytes < 0.2 * clipped.optimizer_bytes


def test_autocast_copies_trained_weights_every_micro_step() -> None:
    assert shape(FULL).cast_bytes == 0
    assert shape(FULL, policy=PrecisionPolicy.BF16_MIXED).cast_bytes == 6 * 2 * MODEL.total_parameters
    assert shape(LORA, policy=PrecisionPolicy.BF16_MIXED).cast_bytes == 0


def test_fused_kernels_move_less() -> None:
    eager, fused = (
        run_shape(MODEL, LORA, PrecisionPolicy.BF16, BATCH, stack) for stack in (KernelStack.EAGER, KernelStack.FUSED)
    )
    adapters = run_shape(MODEL, LORA, PrecisionPolicy.BF16, BATCH, KernelStack.FUSED_ADAPTERS)
    assert eager.elementwise_bytes > fused.elementwise_bytes > adapters.elementwise_bytes
    assert eager.launches > fused.launches > adapters.launches
    liger = replace(BATCH, loss_kernel=LossKernel.LIGER)
    assert shape(FULL, liger).head_bytes < shape(FULL).head_bytes


def test_float32_doubles_the_traffic() -> None:
    assert shape(FULL, policy=PrecisionPolicy.FP32).elementwise_bytes == 2 * shape(FULL).elementwise_bytes
    prepared = replace(QLORA, quantization=Quantization(upcast_non_quantized=True))
    assert shape(prepared).attention.in_float32
    assert not shape(prepared, policy=PrecisionPolicy.BF16_MIXED).attention.in_float32
    assert shape(prepared).elementwise_bytes > 1.5 * shape(QLORA).elementwise_bytes


def test_dora_computes_its_norms_whatever_the_tokens() -> None:
    assert LORA.adapter is not None
    dora = replace(LORA, adapter=replace(LORA.adapter, use_dora=True))
    one = replace(BATCH, micro_batch_size=1, sequence_length=1)
    extra = shape(dora, one).elementwise_bytes - shape(LORA, one).elementwise_bytes
    assert extra >= 14 * LINEAR


def test_work_counts_every_layer() -> None:
    work = architecture_work(MODEL, KernelStack.EAGER)
    assert work.quantised_elements == LINEAR
    assert work.active_elements == work.stored_elements == LINEAR + NORMS
    assert work.projections == 7 * LAYERS
