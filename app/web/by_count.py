"""Memory a card against the number of cards, as a chart that is a table."""

from app.memory.device import Verdict
from app.services.by_count import CountFit
from app.web.charts import axis, grouped_bytes, percent, stacked_bar
from app.web.components import PhaseChart, PhaseRow
from app.web.formatting import Formatter
from app.web.memory_view import LABEL_TURNS_AT, capacity_text, ticks_of
from app.web.outcome import Outcome
from app.web.wording import VERDICTS


def count_chart(outcome: Outcome, fmt: Formatter) -> PhaseChart | None:
    """What each of so many cards must have, one bar a count on one scale, against the chosen card's limit; None where
    the number of cards is no question."""
    rows, verdict = outcome.by_count, outcome.result.verdict
    if len(rows) < 2:
        return None
    unit_bytes = fmt.unit.size_bytes
    usable = verdict.usable_bytes if verdict is not None else None
    ticks = axis(max(usable or 0, *(row.memory.required_bytes for row in rows)) * 1.02 / unit_bytes)
    scale = int(ticks[-1] * unit_bytes)
    shown = usable / scale if usable is not None else None
    turned = shown is not None and shown > LABEL_TURNS_AT
    return PhaseChart(
        name=fmt.gettext("What each card must have by the number of cards, {unit}").format(unit=fmt.unit.label),
        unit=fmt.unit.label,
        rows=tuple(_row(row, outcome.result.run.num_gpus, scale, fmt) for row in rows),
        ticks=ticks_of(ticks, fmt),
        capacity_x=percent(shown) if shown is not None else "",
        capacity_dx="-6" if turned else "6",
        capacity_anchor="end" if turned else "start",
        capacity_text=capacity_text(verdict, fmt) if verdict is not None else "",
    )


def _row(row: CountFit, own: int, scale_bytes: int, fmt: Formatter) -> PhaseRow:
    name = fmt.ngettext("{count} card", "{count} cards", row.num_gpus).format(count=fmt.integer(row.num_gpus))
    if row.verdict is not None:
        name = fmt.gettext("{cards}: {verdict}").format(
            cards=name, verdict=fmt.within(fmt.gettext(VERDICTS[row.verdict]))
        )
    return PhaseRow(
        name=name,
        bar=stacked_bar(grouped_bytes((*row.memory.components, *row.memory.overheads)), scale_bytes=scale_bytes),
        value=fmt.memory(row.memory.required_bytes),
        is_peak=row.num_gpus == own,
    )


def count_text(outcome: Outcome, fmt: Formatter) -> str:
    """How the cards share the run, in a sentence or two."""
    _ = fmt.gettext
    text = _(
        "Weights, gradients and optimizer state are shared out (FSDP2); each card has its own micro-batch of "
        "{micro_batch}, so activations and logits stay."
    ).format(micro_batch=fmt.integer(outcome.result.run.micro_batch_size))
    fewest = next((row.num_gpus for row in outcome.by_count if row.verdict is Verdict.FITS), None)
    if fewest is None:
        return text
    return (
        text
        + " "
        + fmt.ngettext("The run fits on {count} card.", "The run fits on {count} cards.", fewest).format(
            count=fmt.integer(fewest)
        )
    )
