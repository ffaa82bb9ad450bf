"""What ``/solve`` returns, and the sentences that say it."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from app.memory.device import Verdict
from app.memory.result import ComponentName, PhaseName
from app.messages import Message, Sum, counted, mark, message, rounded
from app.request import Run, Unknown
from app.services.report import gib
from app.services.results import (
    CostReport,
    MemoryReport,
    ModelSummary,
    SpeedReport,
    Suggestion,
    TimeReport,
    VerdictReport,
)
from app.units import GIB, MIB


class LimitedBy(StrEnum):
    """What keeps the answer from going further; without an answer, what keeps even the first value from fitting."""

    MEMORY = "memory"
    BUDGET = "budget"
    DEADLINE = "deadline"
    MODEL_CONTEXT = "model_context"
    FIELD_LIMIT = "field_limit"
    CATALOGUE = "catalogue"
    """No larger model is there."""
    UNSUPPORTED = "unsupported"
    """No card in question has what the run needs, whatever its memory."""
    NO_OFFER = "no_offer"
    NO_SPEED = "no_speed"
    """The speed model does not cover the run, so that neither budget nor deadline can be held against it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """Why the answer ends where it does.

    ``next`` is the value right after it, None where there is none. Without an answer the rest is about the first value.
    """

    text: str
    words: str = ""
    """The value that was refused, as ``text`` names it."""
    next: int | str | None = None
    next_verdict: Verdict | None = None
    next_required_bytes: int | None = None
    next_required_high_bytes: int | None = None
    gpu: str | None = None
    """The card that came closest to holding it."""
    gpu_name: str | None = None
    usable_bytes: int | None = None
    over_bytes: int | None = None
    """Where memory decides: by how much the high end (with ``allow_tight``, the low end) exceeds the card."""
    phase: PhaseName | None = None
    """Where memory decides: the phase at whose peak the next value is too large."""
    component: ComponentName | None = None
    """What grows most there from the answer to the next value; without an answer, the largest part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SolveLinks:
    """The question as JSON and as a page; the answer's run as an estimate and in the calculator."""

    self: str
    page: str
    estimate: str
    calculator: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SolveResult:
    """The answer to one inverse question. Without one, ``run`` and ``memory`` are those of the first value tried."""

    unknown: Unknown
    answer: int | str | None
    sentence: str
    run: Run
    model: ModelSummary
    verdict: VerdictReport
    """On the answer's card; without an answer, on the card that came closest."""
    memory: MemoryReport
    limited_by: LimitedBy
    limit: Limit
    allows_tight: bool
    speed: SpeedReport | None
    time: TimeReport | None
    cost: CostReport | None
    suggestion: Suggestion | None
    """Without an answer: the first way to let the first value fit."""
    ignored: tuple[str, ...]
    evaluations: int
    links: SolveLinks


_ANSWERS: Final[Mapping[Unknown, str]] = {
    Unknown.MICRO_BATCH_SIZE: mark("Micro-batch {answer} is the largest that fits {where}."),
    Unknown.SEQUENCE_LENGTH: mark("{answer} tokens is the longest sequence that fits {where}."),
    Unknown.LORA_RANK: mark("Rank {answer} is the highest that fits {where}."),
    Unknown.NUM_GPUS: mark("{where} is the fewest that hold it."),
    Unknown.MODEL: mark("{answer} is the largest model that fits {where}."),
}


_NOTHING: Final[Mapping[Unknown, str]] = {
    Unknown.MICRO_BATCH_SIZE: mark("Not even the smallest micro-batch fits."),
    Unknown.SEQUENCE_LENGTH: mark("Not even the shortest sequence fits."),
    Unknown.LORA_RANK: mark("Not even the lowest rank fits."),
    Unknown.NUM_GPUS: mark("No number of these cards holds it."),
    Unknown.MODEL: mark("Not even the smallest model fits."),
}


def where(card: str, num_gpus: int) -> str:
    """One card by its name, or how many of it."""
    return card if num_gpus == 1 else message("{count} × {card}", count=num_gpus, card=card)


def answer_sentence(unknown: Unknown, answer: int | str, card: str, num_gpus: int) -> Message:
    """The answer."""
    if unknown is Unknown.NUM_GPUS and num_gpus == 1:
        return message("One {card} is enough.", card=card)
    return message(_ANSWERS[unknown], answer=answer, where=where(card, num_gpus))


def no_answer_sentence(unknown: Unknown) -> Message:
    """That nothing fits."""
    return message(_NOTHING[unknown])


def value_words(unknown: Unknown, value: int | str) -> str:
    """A value of the unknown inside a sentence."""
    match unknown:
        case Unknown.MICRO_BATCH_SIZE:
            return message("Micro-batch {value}", value=value)
        case Unknown.LORA_RANK:
            return message("Rank {value}", value=value)
        case Unknown.SEQUENCE_LENGTH:
            return counted("One token", "{count} tokens", int(value))
        case Unknown.NUM_GPUS:
            return counted("One card", "{count} cards", int(value))
        case Unknown.MODEL:
            return str(value)


def memory_text(words: str, over: str, usable: str, card: str, *, surely: bool) -> Message:
    """Why a value does not fit: by how much what it may need (or, ``surely``, needs at least) exceeds the card."""
    template = (
        mark("{value} needs at least {over} more than the {usable} that {card} gives.")
        if surely
        else mark("{value} may need {over} more than the {usable} that {card} gives.")
    )
    return message(template, value=words, over=over, usable=usable, card=card)


def size_text(size_bytes: int) -> str:
    """Whole MiB below one GiB, since the next value is often only a little too large."""
    if size_bytes >= GIB:
        return message("{size} GiB", size=gib(size_bytes))
    return message("{size} MiB", size=-(-size_bytes // MIB))


def budget_text(words: str, cheapest: CostReport, budget: Decimal) -> Message:
    """Why a value is too dear."""
    return message(
        "{value} would fit, but the job would cost at least {amount}, and the budget is {budget}.",
        value=words,
        amount=Sum(cheapest.amount, cheapest.currency),
        budget=Sum(budget, cheapest.currency),
    )


def deadline_text(words: str, fastest_seconds: float, deadline_hours: float) -> Message:
    """Why a value takes too long."""
    return message(
        "{value} would fit, but the job would take at least {hours} hours, and the deadline is {deadline}.",
        value=words,
        hours=rounded(fastest_seconds / 3600, 2),
        deadline=rounded(deadline_hours, 2),
    )


def end_text(
    limited_by: LimitedBy, unknown: Unknown, answer: int | str, model: str, global_batch_size: int | None
) -> Message:
    """Why there is no further value."""
    if limited_by is LimitedBy.MODEL_CONTEXT:
        return message("{model} was made for {answer} tokens, and all of them fit.", model=model, answer=answer)
    if limited_by is LimitedBy.CATALOGUE:
        return message("No larger model of the catalogue can be trained so.")
    if unknown is Unknown.MICRO_BATCH_SIZE and global_batch_size is not None:
        return message("{answer} is all that one card gets of the global batch.", answer=answer)
    if unknown is Unknown.NUM_GPUS:
        return message("There is no run on fewer.")
    return message("{answer} is the most that this field takes.", answer=answer)


def unsupported_text(card: str, reason: str) -> Message:
    """Why a card cannot run it."""
    return message("{card} cannot run this: {reason}.", card=card, reason=reason)


def no_offer_text(words: str, currency: str) -> Message:
    """That there is nothing to rent."""
    return message("{value}: no offer in {currency} passes your filters.", value=words, currency=currency)


def no_speed_text(words: str) -> Message:
    """That neither time nor cost is known."""
    return message("{value} would fit, but how long the job takes is not known.", value=words)
