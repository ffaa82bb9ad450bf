"""One description of a decoder-only transformer, composed of few parts.

A model is embeddings, a sequence of layers and a head. A layer is a block arrangement (where its norms
and residual additions stand) around a token mixer and an MLP. The parts (:mod:`app.memory.blocks`) know their
parameters; what a part keeps for backward is :mod:`app.memory.transcription`' business. A new family is a new
combination of these parts (:mod:`app.memory.families`), at most one new part.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from app.memory.blocks.attention import (
    Attention,
    FusedLayout,
    Indexer,
    KeyValueForm,
    LatentAttention,
    RotaryKind,
    SinkKind,
    SoftmaxAttention,
)
from app.memory.blocks.convolution import Convolution
from app.memory.blocks.kimi_delta import KimiDelta
from app.memory.blocks.layer import BlockKind, Layer, PerLayerInput, TokenMixer
from app.memory.blocks.mlp import (
    ActivationKind,
    ExpertGate,
    GatedMlp,
    Mlp,
    PlainMlp,
    Router,
    RouterKind,
    SparseMlp,
)
from app.memory.blocks.parameters import (
    Adaptable,
    ExpertWeights,
    Norm,
    NormKind,
    Parameter,
    ParameterKind,
    Projection,
)
from app.memory.blocks.recurrent import DeltaNet, Mamba2, Recurrence, ShortConvolution
from app.memory.blocks.scan import Scan
from app.memory.images import ImageTokens

__all__ = [
    "ActivationKind",
    "Adaptable",
    "Architecture",
    "Attention",
    "BlockKind",
    "Convolution",
    "DeltaNet",
    "ExpertGate",
    "ExpertWeights",
    "FusedLayout",
    "GatedMlp",
    "Indexer",
    "KeyValueForm",
    "KimiDelta",
    "LatentAttention",
    "Layer",
    "Mamba2",
    "Mlp",
    "Norm",
    "NormKind",
    "Parameter",
    "ParameterKind",
    "PerLayerInput",
    "PlainMlp",
    "Projection",
    "Recurrence",
    "RotaryKind",
    "Router",
    "RouterKind",
    "Scan",
    "ShortConvolution",
    "SinkKind",
    "SoftmaxAttention",
    "SparseMlp",
    "TokenMixer",
]


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
    """The embedding's output is scaled by the model, not inside the embedding (Granite)."""
    learned_positions: int = 0
    """Rows of a learned position table."""
    embedding_norm: Norm | None = None
    embedding_rows: int | None = None
    """Rows of the embedding where they are more than the vocabulary (Mllama)."""
    embedding_dropout: bool = False
    """The library's default drops out embeddings (GPT-2)."""
    embedding_size: int | None = None
    """Width of the embedding where a projection leads from it to ``hidden_size`` (OPT-350m)."""
    head_bias: bool = False
    logits_softcap: bool = False
    logits_multiplier: bool = False
    rotary_embeddings: int = 1
    """How many different cos/sin pairs a forward makes."""
    rotary_dim: int = 0
    text_extra_parameters: tuple[Parameter, ...] = ()
    """Parameters of the text decoder beside embedding, layers and head (Gemma 4's per-layer embeddings)."""
    extra_parameters: tuple[Parameter, ...] = ()
    """Parameters outside the text decoder (a vision tower), which are frozen."""
    image_tokens: ImageTokens | None = None
    """What one image takes of a sequence, where the model sees images."""
    buffer_bytes: int = 0
    """Tables and masks that live beside the weights."""
    holds_embedding: bool = True
    """False for a pipeline stage after the first."""
    holds_head: bool = True
    """False for a pipeline stage before the last."""
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

    @property
    def embedding_is_input(self) -> bool:
        """The first layer's input is the embedding's output itself."""
        changed = (self.embedding_multiplier, self.learned_positions, self.embedding_norm, self.embedding_dropout)
        return not any(changed) and self.embedding_size in (None, self.hidden_size)

    @property
    def projection_in(self) -> Projection | None:
        """Leads from the embedding's width to the model's, where they differ."""
        width = self.embedding_size or self.hidden_size
        return None if width == self.hidden_size else Projection("project_in", width, self.hidden_size)

    @property
    def projection_out(self) -> Projection | None:
        """Leads from the model's width back to the embedding's."""
        width = self.embedding_size or self.hidden_size
        return None if width == self.hidden_size else Projection("project_out", self.hidden_size, width)

    def adaptable(self) -> Iterator[tuple[Adaptable, int]]:
        """Everything that could carry an adapter, with how often it occurs."""
        for layer, count in self.distinct_layers:
            for target in layer.adaptable():
                yield target, count
        if self.holds_embedding and self.projection_in is not None:
            yield self.projection_in, 1
        if self.holds_head and self.projection_out is not None:
            yield self.projection_out, 1

    @cached_property
    def windows(self) -> tuple[int, ...]:
        """The different sliding windows, in tokens."""
        mixers = (layer.mixer for layer, _ in self.distinct_layers)
        return tuple(
            {mixer.window for mixer in mixers if isinstance(mixer, SoftmaxAttention) and mixer.window is not None}
        )

    @cached_property
    def outer_parameters(self) -> tuple[Parameter, ...]:
        """Embeddings, final norm and head."""
        head = () if not self.holds_head else tuple(self._head_parameters())
        embedding = () if not self.holds_embedding else tuple(self._embedding_parameters())
        return (*embedding, *head, *self.text_extra_parameters, *self.extra_parameters)

    def _embedding_parameters(self) -> Iterator[Parameter]:
        width = self.embedding_size or self.hidden_size
        rows = self.embedding_rows or self.vocab_size
        yield Parameter(ParameterKind.EMBEDDING, rows * width, rows=rows)
        if self.learned_positions:
            table = self.learned_positions * self.hidden_size
            yield Parameter(ParameterKind.EMBEDDING, table, rows=self.learned_positions)
        if self.embedding_norm is not None:
            yield from self.embedding_norm.parameters()
        if self.projection_in is not None:
            yield from self.projection_in.parameters()

    def _head_parameters(self) -> Iterator[Parameter]:
        width = self.embedding_size or self.hidden_size
        if self.projection_out is not None:
            yield from self.projection_out.parameters()
        if self.final_norm is not None:
            yield from self.final_norm.parameters()
        if not self.tie_word_embeddings or not self.holds_embedding:
            yield Parameter(ParameterKind.HEAD, self.vocab_size * width, rows=self.vocab_size)
        if self.head_bias:
            yield Parameter(ParameterKind.BIAS, self.vocab_size)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Every parameter tensor, alike ones merged."""
        counts: dict[Parameter, int] = {}
        for layer, occurrences in self.distinct_layers:
            for parameter in layer.parameters():
                single = replace(parameter, count=1)
                counts[single] = counts.get(single, 0) + parameter.count * occurrences
        for parameter in self.outer_parameters:
            single = replace(parameter, count=1)
            counts[single] = counts.get(single, 0) + parameter.count
        return tuple(replace(parameter, count=count) for parameter, count in counts.items())

    @cached_property
    def trainable_parameters(self) -> tuple[Parameter, ...]:
        """What full fine-tuning trains: all but a vision tower and what never receives a gradient."""
        frozen: Counter[Parameter] = Counter()
        for parameter in self.extra_parameters:
            frozen[replace(parameter, count=1)] += parameter.count
        trained = []
        for parameter in self.parameters:
            count = parameter.count - frozen[replace(parameter, count=1)]
            if count and parameter.kind is not ParameterKind.BALANCE:
                trained.append(replace(parameter, count=count))
        return tuple(trained)

    @cached_property
    def total_parameters(self) -> int:
        """All parameters, a tied head counted once."""
        return sum(parameter.elements * parameter.count for parameter in self.parameters)

    @cached_property
    def active_parameters(self) -> int:
        """Parameters that one token uses: experts that are not selected are left out."""
        active = sum(parameter.elements * parameter.count * parameter.active_fraction for parameter in self.parameters)
        return int(active)

    @property
    def embedding_elements(self) -> int:
        """Elements of the token embedding."""
        return self.vocab_size * (self.embedding_size or self.hidden_size)

    @cached_property
    def _hash(self) -> int:
        return hash((self.model_type, self.vocab_size, self.hidden_size, len(self.layers), self.layers[:1], self.notes))

    def __hash__(self) -> int:
        return self._hash
