"""Published runs as points: what we say against what was measured, both on a logarithmic scale."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.units import GIB
from app.web.charts import percent
from app.web.formatting import Formatter
from app.web.speed import Mark, Step

TOP_PX: Final = 20
BOTTOM_PX: Final = 270
LEFT_MARGIN: Final = 0.12
RIGHT_MARGIN: Final = 0.03
TICKS_BYTES: Final = tuple(size * GIB for size in (4, 8, 16, 32, 64))


@dataclass(frozen=True, kw_only=True, slots=True)
class Dot:
    """A run; ``is_allocated`` tells the two statistics apart."""

    x: str
    y: int
    is_allocated: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Scatter:
    """The points, the grid and the line on which both figures are the same."""

    text: str
    description: str
    dots: tuple[Dot, ...]
    estimated: tuple[Mark, ...]
    measured: tuple[Mark, ...]
    same: Step


def scatter(runs: Sequence[Mapping[str, Any]], fmt: Formatter) -> Scatter:
    """The scatter of every measured run."""
    _ = fmt.gettext
    sizes = [run[key] for run in runs for key in ("estimated_bytes", "measured_bytes")]
    low, high = min(*sizes, *TICKS_BYTES), max(*sizes, *TICKS_BYTES)

    def share(size_bytes: int) -> float:
        return math.log(size_bytes / low) / math.log(high / low)

    def x(size_bytes: int) -> str:
        return percent(LEFT_MARGIN + share(size_bytes) * (1 - LEFT_MARGIN - RIGHT_MARGIN))

    def y(size_bytes: int) -> int:
        return round(BOTTOM_PX - share(size_bytes) * (BOTTOM_PX - TOP_PX))

    counts = {
        "allocated": fmt.integer(sum(run["statistic"] == "allocated" for run in runs)),
        "reserved": fmt.integer(sum(run["statistic"] == "reserved" for run in runs)),
    }
    return Scatter(
        text=_("Each published run on one card. On the line both figures are the same; both scales are logarithmic."),
        description=_("{allocated} allocated and {reserved} reserved peaks, estimated against measured.").format(
            **counts
        ),
        dots=tuple(
            Dot(
                x=x(run["estimated_bytes"]),
                y=y(run["measured_bytes"]),
                is_allocated=run["statistic"] == "allocated",
            )
            for run in runs
        ),
        estimated=tuple(Mark(place=x(tick), text=fmt.memory_with_unit(tick)) for tick in TICKS_BYTES),
        measured=tuple(Mark(place=str(y(tick)), text=fmt.memory_with_unit(tick)) for tick in TICKS_BYTES),
        same=Step(x1=x(low), x2=x(high), y1=y(low), y2=y(high)),
    )
