"""Families with attention of their own kind, counted to the parameter, from transformers 5.23 ``models/<type>/``."""

from collections.abc import Mapping
from dataclasses import replace

from app.memory.architecture import (
    NormKind,
    RouterKind,
)
from app.memory.families.attention import PER_HEAD, AttentionStyle, LatentStyle
from app.memory.families.compressed_styles import (
    HEAVILY,
    SPARSE_RATE,
    SPARSELY,
    STEP_ATTENTION,
    CompressedStyle,
    PooledStyle,
    PoolingLatentStyle,
    ScaledLatentStyle,
    ShortcutStyle,
    SlidingHeadsStyle,
    chosen_kind,
    compressed_kind,
    enumerated,
    hyper_connections,
    listed_frequency,
    rotates_where_listed,
    shared_width,
    shortcut_layers,
    stream_head,
)
from app.memory.families.delta import KimiDeltaStyle
from app.memory.families.family import Family
from app.memory.families.latent import DEEPSEEK_V3
from app.memory.families.llama_like import GATED
from app.memory.families.mlp import ExpertStyle, GatedStyle, SharedStyle
from app.memory.families.plans import FULL, LINEAR, after_first_dense, all_sparse, by_layer_type, every_nth
from app.memory.families.sparse import QWEN_NAMES
from app.messages import mark

ATTENTION_NOTE = mark("Its attention is not followed step by step: activations are approximate.")
COMPRESSED: Mapping[str, Family] = {
    "longcat_flash": Family(
        mixers={"full_attention": LatentStyle()},
        mlps={"dense": GATED, "sparse": ShortcutStyle()},
        plan=shortcut_layers,
        converted_names=QWEN_NAMES,
        approximate=True,
        defaults={
            "q_lora_rank": 1536,
            "kv_lora_rank": 512,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
            "num_experts": 512,
            "num_experts_per_tok": 12,
            "expert_ffn_hidden_size": 2048,
            "zero_expert_num": 256,
        },
        note=ATTENTION_NOTE,
    ),
    "minimax_m3_vl_text": Family(
        norm=NormKind.GEMMA_RMS,
        mixers={
            "full_attention": AttentionStyle(norm=PER_HEAD, head_dim=128),
            "minimax_m3_sparse": PooledStyle(),
        },
        mlps={
            "dense": GatedStyle(width="dense_intermediate_size", fused="gate_up_proj"),
            "sparse": ExpertStyle(
                router=RouterKind.SIGMOID,
                width="intermediate_size",
                scales=True,
                shared=SharedStyle(width="shared_intermediate_size", fused="gate_up_proj"),
            ),
        },
        plan=by_layer_type(chosen_kind, sparse=listed_frequency),
        approximate=True,
        defaults={
            "num_key_value_heads": 4,
            "num_experts": 128,
            "num_experts_per_tok": 4,
            "first_k_dense_replace": 0,
            "dense_intermediate_size": 12288,
            "shared_intermediate_size": 3072,
            "index_n_heads": 4,
            "index_head_dim": 128,
        },
        note=ATTENTION_NOTE,
    ),
    "step3p5": Family(
        norm=NormKind.GEMMA_RMS,
        mixers={"full_attention": STEP_ATTENTION, "sliding_attention": SlidingHeadsStyle()},
        mlps={
            "dense": GATED,
            "sparse": ExpertStyle(router=RouterKind.SIGMOID, scales=True, shared=SharedStyle(width=shared_width)),
        },
        plan=by_layer_type(sparse=enumerated),
        approximate=True,
        defaults={
            "num_key_value_heads": 8,
            "num_experts": 288,
            "num_experts_per_tok": 8,
            "moe_intermediate_size": 1280,
            "share_expert_dim": 1280,
            "first_k_dense_replace": 3,
        },
        note=ATTENTION_NOTE,
    ),
    "glm5_next_text": replace(
        DEEPSEEK_V3,
        mixers={"full_attention": PoolingLatentStyle(), "linear_attention": KimiDeltaStyle(bounded=True)},
        plan=by_layer_type(every_nth(4, others=LINEAR), sparse=after_first_dense),
        layer_extra=hyper_connections,
        approximate=True,
        defaults={
            **DEEPSEEK_V3.defaults,
            "q_lora_rank": 1536,
            "qk_nope_head_dim": 256,
            "qk_rope_head_dim": 0,
            "v_head_dim": 256,
            "num_experts": 288,
            "index_n_heads": 32,
            "index_head_dim": 128,
            "index_kpool": 16,
            "linear_num_heads": 64,
            "linear_head_dim": 128,
            "linear_conv_kernel_dim": 4,
            "hc_mult": 4,
        },
        note=ATTENTION_NOTE,
    ),
    "mistral_large4_text": replace(
        DEEPSEEK_V3,
        mixers={"full_attention": ScaledLatentStyle()},
        plan=by_layer_type(sparse=after_first_dense, rotary=rotates_where_listed),
        approximate=True,
        defaults={
            **DEEPSEEK_V3.defaults,
            "qk_nope_head_dim": 64,
            "first_k_dense_replace": 1,
            "moe_intermediate_size": 6144,
            "num_experts": 128,
            "num_experts_per_tok": 4,
            "index_n_heads": 32,
            "index_head_dim": 128,
            "final_logit_softcapping": 30.0,
        },
        note=ATTENTION_NOTE,
    ),
    "deepseek_v4": Family(
        mixers={
            "full_attention": CompressedStyle(kind=FULL, rate=0),
            HEAVILY: CompressedStyle(kind=HEAVILY, rate=128),
            SPARSELY: CompressedStyle(kind=SPARSELY, rate=SPARSE_RATE, scores=True),
        },
        mlps={
            "sparse": ExpertStyle(
                router=RouterKind.SIGMOID_FLOAT32, scales=True, shared=SharedStyle(width="moe_intermediate_size")
            )
        },
        plan=by_layer_type(compressed_kind, sparse=all_sparse),
        layer_extra=hyper_connections,
        outer_extra=stream_head,
        approximate=True,
        defaults={
            "head_dim": 512,
            "q_lora_rank": 1024,
            "o_groups": 8,
            "o_lora_rank": 1024,
            "n_shared_experts": 1,
            "num_experts": 256,
            "num_experts_per_tok": 6,
            "moe_intermediate_size": 2048,
            "index_n_heads": 64,
            "index_head_dim": 128,
            "hc_mult": 4,
        },
        note=ATTENTION_NOTE,
    ),
}
