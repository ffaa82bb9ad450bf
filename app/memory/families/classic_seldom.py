"""Older families that are seldom trained, from transformers 5.23 ``models/<type>/``."""

from collections.abc import Mapping

from app.memory.architecture import BlockKind, FusedLayout, NormKind
from app.memory.config import ConfigReader
from app.memory.families.attention import PER_HEAD, AttentionStyle
from app.memory.families.family import Family
from app.memory.families.mlp import PlainStyle, four_times_hidden


def _sinusoidal_table(reader: ConfigReader) -> int:
    """XGLM's positions, at the width of the run's type; two rows more than positions."""
    return 2 * (reader.integer("max_position_embeddings", 2048) + 2) * reader.integer("hidden_size")


def _float_masks(reader: ConfigReader) -> int:
    """A causal mask in each layer, at the width of the run's type."""
    return 2 * reader.integer("num_hidden_layers") * reader.integer("max_position_embeddings", 512) ** 2


CLASSIC_SELDOM: Mapping[str, Family] = {
    "persimmon": Family(
        norm=NormKind.LAYER,
        norm_bias=True,
        mixers={
            "full_attention": AttentionStyle(
                bias=True,
                output_bias=True,
                fused="query_key_value",
                output_name="dense",
                norm=PER_HEAD,
                norm_if="qk_layernorm",
                norm_bias=True,
                rotary_fraction=0.5,
                key_value_heads=lambda _, heads: heads,
            )
        },
        mlps={"dense": PlainStyle(bias=True, names=("dense_h_to_4h", "dense_4h_to_h"), dropout="hidden_dropout")},
        defaults={"hidden_act": "relu2", "qk_layernorm": True},
    ),
    "biogpt": Family(
        norm=NormKind.LAYER,
        norm_bias=True,
        mixers={
            "full_attention": AttentionStyle(
                bias=True, output_bias=True, output_name="out_proj", rotary=False, dropout="hidden_dropout_prob"
            )
        },
        mlps={"dense": PlainStyle(bias=True, names=("fc1", "fc2"), dropout="hidden_dropout_prob")},
        learned_positions=2,
        embedding_dropout="hidden_dropout_prob",
        defaults={"tie_word_embeddings": True, "max_position_embeddings": 1024, "hidden_dropout_prob": 0.1},
    ),
    "xglm": Family(
        buffer_bytes=_sinusoidal_table,
        norm=NormKind.LAYER,
        norm_bias=True,
        mixers={
            "full_attention": AttentionStyle(
                bias=True, output_bias=True, output_name="out_proj", rotary=False, dropout="dropout", sdpa=False
            )
        },
        mlps={"dense": PlainStyle(bias=True, names=("fc1", "fc2"), dropout="dropout")},
        embedding_dropout="dropout",
        embedding_multiplier=True,
        defaults={"tie_word_embeddings": True, "dropout": 0.1},
        approximate=True,
        note="Its own attention is counted as that of the other models of its time.",
    ),
    "openai-gpt": Family(
        buffer_bytes=_float_masks,
        norm=NormKind.LAYER,
        norm_bias=True,
        block=BlockKind.AFTER_SUM,
        final_norm=False,
        mixers={
            "full_attention": AttentionStyle(
                bias=True,
                output_bias=True,
                fused_layout=FusedLayout.SPLIT,
                fused="c_attn",
                output_name="c_proj",
                rotary=False,
                dropout="resid_pdrop",
                sdpa=False,
            )
        },
        mlps={"dense": PlainStyle(width=four_times_hidden, bias=True, names=("c_fc", "c_proj"), dropout="resid_pdrop")},
        learned_positions=0,
        embedding_dropout="embd_pdrop",
        defaults={
            "hidden_act": "gelu_new",
            "tie_word_embeddings": True,
            "max_position_embeddings": 512,
            "resid_pdrop": 0.1,
            "embd_pdrop": 0.1,
        },
        approximate=True,
        note="Its own attention is counted as that of the other models of its time.",
    ),
}
