"""Stacked bars as geometry: positions in percent of the bar's width, so that bars stretch and letters do not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.memory.result import Component, ComponentName, OverheadName

GROUPS: Final = {
    ComponentName.WEIGHTS: "weights",
    ComponentName.QUANTISATION_STATE: "quant",
    ComponentName.ADAPTERS: "adapters",
    ComponentName.GRADIENTS: "gradients",
    ComponentName.OPTIMIZER_STATE: "optimizer",
    ComponentName.ACTIVATIONS: "activations",
    ComponentName.LOGITS: "logits",
    ComponentName.GATHERED_WEIGHTS: "temporaries",
    ComponentName.TEMPORARIES: "temporaries",
    ComponentName.COMMUNICATION: "temporaries",
    ComponentName.WORKSPACES: "temporaries",
    OverheadName.ALLOCATOR_SLACK: "overhead",
    OverheadName.CUDA_CONTEXT: "overhead",
}
"""The colour each component is drawn in: nine groups, in the order of the enums."""

GROUP_ORDER: Final = tuple(dict.fromkeys(GROUPS.values()))

PHONE_BAR_PX: Final = 290
TABLET_BAR_PX: Final = 560
DESKTOP_BAR_PX: Final = 900
"""Narrowest bar at each layout: a 390 px screen, 640 px (40 em), 1,152 px (72 em), less margins and padding."""

LETTER_PX: Final = 7
LABEL_PADDING_PX: Final = 12
"""A 12 px sans letter is about 6.5 px wide; the label starts 8 px into its segment."""

LABEL_REACH_SHARE: Final = 0.1
"""About how far a label reaches into its segment on a desktop."""

MINIMUM_GAP_SHARE: Final = 0.01
"""Segments thinner than this get no dividing gap: it would swallow them."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One coloured piece of a bar. ``shows`` is the layout from which its label has room: all, wide, wider or none."""

    group: str
    x: str
    width: str
    label: str
    value: str
    shows: str


@dataclass(frozen=True, slots=True)
class StackedBar:
    """A bar of segments on a scale that starts at 0; ``capacity_x`` is the card's limit where it lies on the scale."""

    segments: tuple[Segment, ...]
    gaps: tuple[str, ...]
    end_x: str
    capacity_x: str | None


def percent(share: float) -> str:
    """A share of the bar's width as an SVG length."""
    return f"{100 * share:.2f}%"


def group_of(component: Component) -> str:
    """The colour group of a component or overhead."""
    return GROUPS[component.name]


def grouped_bytes(components: Sequence[Component]) -> dict[str, int]:
    """Bytes a colour group, in drawing order, empty groups left out."""
    sums = dict.fromkeys(GROUP_ORDER, 0)
    for component in components:
        sums[group_of(component)] += component.bytes
    return {group: size for group, size in sums.items() if size > 0}


def label_layout(share: float, label: str) -> str:
    """The narrowest layout in which a segment of this share of the bar has room for its label."""
    needed_px = LABEL_PADDING_PX + LETTER_PX * len(label)
    for bar_px, layout in ((PHONE_BAR_PX, "all"), (TABLET_BAR_PX, "wide"), (DESKTOP_BAR_PX, "wider")):
        if share * bar_px >= needed_px:
            return layout
    return "none"


def _crossed(start: float, capacity_bytes: int | None, scale_bytes: int) -> bool:
    """Whether the limit would run through a label that begins at ``start``."""
    return capacity_bytes is not None and 0 <= capacity_bytes / scale_bytes - start < LABEL_REACH_SHARE


def stacked_bar(
    sizes: dict[str, int],
    *,
    scale_bytes: int,
    capacity_bytes: int | None = None,
    labels: dict[str, str] | None = None,
    values: dict[str, str] | None = None,
) -> StackedBar:
    """Lay the groups of ``sizes`` (bytes) end to end on a bar that is ``scale_bytes`` wide."""
    segments: list[Segment] = []
    gaps: list[str] = []
    position = 0
    for group, size in sizes.items():
        share = size / scale_bytes
        start = position / scale_bytes
        label = (labels or {}).get(group, "")
        if segments and share >= MINIMUM_GAP_SHARE:
            gaps.append(percent(start))
        segments.append(
            Segment(
                group=group,
                x=percent(start),
                width=percent(share),
                label=label,
                value=(values or {}).get(group, ""),
                shows=label_layout(share, label)
                if label and not _crossed(start, capacity_bytes, scale_bytes)
                else "none",
            )
        )
        position += size
    on_scale = capacity_bytes is not None and capacity_bytes <= scale_bytes
    return StackedBar(
        segments=tuple(segments),
        gaps=tuple(gaps),
        end_x=percent(position / scale_bytes),
        capacity_x=percent((capacity_bytes or 0) / scale_bytes) if on_scale else None,
    )


def axis(scale_max: float, target_ticks: int = 6) -> tuple[float, ...]:
    """Round tick values from 0 up to and including the first one at or past ``scale_max`` (in the page's unit)."""
    raw = max(scale_max, 1e-9) / target_ticks
    magnitude = 10.0 ** len(str(int(raw))) / 10 if raw >= 1 else 0.1
    step = next(s * magnitude for s in (1, 2, 2.5, 5, 10, 20) if s * magnitude >= raw)
    count = -int(-scale_max // step)
    return tuple(step * index for index in range(count + 1))
