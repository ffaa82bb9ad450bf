"""The catalogue's cards against one run: which hold it, and of each what a reader asks for.

A list of a hundred cards is mostly looked through for the few worth showing, so a card knows its verdict at once and
works out speed, time and cost when somebody reads them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Final, TypeVar

from app.catalogue.facts import CatalogueGpu, Period
from app.catalogue.snapshot import Snapshot
from app.memory.device import Verdict
from app.memory.estimate import largest_micro_batch, required_on
from app.memory.overheads import context_of, workspace_bytes
from app.memory.result import MemoryEstimate, Outside
from app.memory.verdict import unsupported_reason, verdict_of
from app.services.assess import Assessment
from app.services.market import Quote
from app.services.pace import Pace, cheapest_quote, cost_report, pace, speed_report, time_report
from app.services.results import HOLDS, Card, CardFit, CostReport, OfferReport, SpeedReport, TimeReport


class CardOnRun:
    """One card against a run. The properties are those of :class:`app.services.results.CardFit`."""

    def __init__(self, assessment: Assessment, gpu: CatalogueGpu, verdict: Verdict) -> None:
        self.gpu: Final = gpu
        self.verdict: Final = verdict
        self._assessment = assessment

    @property
    def slug(self) -> str:
        return self.gpu.slug

    @property
    def name(self) -> str:
        return self.gpu.name

    @property
    def memory_bytes(self) -> int:
        return self.gpu.device.memory_bytes

    @property
    def usable_bytes(self) -> int:
        return self.gpu.device.usable_bytes

    @property
    def holds(self) -> bool:
        """Whether the run fits, surely or tightly."""
        return self.verdict in HOLDS

    @cached_property
    def _estimate(self) -> MemoryEstimate:
        return self._assessment.memory(self.gpu.device)

    @property
    def headroom_bytes(self) -> int:
        return self.usable_bytes - self._estimate.required_bytes

    @cached_property
    def reason(self) -> str:
        return self._assessment.judged(self.gpu)[2]

    @cached_property
    def max_micro_batch_size(self) -> int:
        return largest_micro_batch(self._estimate, self.usable_bytes)

    @cached_property
    def fewest_gpus(self) -> int | None:
        """How many of them hold the run together: dear to find out where one does not."""
        if self.verdict is not Verdict.DOES_NOT_FIT:
            return self._assessment.run.num_gpus
        return self._assessment.fewest_gpus(self.gpu)

    @cached_property
    def _going(self) -> Pace | None:
        if not self.holds:
            return None
        going = pace(self._assessment.model.architecture, self._assessment.groups, self.gpu)
        return going if isinstance(going, Pace) else None

    @cached_property
    def _job_seconds(self) -> float | None:
        """As the whole of its time says it, found out faster."""
        return self._assessment.stopwatch.seconds_on(self.gpu) if self.holds else None

    @cached_property
    def _quote(self) -> Quote | None:
        """The one to rent: that the job costs least with, else the cheapest."""
        quotes = self._assessment.servers(self.gpu) if self.holds else ()
        if len(quotes) < 2 or self._job_seconds is None:
            return quotes[0] if quotes else None
        return cheapest_quote(self._job_seconds, quotes)

    @property
    def speed(self) -> SpeedReport | None:
        return speed_report(self._going.speed) if self._going else None

    @cached_property
    def time(self) -> TimeReport | None:
        return time_report(self._going.job) if self._going else None

    @property
    def offer(self) -> OfferReport | None:
        return self._quote.report if self._quote else None

    @cached_property
    def cost(self) -> CostReport | None:
        if self._going is None or self._quote is None:
            return None
        return cost_report(self._going.job, self._quote, self._assessment.groups.cluster)

    @cached_property
    def dearness(self) -> tuple[bool, Decimal, int]:
        """As of a :class:`CardFit`, without a whole report of the cost."""
        if self._quote is None:
            return True, Decimal(0), self.usable_bytes
        if self._job_seconds is None:
            return True, self._quote.report.comparable_amount, self.usable_bytes
        return False, self._quote.tariff.paid(self._job_seconds), self.usable_bytes

    def fit(self) -> CardFit:
        """All of it."""
        return CardFit(
            slug=self.slug,
            name=self.name,
            memory_bytes=self.memory_bytes,
            usable_bytes=self.usable_bytes,
            verdict=self.verdict,
            reason=self.reason,
            headroom_bytes=self.headroom_bytes,
            max_micro_batch_size=self.max_micro_batch_size,
            min_gpus=self.fewest_gpus,
            speed=self.speed,
            time=self.time,
            cost=self.cost,
            offer=self.offer,
        )


def card_on_run(assessment: Assessment, gpu: CatalogueGpu) -> CardOnRun:
    """One card against a run. Raises :class:`app.request.RequestError`."""
    _estimate, verdict, _reason = assessment.judged(gpu)
    return CardOnRun(assessment, gpu, verdict)


class Cards(tuple[CardOnRun, ...]):
    """Every card of a catalogue against one run, in the catalogue's order, and those that several readers ask for."""

    @cached_property
    def by_slug(self) -> Mapping[str, CardOnRun]:
        """Each by its card's name in the catalogue."""
        return {card.gpu.slug: card for card in self}

    @cached_property
    def by_hour(self) -> Sequence[CardOnRun]:
        """Cards that hold the run and are let by the hour, cheapest first."""
        return holding(self, Period.HOUR)

    @cached_property
    def by_month(self) -> Sequence[CardOnRun]:
        """Cards that hold the run and are let by the month, cheapest first."""
        return holding(self, Period.MONTH)

    @cached_property
    def cheapest(self) -> CardOnRun | None:
        """The cheapest card that surely holds the run, by the hour where any is let so, else by the month."""
        return first_that_fits(self.by_hour or self.by_month)

    @cached_property
    def smallest_that_fits(self) -> CardOnRun | None:
        """As :func:`smallest_that_fits` finds it."""
        return smallest_that_fits(self)


def cards_on_run(assessment: Assessment) -> Cards:
    """Every card of the catalogue against a run, in the catalogue's order. Raises :class:`app.request.RequestError`."""
    groups, estimate, found = assessment.groups, assessment.some_memory(), []
    for kind in _kinds(assessment.snapshot):
        device = kind[0].gpu.device
        required = required_on(estimate, device)
        lacks = unsupported_reason(device, groups.method, groups.precision, groups.batch) is not None
        for item in kind:
            verdict = Verdict.UNSUPPORTED if lacks else verdict_of(required, item.gpu.device)
            found.append((item.position, CardOnRun(assessment, item.gpu, verdict)))
    found.sort(key=lambda entry: entry[0])
    return Cards([card for _, card in found])


@dataclass(frozen=True, slots=True)
class _Placed:
    gpu: CatalogueGpu
    position: int


def _kinds(snapshot: Snapshot) -> Sequence[Sequence[_Placed]]:
    """Cards that differ, for a verdict, in their memory alone."""

    def made() -> list[list[_Placed]]:
        kinds: dict[object, list[_Placed]] = {}
        for position, gpu in enumerate(snapshot.gpus):
            device = gpu.device
            kind = (
                workspace_bytes(device),
                context_of(device),
                device.supports_bf16,
                device.supports_flash_attention_2,
                device.supports_bitsandbytes,
            )
            kinds.setdefault(kind, []).append(_Placed(gpu, position))
        return list(kinds.values())

    return snapshot.derived((_kinds,), made)


def fewest_together(cards: Iterable[CardOnRun]) -> CardOnRun | None:
    """Of cards that hold a run only together, that of which the fewest do, the largest first; None where 64 do not."""
    largest: dict[tuple[int, Outside], CardOnRun] = {}
    for card in cards:
        if card.verdict is Verdict.DOES_NOT_FIT:
            # What so many cards must hold depends on these alone, so of alike cards the largest does with the fewest.
            kind = workspace_bytes(card.gpu.device), context_of(card.gpu.device)
            if kind not in largest or card.usable_bytes > largest[kind].usable_bytes:
                largest[kind] = card
    able = [card for card in largest.values() if card.fewest_gpus]
    return min(able, key=lambda card: (card.fewest_gpus or 0, -card.usable_bytes), default=None)


Chosen = TypeVar("Chosen", bound=Card)


def holding(cards: Iterable[Chosen], period: Period) -> list[Chosen]:
    """Cards that hold the run and are let by ``period``, cheapest first."""
    let = (card for card in cards if card.verdict in HOLDS and card.offer and card.offer.price.period is period)
    return sorted(let, key=lambda card: card.dearness)


def first_that_fits(cards: Iterable[Chosen]) -> Chosen | None:
    """The first card that surely holds the run."""
    return next((card for card in cards if card.verdict is Verdict.FITS), None)


def smallest_that_fits(cards: Iterable[Chosen]) -> Chosen | None:
    """The card with the least usable memory that surely holds the run."""
    fitting = (card for card in cards if card.verdict is Verdict.FITS)
    return min(fitting, key=lambda card: card.usable_bytes, default=None)
