"""One value of an inverse question's unknown, held against the cards in question and what must hold of the job."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from app.catalogue.facts import CatalogueGpu
from app.catalogue.snapshot import Snapshot
from app.memory.device import Verdict
from app.memory.inputs import Strategy
from app.memory.result import MemoryEstimate
from app.request import Run, SolveRequest, Unknown
from app.services.assess import Assessment
from app.services.pace import Pace, cheapest_cost, pace
from app.services.policy import Policy
from app.services.results import CostReport
from app.services.solved import LimitedBy

_SECONDS_PER_HOUR: Final = 3600
_GOT_FURTHER: Final = (
    LimitedBy.UNSUPPORTED,
    LimitedBy.NO_OFFER,
    LimitedBy.MEMORY,
    LimitedBy.NO_SPEED,
    LimitedBy.DEADLINE,
    LimitedBy.BUDGET,
)
"""Of several cards' refusals, the last of these is the one to name: that card came closest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked: a run with one field open, and the cards that may hold it."""

    given: SolveRequest
    unknown: Unknown
    base: Run
    """The run without the unknown."""
    cards: tuple[CatalogueGpu, ...]
    snapshot: Snapshot
    today: date
    policy: Policy

    @property
    def accepted(self) -> frozenset[Verdict]:
        """The verdicts that count as fitting."""
        return frozenset({Verdict.FITS, Verdict.TIGHT} if self.given.allow_tight else {Verdict.FITS})

    @property
    def has_limits(self) -> bool:
        """Whether the job may not cost or take more than was said."""
        return self.given.budget is not None or self.given.deadline_hours is not None

    @property
    def is_costly_to_weigh(self) -> bool:
        """Whether each value makes the memory model derive its step anew, which takes longer than a job's time."""
        return self.unknown in {Unknown.MODEL, Unknown.NUM_GPUS}

    def run_at(self, value: int | str) -> Run:
        """The run with the unknown put in. The value is within the field's bounds."""
        return self.base.model_copy(update={self.unknown.value: value})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Timed:
    """How long the job takes and what it costs, where that is known."""

    going: Pace | None = None
    cost: CostReport | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OnCard:
    """One value on one card: ``refused`` is None where it fits and keeps what was asked."""

    gpu: CatalogueGpu
    assessment: Assessment
    memory: MemoryEstimate
    verdict: Verdict
    reason: str
    refused: LimitedBy | None
    going: Pace | None
    """Speed and time, where they were looked at and are known."""
    cost: CostReport | None

    @property
    def order(self) -> tuple[object, ...]:
        """Cheapest first among the cards that fit, then nearest to fitting first among those that do not."""
        seconds = self.going.job.total_seconds if self.going else 0.0
        amount = (self.cost is None, self.cost.amount if self.cost else 0)
        if self.refused is None:
            return (0, *amount, seconds, self.gpu.slug)
        over_bytes = self.memory.required.high_bytes - self.gpu.device.usable_bytes
        limits = (seconds, *amount) if self.refused is LimitedBy.DEADLINE else (*amount, seconds)
        return (1, -_GOT_FURTHER.index(self.refused), *limits, over_bytes, self.gpu.slug)


class Trial:
    """The run at one value of the unknown."""

    def __init__(self, question: Question, value: int | str) -> None:
        self.value: Final = value
        self.run: Final = question.run_at(value)
        self._question = question
        self._settled: list[tuple[int, Assessment]] = []
        """Runs settled for cards of so many usable bytes, the largest card's first."""

    def assessment(self, gpu: CatalogueGpu) -> Assessment:
        """The run as ``/estimate`` takes it on a card. Raises :class:`app.request.RequestError`."""
        if not self._settled:
            self._settle(max(self._question.cards, key=lambda card: card.device.usable_bytes))
        # Only the choice of a strategy for several cards looks at the card, and only at its memory: a copy that a card
        # does not hold, no smaller one holds, and one that it holds, every larger one does.
        usable_bytes = gpu.device.usable_bytes
        if self.run.strategy is not Strategy.AUTO or self.run.num_gpus == 1:
            return self._settled[0][1]
        smaller = next((found for size, found in self._settled if size <= usable_bytes), None)
        if smaller is not None and smaller.groups.cluster.strategy is Strategy.DDP:
            return smaller
        larger = next((found for size, found in reversed(self._settled) if size >= usable_bytes), None)
        if larger is not None and larger.groups.cluster.strategy is not Strategy.DDP:
            return larger
        return self._settle(gpu)

    def _settle(self, gpu: CatalogueGpu) -> Assessment:
        asked = self._question
        made = Assessment.of(self.run.model_copy(update={"gpu": gpu.slug}), asked.snapshot, asked.today, asked.policy)
        same = next((found for _, found in self._settled if found.groups == made.groups), made)
        self._settled.append((gpu.device.usable_bytes, same))
        self._settled.sort(key=lambda entry: -entry[0])
        return same

    @property
    def evaluations(self) -> int:
        """How often the memory model was asked."""
        return sum({id(found): found.evaluations for _, found in self._settled}.values())

    def fits(self, gpu: CatalogueGpu) -> bool:
        """Whether the value fits one card within the limits, the cheapest test first."""
        if self._question.given.budget is not None and not self.assessment(gpu).servers(gpu):
            return False
        if self._question.is_costly_to_weigh and self._question.has_limits and self._refused(self._timed(gpu)):
            return False
        return self.on(gpu).refused is None

    def on(self, gpu: CatalogueGpu, *, in_full: bool = False) -> OnCard:
        """The value on one card; speed and cost only where they decide, or ``in_full``."""
        assessment = self.assessment(gpu)
        memory, verdict, reason = assessment.judged(gpu)
        timed = _Timed()
        if verdict is Verdict.UNSUPPORTED:
            refused: LimitedBy | None = LimitedBy.UNSUPPORTED
        elif self._question.given.budget is not None and not assessment.servers(gpu):
            refused = LimitedBy.NO_OFFER
        elif verdict not in self._question.accepted:
            refused = LimitedBy.MEMORY
        else:
            timed = self._timed(gpu) if in_full or self._question.has_limits else timed
            refused = self._refused(timed) if self._question.has_limits else None
        return OnCard(
            gpu=gpu,
            assessment=assessment,
            memory=memory,
            verdict=verdict,
            reason=reason,
            refused=refused,
            going=timed.going,
            cost=timed.cost,
        )

    def _timed(self, gpu: CatalogueGpu) -> _Timed:
        assessment = self.assessment(gpu)
        going = pace(assessment.model.architecture, assessment.groups, gpu)
        if not isinstance(going, Pace):
            return _Timed()
        cost = cheapest_cost(going.job, assessment.servers(gpu), assessment.groups.cluster)
        return _Timed(going=going, cost=cost)

    def _refused(self, timed: _Timed) -> LimitedBy | None:
        """A job whose time nobody knows keeps neither a deadline nor a budget."""
        given, going, cost = self._question.given, timed.going, timed.cost
        if going is None:
            return LimitedBy.NO_SPEED
        if given.deadline_hours is not None and going.job.total_seconds > given.deadline_hours * _SECONDS_PER_HOUR:
            return LimitedBy.DEADLINE
        if given.budget is not None:
            if cost is None:
                return LimitedBy.NO_OFFER
            if cost.amount > given.budget:
                return LimitedBy.BUDGET
        return None

    def outcomes(self) -> Iterator[OnCard]:
        """The value on every card in question."""
        return (self.on(gpu, in_full=True) for gpu in self._question.cards)

    def best(self) -> OnCard:
        """On the cheapest card that fits, else on the card that comes closest."""
        return min(self.outcomes(), key=lambda outcome: outcome.order)
