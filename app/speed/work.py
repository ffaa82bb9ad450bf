"""What one forward pass over the layers computes and moves for one token, from the architecture's shape alone.

Everything here depends on the architecture and the kernel stack, not on the batch or the card, and is cached for each
architecture. Bytes are for 16-bit activations. An element-wise kernel moves what it reads plus what it writes.
"""

from collections.abc import Mapping
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
)
from app.memory.policy import Policy


class KernelStack(StrEnum):
    """How a layer's element-wise operations are run."""

    EAGER = "eager"
    """One kernel an operation, as Transformers' modelling code is written."""
    FUSED = "fused"
    """Hand-fused norms, rotary embedding and activation (Liger, Transformer Engine, flash-attn's layers)."""
    FUSED_ADAPTERS = "fused_adapters"
    """The same, and what adapters add is done inside their products' kernels (Unsloth, fms-acceleration over 4-bit
    weights, NeMo Automodel's Triton kernels)."""
    COMPILED = "compiled"
    """``torch.compile``: element-wise chains fused by the compiler."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes read + written per feature, in forward and in backward, and kernels in forward."""

    forward: int
    backward: int
    kernels: int


EAGER_NORM: Final[Mapping[NormKind, Traffic]] = {
    # Forward: upcast 2+4, square 4+4, mean 4, scale 4+4, downcast 4+2, weight 2+2 (transformers modeling_llama.py,
    # LlamaRMSNorm.forward). Backward: weight 2+2, upcast 2+4, scale 4+4 and its sum 4+4, square 4+4+4, sum 4+4+4,
    # downcast 4+2.
    NormKind.RMS: Traffic(36, 56, 6),
    # The weight is applied in float32, 4+4, before the downcast (modeling_gemma.py, modeling_olmo2.py).
    NormKind.GEMMA_RMS: Traffic(40, 60, 7),
    NormKind.RMS_SCALE_LAST: Traffic(40, 60, 6),
    # A mean 4 and a subtraction 4+4 more (modeling_cohere.py, CohereLayerNorm.forward).
    NormKind.LAYER_PYTHON: Traffic(48, 68, 8),
    # One kernel: 2+2; backward reads gradient and input, writes a gradient (torch.nn.LayerNorm, torch.nn.RMSNorm).
    NormKind.LAYER: Traffic(4, 6, 1),
    NormKind.RMS_FUSED: Traffic(4, 6, 1),
    # RMS without a weight: upcast, square, mean, scale, downcast (modeling_llama4.py, Llama4TextL2Norm.forward).
    NormKind.L2: Traffic(32, 52, 5),
    # The fused kernel, after a one is added to its weight (modeling_nemotron.py, NemotronLayerNorm1P.forward).
    NormKind.LAYER_ONE_PLUS: Traffic(4, 6, 2),
    # Upcast 2+4, the fused kernel at 4+4, downcast 4+2 (modeling_olmo.py, OlmoLayerNorm.forward).
    NormKind.LAYER_FLOAT32: Traffic(20, 24, 3),
}
FUSED_NORM: Final = Traffic(4, 6, 1)

EAGER_ROTARY: Final = Traffic(18, 18, 5)
"""x·cos 2+2, negate half 1+1, concatenate 2+2, ·sin 2+2, add 4+2, and the same backward (modeling_llama.py,
apply_rotary_pos_emb)."""
FUSED_ROTARY: Final = Traffic(4, 4, 1)

EAGER_GATE: Final = Traffic(10, 18, 2)
"""activation 2+2, product 4+2; backward two products 4+2 each and the activation 4+2 (modeling_llama.py, LlamaMLP)."""
FUSED_GATE: Final = Traffic(6, 10, 1)
"""Reads gate and up, writes the product; backward reads three, writes two."""

EAGER_ACTIVATION: Final[Mapping[ActivationKind, Traffic]] = {
    ActivationKind.FUSED: Traffic(4, 6, 1),
    # Eight operations written out (transformers activations.py, NewGELUActivation).
    ActivationKind.TANH_GELU_PYTHON: Traffic(34, 60, 8),
    ActivationKind.SQUARED_RELU: Traffic(8, 12, 2),
    ActivationKind.RELU: Traffic(4, 6, 1),
    # Twelve operations written out; backward a product or mask for each and six sums of x's gradients, 4+2 each
    # (transformers activations.py, XIELUActivation._xielu_python).
    ActivationKind.XIELU: Traffic(58, 100, 12),
    # Nine operations; backward computes the tanh again, 28, and twelve more (modeling_bloom.py, bloom_gelu_back).
    ActivationKind.BLOOM_GELU: Traffic(42, 88, 9),
}
RESIDUAL: Final = Traffic(6, 6, 1)
"""Reads the stream and the branch, writes their sum; backward sums their gradients."""
ATTENTION_INPUTS: Final = Traffic(2, 6, 0)
"""Flash attention reads queries, keys and values (backward also their gradients' sums, and writes them)."""
ATTENTION_OUTPUT: Final = Traffic(2, 4, 2)

LORA_INPUT: Final = Traffic(2, 8, 1)
"""Read for the first product; backward reads it again and adds to the input's gradient 4+2."""
LORA_FLOAT32_INPUT: Final = Traffic(12, 12, 2)
"""A float32 adapter under autocast: upcast 2+4 and autocast's downcast 4+2, and back."""
LORA_DROPOUT: Final = Traffic(5, 5, 1)
"""Reads 2, writes 2 and a mask of 1."""
LORA_OUTPUT: Final = Traffic(12, 6, 3)
"""Product written 2, scaling 2+2, addition 4+2; backward scaling 2+2, read 2 (peft tuners/lora/layer.py, Linear)."""
FUSED_LORA_OUTPUT: Final = Traffic(4, 2, 1)
"""The product is added where the base's lies."""
DORA_OUTPUT: Final = Traffic(10, 10, 3)
"""Both branches scaled by the magnitude over the norm (peft tuners/lora/dora.py)."""
DORA_WEIGHT_BYTES: Final = 14
"""Per adapted weight and forward: the adapters' product written 2, scaled 2+2, added to the weight 4+2, its norm 2."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionWork:
    """The attention of ``layers`` alike layers."""

    attention: Attention
    layers: int

    @property
    def score_flops(self) -> float:
        """Forward FLOPs of one score: its part of both products."""
        return 4.0 * self.attention.query_width * self.layers


def kept_share(window: int | None, sequence_length: int) -> float:
    """Of a sequence's scores, those that neither the causal mask nor a window hides."""
    seen = min(window or sequence_length, sequence_length)
    return (seen - seen * seen / (2 * sequence_length)) / sequence_length


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchitectureWork:
    """One forward pass over all layers and the head, for one token; ``backward_bytes`` is the backward's."""

    vocab_size: int
    active_elements: int
    """Weights of the layers that one token meets: experts that are not selected are left out."""
    stored_elements: int
    """Weights of the layers, all experts among them."""
    quantised_elements: int
    """Weights that bitsandbytes quantises: those of every ``nn.Linear`` in the layers."""
    head_elements: int
    attention: tuple[AttentionWork, ...]
    forward_bytes: int
    backward_bytes: int
    kernels: int
    projections: int


@dataclass(slots=True)
class _Sum:
    """Traffic added up over features and layers."""

    forward: int = 0
    backward: int = 0
    kernels: int = 0

    def add(self, traffic: Traffic, features: int, times: int) -> None:
        self.forward += traffic.forward * features * times
        self.backward += traffic.backward * features * times
        self.kernels += traffic.kernels * times


@lru_cache(maxsize=4096)
def architecture_work(architecture: Architecture, stack: KernelStack) -> ArchitectureWork:
    """The work of one token's forward pass; see :class:`ArchitectureWork`."""
    outer = sum(parameter.elements * parameter.count for parameter in architecture.outer_parameters)
    layers = architecture.distinct_layers
    total = _Sum()
    for layer, count in layers:
        _add_layer(total, layer, architecture.hidden_size, count, eager=stack is KernelStack.EAGER)
    projections = sum(count for layer, count in layers for _ in layer.projections())
    return ArchitectureWork(
        vocab_size=architecture.vocab_size,
        active_elements=architecture.active_parameters - outer,
        stored_elements=architecture.total_parameters - outer,
        quantised_elements=sum(
            parameter.elements * parameter.count * count
            for layer, count in layers
            for parameter in layer.parameters()
            if parameter.kind is ParameterKind.LINEAR
        ),
        head_elements=architecture.embedding_elements,
        attention=tuple(
            AttentionWork(attention=layer.mixer, layers=count)
            for layer, count in layers
            if isinstance(layer.mixer, Attention)
        ),
        forward_bytes=total.forward,
        backward_bytes=total.backward,
        kernels=total.kernels + projections,
        projections=projections,
    )


def _add_layer(total: _Sum, layer: Layer, hidden_size: int, count: int, *, eager: bool) -> None:
    total.add(RESIDUAL, hidden_size, 2 * count)
    for norm in layer.norms:
        total.add(EAGER_NORM[norm.kind] if eager else FUSED_NORM, norm.width, count)
    if isinstance(layer.mixer, Attention):
        _add_attention(total, layer.mixer, count, eager=eager)
    if isinstance(layer.mlp, GatedMlp):
        total.add(EAGER_GATE if eager else FUSED_GATE, layer.mlp.intermediate_size, count)
    elif isinstance(layer.mlp, PlainMlp):
        kind = layer.mlp.activation if eager else ActivationKind.FUSED
        total.add(EAGER_ACTIVATION[kind], layer.mlp.intermediate_size, count)


def _add_attention(total: _Sum, attention: Attention, count: int, *, eager: bool) -> None:
    query, keys = attention.query_width, attention.key_value_width
    total.add(ATTENTION_INPUTS, query + 2 * keys, count)
    total.add(ATTENTION_OUTPUT, query, count)
    if attention.rotary_dim:
        for width in (query, keys):
            total.add(EAGER_ROTARY if eager else FUSED_ROTARY, width, count)
    for norm, width in ((attention.query_norm, query), (attention.key_norm, keys)):
        if norm is not None:
            total.add(EAGER_NORM[norm.kind] if eager else FUSED_NORM, width, count)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterWork:
    """What the adapters of all layers add to one token's forward and backward."""

    elements: int = 0
    rank: int = 0
    forward_bytes: int = 0
    backward_bytes: int = 0
    kernels: int = 0
    dora_elements: int = 0
    """Adapted weights whose norm each forward computes anew."""
    dora_bytes: int = 0
    """What that moves in one forward, whatever the tokens."""


@lru_cache(maxsize=1024)
def adapter_work(architecture: Architecture, policy: Policy, rank: int, stack: KernelStack) -> AdapterWork:
    """The adapters' work; which projections carry one is the policy's to say."""
    total = _Sum()
    elements = adapted = 0
    cast = policy.autocast is not None and policy.adapter_width > policy.autocast
    output = FUSED_LORA_OUTPUT if stack is KernelStack.FUSED_ADAPTERS else LORA_OUTPUT
    for layer, count in architecture.distinct_layers:
        for projection in layer.projections():
            if not policy.adapts(projection):
                continue
            elements += rank * (projection.in_features + projection.out_features) * count
            adapted += projection.elements * count
            total.add(LORA_INPUT, projection.in_features, count)
            if cast:
                total.add(LORA_FLOAT32_INPUT, projection.in_features, count)
            if policy.dropout:
                total.add(LORA_DROPOUT, projection.in_features, count)
            total.add(output, projection.out_features, count)
            if policy.use_dora:
                total.add(DORA_OUTPUT, projection.out_features, count)
    return AdapterWork(
        elements=elements,
        rank=rank,
        forward_bytes=total.forward,
        backward_bytes=total.backward,
        kernels=total.kernels,
        dora_elements=adapted if policy.use_dora else 0,
        dora_bytes=adapted * DORA_WEIGHT_BYTES if policy.use_dora else 0,
    )
