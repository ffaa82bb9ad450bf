"""A model as a server loads it: its matrices, how tensor parallelism cuts each, and everything else.

Source: vLLM's ``model_executor/layers/linear.py`` (column-, row- and query-key-value-parallel layers) and
``vocab_parallel_embedding.py``; routers, latent projections and indexers are ``ReplicatedLinear`` there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from app.memory.architecture import (
    Architecture,
    Attention,
    DeltaNet,
    ExpertGate,
    ExpertWeights,
    LatentAttention,
    Layer,
    Mamba2,
    Mlp,
    Parameter,
    ParameterKind,
    PlainMlp,
    Projection,
    SparseMlp,
    TokenMixer,
)


class Cut(StrEnum):
    """How the cards of a group share a matrix."""

    COLUMNS = "columns"
    """Each holds a part of the outputs."""
    ROWS = "rows"
    """Each holds a part of the inputs."""
    WHOLE = "whole"
    """Each holds all of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrix:
    """A weight matrix of the decoder's layers, ``count`` alike ones."""

    in_features: int
    out_features: int
    cut: Cut
    count: int
    quantisable: bool
    key_value_features: int = 0
    """Outputs that belong to key and value heads, of which no card holds less than one head."""
    key_value_heads: int = 1
    parts: int = 1
    """Matrices that checkpoints store separately and this counts as one (an expert's gate and up)."""
    is_expert: bool = False

    @property
    def elements(self) -> int:
        """Weights of all of them on one card."""
        return self.in_features * self.out_features * self.count

    def on(self, cards: int) -> tuple[int, int]:
        """Inputs and outputs that one of ``cards`` holds."""
        if self.cut is Cut.WHOLE or cards == 1:
            return self.in_features, self.out_features
        if self.cut is Cut.ROWS:
            return -(-self.in_features // cards), self.out_features
        heads = -(-self.key_value_features // min(cards, self.key_value_heads))
        return self.in_features, -(-(self.out_features - self.key_value_features) // cards) + heads


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A model's weights as a server counts them."""

    matrices: tuple[Matrix, ...]
    vocabulary_elements: int
    """Of embedding and head, which the cards share by rows."""
    other_elements: int
    """Norms, biases, convolutions, vision towers: whole on every card, at 16 bits."""
    float32_elements: int
    """What the model's code keeps in float32: routers' corrections."""


@lru_cache(maxsize=512)
def model_of(architecture: Architecture) -> Model:
    """The weights of a model; their elements are all of the architecture's parameters."""
    matrices: list[Matrix] = []
    other = 0
    for layer, count in architecture.distinct_layers:
        found = tuple(_layer_matrices(layer, count))
        matrices.extend(found)
        everything = sum(parameter.elements * parameter.count for parameter in layer.parameters()) * count
        other += everything - sum(matrix.elements for matrix in found)
    vocabulary = sum(map(_size, filter(_is_vocabulary, architecture.outer_parameters)))
    other += sum(map(_size, architecture.outer_parameters)) - vocabulary
    float32 = sum(
        _size(parameter)
        for parameter in architecture.parameters
        if parameter.kind in {ParameterKind.FLOAT32, ParameterKind.BALANCE}
    )
    return Model(
        matrices=tuple(matrices),
        vocabulary_elements=vocabulary,
        other_elements=other - float32,
        float32_elements=float32,
    )


def _size(parameter: Parameter) -> int:
    return parameter.elements * parameter.count


def _is_vocabulary(parameter: Parameter) -> bool:
    return parameter.kind in {ParameterKind.EMBEDDING, ParameterKind.HEAD}


def _layer_matrices(layer: Layer, count: int) -> Iterator[Matrix]:
    for mixer in layer.mixers:
        yield from _mixer_matrices(mixer, count)
    for part in (layer.mlp, layer.experts):
        if part is not None:
            yield from _mlp_matrices(part, count)
    if layer.per_layer_input is not None:
        for projection in layer.per_layer_input.projections():
            yield _matrix(projection, Cut.WHOLE, count, quantisable=False)


def _matrix(projection: Projection, cut: Cut, count: int, *, quantisable: bool = True) -> Matrix:
    return Matrix(
        in_features=projection.in_features,
        out_features=projection.out_features,
        cut=cut,
        count=count,
        quantisable=quantisable,
    )


def _mixer_matrices(mixer: TokenMixer, count: int) -> Iterator[Matrix]:
    if isinstance(mixer, Attention):
        yield from _attention_matrices(mixer, count)
    elif isinstance(mixer, LatentAttention):
        yield from _latent_matrices(mixer, count)
    else:
        for projection in mixer.projections():
            yield _matrix(projection, Cut.ROWS if projection is mixer.output else Cut.COLUMNS, count)


def _attention_matrices(attention: Attention, count: int) -> Iterator[Matrix]:
    for projection in attention.projections():
        if projection is attention.output:
            yield _matrix(projection, Cut.ROWS, count)
            continue
        width = attention.key_value_width
        of_heads = 2 * width if projection is attention.fused else 0 if projection is attention.query else width
        yield Matrix(
            in_features=projection.in_features,
            out_features=projection.out_features,
            cut=Cut.COLUMNS,
            count=count,
            quantisable=True,
            key_value_features=of_heads,
            key_value_heads=attention.num_key_value_heads,
        )


def _latent_matrices(attention: LatentAttention, count: int) -> Iterator[Matrix]:
    scorer = tuple(attention.indexer.projections()) if attention.indexer is not None else ()
    for projection in attention.projections():
        if projection is attention.output:
            cut = Cut.ROWS
        elif projection in {attention.query_down, attention.key_value_down, *scorer}:
            cut = Cut.WHOLE
        else:
            cut = Cut.COLUMNS
        yield _matrix(projection, cut, count, quantisable=projection not in scorer)


def _mlp_matrices(mlp: Mlp, count: int) -> Iterator[Matrix]:
    if not isinstance(mlp, SparseMlp):
        for projection in mlp.projections():
            yield _matrix(projection, Cut.ROWS if projection is mlp.down else Cut.COLUMNS, count)
        return
    # The router is left in 16 bits: its bare parameter counts with the rest, its nn.Linear here.
    if mlp.router.is_linear:
        yield _matrix(mlp.router.weight, Cut.WHOLE, count, quantisable=False)
    yield _expert_matrix(mlp.up, Cut.COLUMNS, count, parts=1 if mlp.gate is ExpertGate.NONE else 2)
    yield _expert_matrix(mlp.down, Cut.ROWS, count)
    if mlp.shared is not None:
        yield from _mlp_matrices(mlp.shared, count)
    for part in (mlp.shared_gate, mlp.latent_down, mlp.latent_up):
        if part is not None:
            yield _matrix(part, Cut.WHOLE, count, quantisable=part is not mlp.shared_gate)


def _expert_matrix(experts: ExpertWeights, cut: Cut, count: int, parts: int = 1) -> Matrix:
    return Matrix(
        in_features=experts.in_features,
        out_features=experts.out_features,
        cut=cut,
        count=count * experts.num_experts,
        quantisable=True,
        parts=parts,
        is_expert=True,
    )


def attention_heads(architecture: Architecture) -> Iterator[tuple[int, int]]:
    """Query heads and key/value heads of every kind of layer; of recurrent layers their value and key heads."""
    for layer, _count in architecture.distinct_layers:
        mixer = layer.mixer
        if isinstance(mixer, Attention):
            yield mixer.num_heads, mixer.num_key_value_heads
        elif isinstance(mixer, LatentAttention):
            # One latent serves all heads, and every card keeps it whole.
            yield mixer.num_heads, 1
        elif isinstance(mixer, DeltaNet):
            yield mixer.num_value_heads, mixer.num_key_heads
        elif isinstance(mixer, Mamba2):
            yield mixer.num_heads, mixer.num_heads


def widest_intermediate(mlp: Mlp) -> tuple[int, int]:
    """Features a token has between the matrices of a feed-forward part: before the activation, and after it."""
    if isinstance(mlp, SparseMlp):
        chosen = mlp.experts_per_token
        return chosen * mlp.up.out_features, chosen * mlp.down.in_features
    if isinstance(mlp, PlainMlp):
        return mlp.intermediate_size, mlp.intermediate_size
    return 2 * mlp.intermediate_size, mlp.intermediate_size
