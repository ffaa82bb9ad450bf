"""Delta rules that forget by channel, beside latent attention, from transformers 5.23 ``models/<type>/``."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.memory.architecture import Convolution, KimiDelta, LatentAttention, Norm, NormKind, Projection, RouterKind
from app.memory.config import ConfigReader
from app.memory.families.attention import LatentStyle
from app.memory.families.family import Family, LayerPlan
from app.memory.families.hybrid import RECURRENT_NOTE
from app.memory.families.llama_like import GATED
from app.memory.families.mlp import ExpertStyle, shared_by_count
from app.memory.families.plans import FULL, LINEAR, after_first_dense, by_layer_type, every_nth


@dataclass(frozen=True, kw_only=True)
class KimiDeltaStyle:
    """Kimi Delta Attention. ``narrow``: rates and gate come by way of one head's width."""

    heads: str = "linear_num_heads"
    head_dims: tuple[str, ...] = ("linear_head_dim",)
    """The first of these keys that is there; a saved Ling 3 has the rotated width under ``head_dim``."""
    kernel: str = "linear_conv_kernel_dim"
    narrow: bool = True
    bounded: bool = False

    def build(self, reader: ConfigReader, family: Family, plan: LayerPlan) -> KimiDelta:
        hidden_size = reader.integer("hidden_size")
        nested = ConfigReader(reader.section("linear_attn_config") or {}, {})
        heads = nested.optional_integer("num_heads") or reader.integer(self.heads)
        key = next((key for key in self.head_dims if reader.has(key)), self.head_dims[0])
        head_dim = nested.optional_integer("head_dim") or reader.integer(key)
        kernel = nested.optional_integer("short_conv_kernel_size") or reader.integer(self.kernel)
        width = heads * head_dim

        def projection(name: str, in_features: int, out_features: int, *, inside: bool = True) -> Projection:
            return Projection(name, in_features, out_features, in_attention=inside)

        def wide(name: str, *, inside: bool = True) -> tuple[Projection, ...]:
            if not self.narrow:
                return (projection(f"{name}_proj", hidden_size, width, inside=inside),)
            return (
                projection(f"{name}_a_proj", hidden_size, head_dim, inside=inside),
                projection(f"{name}_b_proj", head_dim, width, inside=inside),
            )

        return KimiDelta(
            num_heads=heads,
            head_dim=head_dim,
            inputs=tuple(projection(name, hidden_size, width) for name in ("q_proj", "k_proj", "v_proj")),
            convolution=Convolution(channels=3 * width, kernel=kernel),
            forget=wide("f", inside=False),
            rate=projection("b_proj", hidden_size, heads),
            gate=wide("g"),
            norm=Norm(NormKind.RMS_SCALE_LAST, head_dim, head_dim),
            output=projection("o_proj", width, hidden_size),
            bounded=self.bounded,
        )


@dataclass(frozen=True, kw_only=True)
class GatedLatentStyle:
    """Latent attention whose result a gate of one number a head multiplies (Ling 3)."""

    def build(self, reader: ConfigReader, family: Family, plan: LayerPlan) -> LatentAttention:
        attention = LatentStyle().build(reader, family, plan)
        gate = Projection("g_proj", reader.integer("hidden_size"), attention.num_heads, in_attention=True)
        return replace(attention, gate=gate)


def _kimi_kind(reader: ConfigReader, index: int) -> str:
    """Every fifth layer and so on sees everything, or those that the checkpoint numbers from one."""
    nested = ConfigReader(reader.section("linear_attn_config") or {}, {})
    listed = nested.integers("full_attn_layers")
    if listed:
        return FULL if index + 1 in listed else LINEAR
    return FULL if index and index % 4 == 0 else LINEAR


def _experts(normalises: str) -> ExpertStyle:
    return ExpertStyle(
        router=RouterKind.SIGMOID_FLOAT32,
        normalises=normalises,
        scales=True,
        shared=shared_by_count("num_shared_experts"),
    )


LATENT_DEFAULTS = {
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "num_shared_experts": 1,
    "num_experts_per_tok": 8,
    "moe_renormalize": True,
}

DELTA: Mapping[str, Family] = {
    "kimi_linear": Family(
        mixers={"full_attention": LatentStyle(rotates=False), "linear_attention": KimiDeltaStyle()},
        mlps={"dense": GATED, "sparse": _experts("moe_renormalize")},
        plan=by_layer_type(_kimi_kind, sparse=after_first_dense),
        rotary_embeddings=0,
        ties_head=False,
        defaults={
            **LATENT_DEFAULTS,
            "first_k_dense_replace": 1,
            "num_experts": 256,
            "moe_intermediate_size": 1024,
            "linear_num_heads": 32,
            "linear_head_dim": 128,
            "linear_conv_kernel_dim": 4,
        },
        note=RECURRENT_NOTE,
    ),
    "bailing_hybrid": Family(
        mixers={
            "full_attention": GatedLatentStyle(),
            "linear_attention": KimiDeltaStyle(
                heads="num_attention_heads",
                head_dims=("linear_head_dim", "head_dim"),
                kernel="short_conv_kernel_size",
                narrow=False,
                bounded=True,
            ),
        },
        mlps={"dense": GATED, "sparse": _experts("moe_renormalize")},
        plan=by_layer_type(every_nth(6, others=LINEAR, key="layer_group_size"), sparse=after_first_dense),
        ties_head=False,
        defaults={
            **LATENT_DEFAULTS,
            "first_k_dense_replace": 2,
            "num_experts": 512,
            "moe_intermediate_size": 768,
            "head_dim": 128,
            "short_conv_kernel_size": 4,
        },
        note=RECURRENT_NOTE,
    ),
}
