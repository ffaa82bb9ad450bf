"""Older families: LayerNorm, learned or ALiBi positions, parallel blocks, biases, no gate.

From transformers 5.23 ``models/<type>/``.
"""

from collections.abc import Callable, Mapping

from app.memory.architecture import ActivationKind, BlockKind, FusedLayout, NormKind, RotaryKind
from app.memory.config import ConfigReader
from app.memory.families.attention import (
    EACH_HEAD,
    PER_HEAD,
    AttentionStyle,
    falcon_key_value_form,
    falcon_key_value_heads,
    one_if_multi_query,
)
from app.memory.families.family import Family
from app.memory.families.mlp import GatedStyle, PlainStyle, expansion, four_times_hidden
from app.memory.families.plans import gpt_neo_pattern, uniform_window


def _parallel_if(key: str, default: bool) -> Callable[[ConfigReader], BlockKind]:
    def choose(reader: ConfigReader) -> BlockKind:
        return BlockKind.PARALLEL if reader.boolean(key, default) else BlockKind.PRE_NORM

    return choose


def _falcon_block(reader: ConfigReader) -> BlockKind:
    parallel = reader.boolean("new_decoder_architecture") or reader.boolean("parallel_attn", True)
    return BlockKind.PARALLEL if parallel else BlockKind.PRE_NORM


def _falcon_norms(reader: ConfigReader) -> int:
    if reader.boolean("new_decoder_architecture"):
        return reader.integer("num_ln_in_parallel_attn", 2)
    return 1 if reader.boolean("parallel_attn", True) else 2


def _opt_block(reader: ConfigReader) -> BlockKind:
    return BlockKind.PRE_NORM if reader.boolean("do_layer_norm_before", True) else BlockKind.AFTER_SUM


PYTHON_GELU = {"hidden_act": "gelu_new"}


def _gpt_neo_buffers(reader: ConfigReader) -> int:
    """A causal mask of one byte a pair of positions in each layer."""
    return reader.integer("num_hidden_layers") * reader.integer("max_position_embeddings") ** 2


def _starcoder_buffers(reader: ConfigReader) -> int:
    """One such mask for all layers."""
    return reader.integer("max_position_embeddings") ** 2


def _sinusoidal_buffers(reader: ConfigReader) -> int:
    """Each layer's own float32 table of positions."""
    positions, width = reader.integer("max_position_embeddings", 2048), reader.integer("rotary_dim")
    return 4 * positions * width * reader.integer("num_hidden_layers")


CLASSIC: Mapping[str, Family] = {
    "gpt2": Family(
        norm=NormKind.LAYER,
        norm_bias=True,
        mixers={
            "full_attention": AttentionStyle(
                bias=True,
                output_bias=True,
                fused_layout=FusedLayout.SPLIT,
                fused="c_attn",
                output_name="c_proj",
                rotary=False,
                dropout="resid_pdrop",
            )
        },
        mlps={"dense": PlainStyle(width=four_times_hidden, bias=True, names=("c_fc", "c_proj"), dropout="resid_pdrop")},
        learned_positions=0,
        embedding_dropout="embd_pdrop",
        defaults={
            **PYTHON_GELU,
            "tie_word_embeddings": True,
            "max_position_embeddings": 1024,
            "resid_pdrop": 0.1,
            "embd_pdrop": 0.1,
        },
    ),
    "gpt_bigcode": Family(
        buffer_bytes=_starcoder_buffers,
        norm=NormKind.LAYER,
        norm_bias=True,
        mixers={
            "full_attention": AttentionStyle(
                bias=True,
                output_bias=True,
                fused_layout=FusedLayout.SPLIT,
                fused="c_attn",
                output_name="c_proj",
                rotary=False,
                dropout="resid_pdrop",
                key_value_heads=one_if_multi_query,
            )
        },
        mlps={"dense": PlainStyle(width=four_times_hidden, bias=True, names=("c_fc", "c_proj"), dropout="resid_pdrop")},
        learned_positions=0,
        embedding_dropout="embd_pdrop",
        defaults={
            "tie_word_embeddings": True,
            "max_position_embeddings": 1024,
            "resid_pdrop": 0.1,
            "embd_pdrop": 0.1,
        },
    ),
    "gpt_neo": Family(
        buffer_bytes=_gpt_neo_buffers,
        norm=NormKind.LAYER,
        norm_bias=True,
        mixers={
            "full_attention": AttentionStyle(
                output_bias=True, output_name="out_proj", rotary=False, float32_scores=True, sdpa=False
            )
        },
        mlps={"dense": PlainStyle(width=four_times_hidden, bias=True, names=("c_fc", "c_proj"))},
        plan=gpt_neo_pattern,
        learned_positions=0,
        defaults={**PYTHON_GELU, "tie_word_embeddings": True, "max_position_embeddings": 2048},
    ),
    "gptj": Family(
        buffer_bytes=_sinusoidal_buffers,
        norm=NormKind.LAYER,
        norm_bias=True,
        block=BlockKind.PARALLEL,
        mixers={
            "full_attention": AttentionStyle(
                output_name="out_proj", rotary_kind=RotaryKind.INTERLEAVED, float32_scores=True, sdpa=False
            )
        },
        mlps={"dense": PlainStyle(width=four_times_hidden, bias=True, names=("fc_in", "fc_out"))},
        head_bias=True,
        defaults={**PYTHON_GELU, "rotary_dim": 64},
    ),
    "codegen": Family(
        buffer_bytes=_sinusoidal_buffers,
        norm=NormKind.LAYER,
        norm_bias=True,
        block=BlockKind.PARALLEL,
        mixers={
            "full_attention": AttentionStyle(
                fused_layout=FusedLayout.SPLIT,
                fused="qkv_proj",
                output_name="out_proj",
                rotary_kind=RotaryKind.INTERLEAVED,
                float32_scores=True,
                sdpa=False,
            )
        },
        mlps={"dense": PlainStyle(width=four_times_hidden, bias=True, names=("fc_in", "fc_out"))},
        head_bias=True,
        defaults={**PYTHON_GELU, "rotary_dim": 64},
    ),
    "gpt_neox": Family(
        norm=NormKind.LAYER,
        norm_bias=True,
        choose_block=_parallel_if("use_parallel_residual", True),
        norms=2,
        mixers={
            "full_attention": AttentionStyle(
                bias="attention_bias",
                output_bias="attention_bias",
                fused="query_key_value",
                fused_layout=FusedLayout.SPLIT,
                output_name="dense",
                rotary_fraction=0.25,
            )
        },
        mlps={"dense": PlainStyle(bias=True, names=("dense_h_to_4h", "dense_4h_to_h"))},
        defaults={"attention_bias": True},
    ),
    "opt": Family(
        norm=NormKind.LAYER,
        norm_bias=True,
        choose_block=_opt_block,
        final_norm="do_layer_norm_before",
        mixers={
            "full_attention": AttentionStyle(
                bias="enable_bias", output_bias="enable_bias", output_name="out_proj", rotary=False, dropout="dropout"
            )
        },
        mlps={"dense": PlainStyle(bias="enable_bias", names=("fc1", "fc2"), dropout="dropout")},
        embedding_size="word_embed_proj_dim",
        learned_positions=2,
        defaults={
            "hidden_act": "relu",
            "tie_word_embeddings": True,
            "do_layer_norm_before": True,
            "enable_bias": True,
            "dropout": 0.1,
            "max_position_embeddings": 2048,
        },
    ),
    "bloom": Family(
        norm=NormKind.LAYER,
        norm_bias=True,
        mixers={
            "full_attention": AttentionStyle(
                bias=True,
                output_bias=True,
                fused="query_key_value",
                output_name="dense",
                rotary=False,
                alibi=True,
                alibi_in_product=True,
                sdpa=False,
            )
        },
        mlps={
            "dense": PlainStyle(
                width=four_times_hidden,
                bias=True,
                names=("dense_h_to_4h", "dense_4h_to_h"),
                activation=ActivationKind.BLOOM_GELU,
            )
        },
        embedding_norm=True,
        defaults={"tie_word_embeddings": True},
    ),
    "falcon": Family(
        norm=NormKind.LAYER,
        norm_bias=True,
        choose_block=_falcon_block,
        norms=_falcon_norms,
        mixers={
            "full_attention": AttentionStyle(
                bias="bias",
                output_bias="bias",
                fused="query_key_value",
                output_name="dense",
                alibi="alibi",
                key_value_form=falcon_key_value_form,
                quantised=False,
                key_value_heads=falcon_key_value_heads,
            )
        },
        mlps={
            "dense": PlainStyle(
                width=four_times_hidden, bias="bias", quantised=False, names=("dense_h_to_4h", "dense_4h_to_h")
            )
        },
        defaults={"tie_word_embeddings": True},
    ),
    "mpt": Family(
        norm=NormKind.LAYER,
        mixers={
            "full_attention": AttentionStyle(
                fused_layout=FusedLayout.SPLIT,
                fused="Wqkv",
                output_name="out_proj",
                rotary=False,
                alibi=True,
                sdpa=False,
            )
        },
        mlps={"dense": PlainStyle(width=expansion)},
        defaults={"tie_word_embeddings": True},
    ),
    "starcoder2": Family(
        norm=NormKind.LAYER,
        norm_bias=True,
        mixers={"full_attention": AttentionStyle(bias="use_bias", output_bias="use_bias")},
        mlps={"dense": PlainStyle(bias="use_bias", names=("c_fc", "c_proj"))},
        plan=uniform_window,
        defaults={
            "hidden_act": "gelu_pytorch_tanh",
            "tie_word_embeddings": True,
            "use_bias": True,
            "num_key_value_heads": 2,
        },
    ),
    "stablelm": Family(
        norm=NormKind.LAYER,
        norm_bias=True,
        choose_block=_parallel_if("use_parallel_residual", False),
        mixers={
            "full_attention": AttentionStyle(
                bias="use_qkv_bias",
                norm=EACH_HEAD,
                norm_if="qk_layernorm",
                rotary_fraction=0.25,
            )
        },
        mlps={"dense": GatedStyle()},
    ),
    "phi": Family(
        norm=NormKind.LAYER,
        norm_bias=True,
        block=BlockKind.PARALLEL,
        mixers={
            "full_attention": AttentionStyle(
                bias=True,
                output_bias=True,
                output_name="dense",
                norm=PER_HEAD,
                norm_if="qk_layernorm",
                norm_bias=True,
                rotary_fraction=0.5,
            )
        },
        mlps={"dense": PlainStyle(bias=True, names=("fc1", "fc2"))},
        head_bias=True,
        defaults={**PYTHON_GELU},
    ),
}
