"""Newer mixtures of experts, from transformers 5.23 ``models/<type>/``."""

from collections.abc import Mapping
from dataclasses import replace

from app.memory.architecture import BlockKind, NormKind, RotaryKind, RouterKind
from app.memory.config import ConfigReader
from app.memory.families.attention import PER_HEAD, AttentionStyle
from app.memory.families.family import Family
from app.memory.families.llama_like import (
    BIASED_ATTENTION,
    BIASED_GATED,
    GATED,
    LLAMA_LIKE,
    NORMED_ATTENTION,
    QUERY_KEY_VALUE_BIAS,
)
from app.memory.families.mlp import ExpertStyle, GatedStyle, SharedStyle, balancing_bias, shared_by_count
from app.memory.families.newer_dense import GRANITE_SINKS
from app.memory.families.plans import (
    after_first_dense,
    all_sparse,
    by_layer_type,
    every_nth,
    first_of_each,
    rotates_by_base,
    rotates_if_sliding,
    rotates_if_sliding_or_no_window,
)
from app.memory.families.sparse import QWEN_NAMES, SIGMOID_EXPERTS, SPARSE


def _after_dense(reader: ConfigReader, index: int) -> bool:
    return index >= reader.integer("num_dense_layers", 0, minimum=0)


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


def _granite_shared(reader: ConfigReader) -> int:
    return reader.integer("shared_intermediate_size", 0, minimum=0)


PREDICTION_NOTE = "Multi-token-prediction layers are left out: Transformers does not train them."
GRANITE_EXPERTS = ExpertStyle(
    router=RouterKind.SOFTMAX_OF_BEST,
    width="intermediate_size",
    router_name="router",
    shared=SharedStyle(width=_granite_shared, names=("", "", "output_linear"), fused="input_linear"),
)
GRANITE = replace(SPARSE["granitemoe"], mlps={"sparse": GRANITE_EXPERTS})

NEWER_SPARSE: Mapping[str, Family] = {
    "granitemoeshared": GRANITE,
    "granitemoe_swa": replace(
        GRANITE,
        mixers={"full_attention": GRANITE_SINKS},
        plan=by_layer_type(first_of_each(4), sparse=all_sparse, rotary=rotates_by_base),
        defaults={**GRANITE.defaults, "sliding_window": 128},
    ),
    "solar_open": Family(
        mixers={"full_attention": replace(QUERY_KEY_VALUE_BIAS, head_dim=128)},
        mlps={"sparse": SIGMOID_EXPERTS},
        plan=by_layer_type(sparse=all_sparse),
        converted_names=QWEN_NAMES,
        defaults={
            "num_key_value_heads": 8,
            "moe_intermediate_size": 1280,
            "num_experts": 128,
            "num_experts_per_tok": 8,
            "n_shared_experts": 1,
            "norm_topk_prob": True,
        },
    ),
    "exaone_moe": Family(
        mixers={"full_attention": AttentionStyle(norm=PER_HEAD)},
        mlps={"dense": GATED, "sparse": replace(SIGMOID_EXPERTS, shared=shared_by_count("num_shared_experts"))},
        plan=by_layer_type(every_nth(4), sparse=after_first_dense, rotary=rotates_if_sliding_or_no_window),
        converted_names=QWEN_NAMES,
        defaults={
            "sliding_window": 4096,
            "first_k_dense_replace": 1,
            "moe_intermediate_size": 1024,
            "num_experts": 64,
            "num_experts_per_tok": 8,
            "num_shared_experts": 1,
            "norm_topk_prob": True,
        },
        note=PREDICTION_NOTE,
    ),
    "hunyuan_v1_moe": Family(
        mixers=LLAMA_LIKE["hunyuan_v1_dense"].mixers,
        mlps={
            "sparse": ExpertStyle(
                router=RouterKind.SOFTMAX,
                width="intermediate_size",
                router_name="wg",
                router_is_linear=True,
                shared=SharedStyle(width="intermediate_size", first=True),
                converted="qwen2_moe",
            )
        },
        plan=by_layer_type(sparse=all_sparse),
        converted_names=QWEN_NAMES,
        defaults={"num_experts": 1, "num_experts_per_tok": 1},
    ),
    "afmoe": Family(
        norm=NormKind.RMS_SCALE_LAST,
        block=BlockKind.SANDWICH,
        mixers={
            "full_attention": replace(NORMED_ATTENTION, head_dim=128, gate_name="gate_proj"),
        },
        mlps={
            "dense": GATED,
            "sparse": ExpertStyle(
                router=RouterKind.SIGMOID,
                router_is_linear=True,
                scales=True,
                router_extra=balancing_bias,
                shared=shared_by_count("num_shared_experts", first=True),
                converted="qwen2_moe",
            ),
        },
        plan=by_layer_type(
            every_nth(4, key="global_attn_every_n_layers"), sparse=_after_dense, rotary=rotates_if_sliding
        ),
        embedding_multiplier="mup_enabled",
        converted_names=QWEN_NAMES,
        defaults={
            "num_dense_layers": 1,
            "moe_intermediate_size": 1408,
            "num_experts": 64,
            "num_experts_per_tok": 6,
            "num_shared_experts": 2,
            "sliding_window": 1024,
        },
    ),
    "hy_v3": Family(
        mixers={"full_attention": replace(NORMED_ATTENTION, head_dim=128)},
        mlps={
            "dense": BIASED_GATED,
            "sparse": ExpertStyle(
                router=RouterKind.SIGMOID_FLOAT32,
                scales=True,
                shared=replace(shared_by_count("num_shared_experts"), bias="mlp_bias"),
                adds_in_float32="enable_moe_fp32_combine",
            ),
        },
        plan=by_layer_type(sparse=after_first_dense),
        defaults={
            "num_key_value_heads": 8,
            "moe_intermediate_size": 1536,
            "num_experts": 192,
            "num_experts_per_tok": 8,
            "num_shared_experts": 1,
            "first_k_dense_replace": 1,
            "enable_moe_fp32_combine": True,
        },
        note=PREDICTION_NOTE,
    ),
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
}
