"""LFM2's experts and LFM3: attention among short convolutions, from transformers 5.23 ``models/<type>/``."""

from collections.abc import Mapping

from app.memory.architecture import BlockKind, RouterKind
from app.memory.config import ConfigReader
from app.memory.families.attention import PER_HEAD, AttentionStyle
from app.memory.families.family import Family
from app.memory.families.mlp import ExpertStyle, GatedStyle
from app.memory.families.plans import CONVOLUTION, FULL, SLIDING, by_layer_type
from app.memory.families.recurrent import ShortConvolutionStyle

GATED_BY_NUMBER = GatedStyle(names=("w1", "w3", "w2"))


def _after_dense_layers(reader: ConfigReader, index: int) -> bool:
    return index >= reader.integer("num_dense_layers", minimum=0)


def _lfm3_kind(reader: ConfigReader, index: int) -> str:
    """Attention in every second layer, which sees everything or a window in turn (``configuration_lfm3.py``)."""
    if index % 4 == 2:
        return FULL
    return SLIDING if index % 4 == 0 and index else CONVOLUTION


def _sandwich(reader: ConfigReader) -> BlockKind:
    return BlockKind.SANDWICH if reader.boolean("use_sandwich_norm") else BlockKind.PRE_NORM


SHORT_CONVOLUTION: Mapping[str, Family] = {
    "lfm2_moe": Family(
        mixers={
            "full_attention": AttentionStyle(norm=PER_HEAD, output_name="out_proj"),
            "conv": ShortConvolutionStyle(),
        },
        mlps={
            "dense": GATED_BY_NUMBER,
            "sparse": ExpertStyle(router=RouterKind.SIGMOID_HALF, normalises="norm_topk_prob", scales=True),
        },
        plan=by_layer_type(sparse=_after_dense_layers),
        defaults={
            "tie_word_embeddings": True,
            "num_key_value_heads": 8,
            "conv_L_cache": 3,
            "num_dense_layers": 2,
            "num_experts": 32,
            "num_experts_per_tok": 4,
            "moe_intermediate_size": 1792,
            "norm_topk_prob": True,
        },
    ),
    "lfm3": Family(
        mixers={
            "full_attention": AttentionStyle(
                bias="attention_bias",
                output_bias="attention_bias",
                norm=PER_HEAD,
                head_dim=128,
                gate_name="g_proj",
                gate_if="use_attention_gate",
                gate_by_head=True,
            ),
            "conv": ShortConvolutionStyle(),
        },
        mlps={"dense": GATED_BY_NUMBER},
        choose_block=_sandwich,
        plan=by_layer_type(_lfm3_kind),
        rotary_embeddings=2,
        defaults={
            "tie_word_embeddings": True,
            "num_key_value_heads": 4,
            "conv_L_cache": 7,
            "sliding_window": 256,
            "use_sandwich_norm": True,
            "use_attention_gate": True,
        },
    ),
}
