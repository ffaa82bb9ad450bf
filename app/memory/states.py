"""What lives through the whole step: weights, quantisation state, adapters, gradients, optimizer state."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from app.memory.architecture import Architecture, Parameter, ParameterKind
from app.memory.inputs import Adapter, Method, QuantizationFormat
from app.memory.optimizers import OPTIMIZERS, TrainedTensor, state_bytes, step_temporary_bytes
from app.memory.parallelism import SINGLE, Layout, padded_share
from app.memory.policy import Policy
from app.memory.result import ParameterCounts
from app.memory.tape import FLOAT32, HALF
from app.units import round_to_block

NF4_BLOCK = 64
"""Weights a quantisation block (``bitsandbytes/functional.py``, quantize_4bit)."""
NESTED_BLOCK = 256
"""First-level scales a second-level block, under double quantisation."""

ALWAYS_FLOAT32 = frozenset({ParameterKind.FLOAT32, ParameterKind.BALANCE})

EMBEDDING_NAMES = frozenset({"embed_tokens", "wte", "embed_in", "word_embeddings"})
HEAD_NAMES = frozenset({"lm_head", "embed_out"})


@dataclass(frozen=True, slots=True)
class States:
    """Bytes on one rank that do not depend on the batch, and what trains."""

    weights: int
    quantisation_state: int
    adapters: int
    gradients: int
    optimizer_state: int
    communication: int
    step_temporary: int
    host: int
    """Bytes moved to the host's memory."""
    trains_embedding: bool
    trains_head: bool
    trained_tensors: int
    counts: ParameterCounts


@lru_cache(maxsize=4096)
def model_states(architecture: Architecture, method: Method, policy: Policy, layout: Layout = SINGLE) -> States:
    """Exact sizes of parameters and their training state on one rank, each tensor rounded to the allocator's block.

    Raises ``KeyError`` for an optimizer that is not in :data:`~app.memory.optimizers.OPTIMIZERS`.
    """
    traits = layout.traits
    trained = tuple(_trained_tensors(architecture, method, policy, layout))
    weights, quantised = _weights(architecture, policy, layout)
    adapters = 0 if policy.trains_base else _share(trained, layout.shards if traits.shards_weights else 1)
    gradients = _share(trained, layout.shards if traits.shards_gradients else 1)
    updated = tuple(_updated(tensor, policy, layout) for tensor in trained)
    optimizer = OPTIMIZERS[method.optimizer]
    optimizer_bytes = state_bytes(optimizer, updated, method.embedding_state_32bit)
    if policy.masters:
        optimizer_bytes += sum(tensor.count * round_to_block(FLOAT32 * tensor.elements) for tensor in updated)
    step_temporary = step_temporary_bytes(optimizer, updated)
    host = 0
    if layout.offload_optimizer:
        host, optimizer_bytes, step_temporary = optimizer_bytes + gradients, 0, 0
    if layout.offload_parameters:
        host, weights, adapters = host + weights + adapters, 0, 0
    saved = frozenset(method.adapter.modules_to_save) if method.adapter else frozenset()
    return States(
        weights=weights,
        quantisation_state=quantised,
        adapters=adapters,
        gradients=gradients,
        optimizer_state=optimizer_bytes,
        communication=_communication(architecture, trained, layout),
        step_temporary=step_temporary,
        host=host,
        trains_embedding=policy.trains_base or bool(saved & EMBEDDING_NAMES),
        trains_head=policy.trains_base or bool(saved & HEAD_NAMES),
        trained_tensors=sum(tensor.count for tensor in trained),
        counts=_counts(architecture, method, policy),
    )


def _counts(architecture: Architecture, method: Method, policy: Policy) -> ParameterCounts:
    total = architecture.total_parameters
    if policy.trains_base:
        trained = sum(parameter.elements * parameter.count for parameter in architecture.trainable_parameters)
        return ParameterCounts(total, trained, total - trained, 0, architecture.active_parameters)
    added = sum(tensor.elements * tensor.count for tensor in _trained_tensors(architecture, method, policy, SINGLE))
    return ParameterCounts(total + added, added, total, added, architecture.active_parameters + added)


def _trained_tensors(
    architecture: Architecture, method: Method, policy: Policy, layout: Layout
) -> Iterator[TrainedTensor]:
    """Everything that receives a gradient on a rank, before sharding, at the width its resident copy has."""
    if method.adapter is not None:
        yield from _adapter_tensors(architecture, method.adapter, policy)
        return
    for parameter in architecture.trainable_parameters:
        elements = layout.local_elements(parameter)
        width = _resident_width(parameter, policy)
        yield TrainedTensor(parameter.kind, elements, parameter.rows, width, parameter.count)


def _resident_width(parameter: Parameter, policy: Policy) -> int:
    """Bytes an element of a weight that is not quantised, as it lives between steps."""
    if parameter.kind in ALWAYS_FLOAT32:
        return FLOAT32
    return policy.resident_width if policy.trains_base else policy.plain_width


def _updated(tensor: TrainedTensor, policy: Policy, layout: Layout) -> TrainedTensor:
    """The tensor as the optimizer sees it: this rank's shard, the float32 master where there is one."""
    shards = layout.shards if layout.traits.shards_optimizer else 1
    width = FLOAT32 if policy.masters else tensor.width
    return replace(tensor, elements=padded_share(tensor.elements, shards), width=width)


def _share(tensors: Iterable[TrainedTensor], shards: int) -> int:
    return sum(
        tensor.count * round_to_block(padded_share(tensor.elements, shards) * tensor.width) for tensor in tensors
    )


def _communication(architecture: Architecture, trained: Iterable[TrainedTensor], layout: Layout) -> int:
    """Buffers of gradient reduction, in bytes."""
    traits = layout.traits
    if layout.data == 1:
        return 0
    if traits.copies_gradients_to_buckets:
        return _share(trained, 1)
    if traits.bucket_elements is None:
        return 0
    bucket = traits.bucket_elements or architecture.hidden_size**2
    return HALF * min(bucket, sum(tensor.elements * tensor.count for tensor in trained))


def _weights(architecture: Architecture, policy: Policy, layout: Layout) -> tuple[int, int]:
    """Weights and quantisation state. A frozen base is sharded like a trained one; its scales are not, since
    they are no parameters."""
    shards = layout.shards if layout.traits.shards_weights else 1
    weights, quantised = architecture.buffer_bytes, 0
    for parameter in architecture.parameters:
        if policy.quantization is not None and parameter.kind is ParameterKind.LINEAR:
            local = replace(parameter, elements=layout.local_elements(parameter))
            packed, state = quantised_bytes(local, policy.quantization, policy.double_quantization)
            weights += padded_share(packed, shards)
            quantised += state
            continue
        width = _resident_width(parameter, policy)
        weights += parameter.count * round_to_block(padded_share(layout.local_elements(parameter), shards) * width)
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
    for target, occurrences in architecture.adaptable():
        if not policy.adapts(target):
            continue
        for features in target.adapter_features:
            widths[features] = widths.get(features, 0) + occurrences
        if adapter.use_dora:
            out = target.out_features
            magnitudes[out] = magnitudes.get(out, 0) + occurrences
    for features, count in widths.items():
        elements = features * adapter.rank
        yield TrainedTensor(ParameterKind.OTHER, elements, adapter.rank, policy.adapter_resident_width, count)
    for out, count in magnitudes.items():
        yield TrainedTensor(ParameterKind.OTHER, out, 1, policy.adapter_resident_width, count)
    saved = frozenset(adapter.modules_to_save)
    elements, rows = architecture.embedding_elements, architecture.vocab_size
    if saved & EMBEDDING_NAMES:
        yield TrainedTensor(ParameterKind.EMBEDDING, elements, rows, policy.plain_width)
    if saved & HEAD_NAMES:
        yield TrainedTensor(ParameterKind.HEAD, elements, rows, policy.plain_width)
