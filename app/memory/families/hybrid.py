"""Hybrids of attention and recurrences, and Gemma 4, from transformers 5.23 ``models/<type>/``."""

from collections.abc import Mapping

from app.memory.architecture import BlockKind, ExpertGate, NormKind, Parameter, ParameterKind, RouterKind
from app.memory.config import ConfigReader
from app.memory.families.attention import PER_HEAD, AttentionStyle
from app.memory.families.family import Family, LayerPlan, Plan
from app.memory.families.llama_like import GATED
from app.memory.families.mlp import ExpertStyle, GatedStyle, PlainStyle, SharedStyle, lfm2_width
from app.memory.families.plans import (
    LayerType,
    by_layer_type,
    every_nth,
    lfm2_layer_type,
    nemotron_pattern,
    sparse_step,
)
from app.memory.families.recurrent import DeltaNetStyle, Mamba2Style, ShortConvolutionStyle
from app.memory.families.sparse import QWEN_NAMES, SHARED_QWEN
from app.messages import mark, sentences

GATED_ATTENTION = AttentionStyle(
    bias="attention_bias",
    output_bias="attention_bias",
    norm=PER_HEAD,
    head_dim=256,
    rotary_fraction=0.25,
    output_gate=True,
)
LINEAR_LAYERS = every_nth(4, others="linear_attention", key="full_attention_interval")
PREDICTION_NOTE = mark("Multi-token-prediction layers are left out.")
RECURRENT_NOTE = mark(
    "Recurrent layers run as plain PyTorch operations; with flash-linear-attention or mamba-ssm they keep far less."
)
DELTA_DEFAULTS = {
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
}


GEMMA4_EXPERTS = ExpertStyle(
    router=RouterKind.SOFTMAX,
    router_name="proj",
    router_is_linear=True,
    router_norm=True,
    scales=True,
    router_extra=lambda reader, experts: (
        Parameter(ParameterKind.OTHER, reader.integer("hidden_size")),
        Parameter(ParameterKind.OTHER, experts),
    ),
)


def _nemotron_shared(reader: ConfigReader) -> int:
    return reader.integer("moe_shared_expert_intermediate_size") * reader.integer("n_shared_experts", 1, minimum=0)


def _sharing_plan(layer_type: LayerType) -> Plan:
    """The last ``num_kv_shared_layers`` layers use the keys and values of earlier ones."""

    def plan(reader: ConfigReader, layers: int) -> tuple[LayerPlan, ...]:
        plans = by_layer_type(layer_type)(reader, layers)
        own = layers - min(reader.integer("num_kv_shared_layers", 0, minimum=0), layers)
        mlp = "wide" if reader.boolean("use_double_wide_mlp") else "dense"
        return (*plans[:own], *(plan._replace(shares_key_values=True, mlp=mlp) for plan in plans[own:]))

    return plan


def _per_layer_embedding(reader: ConfigReader) -> tuple[Parameter, ...]:
    """One narrow embedding a layer in one table, and the projection of the token's embedding to the same."""
    width = reader.optional_integer("hidden_size_per_layer_input", minimum=0)
    if not width:
        return ()
    hidden_size, wide = reader.integer("hidden_size"), width * reader.integer("num_hidden_layers")
    rows = reader.integer("vocab_size_per_layer_input", 262144)
    return (
        Parameter(ParameterKind.EMBEDDING, rows * wide, rows=rows),
        Parameter(ParameterKind.LINEAR, hidden_size * wide, rows=wide),
        Parameter(ParameterKind.NORM, width),
    )


ALTERNATING_STREAMS = 4
"""Gemma 3n's ``altup_num_inputs``."""


def _alternating_updates(reader: ConfigReader) -> tuple[Parameter, ...]:
    """Each layer's AltUp (arXiv 2301.13310) and LAuReL (arXiv 2411.07501)."""
    hidden_size, streams = reader.integer("hidden_size"), reader.integer("altup_num_inputs", ALTERNATING_STREAMS)
    rank = reader.integer("laurel_rank", 64)
    return (
        Parameter(ParameterKind.OTHER, hidden_size),
        Parameter(ParameterKind.NORM, hidden_size, 2),
        Parameter(ParameterKind.LINEAR, streams * streams),
        Parameter(ParameterKind.LINEAR, streams * streams * streams),
        Parameter(ParameterKind.LINEAR, streams * hidden_size, rows=streams),
        Parameter(ParameterKind.LINEAR, rank * hidden_size, rows=rank),
        Parameter(ParameterKind.LINEAR, rank * hidden_size, rows=hidden_size),
    )


def _alternating_projections(reader: ConfigReader) -> tuple[Parameter, ...]:
    """What makes the further streams, and brings them back."""
    hidden_size, streams = reader.integer("hidden_size"), reader.integer("altup_num_inputs", ALTERNATING_STREAMS)
    projections = Parameter(ParameterKind.LINEAR, hidden_size**2, 2 * (streams - 1), hidden_size)
    return (projections, *_per_layer_embedding(reader))


HYBRID: Mapping[str, Family] = {
    "qwen3_next": Family(
        norm=NormKind.GEMMA_RMS,
        mixers={"full_attention": GATED_ATTENTION, "linear_attention": DeltaNetStyle(paired=True)},
        mlps={
            "dense": GATED,
            "sparse": ExpertStyle(
                router=RouterKind.SOFTMAX,
                casts_back=True,
                normalises="norm_topk_prob",
                shared=SHARED_QWEN,
                converted="qwen2_moe",
            ),
        },
        plan=by_layer_type(LINEAR_LAYERS, sparse=sparse_step),
        converted_names=QWEN_NAMES,
        defaults={
            **DELTA_DEFAULTS,
            "num_key_value_heads": 2,
            "num_experts": 512,
            "num_experts_per_tok": 10,
            "moe_intermediate_size": 512,
            "shared_expert_intermediate_size": 512,
            "norm_topk_prob": True,
        },
        note=sentences(PREDICTION_NOTE, RECURRENT_NOTE),
    ),
    "qwen3_5_text": Family(
        norm=NormKind.GEMMA_RMS,
        mixers={"full_attention": GATED_ATTENTION, "linear_attention": DeltaNetStyle(paired=False)},
        mlps={"dense": GATED},
        plan=by_layer_type(LINEAR_LAYERS),
        defaults={**DELTA_DEFAULTS, "num_key_value_heads": 4},
        note=sentences(PREDICTION_NOTE, RECURRENT_NOTE),
    ),
    "qwen3_5_moe_text": Family(
        norm=NormKind.GEMMA_RMS,
        mixers={"full_attention": GATED_ATTENTION, "linear_attention": DeltaNetStyle(paired=False)},
        mlps={"sparse": ExpertStyle(router=RouterKind.SOFTMAX, casts_back=True, shared=SHARED_QWEN)},
        plan=by_layer_type(LINEAR_LAYERS, sparse=lambda reader, index: True),
        defaults={
            **DELTA_DEFAULTS,
            "num_key_value_heads": 2,
            "num_experts": 256,
            "num_experts_per_tok": 8,
            "moe_intermediate_size": 512,
            "shared_expert_intermediate_size": 512,
        },
        note=sentences(PREDICTION_NOTE, RECURRENT_NOTE),
    ),
    "nemotron_h": Family(
        norm=NormKind.RMS_SCALE_LAST,
        norms=1,
        mixers={
            "full_attention": AttentionStyle(bias="attention_bias", output_bias="attention_bias", rotary=False),
            "mamba": Mamba2Style(),
        },
        mlps={
            "dense": PlainStyle(bias="mlp_bias"),
            "sparse": ExpertStyle(
                router=RouterKind.SIGMOID_FLOAT32,
                normalises="norm_topk_prob",
                scales=True,
                gate=ExpertGate.NONE,
                shared=SharedStyle(width=_nemotron_shared, gated=False),
                latent="moe_latent_size",
            ),
        },
        plan=nemotron_pattern,
        note=RECURRENT_NOTE,
        defaults={
            "hidden_act": "relu2",
            "head_dim": 128,
            "num_key_value_heads": 8,
            "use_conv_bias": True,
            "conv_kernel": 4,
            "chunk_size": 128,
            "n_groups": 8,
            "ssm_state_size": 128,
            "mamba_head_dim": 64,
            "norm_topk_prob": True,
            "n_shared_experts": 1,
        },
    ),
    "lfm2": Family(
        mixers={
            "full_attention": AttentionStyle(norm=PER_HEAD, output_name="out_proj"),
            "conv": ShortConvolutionStyle(),
        },
        mlps={"dense": GatedStyle(width=lfm2_width, names=("w1", "w3", "w2"))},
        plan=by_layer_type(lfm2_layer_type),
        defaults={"tie_word_embeddings": True, "num_key_value_heads": 8, "conv_L_cache": 3},
    ),
    "gemma4_text": Family(
        norm=NormKind.RMS_SCALE_LAST,
        mixers={
            "full_attention": AttentionStyle(
                bias="attention_bias",
                output_bias="attention_bias",
                norm=PER_HEAD,
                value_norm=True,
                head_dim_key="global_head_dim",
                head_dim=512,
                key_value_heads_key="num_global_key_value_heads",
                values_are_keys="attention_k_eq_v",
            ),
            "sliding_attention": AttentionStyle(
                bias="attention_bias", output_bias="attention_bias", norm=PER_HEAD, value_norm=True, head_dim=256
            ),
        },
        mlps={"dense": GATED, "wide": GatedStyle(width=lambda reader: 2 * reader.integer("intermediate_size"))},
        beside=("enable_moe_block", GEMMA4_EXPERTS),
        block=BlockKind.SANDWICH,
        plan=_sharing_plan(every_nth(6)),
        per_layer_input="hidden_size_per_layer_input",
        outer_extra=_per_layer_embedding,
        rotary_embeddings=2,
        defaults={
            "tie_word_embeddings": True,
            "sliding_window": 512,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "hidden_size_per_layer_input": 256,
        },
    ),
    "gemma3n_text": Family(
        norm=NormKind.RMS_SCALE_LAST,
        mixers={
            "full_attention": AttentionStyle(
                bias="attention_bias", output_bias="attention_bias", norm=PER_HEAD, value_norm=True, head_dim=256
            )
        },
        mlps={"dense": GATED},
        block=BlockKind.SANDWICH,
        plan=_sharing_plan(every_nth(5)),
        per_layer_input="hidden_size_per_layer_input",
        layer_extra=_alternating_updates,
        outer_extra=_alternating_projections,
        rotary_embeddings=2,
        defaults={
            "tie_word_embeddings": True,
            "sliding_window": 512,
            "num_key_value_heads": 2,
            "num_kv_shared_layers": 15,
            "hidden_size_per_layer_input": 256,
            "final_logit_softcapping": 30.0,
        },
        approximate=True,
        note="Its four alternating streams are counted as one: activations are a lower bound.",
    ),
}
