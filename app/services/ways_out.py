"""What makes a run fit the card it does not fit: single changes, and sets of them where no single one is enough.

Ways that leave the trained result alone come first, then those with the fewest changes, then the fastest. At most
:data:`MOST_EVALUATIONS` memory estimates are made, and usually about ten: one with all the changes together that leave
the result alone shows whether any of them can help, since each of them only ever takes memory away.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from app.catalogue.facts import CatalogueGpu
from app.memory.result import Needed
from app.memory.verdict import unsupported_reason
from app.planning.combine import Choice, smallest_sets
from app.planning.space import lacks_kernels
from app.request import Groups, Run, to_groups
from app.services.assess import Assessment
from app.services.pace import Pace, pace
from app.services.results import FieldValue, Suggestion
from app.services.shortfall import more_cards
from app.services.switches import Switch, smaller_batch, smaller_batches, suggested, switches, together

MOST_EVALUATIONS: Final = 150
"""Memory estimates for the ways of one run on one card."""
MOST_WAYS: Final = 6
_MOST_TESTS: Final = 24
"""Sets tested of the changes to one run."""
_WORTH_SAYING: Final = 0.01
"""Where nothing makes it fit, a change that saves less than this share is not offered."""
MICRO_BATCH: Final = "micro_batch_size"
_BATCH: Final = frozenset({MICRO_BATCH, "gradient_accumulation_steps"})
_MOST_MICRO_BATCHES: Final = 5
_PREFERRED: Final = ("rank", "dora", "precision", "lora", "qlora", "sequence_length")
"""Changes of the result in the order in which they are combined with others: what costs least of the result first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """A set of changes, the run it makes and what that needs."""

    chosen: tuple[Switch, ...]
    changes: Mapping[str, FieldValue]
    run: Run
    groups: Groups
    needed: Needed
    runs: bool
    """Whether the card has what the changed run needs beside memory."""

    @property
    def high_bytes(self) -> int:
        """What it needs at the most."""
        return self.needed.required.high_bytes

    @property
    def changes_job(self) -> bool:
        """Whether the trained result is another one."""
        return any(switch.changes_job for switch in self.chosen)

    @property
    def order(self) -> tuple[bool, bool, int]:
        """What leaves the result alone before what changes it, the method last, and few changes before many."""
        return self.changes_job, "method" in self.changes, len(self.chosen)


@dataclass(kw_only=True, slots=True)
class WaysOut:
    """The ways of one run on one card."""

    assessment: Assessment
    gpu: CatalogueGpu
    alternatives: bool
    """Whether changes of the result are wanted beside changes that leave it alone and are enough."""
    _tried: dict[tuple[str, ...], Tried | None] = field(default_factory=dict)

    def fitting(self) -> list[Tried]:
        """Every smallest way found; none where no set of changes makes it fit."""
        every = self._switches(self.assessment.run)
        neutral = [switch for switch in every if not switch.changes_job]
        changing = [switch for switch in every if switch.changes_job]
        found = list(self._smallest((), neutral))
        if not found or self.alternatives:
            found.extend(self._single(changing))
        return found or list(self._combined(changing, neutral))

    def helping(self) -> list[Tried]:
        """The single changes that save anything worth saying, the largest first."""
        before = self._required_bytes
        tried = [self._try((switch,)) for switch in self.assessment.switches()]
        helpful = [one for one in tried if one and one.runs and before - one.high_bytes > _WORTH_SAYING * before]
        return sorted(helpful, key=lambda one: (one.changes_job, one.high_bytes))

    @property
    def _required_bytes(self) -> int:
        return self.assessment.memory(self.gpu.device).required.high_bytes

    def _single(self, changing: Sequence[Switch]) -> Iterator[Tried]:
        for switch in changing:
            tried = self._try((switch,))
            if tried is not None and self._fits(tried):
                yield tried

    def _combined(self, changing: Sequence[Switch], neutral: Sequence[Switch]) -> Iterator[Tried]:
        """Changes of the result that are enough with changes that leave it alone; else any of them together."""
        enough = False
        ordered = sorted(changing, key=lambda switch: _PREFERRED.index(switch.code))
        for switch in ordered:
            changed = self.assessment.with_switch(switch)
            if changed is None:
                continue
            found = list(self._smallest((switch,), [one for one in self._switches(changed) if not one.changes_job]))
            yield from found
            enough = enough or bool(found)
            if found and not self.alternatives:
                return
        if not enough:
            yield from self._smallest((), [*ordered, *neutral])

    def _switches(self, run: Run) -> list[Switch]:
        """Every single change, with each micro-batch that divides the run's, the largest first."""
        sizes = list(smaller_batches(run))
        kept = sizes if len(sizes) <= _MOST_MICRO_BATCHES else [*sizes[: _MOST_MICRO_BATCHES - 1], 1]
        return [
            *(smaller_batch(run, size) for size in kept),
            *(one for one in switches(run, self.assessment.model.summary.model_type) if one.slot != MICRO_BATCH),
        ]

    def _smallest(self, base: tuple[Switch, ...], choices: Sequence[Switch]) -> Iterator[Tried]:
        """The smallest sets of ``choices`` beside ``base`` that make it fit."""
        strongest = tuple({switch.slot: switch for switch in choices}.values())
        everything = self._try((*base, *strongest)) if strongest else None
        if everything is None or not self._fits(everything):
            return
        batches = [switch for switch in choices if switch.slot == MICRO_BATCH]
        singles = self._singles(base, [*batches[-1:], *(one for one in choices if one.slot != MICRO_BATCH)])
        if batches and any(self._fits(tried) and MICRO_BATCH in tried.changes for tried in singles):
            singles.extend(self._first_fitting(base, batches[:-1]))
        fitting = [tried for tried in singles if self._fits(tried)]
        if fitting:
            yield from _largest_batches(fitting)
            return
        combined = smallest_sets(
            list(self._choices(singles, batches[:-1])),
            lambda chosen: (tried := self._try((*base, *chosen))) is not None and self._fits(tried),
            from_size=2,
            most_tests=_MOST_TESTS,
        )
        found = (self._try((*base, *chosen)) for chosen in combined.sets)
        yield from _largest_batches(tried for tried in found if tried is not None)

    def _singles(self, base: tuple[Switch, ...], choices: Sequence[Switch]) -> list[Tried]:
        return [tried for switch in choices if (tried := self._try((*base, switch))) is not None and tried.runs]

    def _first_fitting(self, base: tuple[Switch, ...], batches: Sequence[Switch]) -> Iterator[Tried]:
        for switch in batches:
            tried = self._try((*base, switch))
            if tried is not None and self._fits(tried):
                yield tried
                return

    def _choices(self, singles: Sequence[Tried], batches: Sequence[Switch]) -> Iterator[Choice[Switch]]:
        """What to combine. Memory grows evenly with the micro-batch, so what one saves tells what the others do."""
        before, most = self._required_bytes, self.assessment.run.micro_batch_size
        for tried in singles:
            switch = tried.chosen[-1]
            saves_bytes = before - tried.high_bytes
            yield Choice(change=switch, slot=switch.slot, saves_bytes=saves_bytes)
            for other in batches if switch.slot == MICRO_BATCH else ():
                share = (most - int(str(other.changes[MICRO_BATCH]))) / (most - 1)
                yield Choice(change=other, slot=MICRO_BATCH, saves_bytes=round(share * saves_bytes))

    def _fits(self, tried: Tried) -> bool:
        return tried.runs and tried.high_bytes <= self.gpu.device.usable_bytes

    def _try(self, chosen: tuple[Switch, ...]) -> Tried | None:
        """A set of changes, estimated once; None where it contradicts the request or the estimates are used up."""
        name = tuple([switch.code for switch in chosen])
        if name not in self._tried:
            self._tried[name] = self._made(chosen) if len(self._tried) < MOST_EVALUATIONS else None
        return self._tried[name]

    def _made(self, chosen: tuple[Switch, ...]) -> Tried | None:
        changes = {name: value for switch in chosen for name, value in switch.changes.items()}
        run = self.assessment.changed(changes)
        if run is None:
            return None
        groups, device = to_groups(run), self.gpu.device
        return Tried(
            chosen=chosen,
            changes=changes,
            run=run,
            groups=groups,
            needed=self.assessment.needed(run, groups, device),
            runs=unsupported_reason(device, groups.method, groups.precision, groups.batch) is None
            and not lacks_kernels(device, groups.batch),
        )


def _largest_batches(found: Iterable[Tried]) -> list[Tried]:
    """Of ways that differ in their micro-batch only the one with the largest: smaller ones are never faster."""
    best: dict[frozenset[tuple[str, object]], Tried] = {}
    for tried in found:
        rest = frozenset((name, value) for name, value in tried.changes.items() if name not in _BATCH)
        name = rest | {(MICRO_BATCH, MICRO_BATCH in tried.changes)}
        known = best.get(name)
        if known is None or tried.run.micro_batch_size > known.run.micro_batch_size:
            best[name] = tried
    return list(best.values())


def ways_out(assessment: Assessment, gpu: CatalogueGpu, *, alternatives: bool = True) -> tuple[Suggestion, ...]:
    """What makes the run fit the card, each with the bytes it saves and what it does to the time of a step.

    Where no set of changes does, those that come nearest, and how many cards would share it. Without ``alternatives``
    the first kind of way that is enough ends the search: what leaves the result alone, then what changes it.
    """
    ways = WaysOut(assessment=assessment, gpu=gpu, alternatives=alternatives)
    fitting = ways.fitting()
    timed = _ordered(assessment, gpu, fitting) if fitting else list(_timed(assessment, gpu, ways.helping()[:MOST_WAYS]))
    found = tuple(_suggested(assessment, gpu, tried, ratio) for tried, ratio in timed[:MOST_WAYS])
    if fitting and not (alternatives and fitting[0].changes_job):
        return found
    shared = more_cards(assessment, gpu)
    return (*found, shared) if shared else found


def best_way(assessment: Assessment, gpu: CatalogueGpu, *, without: str) -> Suggestion | None:
    """The first way that makes the run fit and leaves the field ``without`` alone; None where there is none."""
    fitting = WaysOut(assessment=assessment, gpu=gpu, alternatives=True).fitting()
    allowed = [tried for tried in fitting if without not in tried.changes]
    if allowed:
        return _suggested(assessment, gpu, *_ordered(assessment, gpu, allowed)[0])
    return None if without == "num_gpus" else more_cards(assessment, gpu)


def _ordered(assessment: Assessment, gpu: CatalogueGpu, found: Sequence[Tried]) -> list[tuple[Tried, float | None]]:
    """In the order to offer them; of ways that change as much the fastest first."""
    timed = _timed(assessment, gpu, found[: 2 * MOST_WAYS])
    return sorted(timed, key=lambda one: (*one[0].order, 1.0 if one[1] is None else one[1]))


def _suggested(assessment: Assessment, gpu: CatalogueGpu, tried: Tried, time_ratio: float | None) -> Suggestion:
    before = assessment.memory(gpu.device).required_bytes
    return suggested(together(tried.chosen), before, tried.needed.required_bytes, time_ratio)


def _timed(assessment: Assessment, gpu: CatalogueGpu, found: Iterable[Tried]) -> Iterator[tuple[Tried, float | None]]:
    """Each with the time for the same tokens over that of the run as it is, were there memory enough for it."""
    architecture = assessment.model.architecture
    going = pace(architecture, assessment.groups, gpu)
    for tried in found:
        changed = pace(architecture, tried.groups, gpu)
        if isinstance(going, Pace) and isinstance(changed, Pace):
            yield tried, going.speed.tokens_per_second / changed.speed.tokens_per_second
        else:
            yield tried, None
