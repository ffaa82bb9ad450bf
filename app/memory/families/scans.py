"""Families whose recurrences are described by their parameters only, from transformers 5.23 ``models/<type>/``."""

from collections.abc import Mapping

from app.memory.architecture import (
    BlockKind,
    NormKind,
    RouterKind,
)
from app.memory.config import ConfigReader
from app.memory.families.attention import OVER_ALL, AttentionStyle
from app.memory.families.family import Family, LayerPlan
from app.memory.families.hybrid import DELTA_DEFAULTS, RECURRENT_NOTE
from app.memory.families.llama_like import GATED, PLAIN_ATTENTION
from app.memory.families.mlp import ExpertStyle, GatedStyle
from app.memory.families.plans import FULL, LINEAR, SLIDING, all_sparse, alternating, by_layer_type, every_nth
from app.memory.families.scan_styles import (
    GatedUnitStyle,
    LightningStyle,
    PlainMamba2Style,
    SelectiveScanStyle,
    SeparateDeltaStyle,
)
from app.messages import mark

SCAN_NOTE = mark("Its recurrence is not followed step by step: activations are approximate.")


def _alone(reader: ConfigReader, layers: int) -> tuple[LayerPlan, ...]:
    return (LayerPlan(mixer="mamba", mlp=None),) * layers


def _jamba_layers(reader: ConfigReader, layers: int) -> tuple[LayerPlan, ...]:
    """Attention and experts each in their own period (``configuration_jamba.py``)."""

    def due(kind: str, index: int) -> bool:
        period, offset = reader.integer(f"{kind}_layer_period"), reader.integer(f"{kind}_layer_offset", minimum=0)
        return index % period == offset

    several = reader.integer("num_experts") > 1
    return tuple(
        LayerPlan(
            mixer=FULL if due("attn", index) else "mamba",
            mlp="sparse" if several and due("expert", index) else "dense",
        )
        for index in range(layers)
    )


def _recurrent_gemma_layers(reader: ConfigReader, layers: int) -> tuple[LayerPlan, ...]:
    listed = reader.raw("block_types")
    pattern = tuple(listed) if isinstance(listed, list | tuple) and listed else ("recurrent", "recurrent", "attention")
    window = reader.integer("attention_window_size")
    return tuple(
        LayerPlan(mixer="recurrent")
        if pattern[index % len(pattern)] == "recurrent"
        else LayerPlan(mixer=FULL, window=window)
        for index in range(layers)
    )


def _half_width(reader: ConfigReader) -> int:
    """RecurrentGemma counts gate and up together."""
    return reader.integer("intermediate_size") // 2


MAMBA_KEYS = SelectiveScanStyle(
    rank="time_step_rank",
    state="state_size",
    kernel="conv_kernel",
    expand="expand",
    bias="use_bias",
    convolution_bias="use_conv_bias",
)
MAMBA = Family(
    norms=1,
    mixers={"full_attention": MAMBA_KEYS, "mamba": MAMBA_KEYS},
    mlps={},
    plan=_alone,
    approximate=True,
    defaults={
        "tie_word_embeddings": True,
        "state_size": 16,
        "conv_kernel": 4,
        "expand": 2,
        "use_conv_bias": True,
    },
    note=SCAN_NOTE,
)

SCANS: Mapping[str, Family] = {
    "mamba": MAMBA,
    "falcon_mamba": MAMBA,
    "mamba2": Family(
        norms=1,
        mixers={"full_attention": PlainMamba2Style(), "mamba": PlainMamba2Style()},
        mlps={},
        plan=_alone,
        approximate=True,
        defaults={
            "num_heads": 128,
            "state_size": 128,
            "n_groups": 8,
            "conv_kernel": 4,
            "expand": 2,
            "chunk_size": 256,
            "use_conv_bias": True,
        },
        note=RECURRENT_NOTE,
    ),
    "jamba": Family(
        mixers={
            "full_attention": AttentionStyle(rotary=False),
            "mamba": SelectiveScanStyle(
                rank="mamba_dt_rank",
                state="mamba_d_state",
                kernel="mamba_d_conv",
                expand="mamba_expand",
                bias="mamba_proj_bias",
                convolution_bias="mamba_conv_bias",
                norms=True,
                adapts=True,
            ),
        },
        mlps={
            "dense": GATED,
            "sparse": ExpertStyle(
                router=RouterKind.SOFTMAX, width="intermediate_size", router_name="router", normalises=False
            ),
        },
        plan=_jamba_layers,
        approximate=True,
        defaults={
            "num_key_value_heads": 8,
            "num_experts": 16,
            "num_experts_per_tok": 2,
            "expert_layer_period": 2,
            "expert_layer_offset": 1,
            "attn_layer_period": 8,
            "attn_layer_offset": 4,
            "mamba_d_state": 16,
            "mamba_d_conv": 4,
            "mamba_expand": 2,
            "mamba_conv_bias": True,
        },
        note=SCAN_NOTE,
    ),
    "minimax": Family(
        mixers={"full_attention": PLAIN_ATTENTION, "linear_attention": LightningStyle()},
        mlps={"sparse": ExpertStyle(router=RouterKind.SOFTMAX, width="intermediate_size", converted="mixtral")},
        plan=by_layer_type(alternating(FULL, LINEAR), sparse=all_sparse),
        approximate=True,
        defaults={"num_key_value_heads": 8, "num_experts": 8, "num_experts_per_tok": 2},
        note=SCAN_NOTE,
    ),
    "recurrent_gemma": Family(
        norm=NormKind.GEMMA_RMS,
        mixers={
            "full_attention": AttentionStyle(bias="attention_bias", output_bias=True, rotary_fraction=0.5),
            "recurrent": GatedUnitStyle(),
        },
        mlps={"dense": GatedStyle(width=_half_width, bias=True)},
        plan=_recurrent_gemma_layers,
        embedding_multiplier=True,
        approximate=True,
        defaults={
            "tie_word_embeddings": True,
            "attention_window_size": 2048,
            "conv1d_width": 4,
            "final_logit_softcapping": 30.0,
        },
        note=SCAN_NOTE,
    ),
    "olmo_hybrid": Family(
        norm=NormKind.RMS_SCALE_LAST,
        mixers={
            "full_attention": AttentionStyle(bias="attention_bias", output_bias="attention_bias", norm=OVER_ALL),
            "linear_attention": SeparateDeltaStyle(),
        },
        mlps={"dense": GATED},
        block=BlockKind.PRE_NORM,
        blocks={"full_attention": BlockKind.POST_NORM, SLIDING: BlockKind.POST_NORM},
        plan=by_layer_type(every_nth(4, others=LINEAR)),
        approximate=True,
        defaults={
            **DELTA_DEFAULTS,
            "linear_num_key_heads": 30,
            "linear_num_value_heads": 30,
            "linear_key_head_dim": 96,
            "linear_value_head_dim": 192,
        },
        note=RECURRENT_NOTE,
    ),
}
