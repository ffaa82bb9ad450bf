"""Newer dense families of Llama's kind, from transformers 5.23 ``models/<type>/``."""

from collections.abc import Mapping

from app.memory.architecture import SinkKind
from app.memory.families.attention import AttentionStyle
from app.memory.families.family import Family
from app.memory.families.llama_like import BIASED_GATED, GATED, PLAIN_ATTENTION
from app.memory.families.plans import by_layer_type, first_of_each, rotates_by_base, uniform_window

GRANITE_SINKS = AttentionStyle(bias="attention_bias", output_bias="attention_bias", sinks=SinkKind.SCALE, sdpa=False)

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
    "granite_swa": Family(
        mixers={"full_attention": GRANITE_SINKS},
        mlps={"dense": BIASED_GATED},
        plan=by_layer_type(first_of_each(4), rotary=rotates_by_base),
        embedding_multiplier=True,
        residual_multiplier=True,
        logits_multiplier=True,
        defaults={"tie_word_embeddings": True, "num_key_value_heads": 4, "sliding_window": 128},
    ),
}
