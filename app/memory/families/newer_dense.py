"""Newer dense families of Llama's kind, from transformers 5.23 ``models/<type>/``."""

from collections.abc import Mapping
from dataclasses import replace

from app.memory.architecture import BlockKind, NormKind, SinkKind
from app.memory.config import ConfigReader
from app.memory.families.attention import PER_HEAD, AttentionStyle
from app.memory.families.family import Family
from app.memory.families.llama_like import (
    BIASED_ATTENTION,
    BIASED_GATED,
    GATED,
    LLAMA,
    LLAMA_LIKE,
    PLAIN_ATTENTION,
)
from app.memory.families.mlp import GatedStyle, PlainStyle
from app.memory.families.plans import by_layer_type, first_of_each, rotates_by_base, uniform_window

GRANITE = LLAMA_LIKE["granite"]
GRANITE_SINKS = AttentionStyle(bias="attention_bias", output_bias="attention_bias", sinks=SinkKind.SCALE, sdpa=False)


def _peri_norm(reader: ConfigReader) -> BlockKind:
    return BlockKind.SANDWICH if reader.boolean("use_post_norm", True) else BlockKind.PRE_NORM


NEWER_DENSE: Mapping[str, Family] = {
    "ministral3": Family(
        mixers={"full_attention": AttentionStyle(head_dim=128, scales_queries=True)},
        mlps={"dense": GATED},
        plan=uniform_window,
        defaults={"num_key_value_heads": 8},
    ),
    "cwm": Family(
        mixers={"full_attention": PLAIN_ATTENTION},
        mlps={"dense": BIASED_GATED},
        plan=by_layer_type(first_of_each(4)),
        defaults={"num_key_value_heads": 8, "head_dim": 128, "sliding_window": 8192},
    ),
    "granite_swa": replace(
        GRANITE,
        mixers={"full_attention": GRANITE_SINKS},
        plan=by_layer_type(first_of_each(4), rotary=rotates_by_base),
        defaults={"tie_word_embeddings": True, "num_key_value_heads": 4, "sliding_window": 128},
    ),
    "hyperclovax": replace(GRANITE, choose_block=_peri_norm),
    "iquestcoder": replace(LLAMA, defaults={"num_key_value_heads": 8, "head_dim": 128}),
    "jais2": Family(
        norm=NormKind.LAYER,
        norm_bias=True,
        mixers={"full_attention": BIASED_ATTENTION},
        mlps={"dense": PlainStyle(bias="mlp_bias")},
        defaults={"hidden_act": "relu2", "attention_bias": True, "mlp_bias": True},
    ),
    "nanochat": Family(
        norm=NormKind.L2,
        norm_weight=False,
        embedding_norm=True,
        mixers={
            "full_attention": AttentionStyle(
                bias="attention_bias",
                output_bias="attention_bias",
                norm=PER_HEAD,
                norm_weight=False,
                norms_after_rotary=True,
            )
        },
        mlps={"dense": PlainStyle(names=("fc1", "fc2"))},
        defaults={"hidden_act": "relu2", "final_logit_softcapping": 15.0},
    ),
    "bitnet": Family(
        mixers={"full_attention": replace(BIASED_ATTENTION, output_norm=True)},
        mlps={"dense": GatedStyle(inner_norm=True)},
        defaults={"hidden_act": "relu2", "num_key_value_heads": 5},
    ),
    "vaultgemma": replace(LLAMA_LIKE["gemma2"], block=BlockKind.PRE_NORM),
    "diffllama": Family(mixers={"full_attention": replace(BIASED_ATTENTION, differential=True)}, mlps={"dense": GATED}),
}
