"""Families whose recurrences are described by their parameters only, from transformers 5.23 ``models/<type>/``."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.memory.architecture import (
    BlockKind,
    Convolution,
    DeltaNet,
    Mamba2,
    Norm,
    NormKind,
    Parameter,
    ParameterKind,
    Projection,
    RouterKind,
    Scan,
)
from app.memory.config import ConfigReader
from app.memory.families.attention import OVER_ALL, AttentionStyle
from app.memory.families.family import Family, LayerPlan
from app.memory.families.hybrid import DELTA_DEFAULTS, RECURRENT_NOTE
from app.memory.families.llama_like import GATED, PLAIN_ATTENTION
from app.memory.families.mlp import ExpertStyle, GatedStyle
from app.memory.families.plans import FULL, LINEAR, SLIDING, all_sparse, alternating, by_layer_type, every_nth
from app.messages import mark

SCAN_NOTE = mark("Its recurrence is not followed step by step: activations are approximate.")
AUTOMATIC_RANK = 16
"""``time_step_rank: auto`` is the hidden size ÷ 16, rounded up."""


@dataclass(frozen=True, kw_only=True)
class SelectiveScanStyle:
    """Mamba 1 (arXiv 2312.00752) by its configuration's keys."""

    rank: str
    state: str
    kernel: str
    expand: str
    bias: str
    convolution_bias: str
    norms: bool = False
    """Step, input and output matrices are normalised (Jamba)."""
    adapts: bool = False

    def build(self, reader: ConfigReader, family: Family, plan: LayerPlan) -> Scan:
        hidden_size, state = reader.integer("hidden_size"), reader.integer(self.state)
        inner, rank = reader.integer(self.expand) * hidden_size, self._rank(reader, hidden_size)
        bias = reader.boolean(self.bias)
        adapted = None if self.adapts else ()
        widths = (rank, state, state) if self.norms else ()
        return Scan(
            width=inner,
            inputs=(Projection("in_proj", hidden_size, 2 * inner, bias, adapted_as=adapted),),
            between=(
                Projection("x_proj", inner, rank + 2 * state, adapted_as=adapted),
                Projection("dt_proj", rank, inner, bias=True, adapted_as=adapted),
            ),
            output=Projection("out_proj", inner, hidden_size, bias, adapted_as=adapted),
            convolution=Convolution(
                channels=inner, kernel=reader.integer(self.kernel), bias=reader.boolean(self.convolution_bias)
            ),
            norms=tuple(Norm(family.norm, width, width) for width in widths),
            extra=(Parameter(ParameterKind.OTHER, inner * state, rows=inner), Parameter(ParameterKind.OTHER, inner)),
            # discretised decay, discretised input and the state at each position
            kept_features=3 * inner * state,
            state_elements=inner * state,
        )

    def _rank(self, reader: ConfigReader, hidden_size: int) -> int:
        if not reader.has(self.rank) or reader.raw(self.rank) == "auto":
            return -(-hidden_size // AUTOMATIC_RANK)
        return reader.integer(self.rank)


@dataclass(frozen=True, kw_only=True)
class PlainMamba2Style:
    """Mamba 2 by its own configuration's keys."""

    def build(self, reader: ConfigReader, family: Family, plan: LayerPlan) -> Mamba2:
        hidden_size, heads = reader.integer("hidden_size"), reader.integer("num_heads")
        inner = reader.integer("expand") * hidden_size
        groups, state = reader.integer("n_groups"), reader.integer("state_size")
        channels, bias = inner + 2 * groups * state, reader.boolean("use_bias")
        return Mamba2(
            num_heads=heads,
            head_dim=inner // heads,
            state_size=state,
            groups=groups,
            chunk=reader.integer("chunk_size"),
            input=Projection("in_proj", hidden_size, inner + channels + heads, bias, adapted_as=()),
            convolution=Convolution(
                channels=channels, kernel=reader.integer("conv_kernel"), bias=reader.boolean("use_conv_bias")
            ),
            norm=Norm(NormKind.RMS_SCALE_LAST, inner // groups, inner),
            output=Projection("out_proj", inner, hidden_size, bias, adapted_as=()),
        )


@dataclass(frozen=True, kw_only=True)
class LightningStyle:
    """MiniMax's linear attention (arXiv 2501.08313)."""

    def build(self, reader: ConfigReader, family: Family, plan: LayerPlan) -> Scan:
        hidden_size, heads = reader.integer("hidden_size"), reader.integer("num_attention_heads")
        head_dim = reader.optional_integer("head_dim") or hidden_size // heads
        width = heads * head_dim
        return Scan(
            width=width,
            inputs=(
                Projection("qkv_proj", hidden_size, 3 * width, in_attention=True),
                Projection("output_gate", hidden_size, width, in_attention=True),
            ),
            output=Projection("out_proj", width, hidden_size, in_attention=True),
            norms=(Norm(family.norm, width, width),),
            kept_features=4 * width,
            state_elements=width * head_dim,
        )


@dataclass(frozen=True, kw_only=True)
class GatedUnitStyle:
    """RecurrentGemma's block around its gated linear unit (arXiv 2402.19427)."""

    def build(self, reader: ConfigReader, family: Family, plan: LayerPlan) -> Scan:
        hidden_size, heads = reader.integer("hidden_size"), reader.integer("num_attention_heads")
        width = reader.integer("lru_width", hidden_size)
        gate = width * (width // heads)
        return Scan(
            width=width,
            inputs=tuple(Projection(name, hidden_size, width, bias=True) for name in ("linear_y", "linear_x")),
            output=Projection("linear_out", width, hidden_size, bias=True),
            convolution=Convolution(channels=width, kernel=reader.integer("conv1d_width"), bias=True),
            extra=(
                Parameter(ParameterKind.OTHER, width),
                Parameter(ParameterKind.OTHER, gate, 2, heads),
                Parameter(ParameterKind.OTHER, width, 2, heads),
            ),
            kept_features=6 * width,
            state_elements=width,
        )


@dataclass(frozen=True, kw_only=True)
class SeparateDeltaStyle:
    """Gated DeltaNet with a projection for each of its inputs (OLMo Hybrid)."""

    def build(self, reader: ConfigReader, family: Family, plan: LayerPlan) -> DeltaNet:
        hidden_size = reader.integer("hidden_size")
        key_heads, heads = reader.integer("linear_num_key_heads"), reader.integer("linear_num_value_heads")
        key_dim, value_dim = reader.integer("linear_key_head_dim"), reader.integer("linear_value_head_dim")
        keys, values = key_heads * key_dim, heads * value_dim
        widths = {"q": keys, "k": keys, "v": values, "g": values, "b": heads, "a": heads}
        return DeltaNet(
            num_key_heads=key_heads,
            num_value_heads=heads,
            key_head_dim=key_dim,
            value_head_dim=value_dim,
            inputs=tuple(Projection(f"{name}_proj", hidden_size, width) for name, width in widths.items()),
            convolution=Convolution(channels=2 * keys + values, kernel=reader.integer("linear_conv_kernel_dim")),
            norm=Norm(NormKind.RMS, value_dim, value_dim),
            output=Projection("o_proj", values, hidden_size),
        )


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
