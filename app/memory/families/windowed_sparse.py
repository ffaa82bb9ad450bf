"""Mixtures of experts whose layers mostly see a window, from transformers 5.23 ``models/<type>/``."""

from collections.abc import Mapping
from dataclasses import replace

from app.memory.architecture import BlockKind, NormKind, RotaryKind, RouterKind, SinkKind
from app.memory.config import ConfigReader
from app.memory.families.attention import AttentionStyle
from app.memory.families.family import Family
from app.memory.families.llama_like import (
    BIASED_ATTENTION,
    GATED,
    NORMED_ATTENTION,
    QWEN3_ATTENTION,
)
from app.memory.families.mlp import ExpertStyle, GatedStyle, SharedStyle, balancing_bias
from app.memory.families.newer_sparse import PREDICTION_NOTE
from app.memory.families.plans import (
    FULL,
    SLIDING,
    after_first_dense,
    by_layer_type,
    every_nth,
    rotates_if_sliding,
    sparse_step,
    with_own_heads,
)
from app.memory.families.sparse import QWEN_EXPERTS, QWEN_NAMES, SIGMOID_EXPERTS, SPARSE


def _cohere_norm(reader: ConfigReader) -> NormKind:
    return NormKind.RMS if reader.has("rms_norm_eps") else NormKind.LAYER_PYTHON


def _cohere_router(reader: ConfigReader) -> RouterKind:
    sigmoid = reader.text("expert_selection_fn", "softmax") == "sigmoid"
    return RouterKind.SIGMOID_OF_BEST if sigmoid else RouterKind.SOFTMAX_OF_BEST


def _cohere_averages(reader: ConfigReader) -> bool:
    return reader.text("shared_expert_combination_strategy", "average") == "average"


def _cohere_shared(reader: ConfigReader) -> int:
    return reader.integer("intermediate_size") * reader.integer("num_shared_experts", 0, minimum=0)


def _cohere_dense_width(reader: ConfigReader) -> int:
    return reader.integer("prefix_dense_intermediate_size", reader.integer("intermediate_size"))


def _cohere_layer_type(reader: ConfigReader, index: int) -> str:
    """The first dense layers have a pattern of their own."""
    prefix = reader.integer("first_k_dense_replace", 0, minimum=0)
    if index < prefix:
        return every_nth(1, key="prefix_dense_sliding_window_pattern")(reader, index)
    return every_nth(4)(reader, index - prefix)


def _cohere_rotates(reader: ConfigReader, index: int, kind: str) -> bool:
    """Dense layers have positions although they see everything."""
    dense = not after_first_dense(reader, index)
    return rotates_if_sliding(reader, index, kind) or (
        dense and reader.integer("prefix_dense_sliding_window_pattern", 1) == 1
    )


def _gates_by_head(reader: ConfigReader) -> bool:
    return reader.raw("gating") in (None, True, "per-head")


def _flint_layer_type(reader: ConfigReader, index: int) -> str:
    """The first two, every fourth and the last see everything."""
    last = index == reader.integer("num_hidden_layers") - 1
    return FULL if index < 2 or index % 4 == 1 or last else SLIDING


def _mimo_layer_type(reader: ConfigReader, index: int) -> str:
    """The first and every sixth see everything."""
    return FULL if index == 0 or (index + 1) % 6 == 0 else SLIDING


def _twice_the_key_value_heads(reader: ConfigReader, num_heads: int) -> int:
    """What layers with a window have."""
    return 2 * reader.integer("num_key_value_heads", num_heads)


LAGUNA_ATTENTION = replace(
    NORMED_ATTENTION,
    head_dim=128,
    rotary_kind=RotaryKind.CONCATENATED,
    gate_name="g_proj",
    gate_softplus=True,
    gate_by_head=_gates_by_head,
)
MIMO_ATTENTION = AttentionStyle(
    bias="attention_bias",
    head_dim=192,
    value_head_dim_key="v_head_dim",
    value_scale_key="attention_value_scale",
    rotary_kind=RotaryKind.CONCATENATED,
    rotary_fraction=0.334,
    shifted_scores=True,
    sdpa=False,
)

WINDOWED_SPARSE: Mapping[str, Family] = {
    "cohere2_moe": Family(
        norm=NormKind.LAYER_PYTHON,
        choose_norm=_cohere_norm,
        block=BlockKind.PARALLEL,
        mixers={"full_attention": replace(BIASED_ATTENTION, head_dim=128, rotary_kind=RotaryKind.INTERLEAVED)},
        mlps={
            "dense": GatedStyle(width=_cohere_dense_width),
            "sparse": ExpertStyle(
                router=_cohere_router,
                width="intermediate_size",
                normalises="norm_topk_prob",
                shared=SharedStyle(width=_cohere_shared),
                averages=_cohere_averages,
                converted="qwen2_moe",
            ),
        },
        plan=by_layer_type(_cohere_layer_type, sparse=after_first_dense, rotary=_cohere_rotates),
        logits_multiplier=True,
        converted_names=QWEN_NAMES,
        defaults={
            "tie_word_embeddings": True,
            "num_experts": 8,
            "num_experts_per_tok": 2,
            "sliding_window": 4096,
            "norm_topk_prob": True,
        },
    ),
    "mellum": replace(
        SPARSE["qwen3_moe"],
        mlps={"dense": GATED, "sparse": replace(QWEN_EXPERTS, normalises="norm_topk_prob")},
        plan=by_layer_type(sparse=after_first_dense),
        rotary_embeddings=2,
        defaults={
            "num_key_value_heads": 4,
            "sliding_window": 1024,
            "moe_intermediate_size": 896,
            "num_experts": 64,
            "num_experts_per_tok": 8,
            "norm_topk_prob": True,
        },
        note=PREDICTION_NOTE,
    ),
    "laguna": Family(
        mixers={
            "full_attention": replace(LAGUNA_ATTENTION, rotary_fraction=0.5),
            "sliding_attention": LAGUNA_ATTENTION,
        },
        mlps={
            "dense": GATED,
            "sparse": ExpertStyle(
                router=RouterKind.SIGMOID,
                casts_back=True,
                scales_result=True,
                router_extra=balancing_bias,
                shared=SharedStyle(width="shared_expert_intermediate_size", first=True),
            ),
        },
        plan=with_own_heads(by_layer_type(sparse=after_first_dense)),
        rotary_embeddings=2,
        defaults={
            "num_key_value_heads": 8,
            "sliding_window": 512,
            "first_k_dense_replace": 1,
            "moe_intermediate_size": 512,
            "shared_expert_intermediate_size": 512,
            "num_experts": 256,
            "num_experts_per_tok": 8,
        },
    ),
    "flint": Family(
        norm=NormKind.RMS_SCALE_LAST,
        mixers={"full_attention": replace(QWEN3_ATTENTION, sinks=SinkKind.COLUMN, float32_scores=True, sdpa=False)},
        mlps={
            "dense": GATED,
            "sparse": ExpertStyle(
                router=RouterKind.SIGMOID_ISOLATED,
                normalises="norm_topk_prob",
                shared=SharedStyle(width="shared_expert_intermediate_size"),
            ),
        },
        plan=by_layer_type(_flint_layer_type, sparse=sparse_step, rotary=rotates_if_sliding),
        defaults={
            "num_key_value_heads": 4,
            "sliding_window": 513,
            "mlp_only_layers": (0, 1),
            "moe_intermediate_size": 512,
            "shared_expert_intermediate_size": 1024,
            "num_experts": 256,
            "num_experts_per_tok": 6,
            "norm_topk_prob": True,
        },
    ),
    "mimo_v2_flash": Family(
        mixers={
            "full_attention": MIMO_ATTENTION,
            "sliding_attention": replace(
                MIMO_ATTENTION, sinks=SinkKind.COLUMN, key_value_heads=_twice_the_key_value_heads
            ),
        },
        mlps={"dense": GATED, "sparse": replace(SIGMOID_EXPERTS, shared=None, converted=None)},
        plan=by_layer_type(_mimo_layer_type, sparse=after_first_dense),
        rotary_embeddings=2,
        defaults={
            "num_key_value_heads": 4,
            "attention_value_scale": 0.707,
            "sliding_window": 129,
            "first_k_dense_replace": 1,
            "moe_intermediate_size": 2048,
            "num_experts": 256,
            "num_experts_per_tok": 8,
            "norm_topk_prob": True,
        },
        note=PREDICTION_NOTE,
    ),
}
