"""What lives through the whole step: weights, quantisation state, adapters, gradients, optimizer state."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.memory.architecture import Architecture, Parameter, ParameterKind
from app.memory.inputs import Adapter, Method, QuantizationFormat
from app.memory.optimizers import OPTIMIZERS, TrainedTensor, state_bytes, step_temporary_bytes
from app.memory.policy import Policy
from app.memory.result import ParameterCounts
from app.units import round_to_block

NF4_BLOCK = 64
"""Weights a quantisation block (``bitsandbytes/functional.py``, quantize_4bit)."""
NESTED_BLOCK = 256
"""First-level scales a second-level block, under double quantisation."""

EMBEDDING_NAMES = frozenset({"embed_tokens", "wte", "embed_in", "word_embeddings"})
HEAD_NAMES = frozenset({"lm_head", "embed_out"})


@dataclass(frozen=True, slots=True)
class States:
    """Bytes that do not depend on the batch, and what trains."""

    weights: int
    quantisation_state: int
    adapters: int
    gradients: int
    optimizer_state: int
    step_temporary: int
    largest_trained: int
    """Bytes of the largest trained tensor."""
    trains_embedding: bool
    trains_head: bool
    trained_tensors: int
    counts: ParameterCounts


def model_states(architecture: Architecture, method: Method, policy: Policy) -> States:
    """Exact sizes of parameters and their training state, in bytes, each tensor rounded to the allocator's block.

    Raises ``KeyError`` for an optimizer that is not in :data:`~app.memory.optimizers.OPTIMIZERS`.
    """
    optimizer = OPTIMIZERS[method.optimizer]
    weights, quantised = _weights(architecture, policy)
    if policy.trains_base:
        trained = tuple(
            TrainedTensor(parameter.kind, parameter.elements, parameter.rows, policy.plain_width, parameter.count)
            for parameter in architecture.parameters
        )
        adapters = 0
        added = 0
    else:
        assert method.adapter is not None
        trained = tuple(_adapter_tensors(architecture, method.adapter, policy))
        adapters = sum(tensor.bytes for tensor in trained)
        added = sum(tensor.elements * tensor.count for tensor in trained)
    trainable = sum(tensor.elements * tensor.count for tensor in trained)
    saved = frozenset(method.adapter.modules_to_save) if method.adapter else frozenset()
    return States(
        weights=weights,
        quantisation_state=quantised,
        adapters=adapters,
        gradients=sum(tensor.bytes for tensor in trained),
        optimizer_state=state_bytes(optimizer, trained, method.embedding_state_32bit),
        step_temporary=step_temporary_bytes(optimizer, trained),
        largest_trained=max((round_to_block(tensor.elements * tensor.width) for tensor in trained), default=0),
        trains_embedding=policy.trains_base or bool(saved & EMBEDDING_NAMES),
        trains_head=policy.trains_base or bool(saved & HEAD_NAMES),
        trained_tensors=sum(tensor.count for tensor in trained),
        counts=ParameterCounts(
            total=architecture.total_parameters + added,
            trainable=trainable,
            frozen=architecture.total_parameters + added - trainable,
            adapter=added,
            active=architecture.active_parameters + added,
        ),
    )


def _weights(architecture: Architecture, policy: Policy) -> tuple[int, int]:
    weights = quantised = 0
    for parameter in architecture.parameters:
        if policy.quantization is not None and parameter.kind is ParameterKind.LINEAR:
            packed, state = quantised_bytes(parameter, policy.quantization, policy.double_quantization)
            weights += packed
            quantised += state
        else:
            width = policy.base_width if parameter.kind is ParameterKind.EXPERTS else policy.plain_width
            weights += parameter.count * round_to_block(parameter.elements * width)
    return weights, quantised


def quantised_bytes(parameter: Parameter, format_: QuantizationFormat, nested: bool) -> tuple[int, int]:
    """Packed weights and scales of a quantised linear layer, in bytes.

    NF4 and FP4: half a byte a weight; a scale a block of 64, in float32, or in 8 bits with a float32 scale a
    256 of them (QLoRA, arXiv 2305.14314, section 3); 16 code values. INT8: a byte a weight and a float32
    scale a row (LLM.int8(), arXiv 2208.07339).
    """
    if format_ is QuantizationFormat.INT8:
        return (
            parameter.count * round_to_block(parameter.elements),
            parameter.count * round_to_block(4 * parameter.rows),
        )
    packed = round_to_block(-(-parameter.elements // 2))
    blocks = -(-parameter.elements // NF4_BLOCK)
    code = round_to_block(16 * 4)
    if nested:
        state = round_to_block(blocks) + round_to_block(4 * -(-blocks // NESTED_BLOCK)) + code + round_to_block(4)
    else:
        state = round_to_block(4 * blocks) + code
    return parameter.count * packed, parameter.count * state


def _adapter_tensors(architecture: Architecture, adapter: Adapter, policy: Policy) -> Iterator[TrainedTensor]:
    """LoRA's A [r, in] and B [out, r], DoRA's magnitude [out], and full copies of ``modules_to_save``."""
    widths: dict[int, int] = {}
    magnitudes: dict[int, int] = {}
    for layer, occurrences in architecture.distinct_layers:
        for projection in layer.projections():
            if not policy.adapts(projection.name):
                continue
            for features in (projection.in_features, projection.out_features):
                widths[features] = widths.get(features, 0) + occurrences
            if adapter.use_dora:
                out = projection.out_features
                magnitudes[out] = magnitudes.get(out, 0) + occurrences
    for features, count in widths.items():
        yield TrainedTensor(ParameterKind.OTHER, features * adapter.rank, adapter.rank, policy.adapter_width, count)
    for out, count in magnitudes.items():
        yield TrainedTensor(ParameterKind.OTHER, out, 1, policy.adapter_width, count)
    saved = frozenset(adapter.modules_to_save)
    elements, rows = architecture.embedding_elements, architecture.vocab_size
    if saved & EMBEDDING_NAMES:
        yield TrainedTensor(ParameterKind.EMBEDDING, elements, rows, policy.plain_width)
    if saved & HEAD_NAMES:
        yield TrainedTensor(ParameterKind.HEAD, elements, rows, policy.plain_width)
