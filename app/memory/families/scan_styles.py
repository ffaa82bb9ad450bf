"""How mixers whose recurrence is not followed are read from a configuration."""

from dataclasses import dataclass

from app.memory.architecture import (
    Convolution,
    DeltaNet,
    Mamba2,
    Norm,
    NormKind,
    Parameter,
    ParameterKind,
    Projection,
    Scan,
)
from app.memory.config import ConfigReader
from app.memory.families.family import Family, LayerPlan
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
