"""The inverse questions as a page: the largest, longest, highest or fewest that a card or a budget allows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from markupsafe import Markup

from app.messages import mark, value_of
from app.request import Unknown
from app.services.solve_report import PAGE_PATH
from app.services.solved import LimitedBy, SolveResult, answer_sentence, memory_text
from app.web.cards_view import price_note, price_text, short_card_name
from app.web.components import Chip, ChipGroup, Fact, FieldView, Gauge, PageMeta
from app.web.form import Choices, state_of
from app.web.formatting import EN_DASH, Formatter, between
from app.web.landing import Cell, Row
from app.web.links import page_link
from app.web.memory_view import gauge
from app.web.shell import PageContext, page_meta
from app.web.solve_answer import Answers, run_fields
from app.web.solve_form import LIMITS_OF_JOB, OF_JOB, OF_RUN, QUESTIONS, kept, own_error, own_field, run_field
from app.web.wording import COMPONENTS, METHOD_RUNS, PHASES, TONES

PATH: Final = PAGE_PATH

MEANING: Final = (
    mark(
        "An answer fits by the high end of the estimate’s range, as the calculator’s verdict does; the value right "
        "after it does not."
    ),
    mark("Sequences are exact to the token, GPUs to the card: every candidate is estimated, none is read off a curve."),
    mark("A sequence is not longer than the model was made for, and a model’s context takes the sequence."),
    mark(
        "With a budget and no card, every card with an offer is looked at, and the answer names the cheapest that "
        "allows it."
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SolvePage:
    """One inverse question and its answer, beside the others about the same run."""

    meta: PageMeta
    tone: str
    title: str
    lead: str
    errors: tuple[str, ...]
    calculator_url: str
    gauge: Gauge | None
    facts: tuple[Fact, ...]
    way_out: ChipGroup | None
    question: FieldView
    fields: tuple[FieldView, ...]
    limits: tuple[FieldView, ...]
    kept: tuple[tuple[str, str], ...]
    """What the form sends along unseen: display preferences, and the run's other choices."""
    model_options: Markup
    rows_text: str
    rows: tuple[Row, ...]
    meaning: tuple[str, ...]
    api_url: str


def solve_page(*, context: PageContext, found: Answers, choices: Choices) -> SolvePage:
    """The whole page; where the question cannot be read the form says what is wrong."""
    fmt = context.fmt
    _ = fmt.gettext
    solved = found.solved
    named = {"model": solved.model.name} if solved is not None and found.unknown is not Unknown.MODEL else {}
    state = state_of({**found.texts, **named}, solved.run if solved else None, found.errors)
    empty = SolvePage(
        meta=page_meta(
            context,
            path=PATH,
            title=_("Largest batch, longest sequence, fewest GPUs: what fits a card or a budget"),
            description=_(
                "The largest micro-batch, longest sequence, highest LoRA rank, largest model or fewest GPUs with which "
                "fine-tuning fits a card or a budget: exact, with what limits it and by how much the next misses."
            ),
        ),
        tone="no",
        title=_("The question cannot be answered as it stands"),
        lead=_("Nothing was computed. What you typed is still in the form."),
        errors=tuple(own_error(error, found.texts, fmt) for error in found.errors),
        calculator_url=page_link({**run_fields(found.chosen), **context.preferences}),
        gauge=None,
        facts=(),
        way_out=None,
        question=own_field("unknown", state, fmt),
        fields=tuple(run_field(name, state, choices, fmt) for name in OF_RUN if name != found.unknown.value),
        limits=(
            *(own_field(name, state, fmt) for name in LIMITS_OF_JOB),
            *(run_field(name, state, choices, fmt) for name in OF_JOB),
        ),
        kept=(*context.preferences.items(), *kept(found.texts, found.unknown)),
        model_options=choices.model_options,
        rows_text="",
        rows=(),
        meaning=tuple(map(_, MEANING)),
        api_url="",
    )
    return _answered(empty, context, found, solved) if solved is not None else empty


def _answered(empty: SolvePage, context: PageContext, found: Answers, solved: SolveResult) -> SolvePage:
    fmt = context.fmt
    _ = fmt.gettext
    fits = solved.answer is not None
    run = {**run_fields(found.chosen), **context.preferences}
    return replace(
        empty,
        tone=TONES[solved.verdict.status] if fits else "no",
        title=_sentence(solved, fmt),
        lead=f"{_run_text(solved, fmt)} {limit_text(solved, fmt)}",
        calculator_url=_use_url(solved, run),
        gauge=gauge(found.estimate, fmt) if found.estimate is not None else None,
        facts=tuple(_facts(solved, fmt)),
        way_out=_way_out(solved, run, fmt),
        rows_text=_("The same run on {where}, asked each way.").format(where=short_card_name(solved.verdict.gpu_name))
        if "budget" not in found.chosen
        else _("The same run within the same budget, asked each way."),
        rows=tuple(_row(other, found, context) for other in found.others),
        api_url=page_link({**found.chosen}, path="/api/v1/solve"),
    )


def _sentence(solved: SolveResult, fmt: Formatter) -> str:
    """The answer with the card's short name."""
    if solved.answer is None:
        return fmt.gettext(solved.sentence).rstrip(".")
    value = solved.model.name if solved.unknown is Unknown.MODEL else solved.answer
    card = short_card_name(solved.verdict.gpu_name)
    return fmt.gettext(answer_sentence(solved.unknown, value, card, solved.run.num_gpus)).rstrip(".")


def _run_text(solved: SolveResult, fmt: Formatter) -> str:
    _ = fmt.gettext
    run = _("{method} of {model}, {batch} × {tokens} tokens").format(
        method=_(METHOD_RUNS[solved.run.method]),
        model=solved.model.name,
        batch=fmt.integer(solved.run.micro_batch_size),
        tokens=fmt.integer(solved.run.sequence_length),
    )
    return f"{run}."


def limit_text(solved: SolveResult, fmt: Formatter) -> str:
    """What the answer is limited by, with sizes in the page's unit."""
    limit = solved.limit
    if solved.limited_by is not LimitedBy.MEMORY or limit.over_bytes is None or limit.usable_bytes is None:
        return fmt.gettext(limit.text)
    return fmt.gettext(
        memory_text(
            limit.words,
            fmt.memory_with_unit(limit.over_bytes),
            fmt.memory_with_unit(limit.usable_bytes),
            short_card_name(limit.gpu_name or ""),
            surely=solved.allows_tight,
        )
    )


def _use_url(solved: SolveResult, run: Mapping[str, object]) -> str:
    """The answer's run in the calculator."""
    if solved.answer is None:
        return page_link(run)
    return page_link(run, {solved.unknown.value: solved.answer, "gpu": solved.verdict.gpu})


def value_text(solved: SolveResult, fmt: Formatter) -> str:
    """The answer in a cell: ``53``, ``6,655 tokens``, a model's name."""
    if solved.answer is None:
        return EN_DASH
    if solved.unknown is Unknown.MODEL:
        return solved.model.name
    return fmt.integer(int(solved.answer))


def _facts(solved: SolveResult, fmt: Formatter) -> list[Fact]:
    _ = fmt.gettext
    memory = solved.memory
    facts = [
        Fact(
            label=_("Card must have"),
            value=fmt.memory_with_unit(memory.required_bytes),
            detail=_("likely {range}").format(
                range=fmt.memory_range(memory.required_low_bytes, memory.required_high_bytes)
            ),
        )
    ]
    if solved.limit.phase is not None and solved.limit.component is not None:
        facts.append(
            Fact(
                label=_("What decides"),
                value=_(COMPONENTS[solved.limit.component]),
                detail=_("at the peak, in: {phase}").format(phase=fmt.within(_(PHASES[solved.limit.phase]))),
            )
        )
    if solved.time is not None:
        time = solved.time
        facts.append(
            Fact(
                label=_("Time"),
                value=fmt.duration(time.total_seconds),
                detail=_("likely {range}").format(
                    range=between(fmt.duration(time.total_seconds_low), fmt.duration(time.total_seconds_high))
                ),
            )
        )
    if solved.cost is not None:
        offer = solved.cost.offer
        facts.append(
            Fact(
                label=_("Cost"),
                value=fmt.money(solved.cost.amount, solved.cost.currency),
                detail=f"{price_text(offer, fmt)}, {price_note(offer, fmt, solved.cost.servers)}",
            )
        )
    return facts


def _way_out(solved: SolveResult, run: Mapping[str, object], fmt: Formatter) -> ChipGroup | None:
    """The change with which the first value fits, as a question asked anew."""
    change = solved.suggestion
    if change is None:
        return None
    _ = fmt.gettext
    count = change.changes.get("num_gpus")
    words = _("{count} of these cards, sharded").format(count=count) if count else _(value_of(change.text, "change"))
    before = solved.memory.required_bytes
    chip = Chip(
        url=page_link({**run, "unknown": solved.unknown.value}, change.changes, PATH),
        icon="minus",
        text=words,
        detail=f"{fmt.memory(before)} → {fmt.memory_with_unit(before - change.saves_bytes)}",
    )
    return ChipGroup(title=_("What would help"), chips=(chip,))


def _row(solved: SolveResult, found: Answers, context: PageContext) -> Row:
    fmt = context.fmt
    run = {**run_fields(found.chosen), **context.preferences}
    asked = {**found.chosen, **context.preferences, "unknown": solved.unknown.value}
    is_current = solved.unknown is found.unknown
    return Row(
        name=fmt.gettext(QUESTIONS[solved.unknown]),
        url="" if is_current else page_link(asked, path=PATH),
        cells=(
            Cell(text=value_text(solved, fmt), url=_use_url(solved, run) if solved.answer is not None else ""),
            Cell(text=limit_text(solved, fmt), url=""),
        ),
    )
