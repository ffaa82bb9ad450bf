"""The comparison page: methods × models for the visitor's models, and the published table explained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.memory.inputs import MethodKind
from app.request import FIELDS, RequestError, text_of
from app.services.cards import smallest_that_fits
from app.services.results import CompareResult, CompareRow
from app.web.cards_view import card_size
from app.web.compare_published import PublishedView
from app.web.components import PageMeta, Tag
from app.web.formatting import Formatter, MemoryUnit
from app.web.links import page_link
from app.web.shell import PageContext, page_meta
from app.web.wording import METHODS, TONES, VERDICTS

MODEL_INPUTS: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnCell:
    """What one method takes of one of the visitor's models."""

    needs: str
    card: str
    tag: Tag | None
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnRow:
    """One of the visitor's models under each method."""

    name: str
    cells: tuple[OwnCell, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparePage:
    """Methods × models in GB. ``error`` instead of rows where the visitor's query cannot be read."""

    meta: PageMeta
    title: str
    lead: str
    method_names: tuple[str, ...]
    own_text: str
    own_rows: tuple[OwnRow, ...]
    error: str
    model_values: tuple[str, ...]
    models: tuple[tuple[str, str], ...]
    sequence_length: str
    micro_batch_size: str
    published: PublishedView


def _own_cell(row: CompareRow, labels: Mapping[str, str], fmt: Formatter) -> OwnCell:
    _ = fmt.gettext
    result = row.estimate
    if result is None:
        return OwnCell(needs="–", card=row.error or "", tag=None, url="")
    smallest = smallest_that_fits(result.gpus)
    chosen = {name: getattr(result.run, name) for name in ("sequence_length", "micro_batch_size", "gpu")}
    given = {name: value for name, value in chosen.items() if value != FIELDS[name].default}
    return OwnCell(
        needs=fmt.memory_with_unit(result.memory.required_bytes),
        card=_("{size} card").format(size=card_size(smallest.slug, smallest.memory_bytes, labels))
        if smallest
        else _("no single card"),
        tag=Tag(tone=TONES[result.verdict.status], text=_(VERDICTS[result.verdict.status])) if result.verdict else None,
        url=page_link({"model": row.model, "method": result.run.method, **given}),
    )


def own_rows(
    compared: CompareResult, names: Mapping[str, str], labels: Mapping[str, str], fmt: Formatter
) -> tuple[OwnRow, ...]:
    """The visitor's models, a row each."""
    by_model: dict[str, list[CompareRow]] = {}
    for row in compared.rows:
        by_model.setdefault(row.model, []).append(row)
    return tuple(
        OwnRow(name=names.get(slug, slug), cells=tuple(_own_cell(row, labels, fmt) for row in rows))
        for slug, rows in by_model.items()
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnComparison:
    """What the visitor asked to compare and the answer, or what is wrong with the question."""

    texts: Mapping[str, str]
    models: Sequence[str]
    compared: CompareResult | None
    problem: RequestError | None


def compare_page(
    *,
    context: PageContext,
    own: OwnComparison,
    names: Mapping[str, str],
    labels: Mapping[str, str],
    published: PublishedView,
) -> ComparePage:
    """The whole page, in GB throughout. ``names`` are the models' names by slug."""
    fmt = context.fmt.in_unit(MemoryUnit.GB)
    _ = fmt.gettext
    typed = [names.get(model, model) for model in own.models]
    rows = own_rows(own.compared, names, labels, fmt) if own.compared is not None else ()
    return ComparePage(
        meta=page_meta(
            context,
            path="/compare",
            title=_("Full fine-tuning, LoRA and QLoRA compared: GPU memory by model"),
            description=_(
                "What full fine-tuning, LoRA and QLoRA take of GPU memory for 7B to 72B models: a published table "
                "explained policy by policy, and the same for the models you choose."
            ),
            fmt=fmt,
        ),
        title=_("Full, LoRA or QLoRA: what each takes"),
        lead=_(
            "Memory by model and method, in GB throughout (10⁹ bytes), since the published figures below are. The "
            "method alone does not decide it: checkpointing, the optimizer’s implementation and the micro-batch move "
            "it as much."
        ),
        method_names=tuple(_(METHODS[kind]) for kind in MethodKind),
        own_text=_(
            "What a card must have, with the defaults of the Transformers, PEFT and TRL libraries, and the smallest "
            "card that surely holds it."
        ),
        own_rows=rows,
        error=_problem_text(own.problem, fmt) if own.problem is not None else "",
        model_values=tuple([*typed, *[""] * MODEL_INPUTS][: max(MODEL_INPUTS, len(typed))]),
        models=tuple((name, slug) for slug, name in names.items()),
        sequence_length=own.texts.get("sequence_length", text_of(FIELDS["sequence_length"].default)),
        micro_batch_size=own.texts.get("micro_batch_size", text_of(FIELDS["micro_batch_size"].default)),
        published=published,
    )


def _problem_text(problem: RequestError, fmt: Formatter) -> str:
    _ = fmt.gettext
    return " ".join(
        f"{_(FIELDS[error.field].label) if error.field in FIELDS else error.field} {_(error.message)}"
        + (" " + _("It takes {allowed}.").format(allowed=_(error.allowed)) if error.allowed else "")
        for error in problem.errors
    )
