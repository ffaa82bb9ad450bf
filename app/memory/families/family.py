"""What a model family is, as data: which parts its layers are made of, and in what arrangement."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from app.memory.architecture import BlockKind, Mlp, Norm, NormKind, Parameter, Recurrence, SparseMlp, TokenMixer
from app.memory.config import ConfigReader

Flag = bool | str
"""A constant, or the configuration's key that decides."""


def is_set(flag: Flag, reader: ConfigReader) -> bool:
    """The value of a flag: a missing key is False."""
    return reader.boolean(flag) if isinstance(flag, str) else flag


class LayerPlan(NamedTuple):
    """What stands in one layer: keys of the family's mixers and MLPs."""

    mixer: str | None = "full_attention"
    mlp: str | None = "dense"
    window: int | None = None
    rotary: bool = True
    heads: int | None = None
    """Query heads, where layers differ in them; None is ``num_attention_heads``."""
    shares_key_values: bool = False
    """It uses the keys and values of an earlier layer."""


Plan = Callable[[ConfigReader, int], tuple[LayerPlan, ...]]
"""The layers that a configuration describes, given their number."""


class MixerStyle(Protocol):
    """Builds a token mixer from a configuration."""

    def build(self, reader: ConfigReader, family: "Family", plan: LayerPlan) -> TokenMixer: ...


class RecurrenceStyle(Protocol):
    """Builds a recurrence from a configuration."""

    def build(self, reader: ConfigReader, family: "Family", plan: LayerPlan) -> Recurrence: ...


class MlpStyle(Protocol):
    """Builds a feed-forward part from a configuration."""

    def build(self, reader: ConfigReader, family: "Family") -> Mlp: ...


class SparseStyle(Protocol):
    """Builds a mixture of experts from a configuration."""

    def build(self, reader: ConfigReader, family: "Family") -> SparseMlp: ...


def all_alike(reader: ConfigReader, layers: int) -> tuple[LayerPlan, ...]:
    """Every layer sees everything."""
    return (LayerPlan(),) * layers


@dataclass(frozen=True, kw_only=True)
class Family:
    """What a family's modelling code does, as far as parameters and memory go."""

    mixers: Mapping[str, MixerStyle]
    """By layer kind; a kind that is not listed uses ``full_attention``'s."""
    mlps: Mapping[str, MlpStyle]
    plan: Plan = all_alike
    norm: NormKind = NormKind.RMS
    choose_norm: Callable[[ConfigReader], NormKind] | None = None
    """Where a key decides about the norms' code."""
    norm_bias: Flag = False
    norm_weight: bool = True
    final_norm: Flag = True
    block: BlockKind = BlockKind.PRE_NORM
    blocks: Mapping[str, BlockKind] = field(default_factory=dict)
    """By layer kind, where the arrangement differs among them (OLMo Hybrid)."""
    choose_block: Callable[[ConfigReader], BlockKind] | None = None
    """Where a key decides about the arrangement."""
    norms: int | Callable[[ConfigReader], int] | None = None
    """Norms of a layer, where the arrangement leaves it open."""
    embedding_multiplier: Flag = False
    embedding_norm: bool = False
    embedding_dropout: str | None = None
    """The key of the dropout after the embedding."""
    embedding_size: str | None = None
    """The key of the embedding's own width."""
    extra_embedding_rows: int = 0
    learned_positions: int | None = None
    """Rows that a learned position table has besides the positions; None where there is no table."""
    head_bias: Flag = False
    ties_head: bool = True
    """False where the code has a head of its own whatever ``tie_word_embeddings`` says (Kimi Linear)."""
    logits_multiplier: bool = False
    residual_multiplier: bool = False
    rotary_embeddings: int = 1
    beside: tuple[str, "SparseStyle"] | None = None
    """Experts beside each layer's MLP, and the key that switches them on (Gemma 4)."""
    recurrence: RecurrenceStyle | None = None
    """What runs beside each layer's attention, from the same norm (Falcon-H1)."""
    converted_names: frozenset[str] = frozenset()
    """Linear layers that PEFT takes for fused experts, and so leaves out
    (``peft/utils/transformers_weight_conversion.py``)."""
    per_layer_input: str | None = None
    """The key of the width of each layer's own embedding."""
    layer_extra: Callable[[ConfigReader], tuple[Parameter, ...]] | None = None
    """Parameters of each layer beside its parts."""
    outer_extra: Callable[[ConfigReader], tuple[Parameter, ...]] | None = None
    """Text parameters beside embedding, layers and head."""
    buffer_bytes: Callable[[ConfigReader], int] | None = None
    """Tables and masks that live beside the weights."""
    approximate: bool = False
    """Parameters are exact, but part of the code is not transcribed: memory gets an unknown family's interval."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """What the library's configuration class assumes for keys that published configurations leave out."""
    nested: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Keys that stand in an object of their own: its name, and theirs in it (DBRX)."""
    note: str | None = None

    def norm_over(self, width: int, reader: ConfigReader) -> Norm:
        """The family's norm over ``width`` features."""
        kind = self.choose_norm(reader) if self.choose_norm else self.norm
        return Norm(kind, width, width if self.norm_weight else 0, is_set(self.norm_bias, reader))
