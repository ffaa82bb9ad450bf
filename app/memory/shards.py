"""How strategies cut tensors: what one rank stores, keeps of gradients and updates.

A :class:`Unit` is what a strategy handles at once: a decoder layer, or what is outside the layers. Checked against
real runs in several processes (``benchmarks/accuracy/ranks``). Every figure is that of the first rank, which no other
exceeds but for rounding to the allocator's block.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from app.memory.optimizers import TrainedTensor
from app.units import round_to_block

FLAT_ALIGNMENT_BYTES = 16
"""FSDP pads each tensor but a unit's last one to it (``torch/distributed/fsdp/_flat_param.py``, _get_aligned_numel)."""


class Sharding(Enum):
    """Along what a strategy cuts."""

    TENSOR = "tensor"
    """Each tensor by itself, flattened and padded (DeepSpeed, ``partition_parameters.py``)."""
    FLAT = "flat"
    """A unit's tensors, one after the other in one (FSDP)."""
    ROWS = "rows"
    """Each tensor's first dimension (FSDP2, ``_fsdp_param.py``), a unit's gradients in one buffer."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Tensors that are gathered and reduced together; ``count`` alike units."""

    tensors: tuple[TrainedTensor, ...]
    count: int = 1


def adapter_units(tensors: Iterable[TrainedTensor], layers: int) -> Iterator[Unit]:
    """Adapters beside the layers they are in, as far as they are spread evenly; what does not divide is outside."""
    inside, outside = [], []
    for tensor in tensors:
        each, left = divmod(tensor.count, layers)
        if each:
            inside.append(replace(tensor, count=each))
        if left:
            outside.append(replace(tensor, count=left))
    if inside:
        yield Unit(tuple(inside), layers)
    if outside:
        yield Unit(tuple(outside))


def stored_bytes(units: Iterable[Unit], sharding: Sharding, shards: int) -> int:
    """Bytes of the shards that live between steps."""
    total = 0
    for unit in units:
        if sharding is Sharding.FLAT and shards > 1:
            total += unit.count * sum(
                round_to_block(elements * width) for width, elements in _flat_shares(unit, shards).items()
            )
            continue
        total += unit.count * sum(
            tensor.count * round_to_block(_local_elements(tensor, sharding, shards) * tensor.width)
            for tensor in unit.tensors
        )
    return total


def gradient_bytes(units: Iterable[Unit], sharding: Sharding, shards: int) -> int:
    """Bytes of the gradients that a rank keeps after reduction."""
    if sharding is not Sharding.ROWS or shards == 1:
        return stored_bytes(units, sharding, shards)
    total = 0
    for unit in units:
        buffers: dict[int, int] = {}
        for tensor in unit.tensors:
            elements = tensor.count * _local_elements(tensor, sharding, shards)
            buffers[tensor.width] = buffers.get(tensor.width, 0) + elements
        total += unit.count * sum(round_to_block(elements * width) for width, elements in buffers.items())
    return total


def updated_tensors(units: Iterable[Unit], sharding: Sharding, shards: int) -> Iterator[TrainedTensor]:
    """The tensors that the optimizer sees on this rank; flattened ones are vectors to it."""
    for unit in units:
        if shards == 1:
            if unit.count == 1:
                yield from unit.tensors
                continue
            pieces: Iterable[TrainedTensor] = unit.tensors
        elif sharding is Sharding.FLAT:
            pieces = _pieces(unit, shards)
        else:
            pieces = (_local(tensor, sharding, shards) for tensor in unit.tensors)
        for piece in pieces:
            yield TrainedTensor(piece.kind, piece.elements, piece.rows, piece.width, piece.count * unit.count)


def _local(tensor: TrainedTensor, sharding: Sharding, shards: int) -> TrainedTensor:
    elements = _local_elements(tensor, sharding, shards)
    rows = padded_share(tensor.rows, shards) if sharding is Sharding.ROWS and tensor.rows > 1 else 1
    return TrainedTensor(tensor.kind, elements, rows, tensor.width, tensor.count)


def _local_elements(tensor: TrainedTensor, sharding: Sharding, shards: int) -> int:
    if sharding is Sharding.ROWS and tensor.rows > 1:
        return padded_share(tensor.rows, shards) * (tensor.elements // tensor.rows)
    return padded_share(tensor.elements, shards)


def _flat_shares(unit: Unit, shards: int) -> dict[int, int]:
    """Elements of this rank's share of each flat tensor, by their width: a flat tensor is of one type."""
    totals: dict[int, int] = {}
    for tensor in unit.tensors:
        total = totals.get(tensor.width, 0)
        for _ in range(tensor.count):
            total = _aligned(total, tensor.width) + tensor.elements
        totals[tensor.width] = total
    return {width: padded_share(total, shards) for width, total in totals.items()}


def _aligned(elements: int, width: int) -> int:
    step = FLAT_ALIGNMENT_BYTES // width
    return -(-elements // step) * step


def _pieces(unit: Unit, shards: int) -> Iterator[TrainedTensor]:
    """Of each tensor, what of it lies in the first rank's share."""
    left = _flat_shares(unit, shards)
    offsets = dict.fromkeys(left, 0)
    for tensor in unit.tensors:
        width = tensor.width
        for _ in range(tensor.count):
            start = _aligned(offsets[width], width)
            elements = min(tensor.elements, left[width] - start)
            if elements <= 0:
                break
            offsets[width] = start + elements
            yield TrainedTensor(tensor.kind, elements, 1, width)


def padded_share(elements: int, shards: int) -> int:
    """Elements of one rank's share: padded up to a multiple of the ranks."""
    return -(-elements // shards)
