"""From what an inverse question found to its result: the answer's run, what limits it, and what would help."""

from collections.abc import Iterable
from typing import Final

from app.memory.result import ComponentName, MemoryEstimate
from app.planning.inverse import Found
from app.request import Unknown, permalink
from app.services.estimate import API_PATH as ESTIMATE_PATH
from app.services.estimate import PAGE_PATH as CALCULATOR_PATH
from app.services.pace import speed_report, time_report
from app.services.report import memory_report, verdict_report
from app.services.results import Suggestion
from app.services.slowdown import would_run
from app.services.solved import (
    Limit,
    LimitedBy,
    SolveLinks,
    SolveResult,
    answer_sentence,
    budget_text,
    deadline_text,
    end_text,
    memory_text,
    no_answer_sentence,
    no_offer_text,
    no_speed_text,
    size_text,
    unsupported_text,
    value_words,
)
from app.services.trial import OnCard, Question, Trial
from app.services.ways_out import best_way

API_PATH: Final = "/api/v1/solve"
PAGE_PATH: Final = "/solve"


def report(question: Question, found: Found[Trial], trials: Iterable[Trial], *, is_context: bool) -> SolveResult:
    """The result. ``is_context``: the values ended where the model's context does."""
    answer = found.answer
    shown = (answer or _tried(found)).best()
    trial = answer or _tried(found)
    limited_by, limit = _limit(question, found, shown, is_context=is_context)
    run = shown.assessment.run.model_copy(
        update={"model": shown.assessment.model.reference, "config": None, "gpu": shown.gpu.slug}
    )
    return SolveResult(
        unknown=question.unknown,
        answer=answer.value if answer else None,
        sentence=_sentence(question, answer, shown),
        run=run,
        model=shown.assessment.model.summary,
        verdict=verdict_report(shown.memory, shown.gpu, shown.verdict, shown.reason),
        memory=memory_report(shown.memory),
        limited_by=limited_by,
        limit=limit,
        allows_tight=question.given.allow_tight,
        speed=speed_report(shown.going.speed) if shown.going else None,
        time=time_report(shown.going.job) if shown.going else None,
        cost=shown.cost,
        suggestion=None if answer else _way_out(question, shown),
        ignored=_ignored(question, shown),
        evaluations=sum(tried.evaluations for tried in trials),
        links=_links(question, trial, shown),
    )


def _tried(found: Found[Trial]) -> Trial:
    assert found.refused is not None, "without an answer there is a value that was refused"
    return found.refused


def _ignored(question: Question, shown: OnCard) -> tuple[str, ...]:
    """The unknown's own value in the request, and what has no effect on the run."""
    given = question.given.model_fields_set
    own = {question.unknown.value, *({"config"} if question.unknown is Unknown.MODEL else set())}
    return (*sorted(own & given), *shown.assessment.resolved.ignored)


def _links(question: Question, trial: Trial, shown: OnCard) -> SolveLinks:
    given = question.given
    reference = {"model": shown.assessment.model.reference} if question.base.config is not None else {}
    asked = permalink(given, reference)
    run = permalink(trial.run, {**reference, "gpu": shown.gpu.slug})
    return SolveLinks(
        self=f"{API_PATH}?{asked}",
        page=f"{PAGE_PATH}?{asked}",
        estimate=f"{ESTIMATE_PATH}?{run}",
        calculator=f"{CALCULATOR_PATH}?{run}",
    )


def _sentence(question: Question, answer: Trial | None, shown: OnCard) -> str:
    if answer is None:
        return no_answer_sentence(question.unknown)
    value = shown.assessment.model.summary.name if question.unknown is Unknown.MODEL else answer.value
    return answer_sentence(question.unknown, value, shown.gpu.name, answer.run.num_gpus)


def _limit(question: Question, found: Found[Trial], shown: OnCard, *, is_context: bool) -> tuple[LimitedBy, Limit]:
    if found.refused is None:
        return _at_the_end(question, found, shown, is_context=is_context)
    refused = found.refused.best() if found.answer else shown
    limited_by = refused.refused
    assert limited_by is not None, "a refused value has what refused it"
    memory, decides = refused.memory, limited_by is LimitedBy.MEMORY
    words = _words(question, found.refused, refused)
    return limited_by, Limit(
        text=_why(question, words, refused),
        words=words,
        next=found.refused.value if found.answer else None,
        next_verdict=refused.verdict,
        next_required_bytes=memory.required_bytes,
        next_required_high_bytes=memory.required.high_bytes,
        gpu=refused.gpu.slug,
        gpu_name=refused.gpu.name,
        usable_bytes=refused.gpu.device.usable_bytes,
        over_bytes=_over_bytes(question, refused) if decides else None,
        phase=memory.peak_phase if decides else None,
        component=_grown(memory, shown.memory if found.answer else None) if decides else None,
    )


def _over_bytes(question: Question, refused: OnCard) -> int:
    required = refused.memory.required
    least = required.low_bytes if question.given.allow_tight else required.high_bytes
    return least - refused.gpu.device.usable_bytes


def _words(question: Question, trial: Trial, refused: OnCard) -> str:
    value = refused.assessment.model.summary.name if question.unknown is Unknown.MODEL else trial.value
    return value_words(question.unknown, value)


def _at_the_end(question: Question, found: Found[Trial], shown: OnCard, *, is_context: bool) -> tuple[LimitedBy, Limit]:
    assert found.answer is not None, "a search that refused nothing has an answer"
    if question.unknown is Unknown.MODEL:
        limited_by = LimitedBy.CATALOGUE
    else:
        limited_by = LimitedBy.MODEL_CONTEXT if is_context else LimitedBy.FIELD_LIMIT
    text = end_text(
        limited_by,
        question.unknown,
        found.answer.value,
        shown.assessment.model.summary.name,
        question.base.global_batch_size,
    )
    return limited_by, Limit(text=text)


def _why(question: Question, words: str, refused: OnCard) -> str:
    """The refusal in a sentence."""
    given, card = question.given, refused.gpu.name
    match refused.refused:
        case LimitedBy.BUDGET if refused.cost is not None and given.budget is not None:
            return budget_text(words, refused.cost, given.budget)
        case LimitedBy.DEADLINE if refused.going is not None and given.deadline_hours is not None:
            return deadline_text(words, refused.going.job.total_seconds, given.deadline_hours)
        case LimitedBy.UNSUPPORTED:
            return unsupported_text(card, refused.reason)
        case LimitedBy.NO_OFFER:
            return no_offer_text(words, refused.assessment.market.currency)
        case LimitedBy.NO_SPEED:
            return no_speed_text(words)
        case _:
            over, usable = size_text(_over_bytes(question, refused)), size_text(refused.gpu.device.usable_bytes)
            return memory_text(words, over, usable, card, surely=given.allow_tight)


def _grown(memory: MemoryEstimate, before: MemoryEstimate | None) -> ComponentName:
    """The component that grew most, at the peak's phase, from the answer to the next value; else the largest."""
    parts = {part.name: part.bytes for part in memory.components if isinstance(part.name, ComponentName)}
    earlier: dict[object, int] = {}
    if before is not None:
        phase = next((phase for phase in before.phases if phase.name is memory.peak_phase), None)
        earlier = {part.name: part.bytes for part in phase.components} if phase else {}
    return max(parts, key=lambda name: (parts[name] - earlier.get(name, 0), parts[name]))


def _way_out(question: Question, shown: OnCard) -> Suggestion | None:
    """The first way to let the first value fit, where memory or the card's abilities keep it from fitting."""
    if shown.refused is LimitedBy.UNSUPPORTED:
        return next(would_run(shown.assessment, shown.memory, shown.gpu), None)
    if shown.refused is not LimitedBy.MEMORY:
        return None
    return best_way(shown.assessment, shown.gpu, without=question.unknown.value)
