"""Mixtures of experts, from transformers 5.23 ``models/<type>/``."""

from collections.abc import Mapping

from app.memory.architecture import ExpertGate, NormKind, RotaryKind, RouterKind, SinkKind
from app.memory.families.attention import OVER_ALL, PER_HEAD, AttentionStyle
from app.memory.families.family import Family
from app.memory.families.llama_like import (
    BIASED_ATTENTION,
    GATED,
    OLMO2_ATTENTION,
    PLAIN_ATTENTION,
    QWEN3_ATTENTION,
)
from app.memory.families.mlp import ExpertStyle, GatedStyle, SharedStyle, balancing_bias, shared_by_count
from app.memory.families.plans import (
    after_first_dense,
    all_sparse,
    alternating,
    by_layer_type,
    ernie_step,
    every_nth,
    interleaved_step,
    qwen2_layer_type,
    rotates_by_interval,
    sparse_step,
)

QWEN_NAMES = frozenset({"gate_proj", "up_proj", "down_proj"})
SHARED_QWEN = SharedStyle(width="shared_expert_intermediate_size", gate=True, first=True)
QWEN_EXPERTS = ExpertStyle(
    router=RouterKind.SOFTMAX, casts_back=True, normalises="norm_topk_prob", converted="qwen2_moe"
)
SIGMOID_EXPERTS = ExpertStyle(
    router=RouterKind.SIGMOID_FLOAT32,
    normalises="norm_topk_prob",
    scales=True,
    shared=shared_by_count("n_shared_experts"),
    converted="qwen2_moe",
)
SPARSE: Mapping[str, Family] = {
    "mixtral": Family(
        mixers={"full_attention": PLAIN_ATTENTION},
        mlps={"sparse": ExpertStyle(router=RouterKind.SOFTMAX, width="intermediate_size", converted="mixtral")},
        plan=by_layer_type(sparse=all_sparse),
        defaults={"num_key_value_heads": 8, "num_experts": 8, "num_experts_per_tok": 2},
    ),
    "qwen2_moe": Family(
        mixers={"full_attention": AttentionStyle(bias="qkv_bias")},
        mlps={
            "dense": GATED,
            "sparse": ExpertStyle(
                router=RouterKind.SOFTMAX, casts_back=True, normalises="norm_topk_prob", shared=SHARED_QWEN
            ),
        },
        plan=by_layer_type(qwen2_layer_type, sparse=sparse_step),
        defaults={
            "qkv_bias": True,
            "num_experts": 60,
            "num_experts_per_tok": 4,
            "moe_intermediate_size": 1408,
            "shared_expert_intermediate_size": 5632,
        },
    ),
    "qwen3_moe": Family(
        mixers={"full_attention": QWEN3_ATTENTION},
        mlps={"dense": GATED, "sparse": QWEN_EXPERTS},
        plan=by_layer_type(qwen2_layer_type, sparse=sparse_step),
        converted_names=QWEN_NAMES,
        defaults={
            "num_key_value_heads": 4,
            "num_experts": 128,
            "num_experts_per_tok": 8,
            "moe_intermediate_size": 768,
        },
    ),
    "qwen3_vl_moe_text": Family(
        mixers={"full_attention": QWEN3_ATTENTION},
        mlps={"dense": GATED, "sparse": ExpertStyle(router=RouterKind.SOFTMAX, normalises=True, casts_back=True)},
        plan=by_layer_type(sparse=sparse_step),
        defaults={"num_experts": 60, "num_experts_per_tok": 4, "moe_intermediate_size": 1408},
    ),
    "olmoe": Family(
        mixers={
            "full_attention": AttentionStyle(
                bias="attention_bias", output_bias="attention_bias", norm=OVER_ALL, clip_key="clip_qkv"
            )
        },
        mlps={
            "sparse": ExpertStyle(
                router=RouterKind.SOFTMAX,
                width="intermediate_size",
                casts_back=True,
                normalises="norm_topk_prob",
                converted="qwen2_moe",
            )
        },
        plan=by_layer_type(sparse=all_sparse),
        converted_names=QWEN_NAMES,
        defaults={"num_experts": 64, "num_experts_per_tok": 8},
    ),
    "flex_olmo": Family(
        norm=NormKind.RMS_SCALE_LAST,
        mixers={"full_attention": OLMO2_ATTENTION},
        mlps={
            "sparse": ExpertStyle(
                router=RouterKind.SOFTMAX,
                width="intermediate_size",
                casts_back=True,
                normalises="norm_topk_prob",
                converted="qwen2_moe",
            )
        },
        plan=by_layer_type(sparse=all_sparse),
        converted_names=QWEN_NAMES,
        defaults={"num_experts": 7, "num_experts_per_tok": 5},
    ),
    "granitemoe": Family(
        mixers={"full_attention": BIASED_ATTENTION},
        mlps={
            "sparse": ExpertStyle(router=RouterKind.SOFTMAX_OF_BEST, width="intermediate_size", router_name="router")
        },
        plan=by_layer_type(sparse=all_sparse),
        embedding_multiplier=True,
        residual_multiplier=True,
        logits_multiplier=True,
        defaults={"num_experts": 8, "num_experts_per_tok": 2},
    ),
    "gpt_oss": Family(
        norm=NormKind.RMS_SCALE_LAST,
        mixers={
            "full_attention": AttentionStyle(
                bias="attention_bias", output_bias="attention_bias", head_dim=64, sinks=SinkKind.COLUMN, sdpa=False
            )
        },
        mlps={
            "sparse": ExpertStyle(
                router=RouterKind.SOFTMAX_OF_BEST_HALF,
                width="intermediate_size",
                router_name="router",
                router_bias=True,
                gate=ExpertGate.CLAMPED,
                bias=True,
            )
        },
        plan=by_layer_type(alternating("sliding_attention", "full_attention"), sparse=all_sparse),
        defaults={
            "attention_bias": True,
            "num_key_value_heads": 8,
            "sliding_window": 128,
            "num_experts": 128,
            "num_experts_per_tok": 4,
        },
        note="Counted in 16 bits: the published MXFP4 experts are dequantised before they train.",
    ),
    "phimoe": Family(
        norm=NormKind.LAYER,
        norm_bias=True,
        mixers={"full_attention": BIASED_ATTENTION},
        mlps={
            "sparse": ExpertStyle(
                router=RouterKind.SPARSE_MIXER,
                width="intermediate_size",
                router_name="router",
                router_is_linear=True,
                router_has_own_class=True,
            )
        },
        plan=by_layer_type(sparse=all_sparse),
        head_bias="lm_head_bias",
        defaults={"num_key_value_heads": 8, "num_experts": 16, "num_experts_per_tok": 2},
    ),
    "ernie4_5_moe": Family(
        mixers={
            "full_attention": AttentionStyle(
                bias="use_bias", output_bias="use_bias", rotary_kind=RotaryKind.INTERLEAVED
            )
        },
        mlps={
            "dense": GatedStyle(bias="use_bias"),
            "sparse": ExpertStyle(
                router=RouterKind.SOFTMAX_ISOLATED,
                router_float32=True,
                router_extra=balancing_bias,
                shared=shared_by_count("moe_num_shared_experts", first=True),
                converted="qwen2_moe",
            ),
        },
        plan=by_layer_type(sparse=ernie_step),
        converted_names=QWEN_NAMES,
        defaults={
            "tie_word_embeddings": True,
            "num_key_value_heads": 4,
            "moe_intermediate_size": 1536,
            "num_experts": 64,
            "num_experts_per_tok": 6,
            "moe_num_shared_experts": 2,
            "moe_layer_start_index": 1,
        },
    ),
    "glm4_moe": Family(
        mixers={
            "full_attention": AttentionStyle(
                bias="attention_bias",
                norm=PER_HEAD,
                norm_if="use_qk_norm",
                rotary_fraction=0.5,
            )
        },
        mlps={"dense": GATED, "sparse": SIGMOID_EXPERTS},
        plan=by_layer_type(sparse=after_first_dense),
        converted_names=QWEN_NAMES,
        defaults={
            "num_key_value_heads": 8,
            "moe_intermediate_size": 1408,
            "num_experts": 128,
            "num_experts_per_tok": 8,
            "n_shared_experts": 1,
            "first_k_dense_replace": 1,
            "norm_topk_prob": True,
        },
        note="Multi-token-prediction layers are left out: Transformers does not train them.",
    ),
    "dots1": Family(
        mixers={"full_attention": AttentionStyle(bias="attention_bias", output_bias="attention_bias", norm=PER_HEAD)},
        mlps={"dense": GATED, "sparse": SIGMOID_EXPERTS},
        plan=by_layer_type(sparse=after_first_dense),
        converted_names=QWEN_NAMES,
        defaults={"moe_intermediate_size": 1408, "sliding_window": 4096},
    ),
    "minimax_m2": Family(
        mixers={"full_attention": AttentionStyle(norm=OVER_ALL, head_dim=128, rotary_fraction=1.0)},
        mlps={"sparse": ExpertStyle(router=RouterKind.SIGMOID, width="intermediate_size", converted="mixtral")},
        plan=by_layer_type(sparse=all_sparse),
        defaults={"num_key_value_heads": 8, "num_experts": 256, "num_experts_per_tok": 8},
        note="Multi-token-prediction layers are left out: Transformers does not train them.",
    ),
    "llama4_text": Family(
        mixers={
            "full_attention": AttentionStyle(
                bias="attention_bias",
                output_bias="attention_bias",
                head_dim=128,
                norm=PER_HEAD,
                norm_kind=NormKind.L2,
                norm_weight=False,
                norm_if="use_qk_norm",
                norm_if_rotary=True,
                norms_after_rotary=True,
                rotary_kind=RotaryKind.COMPLEX,
            )
        },
        mlps={
            "dense": GatedStyle(width="intermediate_size_mlp"),
            "sparse": ExpertStyle(
                router=RouterKind.EVERY_EXPERT,
                width="intermediate_size",
                router_name="router",
                router_is_linear=True,
                router_has_own_class=True,
                shared=SharedStyle(width="intermediate_size"),
            ),
        },
        plan=by_layer_type(
            every_nth(4, others="chunked_attention", key="no_rope_layer_interval"),
            sparse=interleaved_step,
            rotary=rotates_by_interval,
            window_key="attention_chunk_size",
        ),
        defaults={
            "num_key_value_heads": 8,
            "num_experts": 16,
            "num_experts_per_tok": 1,
            "intermediate_size_mlp": 16384,
            "attention_chunk_size": 8192,
            "use_qk_norm": True,
        },
    ),
}
