"""The page about a data set's lengths: the batch that decides, the padding, and what packing saves."""

from dataclasses import dataclass, replace
from typing import Final

from app.services.lengths import PATH
from app.services.lengths_results import DatasetShapeResult
from app.web.components import FieldView, PageMeta
from app.web.dataset_answer import Answer, DatasetAnswer, Sent
from app.web.form import Choices
from app.web.formatting import Formatter
from app.web.schema import faq_page
from app.web.shell import PageContext, page_meta
from app.web.small_form import SmallForm, small_field
from app.web.wording import TONES

FIGURES_SHOWN: Final = ("tokens_per_example", "p95_tokens_per_example", "max_tokens_per_example")
RUN_SHOWN: Final = ("model", "method", "gpu")


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetPage:
    """The whole page; ``answer`` is None where the lengths cannot be read."""

    meta: PageMeta
    tone: str
    """Whether the chosen card holds the longest batch; empty without a card."""
    title: str
    lead: str
    errors: tuple[str, ...]
    figures: tuple[FieldView, ...]
    batch: tuple[FieldView, ...]
    run: tuple[FieldView, ...]
    kept: tuple[tuple[str, str], ...]
    model_options: str
    sent: Sent
    answer: DatasetAnswer | None
    structured: str


def dataset_page(
    *, context: PageContext, form: SmallForm, choices: Choices, result: DatasetShapeResult | None, sent: Sent
) -> DatasetPage:
    """The page of a request, and of what was sent with it."""
    fmt = context.fmt
    _ = fmt.gettext
    answer = Answer(result, sent, fmt).view() if result is not None else None
    shown = {*FIGURES_SHOWN, "sequence_length", "micro_batch_size", "num_examples", *RUN_SHOWN}
    return DatasetPage(
        meta=page_meta(
            context,
            path=PATH,
            title=_("Sequence lengths: the longest batch, padding and packing"),
            description=_(
                "From the lengths of your examples: the padded batch that will decide whether training crashes, how "
                "much of the work is padding, what packing saves, and the GPU memory of each."
            ),
        ),
        tone=_tone(result),
        title=_title(result, fmt) if result is not None else _("These lengths cannot be read yet"),
        lead=_lead(result, fmt) if result is not None else "",
        errors=form.other_errors(fmt),
        figures=tuple(_field(form, name, choices, fmt) for name in FIGURES_SHOWN),
        batch=tuple(
            _field(form, name, choices, fmt) for name in ("micro_batch_size", "sequence_length", "num_examples")
        ),
        run=tuple(small_field(form, name, choices, fmt) for name in RUN_SHOWN),
        kept=tuple((name, text) for name, text in form.texts.items() if name not in shown),
        model_options=choices.model_options,
        sent=sent,
        answer=answer,
        structured=faq_page(tuple((item.question, item.text) for item in answer.answers)) if answer else "",
    )


def _field(form: SmallForm, name: str, choices: Choices, fmt: Formatter) -> FieldView:
    """The run's own control, in the words that it has on this page."""
    _ = fmt.gettext
    view = small_field(form, name, choices, fmt)
    if name == "tokens_per_example":
        return replace(view, label=_("Mean"), hint=_("Tokens of an example on average."))
    if name == "sequence_length":
        hint = _("Examples are cut here. Left empty, none is.")
        return replace(view, label=_("Cut at"), hint=hint, value=form.texts.get(name, ""), default="")
    return view


def _tone(result: DatasetShapeResult | None) -> str:
    verdict = result.memory.longest.verdict if result is not None and result.memory is not None else None
    return TONES[verdict] if verdict is not None else ""


def _title(result: DatasetShapeResult, fmt: Formatter) -> str:
    _ = fmt.gettext
    words = {
        "count": fmt.integer(result.micro_batch_size),
        "tokens": fmt.integer(result.longest_tokens),
        "share": fmt.percent(result.padding_share),
    }
    return _("Plan for batches of {count} × {tokens} tokens; {share} of the work is padding").format(**words)


def _lead(result: DatasetShapeResult, fmt: Formatter) -> str:
    _ = fmt.gettext
    ratio = result.longest_tokens / result.expected_longest_tokens
    return _(
        "One long example pads its whole batch. The longest batch is {ratio} times an average one, and in an epoch of "
        "{batches} micro-batches it first comes at about number {first}: a run that fits until then ends there if it "
        "has no room for it."
    ).format(
        ratio=fmt.decimal(ratio, 1),
        batches=fmt.integer(result.batches_per_epoch),
        first=fmt.integer(round(result.first_longest_batch)),
    )
