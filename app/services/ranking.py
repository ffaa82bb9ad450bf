"""The order of planned options: by the objective, those let by the hour before those let by the month."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from math import inf
from typing import Final

from app.catalogue.facts import Period
from app.memory.inputs import MethodKind
from app.messages import Sum, counted, mark, message, rounded, sentences
from app.planning.front import pareto_front
from app.request import Objective, RecommendRequest
from app.services.planned import PricedPlan
from app.services.results import Reason
from app.services.shortfall import METHOD_WORDS

_PERIODS: Final = tuple(Period)
_METHODS: Final = tuple(MethodKind)
_HOUR: Final = 3600
_JOB_FIELDS: Final = frozenset(
    {"num_examples", "tokens_per_example", "epochs", "max_steps", "budget", "deadline_hours"}
)
_MINUTE: Final = 60
_DAY: Final = 24 * _HOUR
_NOTICEABLE: Final = 0.03
"""Smaller differences in time are within what an estimate can tell."""


def lasting(seconds: float) -> str:
    """A time in words, in the unit that suits it."""
    if seconds < 2 * _HOUR:
        return counted("1 minute", "{count} minutes", max(1, round(seconds / _MINUTE)))
    if seconds < 2 * _DAY:
        return message("{hours} hours", hours=rounded(seconds / _HOUR, 1))
    return message("{days} days", days=rounded(seconds / _DAY, 1))


def within_limits(option: PricedPlan, given: RecommendRequest) -> bool:
    """Whether an option keeps the budget and the deadline; one whose time nobody knows keeps neither."""
    if given.budget is not None and (option.paid is None or option.paid > given.budget):
        return False
    return given.deadline_hours is None or option.seconds <= given.deadline_hours * _HOUR


def nearest_miss(name: str, found: Sequence[PricedPlan], given: RecommendRequest) -> Reason:
    """What the budget or the deadline would have to be for one option at least."""
    known = [option for option in found if option.paid is not None]
    if not known:
        text = message("{run} fits cards with offers, but its speed on them is not known.", run=name)
        return Reason(code="no_speed", text=text)
    cheapest = min(known, key=lambda option: option.paid or Decimal(0))
    fastest = min(known, key=lambda option: option.seconds)
    return Reason(
        code="over_limits",
        text=sentences(
            message("{run} fits cards with offers, but none keeps your limits:", run=name),
            message(
                "the cheapest takes {amount} and {time} on {cards}, the fastest {least_time} on {fast_cards}.",
                amount=Sum(cheapest.paid or Decimal(0), cheapest.quote.conversion.currency),
                time=lasting(cheapest.seconds),
                cards=cards_of(cheapest),
                least_time=lasting(fastest.seconds),
                fast_cards=cards_of(fastest),
            ),
        ),
    )


def cards_of(option: PricedPlan) -> str:
    """``2 × RTX 4090``, or the card's name where it is one."""
    count = option.plan.num_gpus
    return option.gpu.name if count == 1 else message("{count} × {card}", count=count, card=option.gpu.name)


def ranked(options: Iterable[PricedPlan], given: RecommendRequest) -> tuple[list[PricedPlan], list[PricedPlan]]:
    """The options to show in their order, and those of them that are on the front.

    Shown are the first ``limit`` of each method and price period, and all of the front.
    """
    ordered = sorted(options, key=lambda option: _key(option, given))
    front = {id(ordered[place]) for place in pareto_front([option.measures for option in ordered])}
    room = {(method, period): given.limit for method in _METHODS for period in _PERIODS}
    shown = []
    for option in ordered:
        group = (option.assessment.run.method, option.period)
        room[group] -= 1
        if room[group] >= 0 or id(option) in front:
            shown.append(option)
    return shown, [option for option in shown if id(option) in front]


def _key(option: PricedPlan, given: RecommendRequest) -> tuple[object, ...]:
    """Where nothing is said of the job, its cost is an assumption's: then the cheapest is the lowest price."""
    price, seconds, worse = option.quote.amount, option.seconds, -option.quality
    cost = option.paid if option.paid is not None else Decimal("Infinity")
    lead: dict[Objective, tuple[object, ...]] = {
        Objective.CHEAPEST: (cost if given.model_fields_set & _JOB_FIELDS else price, worse, cost),
        Objective.FASTEST: (seconds, worse),
        Objective.BEST_QUALITY: (worse, cost),
        Objective.BALANCED: (seconds * float(cost) if seconds < inf else inf, worse),
    }
    return (
        _PERIODS.index(option.period),
        *lead[given.optimize_for],
        price,
        option.plan.num_gpus,
        option.gpu.slug,
        option.quote.offer.id,
    )


_TRADES: Final = {
    (0, 0): mark("The same cost, about as fast as {cards}."),
    (0, 1): mark("The same cost, {time} longer than {cards}."),
    (0, -1): mark("The same cost, {time} sooner than {cards}."),
    (1, 0): mark("{amount} more, about as fast as {cards}."),
    (1, 1): mark("{amount} more, {time} longer than {cards}."),
    (1, -1): mark("{amount} more, {time} sooner than {cards}."),
    (-1, 0): mark("{amount} less, about as fast as {cards}."),
    (-1, 1): mark("{amount} less, {time} longer than {cards}."),
    (-1, -1): mark("{amount} less, {time} sooner than {cards}."),
}
"""By the sign of what it costs more and of what it takes longer."""


def trade_off(option: PricedPlan, other: PricedPlan) -> str | None:
    """In words: what the whole job costs and how long it takes against another option, with its method if that differs.

    None where either's time is not known.
    """
    if option.paid is None or other.paid is None:
        return None
    more, later = option.paid - other.paid, option.seconds - other.seconds
    if abs(later) < max(_NOTICEABLE * other.seconds, _MINUTE / 2):
        later = 0.0
    method = other.assessment.run.method
    cards = cards_of(other)
    if method is not option.assessment.run.method:
        cards = message("{method} on {cards}", method=METHOD_WORDS[method], cards=cards)
    return message(
        _TRADES[_sign(more), _sign(later)],
        amount=Sum(abs(more), option.quote.conversion.currency),
        time=lasting(abs(later)),
        cards=cards,
    )


def _sign(value: Decimal | float) -> int:
    return (value > 0) - (value < 0)
