"""How recurrent mixers are read from a configuration."""

from dataclasses import dataclass

from app.memory.architecture import Convolution, DeltaNet, Mamba2, Norm, NormKind, Projection, ShortConvolution
from app.memory.config import ConfigReader
from app.memory.families.family import Family, LayerPlan, is_set


@dataclass(frozen=True, kw_only=True)
class DeltaNetStyle:
    """Gated DeltaNet. ``paired``: Qwen3-Next fuses the inputs in two projections, Qwen3.5 in four."""

    paired: bool

    def build(self, reader: ConfigReader, family: Family, plan: LayerPlan) -> DeltaNet:
        hidden_size = reader.integer("hidden_size")
        key_heads, value_heads = reader.integer("linear_num_key_heads"), reader.integer("linear_num_value_heads")
        key_dim, value_dim = reader.integer("linear_key_head_dim"), reader.integer("linear_value_head_dim")
        keys, values = key_heads * key_dim, value_heads * value_dim
        mixed = 2 * keys + values
        widths = (
            {"in_proj_qkvz": mixed + values, "in_proj_ba": 2 * value_heads}
            if self.paired
            else {"in_proj_qkv": mixed, "in_proj_z": values, "in_proj_b": value_heads, "in_proj_a": value_heads}
        )
        return DeltaNet(
            num_key_heads=key_heads,
            num_value_heads=value_heads,
            key_head_dim=key_dim,
            value_head_dim=value_dim,
            inputs=tuple(Projection(name, hidden_size, width) for name, width in widths.items()),
            convolution=Convolution(channels=mixed, kernel=reader.integer("linear_conv_kernel_dim")),
            norm=Norm(NormKind.RMS, value_dim, value_dim),
            output=Projection("out_proj", values, hidden_size),
        )


@dataclass(frozen=True, kw_only=True)
class Mamba2Style:
    """Nemotron-H's Mamba 2. PEFT refuses to adapt its projections (``peft/tuners/tuners_utils.py``)."""

    def build(self, reader: ConfigReader, family: Family, plan: LayerPlan) -> Mamba2:
        hidden_size = reader.integer("hidden_size")
        heads, head_dim = reader.integer("mamba_num_heads"), reader.integer("mamba_head_dim")
        groups, state = reader.integer("n_groups"), reader.integer("ssm_state_size")
        inner = heads * head_dim
        channels = inner + 2 * groups * state
        bias = is_set("use_bias", reader)
        return Mamba2(
            num_heads=heads,
            head_dim=head_dim,
            state_size=state,
            groups=groups,
            chunk=reader.integer("chunk_size"),
            input=Projection("in_proj", hidden_size, inner + channels + heads, bias, adapted_as=()),
            convolution=Convolution(
                channels=channels, kernel=reader.integer("conv_kernel"), bias=is_set("use_conv_bias", reader)
            ),
            norm=Norm(NormKind.RMS_SCALE_LAST, inner // groups, inner),
            output=Projection("out_proj", inner, hidden_size, bias, adapted_as=()),
        )


@dataclass(frozen=True, kw_only=True)
class ShortConvolutionStyle:
    """LFM2's gated convolution."""

    def build(self, reader: ConfigReader, family: Family, plan: LayerPlan) -> ShortConvolution:
        hidden_size, bias = reader.integer("hidden_size"), is_set("conv_bias", reader)
        return ShortConvolution(
            width=hidden_size,
            input=Projection("in_proj", hidden_size, 3 * hidden_size, bias),
            convolution=Convolution(channels=hidden_size, kernel=reader.integer("conv_L_cache"), bias=bias),
            output=Projection("out_proj", hidden_size, hidden_size, bias),
        )
