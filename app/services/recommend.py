"""Which server to rent: every offer whose cards hold the run, in order, and what would make the others hold it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date

from app.catalogue.facts import CatalogueGpu, Offer, Period
from app.catalogue.snapshot import Snapshot
from app.memory.device import Verdict
from app.memory.inputs import MethodKind
from app.memory.result import MemoryEstimate
from app.request import FieldError, RecommendRequest, RequestError
from app.services.assess import Assessment
from app.services.compare import run_of
from app.services.lookup import find_gpu
from app.services.market import offer_report, servers_for
from app.services.policy import DEFAULT_POLICY, Policy
from app.services.report import gib, memory_report
from app.services.results import Decision, Reason, RecommendOption, RecommendResult, RejectedCard
from app.services.shortfall import METHOD_WORDS, nothing_holds, rejections

QUALITY_ORDER = (MethodKind.FULL, MethodKind.LORA, MethodKind.QLORA)
"""Best expected quality first: full fine-tuning can learn what adapters can, and a 16-bit base what a 4-bit one can."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A card that holds a run."""

    gpu: CatalogueGpu
    memory: MemoryEstimate
    verdict: Verdict
    reason: str


def recommend(
    given: RecommendRequest, snapshot: Snapshot, today: date, policy: Policy = DEFAULT_POLICY
) -> RecommendResult:
    """Rank the offers that hold the run, hourly and monthly prices apart, for each method asked.

    Raises :class:`app.request.RequestError` for an unknown model or card, or contradicting fields.
    """
    cards = _allowed(given, snapshot)
    assessments = [
        Assessment.of(run_of(given, {"method": method} if method else {}), snapshot, today, policy)
        for method in _methods(given)
    ]
    options: list[RecommendOption] = []
    rejected: list[RejectedCard] = []
    reasons: list[Reason] = []
    for assessment in assessments:
        held = [item for item in _held(assessment, cards) if given.allow_tight or item.verdict is Verdict.FITS]
        options.extend(_options(assessment, held, given.limit))
        rejected.extend(rejections(assessment, cards, {item.gpu.slug for item in held}))
        if not held:
            reasons.extend(nothing_holds(assessment, cards))
        elif not any(option.run.method is assessment.run.method for option in options):
            names = ", ".join(item.gpu.name for item in held[:3])
            text = f"{_name(assessment)} fits {names}, but no offer in {assessment.run.currency} passes your filters."
            reasons.append(Reason(code="no_offer", text=text))
    ranked = _ranked(options, given)
    return RecommendResult(
        options=ranked,
        pareto=_pareto(ranked),
        rejected=tuple(rejected),
        decision=_decision(ranked, reasons),
        evaluations=sum(assessment.evaluations for assessment in assessments),
        contact_url=policy.contact_url,
    )


def _methods(given: RecommendRequest) -> tuple[MethodKind | None, ...]:
    """None stands for the request as it is."""
    if given.methods:
        return given.methods
    if given.model_fields_set & {"method", "quantization"}:
        return (None,)
    return tuple(MethodKind)


def _allowed(given: RecommendRequest, snapshot: Snapshot) -> tuple[CatalogueGpu, ...]:
    if given.gpus_allowed:
        return tuple(dict.fromkeys(find_gpu(name, snapshot, field="gpus_allowed") for name in given.gpus_allowed))
    if given.gpu:
        return (find_gpu(given.gpu, snapshot),)
    if not snapshot.gpus:
        raise RequestError(
            FieldError(field="gpus_allowed", message="has no card to choose from: the catalogue is empty.")
        )
    return snapshot.gpus


def _held(assessment: Assessment, cards: Iterable[CatalogueGpu]) -> Iterator[Held]:
    for gpu in cards:
        memory, verdict, reason = assessment.judged(gpu)
        if verdict in {Verdict.FITS, Verdict.TIGHT}:
            yield Held(gpu=gpu, memory=memory, verdict=verdict, reason=reason)


def _options(assessment: Assessment, held: Iterable[Held], limit: int) -> Iterator[RecommendOption]:
    """The cheapest server of each card and price period, at most ``limit`` for each period."""
    servers = [
        (offer, item)
        for item in held
        for offer in servers_for(item.gpu.slug, assessment.run.num_gpus, assessment.market, assessment.snapshot)
    ]
    for period in Period:
        of_period = sorted((pair for pair in servers if pair[0].period is period), key=lambda pair: _price_key(pair[0]))
        for offer, item in of_period[:limit]:
            yield _option(assessment, item, offer)


def _price_key(offer: Offer) -> tuple[object, ...]:
    return (offer.amount, offer.gpus_per_server, offer.id)


def _option(assessment: Assessment, item: Held, offer: Offer) -> RecommendOption:
    return RecommendOption(
        position=0,
        run=assessment.run.model_copy(
            update={"model": assessment.model.reference, "config": None, "gpu": item.gpu.slug}
        ),
        gpu=item.gpu.slug,
        gpu_name=item.gpu.name,
        num_gpus=assessment.run.num_gpus,
        offer=offer_report(offer),
        verdict=item.verdict,
        memory=memory_report(item.memory),
        speed=None,
        time=None,
        cost=None,
        quality=None,
        reasons=tuple(_reasons(assessment, item, offer)),
        trade_off=None,
    )


def _reasons(assessment: Assessment, item: Held, offer: Offer) -> Iterator[Reason]:
    usable = item.gpu.device.usable_bytes
    yield Reason(
        code="memory",
        text=f"{_name(assessment)} needs {gib(item.memory.required_bytes)} GiB; {item.gpu.name} gives {gib(usable)}.",
    )
    if item.verdict is Verdict.TIGHT:
        yield Reason(code="tight", text="The interval reaches beyond what the card gives: it may run out of memory.")
    unused = offer.gpus_per_server - assessment.run.num_gpus
    if unused:
        yield Reason(
            code="unused_cards", text=f"The server has {offer.gpus_per_server} cards; {unused} would stand idle."
        )
    if offer.period is Period.MONTH:
        yield Reason(code="by_the_month", text="Rented by the month: a shorter job costs the whole month.")
    if offer.observed_on is None:
        yield Reason(code="undated", text="Nobody knows when this price was seen.")
    if offer.is_sample:
        yield Reason(code="sample", text="A published price point, not a live offer.")


def _name(assessment: Assessment) -> str:
    words = METHOD_WORDS[assessment.run.method]
    return f"{words[0].upper()}{words[1:]} of {assessment.model.summary.name}"


def _ranked(options: Iterable[RecommendOption], given: RecommendRequest) -> tuple[RecommendOption, ...]:
    """Hourly before monthly, since the two are never ranked against each other; by price within each.

    ``best_quality`` puts the better method first within its period.
    """

    def key(option: RecommendOption) -> tuple[object, ...]:
        quality = QUALITY_ORDER.index(option.run.method) if given.optimize_for == "best_quality" else 0
        price = option.offer.price
        return (
            list(Period).index(price.period),
            quality,
            price.amount,
            QUALITY_ORDER.index(option.run.method),
            option.gpu,
        )

    return tuple(replace(option, position=place) for place, option in enumerate(sorted(options, key=key), start=1))


def _pareto(options: tuple[RecommendOption, ...]) -> tuple[int, ...]:
    """Positions no other option of the same price period beats in both price and method."""

    def beaten(option: RecommendOption) -> bool:
        return any(
            other.offer.price.period is option.offer.price.period
            and other.offer.price.amount <= option.offer.price.amount
            and QUALITY_ORDER.index(other.run.method) <= QUALITY_ORDER.index(option.run.method)
            and (
                other.offer.price.amount < option.offer.price.amount
                or QUALITY_ORDER.index(other.run.method) < QUALITY_ORDER.index(option.run.method)
            )
            for other in options
        )

    return tuple(option.position for option in options if not beaten(option))


def _decision(options: tuple[RecommendOption, ...], reasons: list[Reason]) -> Decision:
    if not options:
        return Decision(method=None, reasons=tuple(reasons))
    first = options[0]
    price = first.offer.price
    period = "an hour" if price.period is Period.HOUR else "a month"
    text = f"{first.gpu_name} from {first.offer.provider} at {price.amount.normalize():f} {price.currency} {period}."
    lead = Reason(code="first_option", text=text)
    return Decision(method=first.run.method, reasons=(lead, *reasons))
