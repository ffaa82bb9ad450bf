"""Families that are Llama with small differences, from transformers 5.23 ``models/<type>/``."""

from collections.abc import Mapping

from app.memory.architecture import BlockKind, NormKind, RotaryKind
from app.memory.families.attention import OVER_ALL, PER_HEAD, AttentionStyle
from app.memory.families.family import Family
from app.memory.families.mlp import GatedStyle, PlainStyle
from app.memory.families.plans import (
    alternating,
    by_layer_type,
    cross_attention_layers,
    every_nth,
    qwen2_layer_type,
    rotates_by_interval,
    rotates_if_sliding,
    rotates_if_sliding_or_no_window,
    uniform_window,
)

PLAIN_ATTENTION = AttentionStyle()
BIASED_ATTENTION = AttentionStyle(bias="attention_bias", output_bias="attention_bias")
QUERY_KEY_VALUE_BIAS = AttentionStyle(bias="attention_bias")
GEMMA_ATTENTION = AttentionStyle(bias="attention_bias", output_bias="attention_bias", head_dim=256)
NORMED_ATTENTION = AttentionStyle(bias="attention_bias", output_bias="attention_bias", norm=PER_HEAD)
GATED = GatedStyle()
BIASED_GATED = GatedStyle(bias="mlp_bias")


LLAMA = Family(mixers={"full_attention": BIASED_ATTENTION}, mlps={"dense": BIASED_GATED})
QWEN2 = Family(
    mixers={"full_attention": AttentionStyle(bias=True)},
    mlps={"dense": GATED},
    plan=by_layer_type(qwen2_layer_type),
)
QWEN3_ATTENTION = AttentionStyle(bias="attention_bias", output_bias="attention_bias", norm=PER_HEAD, head_dim=128)
QWEN3 = Family(mixers={"full_attention": QWEN3_ATTENTION}, mlps={"dense": GATED}, plan=by_layer_type(qwen2_layer_type))
MISTRAL = Family(
    mixers={"full_attention": PLAIN_ATTENTION},
    mlps={"dense": GATED},
    plan=uniform_window,
    defaults={"num_key_value_heads": 8, "sliding_window": 4096},
)
OLMO2_ATTENTION = AttentionStyle(bias="attention_bias", output_bias="attention_bias", norm=OVER_ALL)
INTERLEAVED_HALF = AttentionStyle(
    bias="attention_bias", rotary_kind=RotaryKind.INTERLEAVED, rotary_fraction=0.5, head_dim=128
)
GEMMA = Family(
    norm=NormKind.GEMMA_RMS,
    mixers={"full_attention": GEMMA_ATTENTION},
    mlps={"dense": GATED},
    defaults={"tie_word_embeddings": True},
)

LLAMA_LIKE: Mapping[str, Family] = {
    "llama": LLAMA,
    "mistral": MISTRAL,
    "ministral": Family(
        mixers={"full_attention": PLAIN_ATTENTION},
        mlps={"dense": GATED},
        plan=by_layer_type(),
        defaults={"num_key_value_heads": 8, "sliding_window": 4096},
    ),
    "qwen2": QWEN2,
    "qwen2_vl_text": QWEN2,
    "qwen2_5_vl_text": QWEN2,
    "qwen3": QWEN3,
    "mllama_text_model": Family(
        mixers={
            "full_attention": PLAIN_ATTENTION,
            "cross_attention": AttentionStyle(norm=PER_HEAD, rotary=False, gates=2),
        },
        mlps={"dense": GATED},
        plan=cross_attention_layers,
        extra_embedding_rows=8,
        defaults={"num_key_value_heads": 8},
    ),
    "qwen3_vl_text": Family(
        mixers={"full_attention": QWEN3_ATTENTION}, mlps={"dense": GATED}, defaults={"num_key_value_heads": 32}
    ),
    "gemma": GEMMA,
    "gemma2": Family(
        norm=NormKind.GEMMA_RMS,
        block=BlockKind.SANDWICH,
        mixers={
            "full_attention": AttentionStyle(
                bias="attention_bias", output_bias="attention_bias", head_dim=256, sdpa=False
            )
        },
        mlps={"dense": GATED},
        plan=by_layer_type(alternating("sliding_attention", "full_attention")),
        defaults={
            "tie_word_embeddings": True,
            "sliding_window": 4096,
            "num_key_value_heads": 4,
            "attn_logit_softcapping": 50.0,
            "final_logit_softcapping": 30.0,
        },
    ),
    "gemma3_text": Family(
        norm=NormKind.GEMMA_RMS,
        block=BlockKind.SANDWICH,
        mixers={
            "full_attention": AttentionStyle(
                bias="attention_bias", output_bias="attention_bias", norm=PER_HEAD, head_dim=256
            )
        },
        mlps={"dense": GATED},
        plan=by_layer_type(every_nth(6)),
        rotary_embeddings=2,
        # google/gemma-3-4b-it's text_config leaves these to the configuration class
        defaults={
            "tie_word_embeddings": True,
            "sliding_window": 4096,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "vocab_size": 262208,
        },
    ),
    "phi3": Family(
        mixers={"full_attention": AttentionStyle(fused="qkv_proj", rotary_kind=RotaryKind.CONCATENATED)},
        mlps={"dense": GatedStyle(fused="gate_up_proj")},
        plan=uniform_window,
    ),
    "internlm3": Family(
        mixers={"full_attention": AttentionStyle(bias="qkv_bias", output_bias="bias")},
        mlps={"dense": GatedStyle(bias="bias")},
        defaults={"num_key_value_heads": 2},
    ),
    "smollm3": Family(
        mixers={"full_attention": BIASED_ATTENTION},
        mlps={"dense": BIASED_GATED},
        plan=by_layer_type(qwen2_layer_type, rotary=rotates_by_interval),
        defaults={"tie_word_embeddings": True, "num_key_value_heads": 4},
    ),
    "granite": Family(
        mixers={"full_attention": BIASED_ATTENTION},
        mlps={"dense": BIASED_GATED},
        embedding_multiplier=True,
        residual_multiplier=True,
        logits_multiplier=True,
    ),
    "cohere": Family(
        norm=NormKind.LAYER_PYTHON,
        block=BlockKind.PARALLEL,
        mixers={
            "full_attention": AttentionStyle(
                bias="attention_bias",
                output_bias="attention_bias",
                norm="each_head",
                norm_if="use_qk_norm",
                rotary_kind=RotaryKind.INTERLEAVED,
            )
        },
        mlps={"dense": GATED},
        logits_multiplier=True,
        defaults={"tie_word_embeddings": True},
    ),
    "cohere2": Family(
        norm=NormKind.LAYER_PYTHON,
        block=BlockKind.PARALLEL,
        mixers={
            "full_attention": AttentionStyle(
                bias="attention_bias", output_bias="attention_bias", rotary_kind=RotaryKind.INTERLEAVED
            )
        },
        mlps={"dense": GATED},
        plan=by_layer_type(every_nth(4), rotary=rotates_if_sliding),
        logits_multiplier=True,
        defaults={"tie_word_embeddings": True, "sliding_window": 4096},
    ),
    "glm": Family(
        mixers={"full_attention": INTERLEAVED_HALF},
        mlps={"dense": GatedStyle(fused="gate_up_proj")},
        defaults={"attention_bias": True, "num_key_value_heads": 2},
    ),
    "glm4": Family(
        block=BlockKind.SANDWICH,
        mixers={"full_attention": INTERLEAVED_HALF},
        mlps={"dense": GatedStyle(fused="gate_up_proj")},
        defaults={"attention_bias": True, "num_key_value_heads": 2},
    ),
    "nemotron": Family(
        norm=NormKind.LAYER_ONE_PLUS,
        norm_bias=True,
        mixers={
            "full_attention": AttentionStyle(bias="attention_bias", output_bias="attention_bias", rotary_fraction=0.5)
        },
        mlps={"dense": PlainStyle(bias="mlp_bias")},
        defaults={"hidden_act": "relu2"},
    ),
    "exaone4": Family(
        block=BlockKind.POST_NORM,
        mixers={"full_attention": AttentionStyle(norm=PER_HEAD)},
        mlps={"dense": GATED},
        plan=by_layer_type(every_nth(4), rotary=rotates_if_sliding_or_no_window),
        defaults={"sliding_window": 4096},
    ),
    "apertus": Family(
        mixers={"full_attention": NORMED_ATTENTION},
        mlps={"dense": PlainStyle()},
        defaults={"hidden_act": "xielu"},
    ),
    "arcee": Family(
        mixers={"full_attention": BIASED_ATTENTION},
        mlps={"dense": PlainStyle(bias="mlp_bias")},
        defaults={"hidden_act": "relu2"},
    ),
    "helium": Family(
        norm=NormKind.RMS_SCALE_LAST,
        mixers={
            "full_attention": AttentionStyle(
                bias="attention_bias", rotary_kind=RotaryKind.INTERLEAVED, head_dim=128, square_output=True
            )
        },
        mlps={"dense": BIASED_GATED},
    ),
    "seed_oss": Family(
        mixers={
            "full_attention": AttentionStyle(
                bias="attention_bias", output_bias="attention_out_bias", head_dim=128, dropout="residual_dropout"
            )
        },
        mlps={"dense": GatedStyle(bias="mlp_bias", dropout="residual_dropout")},
        defaults={"attention_bias": True, "num_key_value_heads": 8, "residual_dropout": 0.1},
    ),
    "hunyuan_v1_dense": Family(
        mixers={
            "full_attention": AttentionStyle(
                bias="attention_bias", output_bias="attention_bias", norm=PER_HEAD, norms_after_rotary=True
            )
        },
        mlps={"dense": GATED},
    ),
    "ernie4_5": Family(
        mixers={
            "full_attention": AttentionStyle(
                bias="use_bias", output_bias="use_bias", rotary_kind=RotaryKind.INTERLEAVED, head_dim=128
            )
        },
        mlps={"dense": GatedStyle(bias="use_bias")},
        defaults={"tie_word_embeddings": True, "num_key_value_heads": 2},
    ),
    "olmo": Family(
        norm=NormKind.LAYER_FLOAT32,
        norm_weight=False,
        mixers={
            "full_attention": AttentionStyle(bias="attention_bias", output_bias="attention_bias", clip_key="clip_qkv")
        },
        mlps={"dense": GATED},
    ),
    "olmo2": Family(
        norm=NormKind.RMS_SCALE_LAST,
        block=BlockKind.POST_NORM,
        mixers={"full_attention": OLMO2_ATTENTION},
        mlps={"dense": GATED},
    ),
    "olmo3": Family(
        norm=NormKind.RMS_SCALE_LAST,
        block=BlockKind.POST_NORM,
        mixers={"full_attention": OLMO2_ATTENTION},
        mlps={"dense": GATED},
        plan=by_layer_type(every_nth(4)),
        rotary_embeddings=2,
        defaults={"sliding_window": 4096},
    ),
}
