"""Token mixers that compare every pair of positions."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from app.memory.blocks.parameters import Norm, Parameter, ParameterKind, Projection


class RotaryKind(StrEnum):
    """How positions turn queries and keys; the ways keep different tensors."""

    HALVES = "halves"
    """Llama's ``x·cos + rotate_half(x)·sin``."""
    CONCATENATED = "concatenated"
    """The same on some features of a head, concatenated with the others."""
    INTERLEAVED = "interleaved"
    """Neighbouring features in pairs, stacked (Cohere, GLM, GPT-J, Ernie, Helium)."""
    COMPLEX = "complex"
    """A complex product in float32 (Llama 4, DeepSeek V2)."""


class FusedLayout(StrEnum):
    """How queries, keys and values lie in one projection's output."""

    SLICES = "slices"
    """Three slices: backward pads each gradient (Phi-3, BLOOM, Falcon)."""
    SPLIT = "split"
    """A ``split`` or ``chunk``: backward joins the gradients (GPT-2, MPT, GPT-NeoX)."""


class KeyValueForm(StrEnum):
    """How fewer key and value heads meet more query heads."""

    GROUPED = "grouped"
    """The kernel's grouped-query mode, or ``repeat_kv``."""
    REPEATED = "repeated"
    """Written out before positions are applied (Falcon 40B)."""
    BROADCAST = "broadcast"
    """One head meets all by broadcasting, which only PyTorch's math kernel does (Falcon 7B)."""


class SinkKind(StrEnum):
    """What a learned scalar a head does to the weights of attention."""

    COLUMN = "column"
    """A column beside the scores, in their softmax (gpt-oss)."""
    SCALE = "scale"
    """The result is scaled by how the scores' log-sum-exp compares with it (Granite SWA)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attention:
    """Softmax attention with grouped key/value heads.

    ``query``, ``key`` and ``value`` are separate projections, or one ``fused`` projection makes all three. A
    model that uses its keys as values has no ``value``.
    """

    num_heads: int
    num_key_value_heads: int
    head_dim: int
    output: Projection
    query: Projection | None = None
    key: Projection | None = None
    value: Projection | None = None
    fused: Projection | None = None
    fused_layout: FusedLayout = FusedLayout.SLICES
    key_value_form: KeyValueForm = KeyValueForm.GROUPED
    query_norm: Norm | None = None
    key_norm: Norm | None = None
    value_norm: Norm | None = None
    norms_after_rotary: bool = False
    rotary_dim: int = 0
    """Features of a head that are rotated; 0 for learned or ALiBi positions."""
    rotary_kind: RotaryKind = RotaryKind.HALVES
    window: int | None = None
    """A token sees this many tokens back; None is all."""
    alibi: bool = False
    """Scores get a bias that grows with distance."""
    alibi_in_product: bool = False
    """That bias enters in one ``baddbmm`` with the scores (BLOOM)."""
    scores_softcap: bool = False
    sinks: SinkKind | None = None
    output_gate: bool = False
    """The query projection also makes a gate that multiplies the attention's output."""
    gate: Projection | None = None
    """Such a gate by a projection of its own (Trinity)."""
    mask: Projection | None = None
    """Makes a mask for each head out of the values (Doge)."""
    gate_softplus: bool = False
    """That gate is a softplus, not a sigmoid (Laguna)."""
    differential: bool = False
    """Two halves of the values, one's result less a learned share of the other's (DiffLlama)."""
    shifted_scores: bool = False
    """Written-out attention subtracts the largest score, as it does beside a column of sinks (MiMo V2)."""
    output_norm: Norm | None = None
    """Normalises the result before the output projection (BitNet)."""
    scales_values: bool = False
    """Values are multiplied by a constant."""
    own_value_head_dim: int | None = None
    """Width of a value head where it is not ``head_dim``."""
    float32_scores: bool = False
    """Queries and keys are upcast for the scores (GPT-J, GPT-Neo, CodeGen)."""
    scales_queries: bool = False
    """Rotated queries are scaled by their position (Ministral 3)."""
    clip: bool = False
    """Projected queries, keys and values are clamped."""
    sdpa: bool = True
    """False where the model's code offers no SDPA path."""
    residual_dropout: bool = False
    """The output projection's result is dropped out by default."""
    gates: int = 0
    """Learned scalars beside the block (Mllama's cross-attention)."""

    @property
    def selects(self) -> bool:
        """A scorer chooses which tokens each one sees, which always takes a mask."""
        return False

    @property
    def hands_weights_on(self) -> bool:
        """The layer returns its attention weights, which the model's loop holds until the next layer returns."""
        return self.alibi_in_product or (self.float32_scores and self.sinks is None)

    @property
    def rotary_concatenates(self) -> bool:
        """The rotated features are concatenated with the others, which lays the queries out anew."""
        partial = self.rotary_dim != self.head_dim
        return bool(self.rotary_dim) and (partial or self.rotary_kind is RotaryKind.CONCATENATED)

    @property
    def query_width(self) -> int:
        """Features of all query heads together."""
        return self.num_heads * self.head_dim

    @property
    def key_value_width(self) -> int:
        """Features of all key (or value) heads together."""
        return self.num_key_value_heads * self.head_dim

    @property
    def value_head_dim(self) -> int:
        return self.own_value_head_dim or self.head_dim

    @property
    def value_width(self) -> int:
        """Features of the attention's result."""
        return self.num_heads * self.value_head_dim

    def projections(self) -> Iterator[Projection]:
        for projection in (self.query, self.key, self.value, self.fused, self.gate, self.mask, self.output):
            if projection is not None:
                yield projection

    def parameters(self) -> Iterator[Parameter]:
        for projection in self.projections():
            yield from projection.parameters()
        for norm in (self.query_norm, self.key_norm, self.value_norm, self.output_norm):
            if norm is not None:
                yield from norm.parameters()
        if self.sinks:
            yield Parameter(ParameterKind.OTHER, self.num_heads)
        if self.mask is not None:
            yield Parameter(ParameterKind.OTHER, self.num_key_value_heads)
        if self.differential:
            yield Parameter(ParameterKind.OTHER, self.head_dim, 4)
        if self.gates:
            yield Parameter(ParameterKind.OTHER, 1, self.gates)


@dataclass(frozen=True, kw_only=True, slots=True)
class Indexer:
    """DeepSeek sparse attention's scorer of earlier tokens (GLM-5)."""

    query: Projection
    key: Projection
    weights: Projection
    key_norm: Norm

    def projections(self) -> Iterator[Projection]:
        yield from (self.query, self.key, self.weights)

    def parameters(self) -> Iterator[Parameter]:
        for projection in self.projections():
            yield from projection.parameters()
        yield from self.key_norm.parameters()


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentAttention:
    """Multi-head latent attention (DeepSeek V2, arXiv 2405.04434): keys and values come from a narrow latent."""

    num_heads: int
    nope_head_dim: int
    rope_head_dim: int
    value_head_dim: int
    latent_width: int
    key_value_down: Projection
    latent_norm: Norm
    key_value_up: Projection
    output: Projection
    query: Projection | None = None
    query_down: Projection | None = None
    query_latent_norm: Norm | None = None
    query_up: Projection | None = None
    indexer: Indexer | None = None
    gate: Projection | None = None
    """Its sigmoid multiplies the attention's result, one number a head (Ling 3)."""
    extra: tuple[Parameter, ...] = ()
    """Further parameters, which no transcription reads (Mistral Large 4's learned scales)."""
    rotates: bool = True
    """False where tokens have no positions but the order of a recurrence beside it (Kimi Linear)."""
    scales_queries: bool = False
    """Rotated queries are scaled by their position (Mistral 4)."""
    rotary_kind: RotaryKind = RotaryKind.INTERLEAVED
    rotary_concatenates: bool = False
    window: int | None = None
    sdpa: bool = True
    alibi: bool = False
    alibi_in_product: bool = False
    sinks: SinkKind | None = None
    shifted_scores: bool = False
    scores_softcap: bool = False
    float32_scores: bool = False

    @property
    def selects(self) -> bool:
        """A scorer chooses which tokens each one sees, which always takes a mask."""
        return self.indexer is not None

    @property
    def num_key_value_heads(self) -> int:
        return self.num_heads

    @property
    def head_dim(self) -> int:
        """Width of a query and of a key."""
        return self.nope_head_dim + self.rope_head_dim

    @property
    def rotary_dim(self) -> int:
        return self.rope_head_dim if self.rotates else 0

    @property
    def query_width(self) -> int:
        return self.num_heads * self.head_dim

    @property
    def key_value_width(self) -> int:
        return self.num_heads * self.head_dim

    @property
    def value_width(self) -> int:
        return self.num_heads * self.value_head_dim

    def projections(self) -> Iterator[Projection]:
        separate = (self.query, self.query_down, self.query_up, self.key_value_down, self.key_value_up, self.output)
        for projection in (*separate, self.gate):
            if projection is not None:
                yield projection
        if self.indexer is not None:
            yield from self.indexer.projections()

    def parameters(self) -> Iterator[Parameter]:
        own = list(self.projections())
        for projection in own:
            yield from projection.parameters()
        yield from self.extra
        yield from self.latent_norm.parameters()
        if self.query_latent_norm is not None:
            yield from self.query_latent_norm.parameters()
        if self.indexer is not None:
            yield from self.indexer.key_norm.parameters()


SoftmaxAttention = Attention | LatentAttention
"""Both end in the same kernels."""
