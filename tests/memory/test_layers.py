"""Bytes that one decoder layer keeps for backward, per token, against the sums made by hand from traces.

One more layer of a Llama-like block: h hidden, i intermediate, a heads, Q = query width, K = key (or value)
width, r rank. Each sum is spelled out where it is used.
"""

from typing import Any

import pytest

from app.memory.result import ComponentName, PhaseName
from tests.memory.runs import SMALL, estimate, part

H, I, A, Q, K, R = 256, 704, 8, 256, 64, 16  # noqa: E741 - the letters of the formulas
BATCH, LENGTH = 3, 640
TOKENS = BATCH * LENGTH

ATTENTION = 4 * Q + 4 * K + 4 * A
"""q, k, v and the output in 16 bits, and the float32 log-sum-exp of each head."""
NORMS = 8 * H + 8
"""Of two RMS norms: a float32 copy of the input and the inverse root each."""
MLP_FROZEN = 6 * I
"""gate, silu(gate) and up."""


def kept_by_a_layer(model_type: str = "llama", **fields: Any) -> int:
    """Activations that one more layer adds when the loss is computed, in bytes."""
    sizes = []
    for layers in (3, 4):
        config = {**SMALL, "model_type": model_type, "num_hidden_layers": layers}
        asked = {"micro_batch_size": BATCH, "sequence_length": LENGTH, "lora_rank": R, **fields}
        result = estimate(config, **asked)
        sizes.append(part(result, ComponentName.ACTIVATIONS, PhaseName.LOSS))
    return sizes[1] - sizes[0]


MIXED: dict[str, Any] = {"precision": "bf16-mixed"}
KBIT: dict[str, Any] = {"method": "qlora", "upcast_non_quantized": True, **MIXED}


@pytest.mark.parametrize(
    ("fields", "bytes_per_token"),
    [
        # the stream's copies and every linear layer's input: two more 16h, and the product of gate and up
        ({"method": "full"}, 16 * H + 8 + ATTENTION + 8 * I),
        # float32 norms' outputs, and autocast's 16-bit copy of them for each of the five consumers
        ({"method": "full", **MIXED}, 26 * H + 8 + ATTENTION + 8 * I),
        # the adapters share the normed inputs; each keeps x·A
        ({"lora_target_modules": "attention"}, NORMS + ATTENTION + MLP_FROZEN + 2 * H + 4 * 2 * R),
        ({"lora_target_modules": "qv"}, NORMS + ATTENTION + MLP_FROZEN + 2 * H + 2 * 2 * R),
        ({"lora_target_modules": "all-linear"}, NORMS + ATTENTION + MLP_FROZEN + 4 * H + 2 * I + 7 * 2 * R),
        ({"lora_target_modules": ["o_proj"]}, NORMS + ATTENTION + MLP_FROZEN + 2 * R),
        ({"lora_target_modules": ["down_proj"]}, NORMS + ATTENTION + MLP_FROZEN + 2 * I + 2 * R),
        # float32 adapters copy their input, each its own: in 32 bits, or under autocast in 16
        (
            {"adapter_dtype": "float32"},
            NORMS + ATTENTION + MLP_FROZEN + 4 * (3 * H + Q) + 4 * 4 * R,
        ),
        (
            {"adapter_dtype": "float32", **MIXED},
            NORMS + ATTENTION + MLP_FROZEN + 2 * (3 * H + Q) + 4 * 2 * R,
        ),
        # dropout: a mask of a byte an element and the dropped copy, for each adapter
        ({"lora_dropout": 0.1}, NORMS + ATTENTION + MLP_FROZEN + 3 * (3 * H + Q) + 4 * 2 * R),
        # a quantised base keeps no weights of its own kind: as a frozen 16-bit one
        ({"method": "qlora"}, NORMS + ATTENTION + MLP_FROZEN + 2 * H + 4 * 2 * R),
        # after k-bit preparation the stream and the MLP are float32, each adapter casts its input
        (KBIT, NORMS + ATTENTION + 12 * I + 3 * 2 * H + 4 * 2 * R),
        # x·A grows with the rank, and nothing else does
        ({"lora_target_modules": "attention", "lora_rank": 64}, NORMS + ATTENTION + MLP_FROZEN + 2 * H + 4 * 2 * 64),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else None,
)
def test_what_a_layer_keeps_for_backward(fields: dict[str, Any], bytes_per_token: int) -> None:
    assert kept_by_a_layer(**fields) == TOKENS * bytes_per_token


@pytest.mark.parametrize(
    ("fields", "bytes_per_token"),
    [
        ({"method": "full"}, 2 * H),
        ({"method": "full", **MIXED}, 4 * H),
        ({"method": "lora"}, 2 * H),
        ({"method": "lora", **MIXED}, 2 * H),
        ({"method": "qlora"}, 2 * H),
        (KBIT, 4 * H),
    ],
)
def test_a_checkpointed_layer_keeps_its_input(fields: dict[str, Any], bytes_per_token: int) -> None:
    assert kept_by_a_layer(gradient_checkpointing="full", **fields) == TOKENS * bytes_per_token


def test_selective_checkpointing_keeps_every_second_layer_whole() -> None:
    sizes = {}
    for policy in ("none", "selective", "full"):
        result = estimate(micro_batch_size=BATCH, sequence_length=LENGTH, gradient_checkpointing=policy, method="full")
        sizes[policy] = part(result, ComponentName.ACTIVATIONS, PhaseName.LOSS)
    assert 2 * sizes["selective"] == sizes["none"] + sizes["full"]


def test_eager_attention_keeps_scores_and_their_softmax() -> None:
    """Instead of flash's tensors: repeated keys and values (8Q in all), and 6 bytes a score."""
    flash = kept_by_a_layer(method="full")
    eager = kept_by_a_layer(method="full", attention="eager")
    assert eager - flash == TOKENS * (8 * Q + 6 * A * LENGTH - ATTENTION)


def test_a_padding_mask_loses_flash() -> None:
    """The memory-efficient kernel takes repeated heads, 4(Q − K) more, and a dense 16-bit mask a layer."""
    flash = kept_by_a_layer(method="full")
    padded = kept_by_a_layer(method="full", packing=False)
    assert padded - flash == TOKENS * 4 * (Q - K) + 2 * BATCH * LENGTH**2


def test_flash_attention_2_takes_padded_batches() -> None:
    padded: dict[str, Any] = {"method": "full", "packing": False, "attention": "flash_attention_2"}
    assert kept_by_a_layer(**padded) == kept_by_a_layer(method="full")


@pytest.mark.parametrize(("length", "reached"), [(639, False), (640, True), (641, True)])
def test_a_sliding_window_loses_flash_once_it_is_reached(length: int, reached: bool) -> None:
    window = {**SMALL, "model_type": "mistral", "sliding_window": 640}
    without = {**window, "sliding_window": None}
    sizes = [estimate(config, sequence_length=length, method="full") for config in (window, without)]
    assert (sizes[0].peak_allocated_bytes > sizes[1].peak_allocated_bytes) is reached


def test_float32_queries_with_grouped_heads_fall_to_plain_products() -> None:
    """Only flash takes grouped heads, and flash takes 16 bits: softmax over all pairs, 4 bytes a score."""
    grouped = kept_by_a_layer(method="full", precision="fp32")
    longer = estimate(sequence_length=2 * LENGTH, micro_batch_size=BATCH, method="full", precision="fp32")
    shorter = estimate(sequence_length=LENGTH, micro_batch_size=2 * BATCH, method="full", precision="fp32")
    assert grouped > TOKENS * 4 * A * LENGTH
    assert longer.peak_allocated_bytes > shorter.peak_allocated_bytes


def test_a_gemma_norm_keeps_more_than_a_llama_norm() -> None:
    """Gemma scales by (1 + weight) in float32: the product saves its float32 factor even where nothing trains."""
    assert kept_by_a_layer("gemma") > kept_by_a_layer("llama")


def test_a_norm_over_each_head_adds_a_float32_copy_of_queries_and_keys() -> None:
    """Qwen 3's two norms: 4 bytes a feature and 4 a head each."""
    with_norms = kept_by_a_layer("qwen3")
    without = kept_by_a_layer("llama")
    heads = A + K // 32
    assert with_norms - without == TOKENS * (4 * (Q + K) + 4 * heads)


def test_dora_costs_memory_and_a_magnitude_for_every_output() -> None:
    plain = estimate(lora_target_modules="all-linear", **MIXED)
    dora = estimate(lora_target_modules="all-linear", use_dora=True, **MIXED)
    assert dora.peak_allocated_bytes > plain.peak_allocated_bytes
    assert dora.parameters.adapter - plain.parameters.adapter == 4 * (Q + 2 * K + H + 2 * I + H)


def test_int8_undoes_checkpointing_in_part() -> None:
    """LLM.int8() keeps its input on the graph's node, which a checkpoint does not drop: beside the layer's input
    the inputs of q, k and v (one), o, gate and up (one) and down."""
    fields: dict[str, Any] = {"method": "qlora", "quantization": "int8", "gradient_checkpointing": "full"}
    assert kept_by_a_layer(**fields) == TOKENS * (2 * H + 2 * (H + Q + H + I))


def test_adapters_over_int8_are_float32() -> None:
    """PEFT moves them to the base's dtype only where that is a floating one."""
    fields: dict[str, Any] = {"method": "qlora", "quantization": "int8", "adapter_dtype": "bfloat16"}
    result = estimate(**fields)
    assert part(result, ComponentName.ADAPTERS) == 4 * result.parameters.adapter
