"""How much of a tape lives at each instant of its forward and its backward.

Forward: a storage lives from the operation that makes it to its last use, longer if it is saved, held or
cached. Backward runs the operations in reverse order of creation, as PyTorch's engine does (highest
``sequence_nr`` first, ``torch/csrc/autograd/engine.cpp``); while one runs, its incoming gradient, what it
saved, its temporaries and its results all live; then the first two are let go.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.memory.size import ZERO, Size
from app.memory.tape import Category, GradientRule, Operation, Storage, Tape, Tensor

Breakdown = Mapping[Category, Size]


@dataclass(frozen=True, slots=True)
class Instant:
    """What lives at one instant, by category."""

    total: Size
    parts: Breakdown


@dataclass(frozen=True, slots=True)
class Profile:
    """A tape's memory.

    ``kept`` is what waits for backward, without the tape's own input; ``keeps_input`` says whether that is
    needed too. ``gradients`` are those of the tape's parameters. ``cached`` is what autocast holds through
    forward beyond ``kept``.
    """

    kept: Instant
    keeps_input: bool
    forward: tuple[Instant, ...]
    quiet: tuple[Instant, ...]
    """Forward when nothing is saved, as it first runs under checkpointing."""
    backward: tuple[Instant, ...]
    gradients: Size
    cached: Size


class _Ledger:
    """The live storages of a walk."""

    def __init__(self) -> None:
        self.parts: dict[Category, Size] = {}
        self.instants: list[Instant] = []

    def change(self, category: Category, size: Size) -> None:
        self.parts[category] = self.parts.get(category, ZERO) + size

    def release(self, category: Category, size: Size) -> None:
        self.parts[category] = self.parts[category] - size

    def snapshot(self) -> Instant:
        total = ZERO
        for size in self.parts.values():
            total = total + size
        instant = Instant(total, {part: size for part, size in self.parts.items() if size != ZERO})
        self.instants.append(instant)
        return instant


def analyse(tape: Tape, result: Tensor, source: Tensor | None, *, accumulating: bool = False) -> Profile:
    """Walk a tape whose output is ``result`` and whose input is ``source``.

    ``accumulating``: every parameter already holds a gradient, counted outside; a new one is added to it.
    """
    saved = _saved_counts(tape)
    forward, kept, cached = _walk_forward(tape, result, saved)
    backward, gradients = _walk_backward(tape, result, saved, kept, accumulating=accumulating)
    keeps_input = source is not None and source.storage in saved
    quiet, _, _ = _walk_forward(tape, result, {})
    return Profile(kept, keeps_input, _largest(forward), _largest(quiet), _largest(backward), gradients, cached)


def _saved_counts(tape: Tape) -> dict[Storage, int]:
    counts: dict[Storage, int] = {}
    for operation in tape.operations:
        for storage in operation.saves:
            counts[storage] = counts.get(storage, 0) + 1
    for storage in tape.kept:
        counts[storage] = counts.get(storage, 0) + 1
    return counts


def _saved_category(storage: Storage) -> Category:
    return Category.ACTIVATION if storage.category is Category.TEMPORARY else storage.category


def _walk_forward(
    tape: Tape, result: Tensor, saved: Mapping[Storage, int]
) -> tuple[list[Instant], Instant, Size]:
    last_use: dict[Storage, int] = {}
    for index, operation in enumerate(tape.operations):
        last_use.setdefault(operation.output.storage, index)
        for tensor in operation.inputs:
            last_use[tensor.storage] = index
    ending: dict[int, list[Storage]] = {}
    cached = ZERO
    for storage, index in last_use.items():
        if storage in saved or storage.external or storage.held or storage is result.storage:
            continue
        if storage.cached:
            cached = cached + storage.size
        else:
            ending.setdefault(index, []).append(storage)
    ledger = _Ledger()
    seen: set[Storage] = set()
    for index, operation in enumerate(tape.operations):
        for storage in (operation.output.storage, *operation.saves):
            if storage not in seen and not storage.external:
                seen.add(storage)
                ledger.change(_saved_category(storage) if storage in saved else storage.category, storage.size)
        ledger.change(operation.temporary_category, operation.forward_temporary)
        ledger.snapshot()
        ledger.release(operation.temporary_category, operation.forward_temporary)
        for storage in ending.get(index, ()):
            ledger.release(storage.category, storage.size)
    kept = _Ledger()
    for storage in saved:
        if not storage.external and storage is not result.storage:
            kept.change(_saved_category(storage), storage.size)
    return ledger.instants, kept.snapshot(), cached


def _walk_backward(
    tape: Tape, result: Tensor, saved: Mapping[Storage, int], kept: Instant, *, accumulating: bool
) -> tuple[list[Instant], Size]:
    ledger = _Ledger()
    ledger.parts = dict(kept.parts)
    waiting = dict(saved)
    owners: dict[Storage, int] = {}
    gradients: dict[int, Storage] = {}
    parameters = ZERO

    def hold(tensor: Tensor, storage: Storage) -> None:
        gradients[id(tensor)] = storage
        owners[storage] = owners.get(storage, 0) + 1

    def new(size: Size, category: Category) -> Storage:
        storage = Storage(size, category)
        ledger.change(category, size)
        return storage

    def drop(storage: Storage) -> None:
        owners[storage] -= 1
        if not owners[storage]:
            ledger.release(storage.category, storage.size)

    def let_go(operation: Operation) -> None:
        for storage in operation.saves:
            waiting[storage] -= 1
            if not waiting[storage] and not storage.external and storage is not result.storage:
                ledger.release(_saved_category(storage), storage.size)

    hold(result, new(result.size, _gradient_category(result)))
    ledger.snapshot()
    for operation in reversed(tape.operations):
        incoming = gradients.pop(id(operation.output), None)
        if incoming is None:
            continue
        if operation.releases_first:
            let_go(operation)
        arrived = _made(operation, incoming, new)
        ledger.change(operation.temporary_category, operation.backward_temporary)
        ledger.snapshot()
        ledger.release(operation.temporary_category, operation.backward_temporary)
        for _, storage in arrived:
            owners[storage] = owners.get(storage, 0) + 1
        drop(incoming)
        if not operation.releases_first:
            let_go(operation)
        for tensor, storage in arrived:
            owners[storage] -= 1
            if tensor.parameter:
                ledger.snapshot()
                if accumulating:
                    # FakeTensor and dispatch modes make PyTorch add out of place (AccumulateGrad.h)
                    total = new(tensor.size, Category.GRADIENT)
                    ledger.snapshot()
                    ledger.release(Category.GRADIENT, total.size)
                    ledger.release(storage.category, storage.size)
                else:
                    ledger.release(storage.category, storage.size)
                    ledger.change(Category.GRADIENT, tensor.size)
                    parameters = parameters + tensor.size
                continue
            earlier = gradients.pop(id(tensor), None)
            hold(tensor, storage)
            if earlier is not None:
                total = new(tensor.size, storage.category)
                ledger.snapshot()
                gradients.pop(id(tensor))
                drop(earlier)
                drop(storage)
                hold(tensor, total)
    return ledger.instants, parameters


def _gradient_category(tensor: Tensor) -> Category:
    return Category.LOGITS if tensor.storage.category is Category.LOGITS else Category.TEMPORARY


def _made(
    operation: Operation, incoming: Storage, new: Callable[[Size, Category], Storage]
) -> list[tuple[Tensor, Storage]]:
    return [
        (tensor, incoming if rule is GradientRule.ALIAS else new(tensor.size, _gradient_category(tensor)))
        for tensor, rule in operation.gradients
    ]


def _largest(instants: list[Instant]) -> tuple[Instant, ...]:
    """The instants that are not dominated by another: one of these is the largest, whatever the batch."""
    kept: list[Instant] = []
    for instant in instants:
        if any(other.total.dominates(instant.total) for other in kept):
            continue
        kept = [other for other in kept if not instant.total.dominates(other.total)]
        kept.append(instant)
    return tuple(kept)
