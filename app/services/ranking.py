"""The order of options: by the objective within each price period, since an hour and a month are not compared."""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from math import inf
from typing import Final

from app.catalogue.facts import Period
from app.memory.inputs import MethodKind
from app.request import Objective, RecommendRequest
from app.services.results import Reason, RecommendOption
from app.speed.cost import servers_needed

QUALITY_ORDER: Final = (MethodKind.FULL, MethodKind.LORA, MethodKind.QLORA)
"""Best expected quality first: full fine-tuning can learn what adapters can, and a 16-bit base what a 4-bit one can."""

_PERIODS: Final = tuple(Period)
_HOUR: Final = 3600


def within_limits(option: RecommendOption, given: RecommendRequest) -> bool:
    """Whether an option keeps the budget and the deadline; one whose time nobody knows keeps neither."""
    if given.budget is not None and (option.cost is None or option.cost.amount > given.budget):
        return False
    if given.deadline_hours is not None:
        return option.time is not None and option.time.total_seconds <= given.deadline_hours * _HOUR
    return True


def nearest_miss(name: str, found: list[RecommendOption], given: RecommendRequest) -> Reason:
    """What the budget or the deadline would have to be for one option at least."""
    costs = [option.cost for option in found if option.cost is not None]
    hours = [option.time.total_seconds / _HOUR for option in found if option.time is not None]
    if not costs or not hours:
        return Reason(code="no_speed", text=f"{name} fits cards with offers, but its speed on them is not known.")
    cheapest = min(costs, key=lambda cost: cost.amount)
    parts = []
    if given.budget is not None:
        parts.append(f"the cheapest takes {cheapest.amount} {cheapest.currency}")
    if given.deadline_hours is not None:
        parts.append(f"the fastest takes {min(hours):.1f} hours")
    return Reason(
        code="over_limits", text=f"{name} fits cards with offers, but none keeps your limits: {', '.join(parts)}."
    )


def best(options: Iterable[RecommendOption], given: RecommendRequest) -> list[RecommendOption]:
    """The first ``limit`` options of each price period."""
    ordered = sorted(options, key=lambda option: _key(option, given.optimize_for))
    return [
        option
        for period in _PERIODS
        for option in [one for one in ordered if one.offer.price.period is period][: given.limit]
    ]


def ranked_options(options: Iterable[RecommendOption], given: RecommendRequest) -> tuple[RecommendOption, ...]:
    """Options with their positions, hourly before monthly, each with what it trades against the first of its period."""
    ordered = sorted(options, key=lambda option: _key(option, given.optimize_for))
    firsts: dict[Period, RecommendOption] = {}
    placed = []
    for position, option in enumerate(ordered, start=1):
        first = firsts.setdefault(option.offer.price.period, option)
        placed.append(replace(option, position=position, trade_off=_trade_off(option, first)))
    return tuple(placed)


def _key(option: RecommendOption, objective: Objective) -> tuple[object, ...]:
    price, amount = option.offer.price, _period_amount(option)
    quality = QUALITY_ORDER.index(option.run.method)
    seconds = option.time.total_seconds if option.time else inf
    cost = float(option.cost.amount) if option.cost else inf
    lead = {
        Objective.CHEAPEST: (amount, quality),
        Objective.FASTEST: (seconds, quality),
        Objective.BEST_QUALITY: (quality, amount),
        Objective.BALANCED: (seconds * cost, quality),
    }[objective]
    return (_PERIODS.index(price.period), *lead, amount, option.gpu, option.offer.id)


def _period_amount(option: RecommendOption) -> Decimal:
    """One hour or month of all the servers, in the currency that options are compared in."""
    return option.offer.comparable_amount * servers_needed(option.num_gpus, option.offer.gpus_per_server)


def _trade_off(option: RecommendOption, first: RecommendOption) -> str | None:
    """In words: the whole job's cost and time against the first option's."""
    if option is first or option.cost is None or first.cost is None or option.time is None or first.time is None:
        return None
    more = option.cost.amount - first.cost.amount
    later = (option.time.total_seconds - first.time.total_seconds) / _HOUR
    money = f"{abs(more)} {option.cost.currency} {'more' if more > 0 else 'less'}" if more else "The same cost"
    if round(abs(later), 1) == 0:
        return f"{money}, about as fast as {first.gpu_name}."
    return f"{money}, {abs(later):.1f} hours {'longer' if later > 0 else 'sooner'} than {first.gpu_name}."


def pareto(options: tuple[RecommendOption, ...]) -> tuple[int, ...]:
    """Positions of the options that no other of their period beats in cost, time and method at once."""
    return tuple(
        option.position
        for option in options
        if not any(_beats(other, option) for other in options if other is not option)
    )


def _beats(other: RecommendOption, option: RecommendOption) -> bool:
    if other.offer.price.period is not option.offer.price.period:
        return False
    mine, theirs = _measures(option), _measures(other)
    return all(a <= b for a, b in zip(theirs, mine, strict=True)) and theirs != mine


def _measures(option: RecommendOption) -> tuple[float, float, int]:
    cost = option.cost.amount if option.cost else _period_amount(option)
    seconds = option.time.total_seconds if option.time else inf
    return float(cost), seconds, QUALITY_ORDER.index(option.run.method)
