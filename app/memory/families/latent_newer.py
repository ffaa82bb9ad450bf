"""Later models with latent attention, from transformers 5.23 ``models/<type>/``."""

from collections.abc import Mapping
from dataclasses import replace

from app.memory.architecture import RotaryKind, RouterKind
from app.memory.families.attention import LatentStyle
from app.memory.families.family import Family
from app.memory.families.latent import DEEPSEEK_V3
from app.memory.families.llama_like import BIASED_GATED, GATED
from app.memory.families.mlp import ExpertStyle, shared_by_count
from app.memory.families.plans import after_first_dense, by_layer_type
from app.memory.families.sparse import SIGMOID_EXPERTS

LATENT_NEWER: Mapping[str, Family] = {
    "mistral4": Family(
        mixers={"full_attention": LatentStyle(scales_queries=True)},
        mlps={
            "dense": GATED,
            "sparse": ExpertStyle(
                router=RouterKind.SOFTMAX_HALF,
                normalises="norm_topk_prob",
                scales=True,
                shared=shared_by_count("n_shared_experts"),
            ),
        },
        plan=by_layer_type(sparse=after_first_dense),
        defaults={
            "q_lora_rank": 1024,
            "kv_lora_rank": 256,
            "qk_nope_head_dim": 64,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
            "first_k_dense_replace": 0,
            "norm_topk_prob": True,
            "n_shared_experts": 1,
            "moe_intermediate_size": 2048,
            "num_experts": 128,
            "num_experts_per_tok": 4,
        },
    ),
    "minicpm3": Family(
        mixers={"full_attention": LatentStyle(rotary_kind=RotaryKind.HALVES)},
        mlps={"dense": BIASED_GATED},
        residual_multiplier=True,
        defaults={
            "tie_word_embeddings": True,
            "q_lora_rank": 768,
            "kv_lora_rank": 256,
            "qk_nope_head_dim": 64,
            "qk_rope_head_dim": 32,
        },
    ),
    "youtu": Family(
        mixers={"full_attention": LatentStyle()},
        mlps={"dense": GATED},
        defaults={
            "tie_word_embeddings": True,
            "q_lora_rank": 1536,
            "kv_lora_rank": 512,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
        },
    ),
    "axk1": replace(
        DEEPSEEK_V3,
        mlps={"dense": GATED, "sparse": replace(SIGMOID_EXPERTS, output_norm=True, converted=None)},
        converted_names=frozenset(),
        defaults={**DEEPSEEK_V3.defaults, "q_lora_rank": 1536, "first_k_dense_replace": 1, "num_experts": 192},
        note=None,
    ),
    "deepseek_v32": replace(
        DEEPSEEK_V3,
        mixers={"full_attention": LatentStyle(indexer=True)},
        defaults={**DEEPSEEK_V3.defaults, "q_lora_rank": 1536, "index_n_heads": 64, "index_head_dim": 128},
        note=None,
    ),
}
