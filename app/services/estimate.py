"""One request, one result."""

from datetime import date
from enum import Enum, auto
from functools import cached_property
from typing import Final

from app.catalogue.facts import CatalogueGpu
from app.catalogue.snapshot import Snapshot
from app.memory.device import Verdict
from app.memory.result import MemoryEstimate, Notice
from app.messages import message
from app.request import GpuListing, Run, permalink
from app.services.assess import Assessment
from app.services.calibration import bundled_calibration
from app.services.cards import Cards, cards_on_run
from app.services.lookup import find_gpu
from app.services.pace import Pace, cheapest_cost, pace, speed_report, time_report
from app.services.policy import DEFAULT_POLICY, Policy
from app.services.report import memory_report, verdict_report
from app.services.results import CardFit, EstimateResult, Links, Suggestion, VerdictReport, Versions
from app.services.room import room
from app.services.similar import similar_measurements
from app.services.slowdown import slower_by, would_run
from app.services.switches import suggestion
from app.services.ways_out import ways_out
from app.spans import spanned

MEMORY_MODEL_VERSION: Final = "1"
API_PATH: Final = "/api/v1/estimate"
PAGE_PATH: Final = "/"
MAX_SUGGESTIONS: Final = 8


class Advice(Enum):
    """How far suggestions go."""

    NONE = auto()
    NEEDED = auto()
    """Only where no card is named or the one named does not surely hold the run, and no more than is enough."""
    ALL = auto()
    """Also what changes the result beside what does not, and what the room on a card is good for."""


class Outlook:
    """One run on the card it names, if it names one, and on all others: what nobody asks for is not worked out."""

    def __init__(self, assessment: Assessment, advice: Advice) -> None:
        """Raises :class:`app.request.RequestError` for a run that the memory model refuses."""
        self.method: Final = assessment.run.method
        self._assessment, self._advice = assessment, advice
        self._gpu = find_gpu(assessment.run.gpu, assessment.snapshot) if assessment.run.gpu else None
        self.verdict: VerdictReport | None = None
        """Of the card that the run names."""
        if self._gpu is None:
            self.memory = assessment.memory()
        else:
            self.memory, status, reason = assessment.judged(self._gpu)
            self.verdict = verdict_report(self.memory, self._gpu, status, reason)

    @cached_property
    def cards(self) -> Cards:
        """The catalogue's cards, which tell more as they are asked."""
        return cards_on_run(self._assessment)

    @cached_property
    def result(self) -> EstimateResult:
        """All that is said of the run, without its list of cards."""
        return self.listing(())

    def listing(self, gpus: tuple[CardFit, ...]) -> EstimateResult:
        """The same with a list of cards."""
        assessment, gpu, verdict, memory = self._assessment, self._gpu, self.verdict, self.memory
        given, snapshot = assessment.resolved.given, assessment.snapshot
        going = _going(assessment, gpu, verdict)
        link = permalink(given, _reference(given, assessment))
        servers = assessment.servers(gpu) if going and gpu else ()
        return EstimateResult(
            verdict=verdict,
            model=assessment.model.summary,
            run=assessment.run.model_copy(
                update={"model": assessment.model.reference, "config": None, "gpu": gpu.slug if gpu else None}
            ),
            field_sources=assessment.resolved.field_sources,
            ignored=assessment.resolved.ignored,
            parameters=memory.parameters,
            memory=memory_report(memory, explain=assessment.run.explain),
            speed=speed_report(going.speed) if going else None,
            time=time_report(going.job) if going else None,
            cost=cheapest_cost(going.job, servers, assessment.groups.cluster) if going else None,
            gpus=gpus,
            suggestions=_suggestions(assessment, memory, gpu, verdict, going, self._advice),
            assumptions=(
                *filter(None, [assessment.model.source]),
                *memory.assumptions,
                *((*going.speed.assumptions, *going.job.assumptions) if going else ()),
            ),
            warnings=_warnings(assessment, memory, gpu),
            similar_measurements=similar_measurements(assessment.run, assessment.model.architecture),
            versions=Versions(
                memory_model=MEMORY_MODEL_VERSION, speed_model=bundled_calibration().version, catalogue=snapshot.version
            ),
            links=Links(self=f"{API_PATH}?{link}", page=f"{PAGE_PATH}?{link}"),
        )


@spanned("estimate")
def estimate(given: Run, snapshot: Snapshot, today: date, policy: Policy = DEFAULT_POLICY) -> EstimateResult:
    """What a run takes, on the chosen card and on the others.

    Raises :class:`app.request.RequestError` for an unknown model or card, a bad config or contradicting fields.
    ``today`` decides which offers are recent enough.
    """
    assessment = Assessment.of(given, snapshot, today, policy)
    listing = assessment.run.gpus
    told = Outlook(assessment, Advice.NEEDED if listing is GpuListing.NONE else Advice.ALL)
    if listing is GpuListing.NONE:
        return told.result
    return told.listing(tuple(card.fit() for card in told.cards if listing is GpuListing.ALL or card.holds))


@spanned("outlook")
def outlook(given: Run, snapshot: Snapshot, today: date, policy: Policy, *, advice: Advice = Advice.ALL) -> Outlook:
    """The same for a reader, who looks at few of the cards and of other methods at few figures. Raises as
    :func:`estimate` does."""
    return Outlook(Assessment.of(given, snapshot, today, policy), advice)


def _reference(given: Run, assessment: Assessment) -> dict[str, str]:
    """A posted configuration is named by its hash in links."""
    return {"model": assessment.model.reference} if given.config is not None else {}


def _going(assessment: Assessment, gpu: CatalogueGpu | None, verdict: VerdictReport | None) -> Pace | None:
    """Speed and time on the chosen card, where it holds the run."""
    if gpu is None or verdict is None or verdict.status not in {Verdict.FITS, Verdict.TIGHT}:
        return None
    going = pace(assessment.model.architecture, assessment.groups, gpu)
    return going if isinstance(going, Pace) else None


def _suggestions(
    assessment: Assessment,
    memory: MemoryEstimate,
    gpu: CatalogueGpu | None,
    verdict: VerdictReport | None,
    going: Pace | None,
    advice: Advice,
) -> tuple[Suggestion, ...]:
    """Ways out of a run that does not surely fit; of one that does, what saves memory and what the room buys."""
    if advice is Advice.NONE:
        return ()
    if gpu is None or verdict is None:
        return _savings(assessment, memory, None, None)
    if verdict.status is Verdict.UNSUPPORTED:
        return tuple(would_run(assessment, memory, gpu))
    if verdict.status is not Verdict.FITS:
        return ways_out(assessment, gpu, alternatives=advice is Advice.ALL)
    if advice is Advice.NEEDED:
        return ()
    return (*_savings(assessment, memory, gpu, going), *room(assessment, gpu, going))


def _savings(
    assessment: Assessment, memory: MemoryEstimate, gpu: CatalogueGpu | None, going: Pace | None
) -> tuple[Suggestion, ...]:
    found = assessment.savings(gpu.device if gpu else None)[:MAX_SUGGESTIONS]
    return tuple(suggestion(memory, item, slower_by(assessment, item, gpu, going)) for item in found)


def _warnings(assessment: Assessment, memory: MemoryEstimate, gpu: CatalogueGpu | None) -> tuple[Notice, ...]:
    notices = list(memory.warnings)
    summary, run = assessment.model.summary, assessment.run
    if assessment.model.note:
        notices.append(Notice("model_assumed", assessment.model.note))
    if run.offer is not None and gpu is not None and assessment.named_offer(gpu) is None:
        notices.append(
            Notice(
                "offer_gone",
                message("The offer {offer} is not there for this card: the cheapest counts instead.", offer=run.offer),
            )
        )
    images = summary.image_tokens
    if images is not None and images.least > run.sequence_length:
        notices.append(
            Notice(
                "images_beyond_sequence",
                message(
                    "One image takes {tokens} tokens: sequences of {asked} hold text only.",
                    tokens=images.least,
                    asked=run.sequence_length,
                ),
            )
        )
    limit = summary.max_position_embeddings
    if limit is not None and run.sequence_length > limit:
        notices.append(
            Notice(
                "beyond_context",
                message(
                    "{model} was made for {limit} tokens; the run asks for {asked}.",
                    model=summary.name,
                    limit=limit,
                    asked=run.sequence_length,
                ),
            )
        )
    return tuple(notices)
