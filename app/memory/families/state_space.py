"""Mamba 2, alone and beside attention, from transformers 5.23 ``models/<type>/``."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.memory.architecture import Convolution, Mamba2, Norm, NormKind, Projection, RouterKind
from app.memory.config import ConfigReader
from app.memory.families.family import Family, LayerPlan, is_set
from app.memory.families.hybrid import RECURRENT_NOTE
from app.memory.families.llama_like import BIASED_ATTENTION, BIASED_GATED
from app.memory.families.mlp import ExpertStyle, GatedStyle, SharedStyle
from app.memory.families.plans import FULL, by_layer_type


@dataclass(frozen=True, kw_only=True)
class BambaStyle:
    """``BambaMixer``: Mamba 2 by Bamba's keys."""

    inner: str | None = None
    """The key of the inner width; without it ``mamba_expand`` times the model's."""
    norm: str | None = None
    """The key that switches the gated norm on; without it there is one."""
    output_bias: str = "mamba_proj_bias"
    adapts: bool = True
    """PEFT refuses some model types' projections (``tuners_utils.py``, _check_lora_target_modules_mamba)."""
    scales_input: bool = False

    def build(self, reader: ConfigReader, family: Family, plan: LayerPlan) -> Mamba2:
        hidden_size, heads = reader.integer("hidden_size"), reader.integer("mamba_n_heads")
        expanded = reader.integer("mamba_expand") * hidden_size
        inner = (reader.optional_integer(self.inner) if self.inner else None) or expanded
        groups, state = reader.integer("mamba_n_groups"), reader.integer("mamba_d_state")
        channels = inner + 2 * groups * state
        bias = reader.boolean("mamba_proj_bias")
        adapted = None if self.adapts else ()
        output_bias = is_set(self.output_bias, reader)
        normed = self.norm is None or reader.boolean(self.norm)
        return Mamba2(
            num_heads=heads,
            head_dim=inner // heads,
            state_size=state,
            groups=groups,
            chunk=reader.integer("mamba_chunk_size"),
            input=Projection("in_proj", hidden_size, inner + channels + heads, bias, adapted_as=adapted),
            convolution=Convolution(
                channels=channels, kernel=reader.integer("mamba_d_conv"), bias=reader.boolean("mamba_conv_bias")
            ),
            norm=Norm(NormKind.RMS_SCALE_LAST, inner // groups, inner) if normed else None,
            output=Projection("out_proj", inner, hidden_size, output_bias, adapted_as=adapted),
            norm_before_gate=self.norm is not None and reader.boolean("mamba_norm_before_gate"),
            scales_input=self.scales_input,
        )


BAMBA_DEFAULTS = {
    "mamba_n_heads": 128,
    "mamba_n_groups": 1,
    "mamba_d_state": 256,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "mamba_chunk_size": 256,
    "mamba_conv_bias": True,
}
GRANITE_SHARED = SharedStyle(width="shared_intermediate_size", fused="input_linear", names=("", "", "output_linear"))


def _granite_layers(reader: ConfigReader, layers: int) -> tuple[LayerPlan, ...]:
    """Recurrent where nothing is said; published configurations say ``mamba`` and ``attention``."""
    mlp = "sparse" if reader.integer("num_experts", minimum=0) else "dense"
    rotary = reader.text("position_embedding_type", "") == "rope"
    kinds = reader.strings("layer_types", layers) or reader.strings("layers_block_type", layers)
    kinds = kinds or ("linear_attention",) * layers
    return tuple(
        LayerPlan(mixer=FULL if kind in (FULL, "attention") else "mamba", mlp=mlp, rotary=rotary) for kind in kinds
    )


def _bamba_layers(reader: ConfigReader, layers: int) -> tuple[LayerPlan, ...]:
    listed = reader.integers("attn_layer_indices")
    return tuple(LayerPlan(mixer=FULL if index in listed else "mamba") for index in range(layers))


STATE_SPACE: Mapping[str, Family] = {
    "granitemoehybrid": Family(
        mixers={"full_attention": BIASED_ATTENTION, "mamba": BambaStyle()},
        mlps={
            "dense": GatedStyle(
                width="shared_intermediate_size", fused="input_linear", names=("", "", "output_linear")
            ),
            "sparse": ExpertStyle(
                router=RouterKind.SOFTMAX_OF_BEST,
                width="intermediate_size",
                router_name="router",
                shared=GRANITE_SHARED,
            ),
        },
        plan=_granite_layers,
        embedding_multiplier=True,
        residual_multiplier=True,
        logits_multiplier=True,
        defaults={
            **BAMBA_DEFAULTS,
            "num_experts": 8,
            "num_experts_per_tok": 2,
            "shared_intermediate_size": 1024,
        },
        note=RECURRENT_NOTE,
    ),
    "bamba": Family(
        mixers={"full_attention": BIASED_ATTENTION, "mamba": BambaStyle()},
        mlps={"dense": BIASED_GATED},
        plan=_bamba_layers,
        defaults={**BAMBA_DEFAULTS, "num_key_value_heads": 8, "partial_rotary_factor": 0.5},
        note=RECURRENT_NOTE,
    ),
    "falcon_h1": Family(
        mixers={"full_attention": BIASED_ATTENTION},
        recurrence=BambaStyle(
            inner="mamba_d_ssm",
            norm="mamba_rms_norm",
            output_bias="projectors_bias",
            adapts=False,
            scales_input=True,
        ),
        mlps={"dense": BIASED_GATED},
        plan=by_layer_type(),
        embedding_multiplier=True,
        logits_multiplier=True,
        defaults={
            **BAMBA_DEFAULTS,
            "num_key_value_heads": 8,
            "mamba_d_ssm": 1024,
            "mamba_norm_before_gate": True,
        },
        note=RECURRENT_NOTE,
    ),
}
