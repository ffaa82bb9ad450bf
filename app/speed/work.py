"""What one forward pass over the layers computes and moves for one token, from the architecture's shape alone.

Everything here depends on the architecture and the kernel stack, not on the batch or the card, and is cached for each
architecture. Bytes are for 16-bit activations. An element-wise kernel moves what it reads plus what it writes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from app.memory.architecture import (
    ActivationKind,
    Architecture,
    Attention,
    GatedMlp,
    Layer,
    NormKind,
    ParameterKind,
    PlainMlp,
    Projection,
)
from app.memory.inputs import Adapter, LoraTargetPreset


class KernelStack(StrEnum):
    """How a layer's element-wise operations are run."""

    EAGER = "eager"
    """One kernel an operation, as Transformers' modelling code is written."""
    FUSED = "fused"
    """Hand-fused norms, rotary embedding and activation (Liger, Unsloth, Transformer Engine, flash-attn's layers)."""
    COMPILED = "compiled"
    """``torch.compile``: element-wise chains fused by the compiler."""


EAGER_NORM_BYTES: Final[Mapping[NormKind, int]] = {
    # Read + written per feature: upcast 2+4, square 4+4, mean 4, scale 4+4, downcast 4+2, weight 2+2
    # (transformers modeling_llama.py LlamaRMSNorm.forward).
    NormKind.RMS: 36,
    # The weight is applied in float32 (4+4) before the downcast (modeling_gemma.py, modeling_olmo2.py).
    NormKind.GEMMA_RMS: 40,
    NormKind.RMS_SCALE_LAST: 40,
    # mean 4 and subtraction 4+4 more (modeling_cohere.py CohereLayerNorm.forward).
    NormKind.LAYER_PYTHON: 52,
    # One kernel, 2+2 (torch.nn.LayerNorm, torch.nn.RMSNorm).
    NormKind.LAYER: 4,
    NormKind.RMS_FUSED: 4,
}
EAGER_NORM_KERNELS: Final[Mapping[NormKind, int]] = {
    NormKind.RMS: 6,
    NormKind.GEMMA_RMS: 7,
    NormKind.RMS_SCALE_LAST: 6,
    NormKind.LAYER_PYTHON: 8,
    NormKind.LAYER: 1,
    NormKind.RMS_FUSED: 1,
}
FUSED_BYTES: Final = 4
"""A fused norm or rotary embedding reads and writes each feature once."""

EAGER_ROTARY_BYTES: Final = 18
"""x·cos 2+2, negate half 1+1, concatenate 2+2, ·sin 2+2, add 4+2 (modeling_llama.py apply_rotary_pos_emb)."""
EAGER_ROTARY_KERNELS: Final = 10
"""Five for the queries, five for the keys."""

EAGER_GATED_BYTES: Final = 10
"""activation 2+2, product 4+2 (modeling_llama.py LlamaMLP.forward)."""
FUSED_GATED_BYTES: Final = 6
"""Reads gate and up, writes the product."""

PLAIN_ACTIVATION_BYTES: Final[Mapping[ActivationKind, int]] = {
    ActivationKind.FUSED: 4,
    ActivationKind.TANH_GELU_PYTHON: 34,  # eight operations written out (transformers activations.py NewGELUActivation)
    ActivationKind.SQUARED_RELU: 8,
}
RESIDUAL_BYTES: Final = 6
"""Reads the stream and the branch, writes their sum."""
ATTENTION_KERNELS: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionWork:
    """The attention of ``layers`` alike layers."""

    layers: int
    heads: int
    query_width: int
    window: int | None
    sdpa: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchitectureWork:
    """One forward pass over all layers and the head, for one token."""

    layers: int
    hidden_size: int
    vocab_size: int
    active_elements: int
    """Weights of the layers that one token meets: experts that are not selected are left out."""
    stored_elements: int
    """Weights of the layers, all experts among them."""
    quantised_elements: int
    """Weights that bitsandbytes quantises: those of every ``nn.Linear`` in the layers."""
    head_elements: int
    attention: tuple[AttentionWork, ...]
    elementwise_bytes: int
    kernels: int
    projections: int


@lru_cache(maxsize=4096)
def architecture_work(architecture: Architecture, stack: KernelStack) -> ArchitectureWork:
    """The work of one token's forward pass; see :class:`ArchitectureWork`."""
    outer = sum(parameter.elements * parameter.count for parameter in architecture.outer_parameters)
    stored = architecture.total_parameters - outer
    active = architecture.active_parameters - outer
    layers = architecture.distinct_layers
    return ArchitectureWork(
        layers=architecture.num_hidden_layers,
        hidden_size=architecture.hidden_size,
        vocab_size=architecture.vocab_size,
        active_elements=active,
        stored_elements=stored,
        quantised_elements=sum(
            parameter.elements * parameter.count * count
            for layer, count in layers
            for parameter in layer.parameters()
            if parameter.kind is ParameterKind.LINEAR
        ),
        head_elements=architecture.embedding_elements,
        attention=tuple(
            AttentionWork(
                layers=count,
                heads=layer.mixer.num_heads,
                query_width=layer.mixer.query_width,
                window=layer.mixer.window,
                sdpa=layer.mixer.sdpa,
            )
            for layer, count in layers
            if isinstance(layer.mixer, Attention)
        ),
        elementwise_bytes=sum(_elementwise_bytes(layer, architecture.hidden_size, stack) * n for layer, n in layers),
        kernels=sum(_kernels(layer, stack) * count for layer, count in layers),
        projections=sum(count for layer, count in layers for _ in layer.projections()),
    )


def _elementwise_bytes(layer: Layer, hidden_size: int, stack: KernelStack) -> int:
    eager = stack is KernelStack.EAGER
    total = 2 * RESIDUAL_BYTES * hidden_size
    for norm in layer.norms:
        total += norm.width * (EAGER_NORM_BYTES[norm.kind] if eager else FUSED_BYTES)
    if isinstance(layer.mixer, Attention):
        total += _attention_bytes(layer.mixer, eager)
    if isinstance(layer.mlp, GatedMlp):
        total += layer.mlp.intermediate_size * (EAGER_GATED_BYTES if eager else FUSED_GATED_BYTES)
    elif isinstance(layer.mlp, PlainMlp):
        kind = layer.mlp.activation if eager else ActivationKind.FUSED
        total += layer.mlp.intermediate_size * PLAIN_ACTIVATION_BYTES[kind]
    return total


def _attention_bytes(attention: Attention, eager: bool) -> int:
    """Reading q, k and v and writing the output, the rotary embedding, and norms over q and k."""
    query, keys = attention.query_width, attention.key_value_width
    total = 2 * (query + 2 * keys) + 2 * query
    if attention.rotary_dim:
        total += (query + keys) * (EAGER_ROTARY_BYTES if eager else FUSED_BYTES)
    for norm, width in ((attention.query_norm, query), (attention.key_norm, keys)):
        if norm is not None:
            total += width * (EAGER_NORM_BYTES[norm.kind] if eager else FUSED_BYTES)
    return total


def _kernels(layer: Layer, stack: KernelStack) -> int:
    eager = stack is KernelStack.EAGER
    total = 2 + sum(1 for _ in layer.projections())
    total += sum(EAGER_NORM_KERNELS[norm.kind] if eager else 1 for norm in layer.norms)
    if isinstance(layer.mixer, Attention):
        total += ATTENTION_KERNELS
        if layer.mixer.rotary_dim:
            total += EAGER_ROTARY_KERNELS if eager else 1
        for norm in (layer.mixer.query_norm, layer.mixer.key_norm):
            if norm is not None:
                total += EAGER_NORM_KERNELS[norm.kind] if eager else 1
    if layer.mlp is not None:
        total += 2 if eager and isinstance(layer.mlp, GatedMlp) else 1
    return total


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterWork:
    """The low-rank adapters of all layers: weights, features read and written for one token, and how many there are."""

    elements: int
    input_features: int
    output_features: int
    modules: int


@lru_cache(maxsize=4096)
def adapter_work(architecture: Architecture, adapter: Adapter) -> AdapterWork:
    """What the adapters add to one token's forward pass."""
    elements = inputs = outputs = modules = 0
    for layer, count in architecture.distinct_layers:
        for projection in _adapted(layer, adapter.targets):
            elements += adapter.rank * (projection.in_features + projection.out_features) * count
            inputs += projection.in_features * count
            outputs += projection.out_features * count
            modules += count
    return AdapterWork(elements=elements, input_features=inputs, output_features=outputs, modules=modules)


def _adapted(layer: Layer, targets: LoraTargetPreset | tuple[str, ...]) -> Iterator[Projection]:
    if targets is LoraTargetPreset.ALL_LINEAR:
        yield from layer.projections()
    elif targets is LoraTargetPreset.ATTENTION:
        if layer.mixer is not None:
            yield from layer.mixer.projections()
    elif targets is LoraTargetPreset.QV:
        if isinstance(layer.mixer, Attention):
            mixer = layer.mixer
            yield from (part for part in (mixer.query, mixer.value, mixer.fused) if part is not None)
    else:
        names = set(targets)
        yield from (projection for projection in layer.projections() if projection.name in names)
