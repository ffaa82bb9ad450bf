"""Memory as pictures and tables: the gauge, the phases of the step, the parts of the peak, the formulas."""

from collections.abc import Sequence
from typing import Final

from app.memory.result import Component, MemoryEstimate
from app.services.results import EstimateResult, MemoryReport, VerdictReport
from app.web.cards_view import short_card_name
from app.web.charts import axis, group_of, grouped_bytes, percent, stacked_bar
from app.web.components import Formula, Gauge, PartRow, PartsTable, PhaseChart, PhaseRow, Tick
from app.web.formatting import Formatter
from app.web.wording import COMPONENTS, GROUPS, PHASES

HEADROOM_ON_SCALE: Final = 1.08
"""A gauge without a card, or whose run is larger than its card, ends this much past what is needed."""

LABEL_TURNS_AT: Final = 0.55
"""Past this share of the width a label beside a mark stands on its left."""

MOST_OF_SCALE: Final = 8
"""A card that gives more than this many times the tallest phase is left off the chart: the bars would vanish."""

FREE_LABEL_SHARE: Final = 0.06
"""Free memory narrower than this share of the bar goes without a label."""


def peak_parts(memory: MemoryReport | MemoryEstimate) -> tuple[Component, ...]:
    """The components of the peak and the overheads: together what a card must have."""
    return (*memory.components, *memory.overheads)


def gauge(result: EstimateResult, fmt: Formatter) -> Gauge:
    """The peak of the run on the chosen card, or on its own scale where no card is chosen."""
    _ = fmt.gettext
    memory, verdict = result.memory, result.verdict
    sizes = grouped_bytes(peak_parts(memory))
    values = dict(zip(sizes, fmt.memory_parts(list(sizes.values())), strict=True))
    labels = {group: _(GROUPS[group]) for group in sizes}
    reach = max(memory.required_bytes, memory.required_high_bytes)
    fits = verdict is not None and verdict.usable_bytes >= reach
    scale = verdict.usable_bytes if verdict is not None and fits else int(HEADROOM_ON_SCALE * reach)
    capacity = verdict.usable_bytes if verdict is not None and not fits else None
    bar = stacked_bar(sizes, scale_bytes=scale, capacity_bytes=capacity, labels=labels, values=values)
    spare = scale - memory.required_bytes if fits else 0
    low, high = memory.required_low_bytes / scale, memory.required_high_bytes / scale
    whisker_left = low > 1 - LABEL_TURNS_AT
    named = ", ".join(f"{labels[group]} {values[group]}" for group in sizes)
    free = (
        fmt.memory_difference(verdict.usable_bytes, memory.required_bytes)
        if verdict is not None and spare / scale > FREE_LABEL_SHARE
        else ""
    )
    return Gauge(
        bar=bar,
        caption=_("What the card must hold at the peak, in {unit}").format(unit=fmt.unit.label),
        capacity_text=capacity_text(verdict, fmt) if verdict is not None else "",
        description=_("Memory at the peak in {unit}: {parts}").format(unit=fmt.unit.label, parts=named)
        + (_(", free {free}").format(free=free) if free else ""),
        free_label=_("Free"),
        free_value=free,
        low_x=percent(low),
        high_x=percent(high),
        range_x=percent(low if whisker_left else high),
        range_dx="-8" if whisker_left else "8",
        range_anchor_end=whisker_left,
        range_text=_("likely {range}").format(
            range=fmt.memory_range(memory.required_low_bytes, memory.required_high_bytes)
        ),
    )


def capacity_text(verdict: VerdictReport, fmt: Formatter) -> str:
    """``RTX 3090: 23.6 GiB usable``."""
    return fmt.gettext("{card}: {size} usable").format(
        card=short_card_name(verdict.gpu_name), size=fmt.memory_with_unit(verdict.usable_bytes)
    )


def ticks_of(values: Sequence[float], fmt: Formatter) -> tuple[Tick, ...]:
    """Marks of a scale that starts at 0; every second one only where there is room."""
    last = values[-1]
    digits = 0 if all(value == int(value) for value in values) else 1
    return tuple(
        Tick(
            x=percent(value / last),
            text=fmt.decimal(value, digits),
            anchor="start" if index == 0 else "end" if value == last else "middle",
            minor=index % 2 == 1,
        )
        for index, value in enumerate(values)
    )


def phase_chart(result: EstimateResult, fmt: Formatter) -> PhaseChart:
    """Every phase as a stacked bar on one scale; the card's limit is shown unless it dwarfs the bars."""
    _ = fmt.gettext
    memory, verdict = result.memory, result.verdict
    unit_bytes = fmt.unit.size_bytes
    reach = max(phase.bytes for phase in memory.phases)
    usable = verdict.usable_bytes if verdict is not None and verdict.usable_bytes <= MOST_OF_SCALE * reach else None
    ticks = axis(max(reach, usable or 0) * 1.02 / unit_bytes)
    scale = int(ticks[-1] * unit_bytes)
    shown = usable / scale if usable is not None else None
    turned = shown is not None and shown > LABEL_TURNS_AT
    return PhaseChart(
        name=_("Memory allocated in each phase of a training step, {unit}").format(unit=fmt.unit.label),
        unit=fmt.unit.label,
        rows=tuple(
            PhaseRow(
                name=_(PHASES[phase.name]),
                bar=stacked_bar(grouped_bytes(phase.components), scale_bytes=scale),
                value=fmt.memory(phase.bytes),
                is_peak=phase.name is memory.peak_phase,
            )
            for phase in memory.phases
        ),
        ticks=ticks_of(ticks, fmt),
        capacity_x=percent(shown) if shown is not None else "",
        capacity_dx="-6" if turned else "6",
        capacity_anchor="end" if turned else "start",
        capacity_text=capacity_text(verdict, fmt) if verdict is not None else "",
    )


def parts_table(memory: MemoryReport, fmt: Formatter) -> PartsTable:
    """What a card must hold at the peak, component by component."""
    _ = fmt.gettext
    parts = peak_parts(memory)
    values = fmt.memory_parts([part.bytes for part in parts])
    return PartsTable(
        name=_("What the peak is made of"),
        unit=fmt.unit.label,
        rows=tuple(
            PartRow(group=group_of(part), name=_(COMPONENTS[part.name]), explanation=_(part.explanation), value=value)
            for part, value in zip(parts, values, strict=True)
        ),
        total_name=_("Card must have"),
        total=fmt.memory(memory.required_bytes),
    )


def formulas(memory: MemoryReport, fmt: Formatter) -> tuple[Formula, ...]:
    """The components that come with a formula, with the run's own numbers."""
    _ = fmt.gettext
    return tuple(
        Formula(
            name=_(COMPONENTS[part.name]),
            value=fmt.memory_with_unit(part.bytes),
            formula=part.formula,
            source=_(part.source) if part.source else "",
        )
        for part in peak_parts(memory)
        if part.formula
    )
