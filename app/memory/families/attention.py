"""How token mixers are read from a configuration."""

from collections.abc import Callable
from dataclasses import dataclass

from app.memory.architecture import (
    Attention,
    FusedLayout,
    Indexer,
    KeyValueForm,
    LatentAttention,
    Norm,
    NormKind,
    Projection,
    RotaryKind,
    SinkKind,
)
from app.memory.config import ConfigError, ConfigReader
from app.memory.families.family import Family, Flag, LayerPlan, is_set
from app.messages import message

PER_HEAD, OVER_ALL, EACH_HEAD = "per_head", "over_all", "each_head"
"""Norms of queries and keys: over each head with one weight for all, over all heads together, or over each
head with a weight for each."""


def own_key_value_heads(reader: ConfigReader, num_heads: int) -> int:
    """``num_key_value_heads``, or as many as there are query heads."""
    return reader.integer("num_key_value_heads", num_heads)


def one_if_multi_query(reader: ConfigReader, num_heads: int) -> int:
    """StarCoder's switch."""
    return 1 if reader.boolean("multi_query", True) else num_heads


def falcon_key_value_heads(reader: ConfigReader, num_heads: int) -> int:
    """``num_kv_heads`` counts only in the newer of Falcon's two architectures."""
    if reader.boolean("new_decoder_architecture"):
        return reader.integer("num_key_value_heads", num_heads)
    return one_if_multi_query(reader, num_heads)


def grouped(reader: ConfigReader) -> KeyValueForm:
    """What most code does."""
    return KeyValueForm.GROUPED


def falcon_key_value_form(reader: ConfigReader) -> KeyValueForm:
    """Falcon's two architectures differ."""
    new = reader.boolean("new_decoder_architecture")
    return KeyValueForm.REPEATED if new else KeyValueForm.BROADCAST


@dataclass(frozen=True, kw_only=True)
class AttentionStyle:
    """Softmax attention; see :class:`~app.memory.blocks.attention.Attention` for what the flags do."""

    bias: Flag = False
    output_bias: Flag = False
    norm: str | None = None
    """``PER_HEAD``, ``OVER_ALL``, ``EACH_HEAD`` or none."""
    norm_if: Flag = True
    norm_kind: NormKind | None = None
    """None is the family's."""
    norm_bias: bool = False
    norm_weight: bool = True
    norm_if_rotary: bool = False
    """Only layers with positions have the norms (Llama 4)."""
    norms_after_rotary: bool = False
    value_norm: bool = False
    names: tuple[str, str, str] = ("q_proj", "k_proj", "v_proj")
    output_name: str = "o_proj"
    fused: str | None = None
    fused_layout: FusedLayout = FusedLayout.SLICES
    rotary: bool = True
    rotary_kind: RotaryKind = RotaryKind.HALVES
    rotary_fraction: float = 1.0
    """The library's default share of a head that is rotated."""
    head_dim: int | None = None
    """The library's default; None is hidden size ÷ heads."""
    head_dim_key: str = "head_dim"
    key_value_heads: Callable[[ConfigReader, int], int] = own_key_value_heads
    key_value_form: Callable[[ConfigReader], KeyValueForm] = grouped
    quantised: bool = True
    key_value_heads_key: str | None = None
    """A key that, if present, says it for this kind of layer."""
    values_are_keys: Flag = False
    alibi: Flag = False
    alibi_in_product: bool = False
    sinks: SinkKind | None = None
    scales_queries: bool = False
    output_gate: bool = False
    float32_scores: bool = False
    clip_key: str | None = None
    sdpa: bool = True
    dropout: str | None = None
    """The key of the dropout after the output projection."""
    gates: int = 0
    gate_name: str | None = None
    gate_if: Flag = True
    gate_by_head: bool | Callable[[ConfigReader], bool] = False
    """The gate has one number a head."""
    gate_softplus: bool = False
    differential: bool = False
    mask_name: str | None = None
    """The projection that makes a mask out of the values."""
    output_norm: bool = False
    shifted_scores: bool = False
    value_head_dim_key: str | None = None
    value_scale_key: str | None = None
    """The key of a constant that values are multiplied by."""
    square_output: bool = False
    """The output projection is as wide as the model on both sides (Helium)."""

    def build(self, reader: ConfigReader, family: Family, plan: LayerPlan) -> Attention:
        hidden_size = reader.integer("hidden_size")
        num_heads = plan.heads or reader.integer("num_attention_heads")
        head_dim = self._head_dim(reader, hidden_size, num_heads)
        num_key_value_heads = self._key_value_heads(reader, num_heads)
        value_head_dim = self._value_head_dim(reader, head_dim)
        query, key_value = num_heads * head_dim, num_key_value_heads * head_dim
        bias = is_set(self.bias, reader)
        alibi = is_set(self.alibi, reader)
        rotary = self.rotary and plan.rotary and not alibi

        def projection(name: str, out_features: int) -> Projection:
            return Projection(name, hidden_size, out_features, bias, in_attention=True, quantised=self.quantised)

        output = Projection(
            self.output_name,
            hidden_size if self.square_output else num_heads * value_head_dim,
            hidden_size,
            is_set(self.output_bias, reader),
            in_attention=True,
            quantised=self.quantised,
        )
        separate = self.fused is None
        own = separate and not plan.shares_key_values
        shares = is_set(self.values_are_keys, reader)
        fused = None if self.fused is None else projection(self.fused, query + 2 * key_value)
        has_norms = self.norm is not None and is_set(self.norm_if, reader) and (rotary or not self.norm_if_rotary)
        return Attention(
            num_heads=num_heads,
            num_key_value_heads=num_key_value_heads,
            head_dim=head_dim,
            query=projection(self.names[0], query * (2 if self.output_gate else 1)) if separate else None,
            key=projection(self.names[1], key_value) if own else None,
            value=projection(self.names[2], num_key_value_heads * value_head_dim) if own and not shares else None,
            fused=fused,
            fused_layout=self.fused_layout,
            key_value_form=self.key_value_form(reader),
            output=output,
            query_norm=self._norm(family, head_dim, query) if has_norms else None,
            key_norm=self._norm(family, head_dim, key_value) if has_norms and not plan.shares_key_values else None,
            value_norm=Norm(family.norm, head_dim, 0) if self.value_norm and not plan.shares_key_values else None,
            norms_after_rotary=self.norms_after_rotary,
            rotary_dim=self._rotary_dim(reader, head_dim, plan.mixer) if rotary else 0,
            rotary_kind=self.rotary_kind,
            window=plan.window,
            alibi=alibi,
            alibi_in_product=self.alibi_in_product,
            scores_softcap=reader.has("attn_logit_softcapping"),
            sinks=self.sinks,
            scales_queries=self.scales_queries,
            output_gate=self.output_gate,
            float32_scores=self.float32_scores,
            clip=self.clip_key is not None and reader.has(self.clip_key),
            sdpa=self.sdpa,
            residual_dropout=self.dropout is not None and reader.number(self.dropout, 0.0) > 0,
            gates=self.gates,
            gate=self._gate(reader, family, num_heads, query),
            gate_softplus=self.gate_softplus,
            differential=self.differential,
            mask=Projection(self.mask_name, key_value, num_key_value_heads, bias, in_attention=True)
            if self.mask_name
            else None,
            output_norm=family.norm_over(num_heads * value_head_dim, reader) if self.output_norm else None,
            shifted_scores=self.shifted_scores,
            scales_values=self.value_scale_key is not None and reader.has(self.value_scale_key),
            own_value_head_dim=value_head_dim if value_head_dim != head_dim else None,
        )

    def _gate(self, reader: ConfigReader, family: Family, heads: int, query: int) -> Projection | None:
        if self.gate_name is None or not is_set(self.gate_if, reader):
            return None
        by_head = self.gate_by_head(reader) if callable(self.gate_by_head) else self.gate_by_head
        adapted = () if self.gate_name in family.converted_names else None
        return Projection(
            self.gate_name,
            reader.integer("hidden_size"),
            heads if by_head else query,
            in_attention=True,
            adapted_as=adapted,
        )

    def _value_head_dim(self, reader: ConfigReader, head_dim: int) -> int:
        return reader.integer(self.value_head_dim_key, head_dim) if self.value_head_dim_key else head_dim

    def _key_value_heads(self, reader: ConfigReader, num_heads: int) -> int:
        found = reader.optional_integer(self.key_value_heads_key) if self.key_value_heads_key else None
        count = found or self.key_value_heads(reader, num_heads)
        if num_heads % count:
            raise ConfigError(
                "num_key_value_heads",
                message("{count} does not divide num_attention_heads {heads}", count=count, heads=num_heads),
                message("a divisor of {number}", number=num_heads),
            )
        return count

    def _head_dim(self, reader: ConfigReader, hidden_size: int, num_heads: int) -> int:
        head_dim = reader.optional_integer(self.head_dim_key) or self.head_dim
        if head_dim is not None:
            return head_dim
        if hidden_size % num_heads:
            raise ConfigError(
                "num_attention_heads",
                message(
                    "{heads} does not divide hidden_size {hidden_size}, and there is no head_dim",
                    heads=num_heads,
                    hidden_size=hidden_size,
                ),
                message("a divisor of {number}", number=hidden_size),
            )
        return hidden_size // num_heads

    def _rotary_dim(self, reader: ConfigReader, head_dim: int, kind: str | None) -> int:
        listed = reader.optional_integer("rotary_dim")
        if listed is not None:
            return min(listed, head_dim)
        fraction = reader.rotary_fraction(kind, self.rotary_fraction)
        return int(head_dim * fraction) // 2 * 2

    def _norm(self, family: Family, head_dim: int, width: int) -> Norm:
        kind = self.norm_kind or family.norm
        over = width if self.norm == OVER_ALL else head_dim
        elements = head_dim if self.norm == PER_HEAD else width
        return Norm(kind, over, elements if self.norm_weight else 0, self.norm_bias)


@dataclass(frozen=True, kw_only=True)
class LatentStyle:
    """Multi-head latent attention (DeepSeek V2 and V3, Kimi K2, GLM-4.7-Flash, GLM-5)."""

    rotary_kind: RotaryKind = RotaryKind.INTERLEAVED
    indexer: bool = False
    rotates: bool = True
    scales_queries: bool = False

    def build(self, reader: ConfigReader, family: Family, plan: LayerPlan) -> LatentAttention:
        hidden_size, heads = reader.integer("hidden_size"), reader.integer("num_attention_heads")
        nope, rope = reader.integer("qk_nope_head_dim"), reader.integer("qk_rope_head_dim", minimum=0)
        latent = reader.integer("kv_lora_rank")
        # MiniCPM 3's published configurations leave it out
        value = reader.optional_integer("v_head_dim") or hidden_size // heads
        rank = reader.optional_integer("q_lora_rank")
        bias = is_set("attention_bias", reader)

        def projection(name: str, in_features: int, out_features: int, with_bias: bool = False) -> Projection:
            return Projection(name, in_features, out_features, with_bias, in_attention=True)

        width = heads * (nope + rope)
        return LatentAttention(
            num_heads=heads,
            nope_head_dim=nope,
            rope_head_dim=rope,
            value_head_dim=value,
            latent_width=latent,
            query=None if rank else projection("q_proj", hidden_size, width),
            query_down=projection("q_a_proj", hidden_size, rank, bias) if rank else None,
            query_latent_norm=family.norm_over(rank, reader) if rank else None,
            query_up=projection("q_b_proj", rank, width) if rank else None,
            key_value_down=projection("kv_a_proj_with_mqa", hidden_size, latent + rope, bias),
            latent_norm=family.norm_over(latent, reader),
            key_value_up=projection("kv_b_proj", latent, heads * (nope + value)),
            output=projection("o_proj", heads * value, hidden_size, bias),
            indexer=self._indexer(reader, hidden_size, rank or hidden_size) if self.indexer else None,
            rotary_kind=self.rotary_kind if reader.boolean("rope_interleave", True) else RotaryKind.HALVES,
            rotates=self.rotates and rope > 0,
            scales_queries=self.scales_queries,
        )

    def _indexer(self, reader: ConfigReader, hidden_size: int, rank: int) -> Indexer:
        heads, width = reader.integer("index_n_heads"), reader.integer("index_head_dim")
        return Indexer(
            query=Projection("wq_b", rank, heads * width),
            key=Projection("wk", hidden_size, width),
            weights=Projection("weights_proj", hidden_size, heads),
            key_norm=Norm(NormKind.LAYER, width, width, bias=True),
        )
