"""What to rent and how to set it up: the ways to do a run on every card, priced, compared and ordered."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from app.catalogue.facts import CatalogueGpu
from app.catalogue.snapshot import Snapshot
from app.memory.device import Verdict
from app.memory.inputs import MethodKind
from app.messages import listed, message
from app.planning.search import Search
from app.request import FieldError, RecommendRequest, RequestError, permalink
from app.services.assess import Assessment
from app.services.compare import run_of
from app.services.contact import contact_link
from app.services.decision import decision
from app.services.lookup import find_gpu
from app.services.option_report import reports, run_name
from app.services.planned import PricedPlan, priced_plans, search_of
from app.services.policy import DEFAULT_POLICY, Policy
from app.services.ranking import nearest_miss, ranked, within_limits
from app.services.results import Reason, RecommendResult, RejectedCard
from app.services.shortfall import nothing_holds, rejections
from app.spans import spanned

_NAMED: Final = 3
"""Cards named where many hold a run that nobody lets."""


@dataclass(kw_only=True)
class _Method:
    """One method's search over all the cards."""

    assessment: Assessment
    search: Search
    found: list[PricedPlan]
    within: list[PricedPlan]
    holding: set[str]
    """Cards that hold the run in some way, with an offer or without."""

    @property
    def name(self) -> str:
        return run_name(self.assessment.run.method, self.assessment.model.summary.name)


@spanned("recommend")
def recommend(
    given: RecommendRequest, snapshot: Snapshot, today: date, policy: Policy = DEFAULT_POLICY
) -> RecommendResult:
    """Search the ways to do the run on every card and rank those that an offer exists for.

    What the request says is kept; what it leaves open is chosen. Hourly and monthly prices are listed apart. Raises
    :class:`app.request.RequestError` for an unknown model or card, or contradicting fields.
    """
    if "max_gpus" in given.model_fields_set and given.num_gpus > given.max_gpus:
        raise RequestError(
            FieldError(
                field="num_gpus",
                message=message("is more than max_gpus."),
                allowed=message("at most {number}", number=given.max_gpus),
            )
        )
    cards = _allowed(given, snapshot)
    methods = [_searched(given, method, cards, snapshot, today, policy) for method in _methods(given)]
    shown, front = ranked([option for method in methods for option in method.within], given)
    made = reports(shown, front)
    on_front = {id(option) for option in front}
    return RecommendResult(
        options=tuple(option for _, option in made),
        pareto=tuple(option.position for plan, option in made if id(plan) in on_front),
        rejected=tuple(card for method in methods for card in _rejected(method, cards)),
        decision=decision(
            [plan for plan, _ in made],
            [option for method in methods for option in method.within],
            [reason for method in methods for reason in _shortfalls(method, cards, given)],
            given,
        ),
        evaluations=sum(method.assessment.evaluations + method.search.evaluations for method in methods),
        contact_url=_contact(given, methods[0].assessment),
    )


def _searched(
    given: RecommendRequest,
    method: MethodKind | None,
    cards: tuple[CatalogueGpu, ...],
    snapshot: Snapshot,
    today: date,
    policy: Policy,
) -> _Method:
    assessment = Assessment.of(run_of(given, {"method": method} if method else {}), snapshot, today, policy)
    search = search_of(assessment, given)
    found = list(priced_plans(assessment, search, cards, allow_tight=given.allow_tight))
    planned = {option.gpu.slug for option in found}
    return _Method(
        assessment=assessment,
        search=search,
        found=found,
        within=[option for option in found if within_limits(option, given)],
        holding={
            gpu.slug for gpu in cards if gpu.slug in planned or search.holds(gpu.device, allow_tight=given.allow_tight)
        },
    )


def _rejected(method: _Method, cards: tuple[CatalogueGpu, ...]) -> Iterator[RejectedCard]:
    return rejections(method.assessment, cards, method.holding)


def _shortfalls(method: _Method, cards: tuple[CatalogueGpu, ...], given: RecommendRequest) -> Iterator[Reason]:
    """Why a method has no option."""
    if not method.holding:
        yield from _unsupported(method, cards) or nothing_holds(method.assessment, cards)
    elif not method.found:
        yield Reason(
            code="no_offer",
            text=message(
                "{run} fits up to {count} of {cards} and others, but no offer in {currency} passes your filters.",
                run=method.name,
                count=max(method.search.counts()),
                cards=listed([gpu.name for gpu in cards if gpu.slug in method.holding][:_NAMED]),
                currency=method.assessment.run.currency or "",
            ),
        )
    elif not method.within:
        yield nearest_miss(method.name, method.found, given)


def _unsupported(method: _Method, cards: tuple[CatalogueGpu, ...]) -> list[Reason]:
    """Where none of the cards can run the method at all: why the largest cannot."""
    judged = [method.assessment.judged(gpu) for gpu in cards]
    if any(verdict is not Verdict.UNSUPPORTED for _, verdict, _ in judged):
        return []
    return [Reason(code="unsupported", text=message("{run}: {reason}.", run=method.name, reason=judged[-1][2]))]


def _contact(given: RecommendRequest, assessment: Assessment) -> str | None:
    """The operator's contact address, carrying the run that was asked about."""
    policy = assessment.policy
    link = permalink(run_of(given, {}), {"model": assessment.model.reference})
    subject = message("Fine-tuning {model}", model=assessment.model.summary.name)
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
