"""What the answer leads with and why, in the numbers of the person's own case."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from app.catalogue.facts import Period
from app.memory.inputs import MethodKind
from app.messages import Sum, mark, message
from app.request import Objective, RecommendRequest
from app.services.option_report import METHOD_STARTS
from app.services.planned import PricedPlan, assumes_batch
from app.services.quality import quality_of
from app.services.ranking import cards_of, lasting
from app.services.results import Decision, Reason

_PRICES: Final = {
    Period.HOUR: mark("{cards} from {provider} at {amount} an hour."),
    Period.MONTH: mark("{cards} from {provider} at {amount} a month."),
}
_BESTS: Final = {
    Objective.CHEAPEST: mark("Of {count} options that keep to what you set, this is the cheapest."),
    Objective.FASTEST: mark("Of {count} options that keep to what you set, this is the fastest."),
    Objective.BEST_QUALITY: mark(
        "Of {count} options that keep to what you set, none is expected to train a better model, and of those that are "
        "expected to train as good a one this is the cheapest."
    ),
    Objective.BALANCED: mark("Of {count} options that keep to what you set, this has the lowest cost times hours."),
}
_CHEAPER: Final = mark("The cheapest job by the same method: {amount} in {time}, on {cards} from {provider}.")
_FASTER: Final = mark("The fastest by the same method: {time} for {amount}, on {cards} from {provider}.")
_PROVEN: Final = mark(
    "Nobody's runs on such a card are known. On cards where they are, the first choice is {method} on {cards} from "
    "{provider}: {amount} in {time}."
)


def decision(
    shown: Sequence[PricedPlan], within: Sequence[PricedPlan], shortfalls: Sequence[Reason], given: RecommendRequest
) -> Decision:
    """``shown`` in their order, all the options ``within`` the limits, and why methods have none."""
    if not shown:
        return Decision(method=None, reasons=tuple(shortfalls))
    first = shown[0]
    return Decision(
        method=first.assessment.run.method,
        reasons=(
            *_lead(first, within, given),
            *_other_methods(first, within),
            *_quality(within),
            *_faster_or_cheaper(first, within),
            *_proven(first, shown),
            *_batch(first, given),
            *shortfalls,
        ),
    )


def _lead(first: PricedPlan, within: Sequence[PricedPlan], given: RecommendRequest) -> Iterator[Reason]:
    offer = first.quote.offer
    yield Reason(
        code="first_option",
        text=message(
            _PRICES[offer.period],
            cards=cards_of(first),
            provider=offer.provider,
            amount=Sum(Decimal(f"{(offer.amount * first.quote.servers).normalize():f}"), offer.currency),
        ),
    )
    if first.paid is not None:
        yield Reason(
            code="job",
            text=message(
                "The whole job takes about {time} and costs {amount}.",
                time=lasting(first.seconds),
                amount=Sum(first.paid, first.quote.conversion.currency),
            ),
        )
    yield Reason(code="objective", text=message(_BESTS[given.optimize_for], count=len(within)))


def _other_methods(first: PricedPlan, within: Sequence[PricedPlan]) -> Iterator[Reason]:
    """What each other method costs at least."""
    for method in MethodKind:
        options = [option for option in within if option.assessment.run.method is method and option.paid is not None]
        if method is first.assessment.run.method or not options:
            continue
        cheapest = min(options, key=lambda option: (option.paid or Decimal(0), option.seconds))
        yield Reason(
            code="other_method",
            text=message(
                "{method} costs {amount} and takes {time} at the cheapest, on {cards}.",
                method=METHOD_STARTS[method],
                amount=Sum(cheapest.paid or Decimal(0), cheapest.quote.conversion.currency),
                time=lasting(cheapest.seconds),
                cards=cards_of(cheapest),
            ),
        )


def _quality(within: Sequence[PricedPlan]) -> Iterator[Reason]:
    """What published comparisons expect of each method that adapts."""
    methods = {option.assessment.run.method: option.assessment.groups.method for option in within}
    for kind, method in methods.items():
        if kind is MethodKind.FULL:
            continue
        quality = quality_of(kind, method.adapter)
        yield Reason(
            code="quality",
            text=message(
                "Published comparisons, {results} of them from {sources} sources, put {method} at {share}% of full "
                "fine-tuning's score, most between {low} and {high}%.",
                results=quality.results,
                sources=len(quality.sources),
                method=METHOD_STARTS[kind],
                share=round(100 * quality.share_of_full),
                low=round(100 * quality.share_of_full_low),
                high=round(100 * quality.share_of_full_high),
            ),
        )


def _faster_or_cheaper(first: PricedPlan, within: Sequence[PricedPlan]) -> Iterator[Reason]:
    """The cheapest and the fastest way to the same method, where they are other ones."""
    same = [option for option in within if option.assessment is first.assessment and option.paid is not None]
    if first.paid is None or not same:
        return
    cheapest = min(same, key=lambda option: (option.paid or Decimal(0), option.seconds))
    fastest = min(same, key=lambda option: (option.seconds, option.paid or Decimal(0)))
    if cheapest.paid is not None and cheapest.paid < first.paid:
        yield Reason(code="cheaper", text=_instead(_CHEAPER, cheapest))
    if fastest.seconds < first.seconds:
        yield Reason(code="faster", text=_instead(_FASTER, fastest))


def _proven(first: PricedPlan, shown: Sequence[PricedPlan]) -> Iterator[Reason]:
    """Where nobody's runs on such cards as the first option's are known: the best option on cards where some are."""
    if first.plan.speed is None or first.plan.speed.calibration.measured:
        return
    for option in shown:
        speed = option.plan.speed
        if option.paid is not None and speed is not None and speed.calibration.measured:
            method = METHOD_STARTS[option.assessment.run.method]
            yield Reason(code="proven", text=_instead(_PROVEN, option, method=method))
            return


def _instead(template: str, option: PricedPlan, **values: str) -> str:
    return message(
        template,
        cards=cards_of(option),
        provider=option.quote.offer.provider,
        amount=Sum(option.paid or Decimal(0), option.quote.conversion.currency),
        time=lasting(option.seconds),
        **values,
    )


def _batch(first: PricedPlan, given: RecommendRequest) -> Iterator[Reason]:
    if assumes_batch(given):
        yield Reason(
            code="batch",
            text=message(
                "Every option trains {sequences} sequences a step, an assumption: global_batch_size says otherwise.",
                sequences=first.plan.global_batch_size,
            ),
        )
