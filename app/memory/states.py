"""What lives through the whole step: weights, quantisation state, adapters, gradients, optimizer state."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from app.memory.architecture import Architecture, Layer, Parameter, ParameterKind
from app.memory.inputs import Adapter, Method, QuantizationFormat
from app.memory.optimizers import OPTIMIZERS, TrainedTensor, state_bytes, step_temporary_bytes
from app.memory.parallelism import SINGLE, Layout, Traits
from app.memory.policy import Policy
from app.memory.result import ParameterCounts
from app.memory.shards import Sharding, Unit, adapter_units, gradient_bytes, stored_bytes, updated_tensors
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


@lru_cache(maxsize=2048)
def model_states(architecture: Architecture, method: Method, policy: Policy, layout: Layout = SINGLE) -> States:
    """Exact sizes of parameters and their training state on one rank, each tensor rounded to the allocator's block.

    Raises ``KeyError`` for an optimizer that is not in :data:`~app.memory.optimizers.OPTIMIZERS`.
    """
    traits = layout.traits
    trained = tuple(trained_units(architecture, method, policy, layout))
    sharded = layout.shards if traits.shards_weights else 1
    base = (unit for unit, _ in _base_units(architecture, policy, layout))
    weights = architecture.buffer_bytes + stored_bytes(base, traits.sharding, sharded)
    adapters = 0 if policy.trains_base else stored_bytes(trained, traits.sharding, sharded)
    gradients = gradient_bytes(trained, traits.sharding, layout.shards if traits.shards_gradients else 1)
    updated = tuple(_updated(trained, policy, layout))
    optimizer = OPTIMIZERS[method.optimizer]
    optimizer_bytes = state_bytes(optimizer, updated, method.embedding_state_32bit)
    if policy.masters:
        optimizer_bytes += sum(tensor.count * round_to_block(FLOAT32 * tensor.elements) for tensor in updated)
    step_temporary = step_temporary_bytes(optimizer, updated)
    host = 0
    if layout.offload_optimizer:
        # gradients go to the host as they are reduced, in float32 beside masters (stage_1_and_2.py, cpu_offload)
        on_host = 2 * gradients if policy.masters else gradients
        host, optimizer_bytes, step_temporary, gradients = optimizer_bytes + on_host, 0, 0, 0
    elif policy.masters:
        copy = master_gradient_bytes(updated, traits)
        # the 16-bit gradients are flattened and then copied, all of them alive; then only the copy is
        step_temporary = max(copy // 2 + copy, copy + step_temporary - gradients)
    if layout.offload_parameters:
        host, weights, adapters = host + weights + adapters, 0, 0
    saved = frozenset(method.adapter.modules_to_save) if method.adapter else frozenset()
    return States(
        weights=weights,
        quantisation_state=_quantisation_state(architecture, policy, layout),
        adapters=adapters,
        gradients=gradients,
        optimizer_state=optimizer_bytes,
        communication=_communication(architecture, trained, layout),
        step_temporary=step_temporary,
        host=host,
        trains_embedding=policy.trains_base or bool(saved & EMBEDDING_NAMES),
        trains_head=policy.trains_base or bool(saved & HEAD_NAMES),
        trained_tensors=sum(tensor.count for tensor in updated),
        counts=_counts(architecture, method, policy),
    )


def master_gradient_bytes(updated: Iterable[TrainedTensor], traits: Traits) -> int:
    """DeepSpeed's float32 copy of the gradients that it updates at once (``_prepare_fp32_grad_for_sub_group``)."""
    elements = sum(tensor.elements * tensor.count for tensor in updated)
    return FLOAT32 * min(elements, traits.update_elements or elements)


def _counts(architecture: Architecture, method: Method, policy: Policy) -> ParameterCounts:
    total = architecture.total_parameters
    if policy.trains_base:
        trained = sum(parameter.elements * parameter.count for parameter in architecture.trainable_parameters)
        return ParameterCounts(total, trained, total - trained, 0, architecture.active_parameters)
    adapters = () if method.adapter is None else _adapter_tensors(architecture, method.adapter, policy)
    added = sum(tensor.elements * tensor.count for tensor in adapters)
    return ParameterCounts(total + added, added, total, added, architecture.active_parameters + added)


def trained_units(architecture: Architecture, method: Method, policy: Policy, layout: Layout) -> Iterator[Unit]:
    """Everything that receives a gradient on a rank, before sharding, at the width its resident copy has."""
    if method.adapter is None:
        yield from (unit for unit, trains in _base_units(architecture, policy, layout) if trains)
        return
    tensors = tuple(_adapter_tensors(architecture, method.adapter, policy))
    if layout.traits.sharding is Sharding.FLAT:
        # PEFT's policy wraps each module that trains by itself (peft/utils/other.py, fsdp_auto_wrap_policy)
        yield from (Unit((replace(tensor, count=1),), tensor.count) for tensor in tensors)
    else:
        yield from adapter_units(tensors, len(architecture.layers))


@lru_cache(maxsize=2048)
def _base_units(architecture: Architecture, policy: Policy, layout: Layout) -> tuple[tuple[Unit, bool], ...]:
    """The model's own weights by layer and outside, and whether full fine-tuning trains them."""
    return tuple(_each_base_unit(architecture, policy, layout))


def _each_base_unit(architecture: Architecture, policy: Policy, layout: Layout) -> Iterator[tuple[Unit, bool]]:
    for layer, count in architecture.distinct_layers:
        yield from _unit_of(_norms_last(layer), count, policy, layout)
    extra = Counter(architecture.extra_parameters)
    outer = tuple(parameter for parameter in architecture.outer_parameters if parameter not in extra)
    yield from _unit_of(outer, 1, policy, layout)
    for unit, _ in _unit_of(tuple(extra.elements()), 1, policy, layout):
        yield unit, False


@lru_cache(maxsize=4096)
def _norms_last(layer: Layer) -> tuple[Parameter, ...]:
    """A layer's parameters in the order that most models register them, which FSDP flattens them in."""
    return tuple(sorted(layer.parameters(), key=lambda parameter: parameter.kind is ParameterKind.NORM))


def _unit_of(
    parameters: tuple[Parameter, ...], count: int, policy: Policy, layout: Layout
) -> Iterator[tuple[Unit, bool]]:
    """One unit's tensors; those that never receive a gradient apart."""
    trained = [parameter for parameter in parameters if parameter.kind is not ParameterKind.BALANCE]
    fixed = [parameter for parameter in parameters if parameter.kind is ParameterKind.BALANCE]
    for members, trains in ((trained, True), (fixed, False)):
        if members:
            yield Unit(tuple(_resident(parameter, policy, layout) for parameter in members), count), trains


def _resident(parameter: Parameter, policy: Policy, layout: Layout) -> TrainedTensor:
    """A weight as it lives between steps, before it is sharded over data-parallel ranks."""
    elements = layout.local_elements(parameter)
    if policy.quantization is None or parameter.kind is not ParameterKind.LINEAR:
        rows = -(-parameter.rows * elements // parameter.elements) if parameter.rows > 1 else 1
        return TrainedTensor(parameter.kind, elements, rows, _resident_width(parameter, policy), parameter.count)
    if policy.quantization is QuantizationFormat.INT8:
        return TrainedTensor(parameter.kind, elements, 1, 1, parameter.count)
    # packed in 16-bit numbers where it is sharded (bnb_4bit_quant_storage), else in bytes
    width = HALF if layout.traits.shards_weights else 1
    return TrainedTensor(parameter.kind, -(-elements // (2 * width)), 1, width, parameter.count)


def _resident_width(parameter: Parameter, policy: Policy) -> int:
    """Bytes an element of a weight that is not quantised, as it lives between steps."""
    if parameter.kind in ALWAYS_FLOAT32:
        return FLOAT32
    return policy.resident_width if policy.trains_base else policy.plain_width


def _updated(trained: Iterable[Unit], policy: Policy, layout: Layout) -> Iterator[TrainedTensor]:
    """The tensors as the optimizer sees them: this rank's shards, the float32 masters where there are such."""
    shards = layout.shards if layout.traits.shards_optimizer else 1
    for tensor in updated_tensors(trained, layout.traits.sharding, shards):
        yield replace(tensor, width=FLOAT32) if policy.masters else tensor


def _communication(architecture: Architecture, trained: tuple[Unit, ...], layout: Layout) -> int:
    """Buffers of gradient reduction, in bytes."""
    traits = layout.traits
    if layout.data == 1:
        return 0
    if traits.copies_gradients_to_buckets:
        return stored_bytes(trained, traits.sharding, 1)
    if traits.bucket_elements is None:
        return 0
    bucket = traits.bucket_elements or architecture.hidden_size**2
    elements = sum(unit.count * sum(tensor.elements * tensor.count for tensor in unit.tensors) for unit in trained)
    return HALF * min(bucket, elements)


@lru_cache(maxsize=1024)
def _quantisation_state(architecture: Architecture, policy: Policy, layout: Layout) -> int:
    """Scales of a quantised base, in bytes: whole on every rank, since they are no parameters."""
    if policy.quantization is None:
        return 0
    return sum(
        quantised_bytes(
            replace(parameter, elements=layout.local_elements(parameter)),
            policy.quantization,
            policy.double_quantization,
        )[1]
        for parameter in architecture.parameters
        if parameter.kind is ParameterKind.LINEAR
    )


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
    matrices: Counter[tuple[int, int]] = Counter()
    """Elements and rows of each."""
    magnitudes: Counter[int] = Counter()
    for target, occurrences in architecture.adaptable():
        if not policy.adapts(target):
            continue
        inner, outer = target.adapter_features
        matrices[inner * adapter.rank, adapter.rank] += occurrences
        matrices[outer * adapter.rank, outer] += occurrences
        if adapter.use_dora:
            magnitudes[target.out_features] += occurrences
    for (elements, rows), count in matrices.items():
        yield TrainedTensor(ParameterKind.OTHER, elements, rows, policy.adapter_resident_width, count)
    for out, count in magnitudes.items():
        yield TrainedTensor(ParameterKind.OTHER, out, 1, policy.adapter_resident_width, count)
    saved = frozenset(adapter.modules_to_save)
    elements, rows = architecture.embedding_elements, architecture.vocab_size
    if saved & EMBEDDING_NAMES:
        yield TrainedTensor(ParameterKind.EMBEDDING, elements, rows, policy.plain_width)
    if saved & HEAD_NAMES:
        yield TrainedTensor(ParameterKind.HEAD, elements, rows, policy.plain_width)
