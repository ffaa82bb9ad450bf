"""One description of a decoder-only transformer, composed of few parts.

A model is embeddings, a sequence of layers and a head. A layer is a block arrangement (where its norms
and residual additions stand) around a token mixer and an MLP. Each part knows its parameters; what a part
keeps for backward is :mod:`app.memory.transcription`' business. A new family is a new combination of these
parts (:mod:`app.memory.families`), at most one new part.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property


class ParameterKind(StrEnum):
    """What a parameter tensor is, as far as quantisers, adapters and optimizers treat it differently."""

    LINEAR = "linear"
    """The weight of an ``nn.Linear``: what bitsandbytes quantises and PEFT's ``all-linear`` adapts."""
    BIAS = "bias"
    NORM = "norm"
    EMBEDDING = "embedding"
    HEAD = "head"
    """``lm_head``, kept in 16 bits by bitsandbytes."""
    EXPERTS = "experts"
    """Fused 3-D expert weights, which are no ``nn.Linear``."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter tensor (``count`` alike ones)."""

    kind: ParameterKind
    elements: int
    count: int = 1
    rows: int = 1
    """Of a matrix, its first dimension; 1 for a vector."""


class NormKind(StrEnum):
    """Which normalisation code runs; they keep different tensors for backward."""

    RMS = "rms"
    """Llama's: upcast, normalise, downcast, then scale."""
    GEMMA_RMS = "gemma_rms"
    """Gemma's: upcast, normalise, scale by (1 + weight) in float32, then downcast."""
    RMS_SCALE_LAST = "rms_scale_last"
    """OLMo 2's and GPT-OSS's: scale in float32, then downcast."""
    LAYER = "layer"
    """``nn.LayerNorm``: one fused kernel."""
    LAYER_PYTHON = "layer_python"
    """Cohere's: a mean-subtracting norm written out in float32."""
    RMS_FUSED = "rms_fused"
    """``nn.RMSNorm``."""


@dataclass(frozen=True, slots=True)
class Norm:
    """A normalisation over the last ``width`` features with ``elements`` scale parameters."""

    kind: NormKind
    width: int
    elements: int
    bias: bool = False

    def parameters(self) -> Iterator[Parameter]:
        if self.elements:
            yield Parameter(ParameterKind.NORM, self.elements)
            if self.bias:
                yield Parameter(ParameterKind.NORM, self.elements)


@dataclass(frozen=True, slots=True)
class Projection:
    """An ``nn.Linear`` by its name in the model, the name that ``target_modules`` matches."""

    name: str
    in_features: int
    out_features: int
    bias: bool = False

    @property
    def elements(self) -> int:
        """Weights, without the bias."""
        return self.in_features * self.out_features

    def parameters(self) -> Iterator[Parameter]:
        yield Parameter(ParameterKind.LINEAR, self.elements, rows=self.out_features)
        if self.bias:
            yield Parameter(ParameterKind.BIAS, self.out_features)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attention:
    """Softmax attention with grouped key/value heads.

    ``query``, ``key`` and ``value`` are separate projections, or one ``fused`` projection makes all three.
    """

    num_heads: int
    num_key_value_heads: int
    head_dim: int
    output: Projection
    query: Projection | None = None
    key: Projection | None = None
    value: Projection | None = None
    fused: Projection | None = None
    query_norm: Norm | None = None
    key_norm: Norm | None = None
    rotary_dim: int = 0
    """Features of a head that are rotated; 0 for learned or ALiBi positions."""
    rotary_concatenates: bool = False
    """The rotated features are concatenated with the others, which lays the queries out anew."""
    window: int | None = None
    """A token sees this many tokens back; None is all."""
    scores_softcap: bool = False
    sinks: bool = False
    output_gate: bool = False
    """The query projection also makes a gate that multiplies the attention's output."""
    sdpa: bool = True
    """False where the model's code offers no SDPA path."""

    @property
    def query_width(self) -> int:
        """Features of all query heads together."""
        return self.num_heads * self.head_dim

    @property
    def key_value_width(self) -> int:
        """Features of all key (or value) heads together."""
        return self.num_key_value_heads * self.head_dim

    def projections(self) -> Iterator[Projection]:
        for projection in (self.query, self.key, self.value, self.fused, self.output):
            if projection is not None:
                yield projection

    def parameters(self) -> Iterator[Parameter]:
        for projection in self.projections():
            yield from projection.parameters()
        for norm in (self.query_norm, self.key_norm):
            if norm is not None:
                yield from norm.parameters()
        if self.sinks:
            yield Parameter(ParameterKind.OTHER, self.num_heads)


@dataclass(frozen=True, kw_only=True, slots=True)
class GatedMlp:
    """``down(activation(gate(x)) × up(x))``; ``gate_up`` is one fused projection where the model has it."""

    intermediate_size: int
    down: Projection
    gate: Projection | None = None
    up: Projection | None = None
    gate_up: Projection | None = None

    def projections(self) -> Iterator[Projection]:
        for projection in (self.gate, self.up, self.gate_up, self.down):
            if projection is not None:
                yield projection

    def parameters(self) -> Iterator[Parameter]:
        for projection in self.projections():
            yield from projection.parameters()


class ActivationKind(StrEnum):
    """How an activation function is computed, hence what it keeps."""

    FUSED = "fused"
    """One kernel (silu, gelu, relu): keeps its input (relu its output)."""
    TANH_GELU_PYTHON = "tanh_gelu_python"
    """The ``gelu_new`` formula in Python: keeps an input per operation."""
    SQUARED_RELU = "squared_relu"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainMlp:
    """``down(activation(up(x)))``."""

    intermediate_size: int
    up: Projection
    down: Projection
    activation: ActivationKind = ActivationKind.FUSED

    def projections(self) -> Iterator[Projection]:
        yield self.up
        yield self.down

    def parameters(self) -> Iterator[Parameter]:
        for projection in self.projections():
            yield from projection.parameters()


TokenMixer = Attention
Mlp = GatedMlp | PlainMlp


class BlockKind(StrEnum):
    """Where a layer's norms and residual additions stand."""

    PRE_NORM = "pre_norm"
    """x + mixer(norm(x)), then x + mlp(norm(x))."""
    SANDWICH = "sandwich"
    """x + norm(mixer(norm(x))), then the same around the MLP."""
    POST_NORM = "post_norm"
    """x + norm(mixer(x)), then x + norm(mlp(x))."""
    PARALLEL = "parallel"
    """x + mixer(norm(x)) + mlp(norm(x)), from one norm or two."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """A decoder layer. ``norms`` in the order their code runs; a part that is absent is None."""

    block: BlockKind
    norms: tuple[Norm, ...]
    mixer: TokenMixer | None
    mlp: Mlp | None
    residual_multiplier: bool = False
    """Granite's and MiniCPM's: each branch is scaled before it is added."""

    def projections(self) -> Iterator[Projection]:
        """Every ``nn.Linear`` of the layer."""
        for part in (self.mixer, self.mlp):
            if part is not None:
                yield from part.projections()

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter tensor of the layer."""
        for norm in self.norms:
            yield from norm.parameters()
        for part in (self.mixer, self.mlp):
            if part is not None:
                yield from part.parameters()


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A decoder-only language model's shape, exact to the parameter."""

    model_type: str
    vocab_size: int
    hidden_size: int
    max_position_embeddings: int | None
    tie_word_embeddings: bool
    layers: tuple[Layer, ...]
    """One entry a layer, in order; alike layers are the same object."""
    final_norm: Norm | None
    embedding_multiplier: bool = False
    """The embedding's output is scaled (Gemma, Granite, Cohere…)."""
    learned_positions: int = 0
    """Rows of a learned position table."""
    embedding_norm: Norm | None = None
    embedding_size: int | None = None
    """Width of the embedding where a projection leads from it to ``hidden_size`` (OPT-350m)."""
    head_bias: bool = False
    logits_softcap: bool = False
    logits_multiplier: bool = False
    rotary_embeddings: int = 1
    """How many different cos/sin pairs a forward makes."""
    rotary_dim: int = 0
    extra_parameters: tuple[Parameter, ...] = ()
    """Parameters outside the text decoder (a vision tower), frozen unless said otherwise."""
    recognised: bool = True
    """False where the family is unknown and the shape was taken for a Llama-like decoder."""
    notes: tuple[str, ...] = ()

    @property
    def num_hidden_layers(self) -> int:
        return len(self.layers)

    @cached_property
    def distinct_layers(self) -> tuple[tuple[Layer, int], ...]:
        """Each different layer with how often it occurs, in order of first occurrence."""
        counts: dict[Layer, int] = {}
        for layer in self.layers:
            counts[layer] = counts.get(layer, 0) + 1
        return tuple(counts.items())

    @cached_property
    def windows(self) -> tuple[int, ...]:
        """The different sliding windows, in tokens."""
        mixers = (layer.mixer for layer, _ in self.distinct_layers)
        return tuple({mixer.window for mixer in mixers if isinstance(mixer, Attention) and mixer.window is not None})

    @cached_property
    def outer_parameters(self) -> tuple[Parameter, ...]:
        """Embeddings, final norm and head."""
        width = self.embedding_size or self.hidden_size
        parameters = [Parameter(ParameterKind.EMBEDDING, self.vocab_size * width, rows=self.vocab_size)]
        if self.learned_positions:
            table = self.learned_positions * self.hidden_size
            parameters.append(Parameter(ParameterKind.EMBEDDING, table, rows=self.learned_positions))
        if self.embedding_norm is not None:
            parameters.extend(self.embedding_norm.parameters())
        if width != self.hidden_size:
            parameters.append(Parameter(ParameterKind.LINEAR, width * self.hidden_size, 2, width))
        if self.final_norm is not None:
            parameters.extend(self.final_norm.parameters())
        if not self.tie_word_embeddings:
            parameters.append(Parameter(ParameterKind.HEAD, self.vocab_size * width, rows=self.vocab_size))
        if self.head_bias:
            parameters.append(Parameter(ParameterKind.BIAS, self.vocab_size))
        return (*parameters, *self.extra_parameters)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Every parameter tensor, alike ones merged."""
        counts: dict[tuple[ParameterKind, int, int], int] = {}
        for layer, occurrences in self.distinct_layers:
            for parameter in layer.parameters():
                key = (parameter.kind, parameter.elements, parameter.rows)
                counts[key] = counts.get(key, 0) + parameter.count * occurrences
        for parameter in self.outer_parameters:
            key = (parameter.kind, parameter.elements, parameter.rows)
            counts[key] = counts.get(key, 0) + parameter.count
        return tuple(Parameter(kind, elements, count, rows) for (kind, elements, rows), count in counts.items())

    @cached_property
    def total_parameters(self) -> int:
        """All parameters, a tied head counted once."""
        return sum(parameter.elements * parameter.count for parameter in self.parameters)

    @cached_property
    def active_parameters(self) -> int:
        """Parameters that one token uses: experts that are not selected are left out."""
        return self.total_parameters

    @property
    def embedding_elements(self) -> int:
        """Elements of the token embedding."""
        return self.vocab_size * (self.embedding_size or self.hidden_size)

    @cached_property
    def _hash(self) -> int:
        return hash((self.model_type, self.vocab_size, self.hidden_size, len(self.layers), self.layers[:1], self.notes))

    def __hash__(self) -> int:
        return self._hash
