"""Time and cost of a run on every card that holds it: which are worth having, and how sure the time is."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Final

from app.memory.device import Verdict
from app.services.results import Card, CostReport, TimeReport
from app.web.cards_view import price_note, price_text, short_card_name
from app.web.charts import percent
from app.web.components import Link, PageMeta
from app.web.formatting import Formatter, between
from app.web.links import page_link
from app.web.outcome import Outcome
from app.web.shell import PageContext, page_meta
from app.web.wording import METHOD_RUNS

PLOT_TOP_PX: Final = 24
PLOT_BOTTOM_PX: Final = 250
"""Where the dearest and the cheapest job lie in the scatter; the card's name needs the room above and below."""

LEFT_MARGIN: Final = 0.18
RIGHT_MARGIN: Final = 0.03
"""Of the time axis' width; the costs stand at the left."""

LEAST_COST: Final = 0.001
"""A job that costs less is drawn as if it cost this."""

MOST_BARS: Final = 24
DAY_SECONDS: Final = 86_400
BAR_STEPS_SECONDS: Final = (1, 5, 15, 30, *(60 * minutes for minutes in (1, 2, 5, 10, 20, 30, 60, 120, 240, 480)))
MOST_BAR_STEPS: Final = 5
LAST_BAR_TICK: Final = 0.94
"""Of the bars' width: room for the last time's words."""
TIME_TICKS_SECONDS: Final = tuple(60 * minutes for minutes in (1, 2, 5, 10, 30, 60, 120, 300, 600, 1440, 4320, 14400))


@dataclass(frozen=True, slots=True)
class Priced:
    """A card with both a time and a cost for the job."""

    card: Card
    time: TimeReport
    cost: CostReport


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A card in the scatter; a label only on those worth having. ``anchor_end`` writes it to the left,
    ``is_below`` under the point."""

    x: str
    y: int
    is_front: bool
    label: str
    anchor_end: bool
    is_below: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A piece of the stair that joins the cards worth having."""

    x1: str
    x2: str
    y1: int
    y2: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A grid line of an axis and its text."""

    place: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeBar:
    """A card's time with its range."""

    name: str
    url: str
    low_x: str
    range_width: str
    middle_x: str
    time: str
    range_text: str
    cost: str
    price: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedPage:
    """Cost against time, and time by card. Without ``bars`` nothing with a price holds the run."""

    meta: PageMeta
    title: str
    lead: str
    calculator_url: str
    points: tuple[Point, ...]
    steps: tuple[Step, ...]
    times: tuple[Mark, ...]
    costs: tuple[Mark, ...]
    description: str
    bars: tuple[TimeBar, ...]
    bar_times: tuple[Mark, ...]
    methods: tuple[Link, ...]


def priced_cards(cards: Sequence[Card]) -> list[Priced]:
    """Cards that surely hold the run and have a time and a cost, fastest first."""
    found = [
        Priced(card, card.time, card.cost)
        for card in cards
        if card.verdict is Verdict.FITS and card.time is not None and card.cost is not None
    ]
    return sorted(found, key=lambda item: (item.time.total_seconds, item.cost.amount))


def front(cards: Sequence[Priced]) -> list[Priced]:
    """Those of ``cards`` (fastest first) that none faster is as cheap as."""
    kept: list[Priced] = []
    for item in cards:
        if not kept or item.cost.amount < kept[-1].cost.amount:
            kept.append(item)
    return kept


class _Plot:
    """Places on the scatter: logarithmic in time and in cost, since both span two orders of magnitude."""

    def __init__(self, cards: Sequence[Priced]) -> None:
        times = [item.time.total_seconds for item in cards]
        costs = [max(float(item.cost.amount), LEAST_COST) for item in cards]
        self.fastest, self.slowest = min(times), max(*times, min(times) * 1.5)
        self.cheapest, self.dearest = min(costs), max(*costs, min(costs) * 1.5)

    def share(self, seconds: float) -> float:
        along = math.log(seconds / self.fastest) / math.log(self.slowest / self.fastest)
        return LEFT_MARGIN + (1 - LEFT_MARGIN - RIGHT_MARGIN) * along

    def y(self, amount: float) -> int:
        up = math.log(max(amount, LEAST_COST) / self.cheapest) / math.log(self.dearest / self.cheapest)
        return round(PLOT_BOTTOM_PX - (PLOT_BOTTOM_PX - PLOT_TOP_PX) * up)

    def costs(self) -> list[float]:
        """1, 2 and 5 times powers of ten within the range."""
        powers = range(math.floor(math.log10(self.cheapest)), math.ceil(math.log10(self.dearest)) + 1)
        values = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        return [value for value in values if self.cheapest <= value <= self.dearest]


def _points(cards: Sequence[Priced], kept: Sequence[Priced], plot: _Plot, fmt: Formatter) -> tuple[Point, ...]:
    points = []
    for item in cards:
        is_front = item in kept
        share = plot.share(item.time.total_seconds)
        is_end = is_front and item in (kept[0], kept[-1])
        name = f"{short_card_name(item.card.name)} {fmt.money(item.cost.amount, item.cost.currency)}"
        points.append(
            Point(
                x=percent(share),
                y=plot.y(float(item.cost.amount)),
                is_front=is_front,
                label=name if is_end else "",
                anchor_end=share > 0.5,
                is_below=item is kept[-1],
            )
        )
    return tuple(points)


def _steps(kept: Sequence[Priced], plot: _Plot) -> tuple[Step, ...]:
    steps = []
    for left, right in pairwise(kept):
        x1, x2 = percent(plot.share(left.time.total_seconds)), percent(plot.share(right.time.total_seconds))
        y1, y2 = plot.y(float(left.cost.amount)), plot.y(float(right.cost.amount))
        steps += [Step(x1=x1, x2=x2, y1=y1, y2=y1), Step(x1=x2, x2=x2, y1=y1, y2=y2)]
    return tuple(steps)


def _bars(cards: Sequence[Priced], chosen_link: str, fmt: Formatter) -> tuple[tuple[TimeBar, ...], float]:
    shown = cards[:MOST_BARS]
    longest = max(item.time.total_seconds_high for item in shown)
    bars = []
    for item in shown:
        offer, time = item.cost.offer, item.time
        bars.append(
            TimeBar(
                name=short_card_name(item.card.name),
                url=chosen_link + item.card.slug,
                low_x=percent(time.total_seconds_low / longest),
                range_width=percent((time.total_seconds_high - time.total_seconds_low) / longest),
                middle_x=percent(time.total_seconds / longest),
                time=fmt.duration(time.total_seconds),
                range_text=between(fmt.duration(time.total_seconds_low), fmt.duration(time.total_seconds_high)),
                cost=fmt.money(item.cost.amount, item.cost.currency),
                price=f"{price_text(offer, fmt)}, {price_note(offer, fmt, item.cost.servers)}",
            )
        )
    return tuple(bars), longest


def speed_page(*, context: PageContext, outcome: Outcome) -> SpeedPage:
    """The page for one run."""
    fmt, result = context.fmt, outcome.result
    _ = fmt.gettext
    cards = priced_cards(outcome.cards)
    run = _("{method} of {model}: {examples} examples of {tokens} tokens, {epochs} times over").format(
        method=_(METHOD_RUNS[result.run.method]),
        model=result.model.name,
        examples=fmt.integer(result.run.num_examples),
        tokens=fmt.integer(result.run.tokens_per_example or result.run.sequence_length),
        epochs=fmt.plain(result.run.epochs),
    )
    meta = page_meta(
        context,
        path="/speed",
        title=_("How long fine-tuning takes, and what it costs, by GPU"),
        description=_(
            "Time and cost of a fine-tuning job on every GPU that holds it, each with its range: which cards are "
            "cheapest, which fastest, and which nothing beats."
        ),
        image_url=context.absolute(page_link(outcome.chosen, path="/charts/speed.png")),
    )
    methods = tuple(
        Link(
            text=_(METHOD_RUNS[other.run.method]),
            url=page_link(outcome.chosen, {"method": other.run.method, "quantization": None}, "/speed"),
            is_current=other is result,
        )
        for other in outcome.methods
    )
    empty = SpeedPage(
        meta=meta,
        title=_("No card with a price surely holds this run"),
        lead=run + ".",
        calculator_url=page_link(outcome.chosen),
        points=(),
        steps=(),
        times=(),
        costs=(),
        description="",
        bars=(),
        bar_times=(),
        methods=methods,
    )
    return _filled(empty, cards, run, outcome, fmt) if cards else empty


def _filled(empty: SpeedPage, cards: Sequence[Priced], run: str, outcome: Outcome, fmt: Formatter) -> SpeedPage:
    _ = fmt.gettext
    kept, plot = front(cards), _Plot(cards)
    cheapest, fastest = kept[-1], kept[0]
    bars, longest = _bars(cards, page_link(outcome.chosen, {"gpu": None}) + "&gpu=", fmt)

    def job(item: Priced) -> str:
        return _("{cost} in about {time}").format(
            cost=fmt.money(item.cost.amount, item.cost.currency), time=fmt.duration(item.time.total_seconds)
        )

    names = {"cheapest": short_card_name(cheapest.card.name), "fastest": short_card_name(fastest.card.name)}
    title = (
        _("{cheapest} is both cheapest and fastest").format(**names)
        if cheapest is fastest
        else _("{cheapest} is cheapest, {fastest} is fastest").format(**names)
    )
    return replace(
        empty,
        title=title,
        lead=_(
            "{run}. {cheap} on the one, {fast} on the other. {kept} of {all} cards are worth having; for each of the "
            "others another is both cheaper and faster."
        ).format(run=run, cheap=job(cheapest), fast=job(fastest), kept=len(kept), all=len(cards)),
        points=_points(cards, kept, plot, fmt),
        steps=_steps(kept, plot),
        times=tuple(
            Mark(place=percent(plot.share(seconds)), text=_tick(seconds, fmt))
            for seconds in TIME_TICKS_SECONDS
            if plot.fastest <= seconds <= plot.slowest
        ),
        costs=tuple(Mark(place=str(plot.y(amount)), text=_money(amount, cheapest, fmt)) for amount in plot.costs()),
        description=_("Cost against time of {count} cards; the table below has the same figures").format(
            count=len(cards)
        ),
        bars=bars,
        bar_times=tuple(_bar_times(longest, fmt)),
    )


def _bar_times(longest: float, fmt: Formatter) -> Iterator[Mark]:
    """Round times along the bars, at most five apart; none so near the end that it runs into the next column."""
    days = DAY_SECONDS * math.ceil(longest / DAY_SECONDS / MOST_BAR_STEPS)
    step = next((step for step in BAR_STEPS_SECONDS if longest <= MOST_BAR_STEPS * step), days)
    for seconds in range(0, int(longest * LAST_BAR_TICK) + 1, step):
        yield Mark(place=percent(seconds / longest), text=_tick(seconds, fmt) if seconds else "0")


def _tick(seconds: int, fmt: Formatter) -> str:
    """A round time without decimals."""
    whole_hours, rest = divmod(seconds, 3600)
    return fmt.gettext("{number} h").format(number=whole_hours) if whole_hours and not rest else fmt.duration(seconds)


def _money(amount: float, item: Priced, fmt: Formatter) -> str:
    return fmt.money(Decimal(amount).quantize(Decimal("0.01")), item.cost.currency)
