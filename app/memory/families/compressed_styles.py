"""How attention of its own kind, and what stands beside it, is read from a configuration."""

from dataclasses import dataclass, replace

from app.memory.architecture import (
    Attention,
    LatentAttention,
    Norm,
    Parameter,
    ParameterKind,
    Projection,
    RouterKind,
    Scan,
    SparseMlp,
)
from app.memory.config import ConfigReader
from app.memory.families.attention import PER_HEAD, AttentionStyle, LatentStyle
from app.memory.families.family import Family, LayerPlan
from app.memory.families.mlp import ExpertStyle, SharedStyle
from app.memory.families.plans import FULL, after_first_dense

SPARSELY, HEAVILY = "compressed_sparse_attention", "heavily_compressed_attention"
SPARSE_RATE = 4
SHORTCUT_EXPERTS = ExpertStyle(
    router=RouterKind.SOFTMAX_FLOAT32,
    width="expert_ffn_hidden_size",
    router_name="classifier",
    router_is_linear=True,
    normalises=False,
    scales=True,
    shared=SharedStyle(width="intermediate_size"),
    converted="qwen2_moe",
)


@dataclass(frozen=True, kw_only=True)
class ShortcutStyle:
    """LongCat's experts beside the first MLP of a layer: some do nothing, but have rows in the first matrix."""

    def build(self, reader: ConfigReader, family: Family) -> SparseMlp:
        mlp = SHORTCUT_EXPERTS.build(reader, family)
        idle = (reader.optional_integer("zero_expert_num", minimum=0) or 0) + mlp.num_experts
        weight = replace(mlp.router.weight, out_features=idle)
        return replace(mlp, up=replace(mlp.up, num_experts=idle), router=replace(mlp.router, weight=weight))


def shortcut_layers(reader: ConfigReader, layers: int) -> tuple[LayerPlan, ...]:
    """Each layer is attention and an MLP twice, the first with experts."""
    return (LayerPlan(mlp="sparse"), LayerPlan()) * layers


def _sparse_section(reader: ConfigReader) -> ConfigReader:
    """Where MiniMax M3's published configuration has its scorer's sizes."""
    return ConfigReader(reader.section("sparse_attention_config") or {}, {})


def chosen_kind(reader: ConfigReader, index: int) -> str:
    """MiniMax M3's layers, by ``sparse_attention_freq`` where they are not named."""
    listed = _sparse_section(reader).integers("sparse_attention_freq")
    return "minimax_m3_sparse" if index < len(listed) and listed[index] else FULL


def listed_frequency(reader: ConfigReader, index: int) -> bool:
    """MiniMax M3's experts, by ``moe_layer_freq`` where ``mlp_layer_types`` is missing."""
    listed = () if reader.has("mlp_layer_types") else reader.integers("moe_layer_freq")
    return bool(listed[index]) if index < len(listed) else after_first_dense(reader, index)


def enumerated(reader: ConfigReader, index: int) -> bool:
    """Step 3.5's experts, by ``moe_layers_enum`` ("3,4,5") where ``mlp_layer_types`` is missing."""
    listed = reader.raw("moe_layers_enum")
    if reader.has("mlp_layer_types") or not isinstance(listed, str):
        return after_first_dense(reader, index)
    return str(index) in {item.strip() for item in listed.split(",")}


def shared_width(reader: ConfigReader) -> int:
    """Step 3.5's shared part, by either of its names."""
    return reader.optional_integer("share_expert_dims") or reader.integer("share_expert_dim")


@dataclass(frozen=True, kw_only=True)
class PooledStyle:
    """MiniMax M3's attention whose scorer chooses blocks, which some layers have."""

    def build(self, reader: ConfigReader, family: Family, plan: LayerPlan) -> Attention | Scan:
        attention = AttentionStyle(norm=PER_HEAD, head_dim=128).build(reader, family, plan)
        hidden_size, section = reader.integer("hidden_size"), _sparse_section(reader)
        width = section.optional_integer("sparse_index_dim") or reader.integer("index_head_dim")
        heads = section.optional_integer("sparse_num_index_heads") or reader.integer("index_n_heads")
        norms = [norm for norm in (attention.query_norm, attention.key_norm) if norm is not None]
        scorer = (Projection("q_proj", hidden_size, heads * width), Projection("k_proj", hidden_size, width))
        inputs = [part for part in (attention.query, attention.key, attention.value) if part is not None]
        return Scan(
            width=attention.query_width,
            inputs=tuple(inputs),
            between=scorer,
            output=attention.output,
            norms=(*norms, Norm(family.norm, width, width), Norm(family.norm, width, width)),
            kept_features=attention.query_width,
            state_elements=0,
        )


@dataclass(frozen=True, kw_only=True)
class SlidingHeadsStyle:
    """Step 3.5's windows have a number of heads of their own."""

    def build(self, reader: ConfigReader, family: Family, plan: LayerPlan) -> Attention:
        other = ConfigReader(reader.section("attention_other_setting") or {}, {})
        heads = reader.optional_integer("num_sliding_attention_heads") or other.optional_integer("num_attention_heads")
        heads = heads or reader.integer("num_attention_heads")
        return STEP_ATTENTION.build(reader.with_values({"num_attention_heads": heads}), family, plan)


STEP_ATTENTION = AttentionStyle(norm=PER_HEAD, head_dim=128, gate_name="g_proj", gate_by_head=True)


def hyper_connections(reader: ConfigReader) -> tuple[Parameter, ...]:
    """What mixes a layer's parallel streams before attention and MLP (``*HyperConnection``)."""
    streams, hidden_size = reader.integer("hc_mult"), reader.integer("hidden_size")
    rows = (2 + streams) * streams
    return (
        Parameter(ParameterKind.OTHER, rows * streams * hidden_size, 2, rows),
        Parameter(ParameterKind.OTHER, rows, 2),
        Parameter(ParameterKind.OTHER, 3, 2),
    )


def stream_head(reader: ConfigReader) -> tuple[Parameter, ...]:
    """What joins the streams before the head (``DeepseekV4HyperHead``)."""
    streams, hidden_size = reader.integer("hc_mult"), reader.integer("hidden_size")
    return (
        Parameter(ParameterKind.OTHER, streams * streams * hidden_size, rows=streams),
        Parameter(ParameterKind.OTHER, streams),
        Parameter(ParameterKind.OTHER, 1),
    )


@dataclass(frozen=True, kw_only=True)
class PoolingLatentStyle:
    """GLM-5-Next's latent attention, whose scorer pools keys."""

    def build(self, reader: ConfigReader, family: Family, plan: LayerPlan) -> LatentAttention:
        attention = LatentStyle(indexer=True).build(reader, family, plan)
        pool, width = reader.integer("index_kpool"), reader.integer("index_head_dim")
        extra = (
            Parameter(ParameterKind.OTHER, pool * width, rows=pool),
            Parameter(ParameterKind.OTHER, width * reader.integer("hidden_size"), rows=width),
        )
        return replace(attention, extra=extra)


@dataclass(frozen=True, kw_only=True)
class CompressedStyle:
    """DeepSeek V4's attention over compressed keys that are values too; every fourth token's has a scorer."""

    kind: str
    rate: int
    """The library's own; ``compress_rates`` may say another."""
    scores: bool = False

    def build(self, reader: ConfigReader, family: Family, plan: LayerPlan) -> Scan:
        rate = ConfigReader(reader.section("compress_rates") or {}, {}).integer(self.kind, self.rate, minimum=0)
        hidden_size, heads = reader.integer("hidden_size"), reader.integer("num_attention_heads")
        head_dim, rank = reader.integer("head_dim"), reader.integer("q_lora_rank")
        groups, group_rank = reader.integer("o_groups"), reader.integer("o_lora_rank")
        width = heads * head_dim
        norms = [Norm(family.norm, size, size) for size in (rank, head_dim)]
        between = [
            Projection("q_b_proj", rank, width, in_attention=True),
            Projection("o_a_proj", width // groups, groups * group_rank, in_attention=True, quantised=False),
        ]
        extra = [Parameter(ParameterKind.OTHER, heads)]
        inputs = [
            Projection("q_a_proj", hidden_size, rank, in_attention=True),
            Projection("kv_proj", hidden_size, head_dim, in_attention=True),
        ]
        if rate:
            norms.append(Norm(family.norm, head_dim, head_dim))
            self._compressor(inputs, extra, hidden_size, head_dim, rate)
        if self.scores:
            index, index_heads = reader.integer("index_head_dim"), reader.integer("index_n_heads")
            norms.append(Norm(family.norm, index, index))
            self._compressor(inputs, extra, hidden_size, index, rate)
            between.append(Projection("q_b_proj", rank, index_heads * index))
            inputs.append(Projection("weights_proj", hidden_size, index_heads))
        return Scan(
            width=width,
            inputs=tuple(inputs),
            between=tuple(between),
            output=Projection("o_b_proj", groups * group_rank, hidden_size, in_attention=True),
            norms=tuple(norms),
            extra=tuple(extra),
            kept_features=2 * width,
        )

    def _compressor(
        self, inputs: list[Projection], extra: list[Parameter], hidden_size: int, width: int, rate: int
    ) -> None:
        """A compressor overlaps its windows where it has a scorer, and is then twice as wide."""
        wide = width * (2 if self.scores else 1)
        inputs += [Projection("kv_proj", hidden_size, wide), Projection("gate_proj", hidden_size, wide)]
        extra.append(Parameter(ParameterKind.OTHER, rate * wide, rows=rate))


def compressed_kind(reader: ConfigReader, index: int) -> str:
    """What ``compress_ratios`` says of a layer, or two heavily compressed ones and then both kinds in turn."""
    ratios = reader.integers("compress_ratios")
    if index < len(ratios):
        return FULL if not ratios[index] else SPARSELY if ratios[index] == SPARSE_RATE else HEAVILY
    return SPARSELY if index > 1 and index % 2 else HEAVILY


@dataclass(frozen=True, kw_only=True)
class ScaledLatentStyle:
    """Mistral Large 4's latent attention: learned scales, a scorer that reads the stream, positions in some layers."""

    def build(self, reader: ConfigReader, family: Family, plan: LayerPlan) -> LatentAttention:
        nope, rope = reader.integer("qk_nope_head_dim"), reader.integer("qk_rope_head_dim")
        if not plan.rotary:
            reader = reader.with_values({"qk_nope_head_dim": nope + rope, "qk_rope_head_dim": 0})
        attention = LatentStyle(indexer=True).build(reader, family, plan)
        hidden_size, index_heads = reader.integer("hidden_size"), reader.integer("index_n_heads")
        extra = (
            Parameter(ParameterKind.NORM, hidden_size, 2),
            Parameter(ParameterKind.OTHER, index_heads, 2),
            Parameter(ParameterKind.OTHER, attention.num_heads, 2),
        )
        return replace(attention, extra=extra)


def rotates_where_listed(reader: ConfigReader, index: int, kind: str) -> bool:
    """``no_rope_layers``, or three of each four."""
    listed = reader.integers("no_rope_layers")
    return bool(listed[index]) if index < len(listed) else (index + 1) % 4 != 0
