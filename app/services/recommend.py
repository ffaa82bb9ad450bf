"""Which server to rent: every offer whose cards hold the run, in order, and what would make the others hold it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from app.catalogue.facts import CatalogueGpu, Period
from app.catalogue.snapshot import Snapshot
from app.memory.device import Verdict
from app.memory.inputs import Cluster, MethodKind
from app.memory.result import MemoryEstimate
from app.request import FieldError, RecommendRequest, RequestError, permalink
from app.services.assess import Assessment
from app.services.compare import run_of
from app.services.contact import contact_link
from app.services.lookup import find_gpu
from app.services.market import Quote
from app.services.pace import Pace, cost_report, pace, speed_report, time_report
from app.services.policy import DEFAULT_POLICY, Policy
from app.services.ranking import best, nearest_miss, pareto, ranked_options, within_limits
from app.services.report import gib, memory_report
from app.services.results import Decision, Reason, RecommendOption, RecommendResult, RejectedCard
from app.services.shortfall import METHOD_WORDS, nothing_holds, rejections


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A card that holds a run."""

    gpu: CatalogueGpu
    memory: MemoryEstimate
    verdict: Verdict
    going: Pace | None
    """Speed and time, where the speed model covers the run."""


def recommend(
    given: RecommendRequest, snapshot: Snapshot, today: date, policy: Policy = DEFAULT_POLICY
) -> RecommendResult:
    """Rank the offers that hold the run, hourly and monthly prices apart, for each method asked.

    Raises :class:`app.request.RequestError` for an unknown model or card, or contradicting fields.
    """
    if "max_gpus" in given.model_fields_set and given.num_gpus > given.max_gpus:
        raise RequestError(
            FieldError(field="num_gpus", message="is more than max_gpus.", allowed=f"at most {given.max_gpus:,}")
        )
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
        found = [option for item in held for option in _options(assessment, item)]
        within = [option for option in found if within_limits(option, given)]
        options.extend(best(within, given))
        rejected.extend(rejections(assessment, cards, {item.gpu.slug for item in held}))
        if not held:
            reasons.extend(nothing_holds(assessment, cards))
        elif not found:
            names = ", ".join(item.gpu.name for item in held[:3])
            text = f"{_name(assessment)} fits {names}, but no offer in {assessment.run.currency} passes your filters."
            reasons.append(Reason(code="no_offer", text=text))
        elif not within:
            reasons.append(nearest_miss(_name(assessment), found, given))
    ranked = ranked_options(options, given)
    return RecommendResult(
        options=ranked,
        pareto=pareto(ranked),
        rejected=tuple(rejected),
        decision=_decision(ranked, reasons),
        evaluations=sum(assessment.evaluations for assessment in assessments),
        contact_url=_contact(given, assessments[0]),
    )


def _contact(given: RecommendRequest, assessment: Assessment) -> str | None:
    """The operator's contact address, carrying the run that was asked about."""
    policy = assessment.policy
    link = permalink(run_of(given, {}), {"model": assessment.model.reference})
    subject = f"Fine-tuning {assessment.model.summary.name}"
    return contact_link(policy.contact_url, f"{policy.public_url or ''}/?{link}", subject)


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
        memory, verdict, _ = assessment.judged(gpu)
        if verdict in {Verdict.FITS, Verdict.TIGHT}:
            going = pace(assessment.model.architecture, assessment.groups, gpu)
            yield Held(gpu=gpu, memory=memory, verdict=verdict, going=going if isinstance(going, Pace) else None)


def _options(assessment: Assessment, item: Held) -> Iterator[RecommendOption]:
    """The cheapest server of a card for each price period."""
    for quote in assessment.servers(item.gpu):
        yield _option(assessment, item, quote)


def _option(assessment: Assessment, item: Held, quote: Quote) -> RecommendOption:
    return RecommendOption(
        position=0,
        run=assessment.run.model_copy(
            update={"model": assessment.model.reference, "config": None, "gpu": item.gpu.slug}
        ),
        gpu=item.gpu.slug,
        gpu_name=item.gpu.name,
        num_gpus=assessment.run.num_gpus,
        offer=quote.report,
        verdict=item.verdict,
        memory=memory_report(item.memory),
        speed=speed_report(item.going.speed) if item.going else None,
        time=time_report(item.going.job) if item.going else None,
        cost=cost_report(item.going.job, quote, assessment.groups.cluster) if item.going else None,
        quality=None,
        reasons=tuple(_reasons(assessment, item, quote)),
        trade_off=None,
    )


def _reasons(assessment: Assessment, item: Held, quote: Quote) -> Iterator[Reason]:
    offer = quote.offer
    usable = item.gpu.device.usable_bytes
    yield Reason(
        code="memory",
        text=f"{_name(assessment)} needs {gib(item.memory.required_bytes)} GiB; {item.gpu.name} gives {gib(usable)}.",
    )
    if item.verdict is Verdict.TIGHT:
        yield Reason(code="tight", text="The interval reaches beyond what the card gives: it may run out of memory.")
    unused = quote.servers * offer.gpus_per_server - assessment.run.num_gpus
    if quote.servers > 1:
        text = f"It takes {quote.servers} servers of {offer.gpus_per_server} cards, joined by a network."
        yield Reason(code="several_servers", text=text)
    if unused:
        yield Reason(
            code="unused_cards", text=f"The server has {offer.gpus_per_server} cards; {unused} would stand idle."
        )
    if offer.period is Period.MONTH:
        yield Reason(code="by_the_month", text=_months(item, quote, assessment.groups.cluster))
    if offer.observed_on is None:
        yield Reason(code="undated", text="Nobody knows when this price was seen.")
    if offer.is_sample:
        yield Reason(code="sample", text="A published price point, not a live offer.")


def _months(item: Held, quote: Quote, cluster: Cluster) -> str:
    if item.going is None:
        return "Rented by the month: a shorter job costs the whole month."
    cost = cost_report(item.going.job, quote, cluster)
    months = "A month" if cost.periods == 1 else f"{cost.periods:f} months"
    servers = "this server" if quote.servers == 1 else "these servers"
    return f"{months} of {servers} costs {cost.amount} {cost.currency} and holds {cost.runs_in_periods:,} such runs."


def _name(assessment: Assessment) -> str:
    words = METHOD_WORDS[assessment.run.method]
    return f"{words[0].upper()}{words[1:]} of {assessment.model.summary.name}"


def _decision(options: tuple[RecommendOption, ...], reasons: list[Reason]) -> Decision:
    if not options:
        return Decision(method=None, reasons=tuple(reasons))
    first = options[0]
    price = first.offer.price
    period = "an hour" if price.period is Period.HOUR else "a month"
    text = f"{first.gpu_name} from {first.offer.provider} at {price.amount.normalize():f} {price.currency} {period}."
    lead = Reason(code="first_option", text=text)
    return Decision(method=first.run.method, reasons=(lead, *reasons))
