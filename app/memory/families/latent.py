"""Latent attention with mixtures of experts, from transformers 5.23 ``models/<type>/``."""

from collections.abc import Mapping
from dataclasses import replace

from app.memory.architecture import RotaryKind, RouterKind
from app.memory.families.attention import LatentStyle
from app.memory.families.family import Family
from app.memory.families.llama_like import GATED
from app.memory.families.mlp import ExpertStyle, GatedStyle, shared_by_count
from app.memory.families.plans import after_first_dense, by_layer_type
from app.memory.families.sparse import QWEN_NAMES, SIGMOID_EXPERTS

DEEPSEEK_V3 = Family(
    mixers={"full_attention": LatentStyle()},
    mlps={"dense": GATED, "sparse": SIGMOID_EXPERTS},
    plan=by_layer_type(sparse=after_first_dense),
    converted_names=QWEN_NAMES,
    # DeepSeek-V3's and Kimi K2's published values; their configurations state them all
    defaults={
        "first_k_dense_replace": 3,
        "norm_topk_prob": True,
        "kv_lora_rank": 512,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
        "n_shared_experts": 1,
        "moe_intermediate_size": 2048,
        "num_experts": 256,
        "num_experts_per_tok": 8,
    },
    note="Multi-token-prediction layers are left out: Transformers does not train them.",
)

LATENT: Mapping[str, Family] = {
    "deepseek_v2": Family(
        mixers={"full_attention": LatentStyle(rotary_kind=RotaryKind.COMPLEX)},
        mlps={
            "dense": GatedStyle(bias="mlp_bias"),
            "sparse": ExpertStyle(
                router=RouterKind.SOFTMAX_FLOAT32,
                normalises=False,
                scales=True,
                shared=shared_by_count("n_shared_experts"),
                converted="qwen2_moe",
            ),
        },
        plan=by_layer_type(sparse=after_first_dense),
        converted_names=QWEN_NAMES,
        defaults={
            "kv_lora_rank": 512,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
            "num_experts": 64,
            "n_shared_experts": 2,
        },
    ),
    "deepseek_v3": DEEPSEEK_V3,
    "kimi_k2": DEEPSEEK_V3,
    "glm4_moe_lite": replace(DEEPSEEK_V3, defaults={**DEEPSEEK_V3.defaults, "first_k_dense_replace": 1}),
    "glm_moe_dsa": Family(
        mixers={"full_attention": LatentStyle(indexer=True)},
        mlps={"dense": GATED, "sparse": SIGMOID_EXPERTS},
        plan=by_layer_type(sparse=after_first_dense),
        converted_names=QWEN_NAMES,
        defaults={
            **DEEPSEEK_V3.defaults,
            "q_lora_rank": 2048,
            "qk_nope_head_dim": 192,
            "v_head_dim": 256,
            "index_n_heads": 32,
            "index_head_dim": 128,
        },
        note=DEEPSEEK_V3.note,
    ),
}
