"""Newer mixtures of experts, from transformers 5.23 ``models/<type>/``."""

from collections.abc import Mapping
from dataclasses import replace

from app.memory.architecture import BlockKind, FusedLayout, NormKind, RouterKind
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
from app.memory.families.mlp import ExpertStyle, SharedStyle, balancing_bias, shared_by_count
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


def _aria_shared(reader: ConfigReader) -> int:
    return reader.integer("intermediate_size") * reader.integer("moe_num_shared_experts", 0, minimum=0)


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
                router_float32=True,
                casts_back=True,
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
    "aria_text": Family(
        mixers={"full_attention": BIASED_ATTENTION},
        mlps={
            "sparse": ExpertStyle(
                router=RouterKind.SOFTMAX_OF_BEST_HALF,
                width="intermediate_size",
                shared=SharedStyle(width=_aria_shared, bias="mlp_bias"),
            )
        },
        plan=by_layer_type(sparse=all_sparse),
        defaults={"num_experts": 8, "num_experts_per_tok": 2, "moe_num_shared_experts": 2},
    ),
    "dbrx": Family(
        norm=NormKind.LAYER,
        mixers={
            "full_attention": AttentionStyle(
                fused="Wqkv", fused_layout=FusedLayout.SPLIT, output_name="out_proj", clip_key="clip_qkv"
            )
        },
        mlps={
            "sparse": ExpertStyle(
                router=RouterKind.SOFTMAX,
                width="intermediate_size",
                router_name="layer",
                router_is_linear=True,
            )
        },
        plan=by_layer_type(sparse=all_sparse),
        nested={
            "num_key_value_heads": ("attn_config", "kv_n_heads"),
            "clip_qkv": ("attn_config", "clip_qkv"),
            "intermediate_size": ("ffn_config", "ffn_hidden_size"),
            "num_experts": ("ffn_config", "moe_num_experts"),
            "num_experts_per_tok": ("ffn_config", "moe_top_k"),
        },
        defaults={"num_key_value_heads": 1, "intermediate_size": 3584, "num_experts": 4, "num_experts_per_tok": 1},
        approximate=True,
        note="Its experts run one after another, which is counted as if they ran together.",
    ),
}
