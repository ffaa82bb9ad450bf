"""The charts as pictures with resolved colours: SVG that scales, and PNG drawn by resvg with our own copy of a font."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import resvg_py
from starlette.exceptions import HTTPException

from app.services.results import HOLDS, Card
from app.web.answer import Answer
from app.web.calculator_verdict import verdict_sentence
from app.web.cards_view import short_card_name
from app.web.charts import grouped_bytes
from app.web.embed.offers import best_cards
from app.web.embed.palette import palette, text_on
from app.web.embed.query import EmbedQuery, Theme
from app.web.embed.table import batch_text
from app.web.form import named_errors
from app.web.formatting import Formatter, between
from app.web.language import NO_TRANSLATION
from app.web.memory_view import capacity_text, peak_parts
from app.web.outcome import Outcome
from app.web.templating import render
from app.web.wording import GROUPS, METHOD_RUNS

WIDTH: Final = 1200
HEIGHT: Final = 630
"""What social networks show whole (Open Graph's usual 1.91:1)."""

MARGIN: Final = 60
BAR_WIDTH: Final = WIDTH - 2 * MARGIN
MOST_BARS: Final = 7
NAME_WIDTH, VALUE_WIDTH = 240, 360
"""Of a card's name before its bar, and of time, cost and range after it."""

LEAST_WIDTH, MOST_WIDTH = 200, 2400
"""Of a PNG in pixels."""

FONT: Final = "Roboto"
FONT_FILES: Final = tuple(
    str(Path(__file__).resolve().parents[1] / "fonts" / name) for name in ("Roboto-Regular.ttf", "Roboto-Bold.ttf")
)
_LETTER: Final = 0.56
"""Mean advance of a bold letter of the font, in em; a line is broken before it could be too long."""

_SCALE_PAST_NEED: Final = 1.08


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A coloured rectangle, in pixels, with the texts that have room in it."""

    x: float
    width: float
    fill: str
    ink: str
    label: str
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One card's time: what is likely, and how far it may reach."""

    y: float
    name: str
    width: float
    range_x: float
    range_width: float
    value: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A picture, every position in pixels and every value as text."""

    kind: str
    width: int
    height: int
    font: str
    colours: Mapping[str, str]
    name: str
    title: str
    setting: str
    lines: tuple[str, ...]
    """The verdict, broken into lines."""
    tone: str
    boxes: tuple[Box, ...]
    end_x: float
    free_value: str
    free_label: str
    capacity_x: float
    capacity_text: str
    legend: tuple[Box, ...]
    bars: tuple[Bar, ...]
    footer: str
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ChartRequest:
    """A chart and how wide its PNG is to be."""

    chart: Chart
    png_width: int


def read_chart(
    kind: str, options: Mapping[str, str], found: Answer, query: EmbedQuery, *, brand_name: str, base_url: str
) -> ChartRequest:
    """The chart an address asks for. Raises ``HTTPException``: 404 for an unknown kind, 422 for a run or width."""
    if kind not in {"memory", "speed"}:
        raise HTTPException(404)
    if found.outcome is None:
        raise HTTPException(422, " ".join(error.text for error in named_errors(found.state, query.fmt)))
    width = options.get("width", str(WIDTH))
    if not width.isascii() or not width.isdigit() or not LEAST_WIDTH <= int(width) <= MOST_WIDTH:
        raise HTTPException(422, f"width takes a whole number of pixels from {LEAST_WIDTH} to {MOST_WIDTH}.")
    draw = memory_chart if kind == "memory" else speed_chart
    source = f"{brand_name} · {base_url.partition('://')[2]}"
    return ChartRequest(chart=draw(found.outcome, query, source), png_width=int(width))


def broken(text: str, size_px: int, width_px: int = BAR_WIDTH) -> tuple[str, ...]:
    """A text in lines that fit a width."""
    most = int(width_px / (_LETTER * size_px))
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) > most and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return tuple(lines)


def _base(outcome: Outcome, query: EmbedQuery, source: str, kind: str) -> Chart:
    fmt = query.fmt
    _ = fmt.gettext
    result = outcome.result
    title = _("{method} of {model}").format(method=_(METHOD_RUNS[result.run.method]), model=result.model.name)
    return Chart(
        kind=kind,
        width=WIDTH,
        height=HEIGHT,
        font=FONT,
        colours=palette(is_dark=query.theme is Theme.DARK, brand=query.brand),
        name="",
        title=title,
        setting=batch_text(result, fmt),
        lines=(),
        tone="",
        boxes=(),
        end_x=MARGIN,
        free_value="",
        free_label="",
        capacity_x=0,
        capacity_text="",
        legend=(),
        bars=(),
        footer="",
        source=source,
    )


def memory_chart(outcome: Outcome, query: EmbedQuery, source: str) -> Chart:
    """The peak on the chosen card: its parts, what is free, the card's limit, the verdict."""
    fmt, result = query.fmt, outcome.result
    _ = fmt.gettext
    base = _base(outcome, query, source, "memory")
    memory, verdict = result.memory, result.verdict
    tone, sentence = verdict_sentence(outcome, fmt)
    reach = max(memory.required_bytes, memory.required_high_bytes)
    usable = verdict.usable_bytes if verdict is not None else 0
    fits = usable >= reach
    scale = usable if fits else int(_SCALE_PAST_NEED * max(reach, usable))
    boxes = _boxes(outcome, scale, base.colours, fmt)
    end_x = boxes[-1].x + boxes[-1].width
    capacity_x = 0 if fits or verdict is None else round(MARGIN + BAR_WIDTH * usable / scale, 1)
    free = fmt.memory_difference(usable, memory.required_bytes) if fits else ""
    return replace(
        base,
        name=f"{base.title}: {sentence}",
        lines=broken(sentence, 40),
        tone=base.colours[tone],
        boxes=tuple(_fitted(box, capacity_x) for box in boxes),
        legend=_legend(boxes),
        end_x=end_x,
        free_value=free if MARGIN + BAR_WIDTH - end_x > 90 else "",
        free_label=_("Free"),
        capacity_x=capacity_x,
        capacity_text=capacity_text(verdict, fmt) if verdict is not None else "",
        footer=_("Needs {needs}, likely {range}: what a card must have").format(
            needs=fmt.memory_with_unit(memory.required_bytes),
            range=fmt.memory_range(memory.required_low_bytes, memory.required_high_bytes),
        ),
    )


def _boxes(outcome: Outcome, scale: int, colours: Mapping[str, str], fmt: Formatter) -> tuple[Box, ...]:
    sizes = grouped_bytes(peak_parts(outcome.result.memory))
    values = fmt.memory_parts(list(sizes.values()))
    boxes = []
    position = 0
    for (group, size), value in zip(sizes.items(), values, strict=True):
        fill = colours[f"c-{group}"]
        boxes.append(
            Box(
                x=round(MARGIN + BAR_WIDTH * position / scale, 1),
                width=round(BAR_WIDTH * size / scale, 1),
                fill=fill,
                ink=text_on(fill),
                label=fmt.gettext(GROUPS[group]),
                value=value,
            )
        )
        position += size
    return tuple(boxes)


def _fitted(box: Box, capacity_x: float) -> Box:
    """The box without the texts that it has no room for or that the card's limit would run through."""
    needed = 24 + _LETTER * 20 * max(len(box.label), len(box.value))
    has_room = box.width >= needed and not 0 <= capacity_x - box.x < needed
    return box if has_room else replace(box, label="", value="")


def _legend(boxes: tuple[Box, ...]) -> tuple[Box, ...]:
    """The parts again, side by side with their values, so that none goes without."""
    step = BAR_WIDTH / max(len(boxes), 6)
    return tuple(replace(box, x=round(MARGIN + index * step, 1)) for index, box in enumerate(boxes))


def speed_chart(outcome: Outcome, query: EmbedQuery, source: str) -> Chart:
    """How long the job takes on the cards that hold it, and what it costs there. Raises ``HTTPException`` (422)."""
    fmt, result = query.fmt, outcome.result
    _ = fmt.gettext
    base = _base(outcome, query, source, "speed")
    cards = _timed(outcome)
    if not cards:
        raise HTTPException(422, _("No single card here holds this run, so there is no time to draw."))
    longest = max(card.time.total_seconds_high for card in cards if card.time)
    bars = tuple(_bar(card, index, longest, fmt) for index, card in enumerate(cards))
    return replace(
        base,
        name=f"{base.title}: " + ", ".join(f"{bar.name} {bar.value}" for bar in bars),
        setting=batch_text(result, fmt),
        lines=(_("How long it takes, and what it costs"),),
        tone=base.colours["ink"],
        bars=bars,
        footer=_("Pale: how far runs on such cards differ ({coverage} of them)").format(
            coverage=fmt.percent(result.speed.coverage if result.speed else 0.8)
        ),
    )


def _timed(outcome: Outcome) -> list[Card]:
    """The chosen card and those best worth their price whose time is known, fastest first."""
    chosen = outcome.chosen_card
    first = [chosen] if chosen is not None and chosen.verdict in HOLDS else []
    priced = best_cards(outcome.cards, None)
    others = priced or [card for card in outcome.cards if card.verdict in HOLDS]
    timed = [card for card in (*first, *(card for card in others if card not in first)) if card.time][:MOST_BARS]
    return sorted(timed, key=lambda card: card.time.total_seconds if card.time else 0)


def _bar(card: Card, index: int, longest: float, fmt: Formatter) -> Bar:
    time = card.time
    assert time is not None
    room = BAR_WIDTH - NAME_WIDTH - VALUE_WIDTH
    low, high = room * time.total_seconds_low / longest, room * time.total_seconds_high / longest
    spread = between(fmt.duration(time.total_seconds_low), fmt.duration(time.total_seconds_high))
    cost = fmt.money(card.cost.amount, card.cost.currency) if card.cost else ""
    return Bar(
        y=236 + index * 46,
        name=short_card_name(card.name),
        width=round(room * time.total_seconds / longest, 1),
        range_x=round(MARGIN + NAME_WIDTH + low, 1),
        range_width=round(high - low, 1),
        value=fmt.duration(time.total_seconds) + (f" · {cost}" if cost else ""),
        detail=spread,
    )


def chart_svg(request: ChartRequest) -> str:
    """The chart as SVG, 1200 × 630."""
    return render("embed/chart.svg", request.chart, NO_TRANSLATION)


def chart_png(request: ChartRequest) -> bytes:
    """The chart as PNG, as wide as asked."""
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=chart_svg(request),
            width=request.png_width,
            skip_system_fonts=True,
            font_files=list(FONT_FILES),
            font_family=FONT,
            sans_serif_family=FONT,
        )
    )
