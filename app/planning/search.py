"""The fastest way to do a run on each card and number of cards, found by trying every way that can be the fastest.

On one card at one price a faster way is a cheaper one, and no way here changes what is learnt: so of all the ways on
the same cards only the fastest that fits can be on the front of cost, time and quality, and with it the fastest that
may fit, where that risk is allowed. The micro-batch is the largest that fits: fewer, larger micro-steps never take
longer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from app.memory.architecture import Architecture
from app.memory.device import Device, Verdict
from app.memory.estimate import range_without_context
from app.memory.inputs import Batch, Checkpointing
from app.memory.overheads import context_of, workspace_bytes
from app.memory.result import Interval
from app.memory.verdict import unsupported_reason, verdict_of
from app.planning.space import Asked, Way, lacks_kernels, replicas, ways
from app.speed.calibration import Calibration
from app.speed.estimate import SpeedEstimate, estimate_speed
from app.speed.job import Job, JobTime, job_time

_SURELY: Final = frozenset({Verdict.FITS})
_PERHAPS: Final = frozenset({Verdict.FITS, Verdict.TIGHT})


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A way to do the run on a card, decided in full. ``speed`` and ``job`` are None where no speed is known."""

    way: Way
    batch: Batch
    verdict: Verdict
    required: Interval
    speed: SpeedEstimate | None
    job: JobTime | None

    @property
    def num_gpus(self) -> int:
        return self.way.cluster.num_gpus

    @property
    def global_batch_size(self) -> int:
        """Sequences of an optimizer step over all cards."""
        return self.way.sequences_a_card * replicas(self.way.cluster, self.way.cluster.strategy)


@dataclass(slots=True)
class _Tried:
    """A way, and what it needs with each micro-batch and size of workspace tried so far."""

    way: Way
    sizes: tuple[int, ...]
    """Micro-batches to choose from, ascending."""
    required: dict[tuple[int, int], Interval] = field(default_factory=dict)


@dataclass(kw_only=True, slots=True)
class Search:
    """A search for one architecture and method; what a way takes is estimated once for all the cards it is tried on."""

    architecture: Architecture
    asked: Asked
    job: Job
    calibration: Calibration
    memory_evaluations: int = 0
    speed_evaluations: int = 0
    _ways: dict[int, tuple[_Tried, ...]] = field(default_factory=dict)

    def counts(self) -> tuple[int, ...]:
        """The considered numbers of cards that can share the batch."""
        return tuple([count for count in self.asked.counts if self._ways_on(count)])

    def plans(self, device: Device, num_gpus: int, *, allow_tight: bool) -> Iterator[Plan]:
        """The fastest plan that fits on ``num_gpus`` cards; with ``allow_tight`` also the fastest that may or may not
        fit, where it is faster than that."""
        fitting: Plan | None = None
        tight: Plan | None = None
        for tried, micro_batch_size, verdict in self._candidates(device, num_gpus, allow_tight=allow_tight):
            plan = self._plan(tried, micro_batch_size, verdict, device)
            if verdict is Verdict.FITS:
                fitting = _faster(fitting, plan)
            else:
                tight = _faster(tight, plan)
        if fitting is not None:
            yield fitting
        if tight is not None and (fitting is None or _seconds(tight) < _seconds(fitting)):
            yield tight

    def holds(self, device: Device, *, allow_tight: bool) -> bool:
        """Whether any way on any considered number of cards fits."""
        accepted = _PERHAPS if allow_tight else _SURELY
        return any(
            self._verdict(tried, tried.sizes[0], device) in accepted
            for count in reversed(self.counts())
            for tried in reversed(self._ways_on(count))
            if self._runs_on(device, tried.way)
        )

    @property
    def evaluations(self) -> int:
        """Estimates made so far, of memory and of speed."""
        return self.memory_evaluations + self.speed_evaluations

    def _candidates(self, device: Device, count: int, *, allow_tight: bool) -> Iterator[tuple[_Tried, int, Verdict]]:
        """The largest micro-batch of each way that can be the fastest, for each verdict."""
        without: dict[Verdict, int] = {}
        for tried in self._ways_on(count):
            if not self._runs_on(device, tried.way):
                continue
            recomputes = tried.way.batch.gradient_checkpointing is not Checkpointing.NONE
            largest = {Verdict.FITS: self._largest(tried, device, _SURELY)}
            if allow_tight:
                largest[Verdict.TIGHT] = self._largest(tried, device, _PERHAPS)
            for verdict, size in largest.items():
                # The way before is the same without recomputing: with a micro-batch as large it is the faster one.
                if size > (without.get(verdict, 0) if recomputes else 0):
                    yield tried, size, self._verdict(tried, size, device)
            without = {} if recomputes else largest

    def _ways_on(self, count: int) -> tuple[_Tried, ...]:
        found = self._ways.get(count)
        if found is None:
            tried = [_Tried(way, way.micro_batches()) for way in ways(self.asked, count)]
            found = self._ways[count] = tuple([one for one in tried if one.sizes])
        return found

    def _runs_on(self, device: Device, way: Way) -> bool:
        return not lacks_kernels(device, way.batch) and (
            unsupported_reason(device, way.method, self.asked.precision, way.batch) is None
        )

    def _largest(self, tried: _Tried, device: Device, accepted: frozenset[Verdict]) -> int:
        """The largest micro-batch with an accepted verdict, the next larger having none; 0 where not even the smallest
        has."""
        sizes = tried.sizes
        if self._verdict(tried, sizes[-1], device) in accepted:
            return sizes[-1]
        if len(sizes) == 1 or self._verdict(tried, sizes[0], device) not in accepted:
            return 0
        holds, fails = 0, len(sizes) - 1
        while fails - holds > 1:
            middle = (holds + fails) // 2
            if self._verdict(tried, sizes[middle], device) in accepted:
                holds = middle
            else:
                fails = middle
        return sizes[holds]

    def _verdict(self, tried: _Tried, micro_batch_size: int, device: Device) -> Verdict:
        return verdict_of(self._required(tried, micro_batch_size, device), device)

    def _required(self, tried: _Tried, micro_batch_size: int, device: Device) -> Interval:
        """What a card must have; of the card only the size of its library workspaces and its context are read."""
        workspaces = workspace_bytes(device) if self.asked.include_workspaces else 0
        name = micro_batch_size, workspaces
        known = tried.required.get(name)
        if known is None:
            self.memory_evaluations += 1
            known = tried.required[name] = range_without_context(
                self.architecture,
                tried.way.method,
                self.asked.precision,
                tried.way.at(micro_batch_size),
                tried.way.cluster,
                workspaces=workspaces,
            )
        return known.beside(context_of(device))

    def _plan(self, tried: _Tried, micro_batch_size: int, verdict: Verdict, device: Device) -> Plan:
        way = tried.way
        batch = way.at(micro_batch_size)
        self.speed_evaluations += 1
        speed = estimate_speed(
            self.architecture,
            way.method,
            self.asked.precision,
            batch,
            way.cluster,
            device,
            calibration=self.calibration,
        )
        known = speed if isinstance(speed, SpeedEstimate) else None
        return Plan(
            way=way,
            batch=batch,
            verdict=verdict,
            required=self._required(tried, micro_batch_size, device),
            speed=known,
            job=None if known is None else job_time(known, self.job, batch, way.cluster),
        )


def _seconds(plan: Plan) -> float:
    return plan.job.total_seconds if plan.job else float("inf")


def _faster(best: Plan | None, plan: Plan) -> Plan:
    """The faster of two; of two as fast the one found first, which is nearer to what was asked."""
    return plan if best is None or _seconds(plan) < _seconds(best) else best
