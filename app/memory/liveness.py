"""How much of a tape lives at each instant of its forward and its backward.

Forward: a storage lives from the operation that makes it to its last use, longer if it is saved, held or
cached. Backward runs the operations in reverse order of creation, as PyTorch's engine does (highest
``sequence_nr`` first, ``torch/csrc/autograd/engine.cpp``); while one runs, its incoming gradient, what it
saved, its temporaries and its results all live; then the first two are let go.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.memory.size import ZERO, Size, sum_of
from app.memory.tape import Category, GradientRule, Operation, Storage, Tape, Tensor

Breakdown = Mapping[Category, Size]


@dataclass(frozen=True, slots=True)
class Instant:
    """What lives at one instant, by category."""

    total: Size
    parts: Breakdown

    def split_over(self, ranks: int) -> "Instant":
        """What one of ``ranks`` has of it under tensor and sequence parallelism."""
        parts = _split(self.parts, ranks)
        return Instant(sum_of(parts.values()), parts)


def _split(parts: Breakdown, ranks: int) -> Breakdown:
    return {category: size.split_over(ranks) for category, size in parts.items()}


@dataclass(frozen=True, slots=True)
class Profile:
    """A tape's memory.

    ``result_width`` is the bytes an element of its result. ``kept`` is what waits for backward, without the
    tape's own input; ``keeps_input`` says whether that is needed too. ``gradients`` are those of the tape's
    parameters. ``cached`` is what autocast holds through forward beyond ``kept``.
    """

    result_width: int
    result_requires_grad: bool
    kept: Instant
    keeps_input: bool
    forward: tuple[Instant, ...]
    recompute: tuple[Instant, ...]
    """Forward as a checkpoint repeats it: it stops before the last operation that saves something."""
    incoming: Breakdown
    """Gradients in flight when backward first asks for what forward saved, so that a checkpoint must repeat it."""
    quiet: tuple[Instant, ...]
    """Forward when nothing is saved, as it first runs under checkpointing."""
    backward: tuple[Instant, ...]
    backward_repeated: tuple[Instant, ...]
    """Backward of a tape that a checkpoint has repeated: what it saved is let go as an operation takes it."""
    gradients: Size
    cached: Size
    recast: Size
    """What autocast holds through forward where nothing is saved."""
    held: Breakdown
    """Of ``kept``, what lives on through the backward of everything before."""
    clinging: Size
    """What a checkpoint of the tape does not drop."""

    def split_over(self, ranks: int) -> "Profile":
        """What one of ``ranks`` has of it under tensor and sequence parallelism."""
        return replace(
            self,
            kept=self.kept.split_over(ranks),
            forward=tuple(instant.split_over(ranks) for instant in self.forward),
            recompute=tuple(instant.split_over(ranks) for instant in self.recompute),
            quiet=tuple(instant.split_over(ranks) for instant in self.quiet),
            backward=tuple(instant.split_over(ranks) for instant in self.backward),
            backward_repeated=tuple(instant.split_over(ranks) for instant in self.backward_repeated),
            incoming=_split(self.incoming, ranks),
            held=_split(self.held, ranks),
            gradients=self.gradients.split_over(ranks),
            cached=self.cached.split_over(ranks),
            recast=self.recast.split_over(ranks),
            clinging=self.clinging.split_over(ranks),
            handed_on=self.handed_on.split_over(ranks),
        )

    handed_on: Size
    """What the caller holds of it beside the result, if it holds what it is handed."""


class _Ledger:
    """The live storages of a walk.

    Memory is largest where something is let go after something was added, so only those instants are kept, and
    of those only the ones that no other dominates: one of them is the largest, whatever the batch.
    """

    def __init__(self, parts: Breakdown | None = None) -> None:
        self.parts: dict[Category, Size] = dict(parts or {})
        self.instants: list[Instant] = []
        self.grown = True

    def change(self, category: Category, size: Size) -> None:
        if size is not ZERO:
            self.parts[category] = self.parts.get(category, ZERO) + size
            self.grown = True

    def release(self, category: Category, size: Size) -> None:
        if size is not ZERO:
            if self.grown:
                self.note()
            self.parts[category] = self.parts[category] - size

    def move(self, size: Size, source: Category, target: Category) -> None:
        """Count a storage as something else from now on."""
        self.parts[source] = self.parts[source] - size
        self.parts[target] = self.parts.get(target, ZERO) + size

    def note(self) -> None:
        """Remember this instant unless another dominates it."""
        self.grown = False
        total = sum_of(self.parts.values())
        for other in self.instants:
            if other.total.dominates(total):
                return
        self.instants = [other for other in self.instants if not total.dominates(other.total)]
        self.instants.append(self.instant())

    def instant(self) -> Instant:
        return Instant(sum_of(self.parts.values()), {part: size for part, size in self.parts.items() if size != ZERO})

    def largest(self) -> tuple[Instant, ...]:
        """The instants that can be the largest."""
        if self.grown:
            self.note()
        return tuple(self.instants)


def analyse(
    tape: Tape, result: Tensor, source: Tensor | None, *, accumulating: bool = False, incoming_stays: bool = False
) -> Profile:
    """Walk a tape whose output is ``result`` and whose input is ``source``.

    ``accumulating``: every parameter already holds a gradient, counted outside; a new one is added to it.
    ``incoming_stays``: the gradient of ``result`` lives through backward.
    """
    saved = _saved_counts(tape)
    last_use = _last_use(tape)
    forward, kept, cached = _walk_forward(tape, result, saved, last_use)
    recompute, _, _ = _walk_forward(tape, result, saved, last_use, stop=_last_saving(tape))
    walk = _Backward(saved, kept, result, accumulating=accumulating, incoming_stays=incoming_stays)
    walk.run_all(tape)
    again = walk
    if _converts(tape):
        again = _Backward(saved, kept, result, accumulating=accumulating, incoming_stays=incoming_stays, repeated=True)
        again.run_all(tape)
    keeps_input = source is not None and source.storage in saved
    clinging = _clinging(tape)
    quiet, dropped_not, recast = _walk_forward(tape, result, clinging, last_use)
    return Profile(
        result.width,
        result.requires_grad,
        kept,
        keeps_input,
        forward,
        recompute,
        _incoming(tape, result),
        quiet,
        walk.ledger.largest(),
        again.ledger.largest(),
        walk.parameters,
        cached,
        recast,
        _held(tape),
        dropped_not.total,
        sum_of(storage.size for storage in dict.fromkeys(tape.handed_on) if not storage.external),
    )


def _converts(tape: Tape) -> bool:
    return any(rule is GradientRule.CONVERTED for operation in tape.operations for _, rule in operation.gradients)


def _held(tape: Tape) -> Breakdown:
    ledger = _Ledger()
    for storage in tape.kept:
        ledger.change(_saved_category(storage), storage.size)
    return ledger.parts


def _clinging(tape: Tape) -> dict[Storage, int]:
    return {storage: 1 for operation in tape.operations for storage in operation.clings}


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


def _last_use(tape: Tape) -> dict[Storage, int]:
    """The index of the last operation that makes or reads each storage."""
    last_use: dict[Storage, int] = {}
    for index, operation in enumerate(tape.operations):
        last_use.setdefault(operation.output.storage, index)
        for tensor in operation.inputs:
            last_use[tensor.storage] = index
    return last_use


def _walk_forward(
    tape: Tape,
    result: Tensor,
    saved: Mapping[Storage, int],
    last_use: Mapping[Storage, int],
    stop: int | None = None,
) -> tuple[tuple[Instant, ...], Instant, Size]:
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
    for index, operation in enumerate(tape.operations[:stop]):
        for storage in (operation.output.storage, *operation.saves):
            if storage not in seen and not storage.external:
                seen.add(storage)
                ledger.change(_saved_category(storage) if storage in saved else storage.category, storage.size)
        ledger.change(operation.temporary_category, operation.forward_temporary)
        ledger.release(operation.temporary_category, operation.forward_temporary)
        for storage in ending.get(index, ()):
            ledger.release(storage.category, storage.size)
    kept = _Ledger()
    for storage in saved:
        if not storage.external and storage is not result.storage:
            kept.change(_saved_category(storage), storage.size)
    return ledger.largest(), kept.instant(), cached


class _Backward:
    """The backward walk: gradients in flight, what still waits, and the ledger of both."""

    def __init__(
        self,
        saved: Mapping[Storage, int],
        kept: Instant,
        result: Tensor,
        *,
        accumulating: bool,
        incoming_stays: bool = False,
        repeated: bool = False,
    ) -> None:
        self.repeated = repeated
        self.ledger = _Ledger(kept.parts)
        self.waiting = dict(saved)
        self.result = result
        self.accumulating = accumulating
        self.owners: dict[Storage, int] = {}
        self.gradients: dict[int, Storage] = {}
        self.parameters = ZERO
        incoming = self.new(result.size, _gradient_category(result))
        self.hold(result, incoming)
        if incoming_stays:
            self.owners[incoming] += 1

    def new(self, size: Size, category: Category) -> Storage:
        self.ledger.change(category, size)
        return Storage(size, category)

    def hold(self, tensor: Tensor, storage: Storage) -> None:
        self.gradients[id(tensor)] = storage
        self.owners[storage] = self.owners.get(storage, 0) + 1

    def drop(self, storage: Storage) -> None:
        self.owners[storage] -= 1
        if not self.owners[storage]:
            self.ledger.release(storage.category, storage.size)

    def let_go_of_saved(self, operation: Operation) -> None:
        for storage in operation.saves:
            self.waiting[storage] -= 1
            if not self.waiting[storage] and not storage.external and storage is not self.result.storage:
                self.ledger.release(_saved_category(storage), storage.size)

    def run_all(self, tape: Tape) -> None:
        for operation in reversed(tape.operations):
            self.run(operation)

    def run(self, operation: Operation) -> None:
        """One node: its results arrive while everything it uses still lives."""
        outputs = (operation.output, *operation.more_outputs)
        incoming = [self.gradients.pop(id(output)) for output in outputs if id(output) in self.gradients]
        if not incoming:
            return
        if operation.releases_first:
            self.let_go_of_saved(operation)
        arrived = [
            (tensor, incoming[0] if rule is GradientRule.ALIAS else self.made(operation, tensor, rule))
            for tensor, rule in operation.gradients
        ]
        self.ledger.change(operation.temporary_category, operation.backward_temporary)
        for _, storage in arrived:
            self.owners[storage] = self.owners.get(storage, 0) + 1
        if self.repeated and not operation.releases_first:
            self.let_go_of_saved(operation)
        for (_, rule), (tensor, storage) in zip(operation.gradients, arrived, strict=True):
            if rule is GradientRule.CONVERTED:
                self.convert(storage, tensor.size)
        self.ledger.release(operation.temporary_category, operation.backward_temporary)
        for storage in incoming:
            self.drop(storage)
        if not self.repeated and not operation.releases_first:
            self.let_go_of_saved(operation)
        for tensor, storage in arrived:
            self.owners[storage] -= 1
            if tensor.parameter:
                self.deliver(tensor, storage)
            else:
                self.sum_up(tensor, storage)

    def made(self, operation: Operation, tensor: Tensor, rule: GradientRule) -> Storage:
        """A new gradient, first at the output's width where it is converted."""
        converted = rule is GradientRule.CONVERTED
        return self.new(
            tensor.elements(operation.output.width) if converted else tensor.size, _gradient_category(tensor)
        )

    def convert(self, storage: Storage, size: Size) -> None:
        """The engine casts a gradient to its input's type before it lets go of what came in (``validate_outputs``)."""
        self.ledger.change(storage.category, size)
        self.ledger.release(storage.category, storage.size)
        storage.size = size

    def deliver(self, tensor: Tensor, storage: Storage) -> None:
        """A parameter's gradient: kept, or added to the one it has."""
        if self.accumulating:
            # under a dispatch mode, as in every trace, AccumulateGrad adds out of place (accumulate_grad.h)
            self.ledger.release(storage.category, storage.size)
            self.ledger.change(Category.GRADIENT, storage.size.times(2))
            self.ledger.release(Category.GRADIENT, storage.size.times(2))
        else:
            self.ledger.move(storage.size, storage.category, Category.GRADIENT)
            self.parameters = self.parameters + storage.size

    def sum_up(self, tensor: Tensor, storage: Storage) -> None:
        """An activation's gradient: a second one is added to the first, out of place (input_buffer.cpp)."""
        earlier = self.gradients.pop(id(tensor), None)
        self.hold(tensor, storage)
        if earlier is None:
            return
        total = self.new(tensor.size, storage.category)
        self.gradients.pop(id(tensor))
        self.drop(earlier)
        self.drop(storage)
        self.hold(tensor, total)


def _last_saving(tape: Tape) -> int | None:
    """The operation before which a repeated forward stops (``_StopRecomputationError``, torch/utils/checkpoint.py)."""
    for index in range(len(tape.operations) - 1, -1, -1):
        operation = tape.operations[index]
        if operation.saves:
            return index + 1 if operation.output.storage in operation.saves else index
    return None


def _incoming(tape: Tape, result: Tensor) -> Breakdown:
    walk = _Backward({}, Instant(ZERO, {}), result, accumulating=False)
    for operation in reversed(tape.operations):
        if operation.saves and id(operation.output) in walk.gradients:
            break
        walk.run(operation)
    return walk.ledger.parts


def _gradient_category(tensor: Tensor) -> Category:
    return Category.LOGITS if tensor.storage.category is Category.LOGITS else Category.TEMPORARY
