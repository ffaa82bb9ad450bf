"""Newer mixtures of experts, from transformers 5.23 ``models/<type>/``."""

from collections.abc import Mapping
from dataclasses import replace

from app.memory.architecture import RouterKind
from app.memory.config import ConfigReader
from app.memory.families.attention import PER_HEAD, AttentionStyle
from app.memory.families.family import Family
from app.memory.families.llama_like import BIASED_ATTENTION, GATED, QUERY_KEY_VALUE_BIAS
from app.memory.families.mlp import ExpertStyle, SharedStyle, shared_by_count
from app.memory.families.newer_dense import GRANITE_SINKS
from app.memory.families.plans import (
    after_first_dense,
    all_sparse,
    by_layer_type,
    every_nth,
    first_of_each,
    rotates_by_base,
    rotates_if_sliding_or_no_window,
)
from app.memory.families.sparse import QWEN_NAMES, SIGMOID_EXPERTS


def _granite_shared(reader: ConfigReader) -> int:
    return reader.integer("shared_intermediate_size", 0, minimum=0)


PREDICTION_NOTE = "Multi-token-prediction layers are left out: Transformers does not train them."
GRANITE_EXPERTS = ExpertStyle(
    router=RouterKind.SOFTMAX_OF_BEST,
    width="intermediate_size",
    router_name="router",
    shared=SharedStyle(width=_granite_shared, names=("", "", "output_linear"), fused="input_linear"),
)
GRANITE = Family(
    mixers={"full_attention": BIASED_ATTENTION},
    mlps={"sparse": GRANITE_EXPERTS},
    plan=by_layer_type(sparse=all_sparse),
    embedding_multiplier=True,
    residual_multiplier=True,
    logits_multiplier=True,
    defaults={"num_experts": 8, "num_experts_per_tok": 2},
)

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
}
