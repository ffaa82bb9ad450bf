"""How long and how many at once: what one run needs over sequence lengths and micro-batches, against a card's limit."""

from dataclasses import dataclass
from typing import Final

from app.catalogue.facts import CatalogueGpu, CatalogueModel
from app.memory.device import Verdict
from app.memory.inputs import MethodKind
from app.memory.overheads import held_interval
from app.memory.result import Interval, MemoryEstimate
from app.request import RequestError, Run
from app.services.assess import Assessment
from app.web.formatting import Formatter
from app.web.landing import Market
from app.web.links import page_link
from app.web.wording import METHODS, VERDICTS

LENGTHS: Final = (256, 512, 1024, 2048, 4096, 8192)
MICRO_BATCHES: Final = (1, 2, 4, 8, 16, 32)
STEPS: Final = 4
"""Shades of a cell that fits, the strongest the fullest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeatCell:
    """What one length and micro-batch need. ``shade`` is h1 to h4, ht (tight) or hn (no); ``edge`` draws the limit."""

    text: str
    url: str
    shade: str
    edge: str
    verdict: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HeatRow:
    """One micro-batch over all lengths."""

    name: str
    cells: tuple[HeatCell, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class HeatMap:
    """A table of shades with the card's limit as a stair."""

    title: str
    text: str
    lengths: tuple[str, ...]
    rows: tuple[HeatRow, ...]


def verdict_at(estimate: MemoryEstimate, micro_batch_size: int, usable_bytes: int) -> tuple[int, Verdict]:
    """The middle of what a card must have at another micro-batch of an estimate's run, in bytes, and the verdict.

    The estimate's overhead scales with its peak as the estimate itself has it.
    """
    peak = estimate.growth.peak_bytes(micro_batch_size)
    known, range_ = estimate.peak_allocated_bytes, estimate.peak_allocated
    allocated = Interval(peak * range_.low_bytes // known, peak * range_.high_bytes // known)
    needed = held_interval(allocated).beside(estimate.context)
    overhead = estimate.required_bytes - estimate.peak_reserved_bytes
    middle = peak * estimate.peak_reserved_bytes // estimate.peak_allocated_bytes + overhead
    if needed.high_bytes <= usable_bytes:
        return middle, Verdict.FITS
    return middle, Verdict.DOES_NOT_FIT if needed.low_bytes > usable_bytes else Verdict.TIGHT


def _columns(
    model: CatalogueModel, kind: MethodKind, gpu: CatalogueGpu, market: Market
) -> list[list[tuple[int, Verdict]]] | None:
    """For each length, what each micro-batch needs: one estimate a length, the rest from its growth."""
    columns = []
    for length in LENGTHS:
        run = Run.model_validate({"model": model.slug, "method": kind, "gpu": gpu.slug, "sequence_length": length})
        try:
            estimate, verdict, _reason = Assessment.of(run, market.snapshot, market.today, market.policy).judged(gpu)
        except RequestError:
            return None
        if verdict is Verdict.UNSUPPORTED:
            return None
        columns.append([verdict_at(estimate, size, gpu.device.usable_bytes) for size in MICRO_BATCHES])
    return columns


def heat_map(
    model: CatalogueModel, kind: MethodKind, gpu: CatalogueGpu, market: Market, fmt: Formatter
) -> HeatMap | None:
    """The heat map of a model on a card; None where the card cannot run it at all."""
    columns = _columns(model, kind, gpu, market)
    if columns is None:
        return None
    _ = fmt.gettext
    usable = gpu.device.usable_bytes

    def cell(column: int, row: int) -> HeatCell:
        needed, verdict = columns[column][row]
        fits = verdict is Verdict.FITS
        right = column + 1 < len(LENGTHS) and columns[column + 1][row][1] is not Verdict.FITS
        below = row + 1 < len(MICRO_BATCHES) and columns[column][row + 1][1] is not Verdict.FITS
        shade = f"h{min(STEPS, 1 + STEPS * needed // usable)}" if fits else "ht" if verdict is Verdict.TIGHT else "hn"
        return HeatCell(
            text=fmt.memory(needed) + ("" if fits else "!" if verdict is Verdict.TIGHT else ""),
            url=page_link(
                {
                    "model": model.slug,
                    "method": kind,
                    "micro_batch_size": MICRO_BATCHES[row],
                    "sequence_length": LENGTHS[column],
                    "gpu": gpu.slug,
                }
            ),
            shade=shade,
            edge=" ".join(name for name, drawn in (("er", fits and right), ("eb", fits and below)) if drawn),
            verdict=fmt.within(_(VERDICTS[verdict])),
        )

    return HeatMap(
        title=_("How long, how many at once"),
        text=_(
            "{method} of {model}. What the card must have, in {unit}, for sequences of so many tokens (across), so "
            "many at once (down); what lies above and left of the thick line surely fits."
        ).format(method=_(METHODS[kind]), model=model.name, unit=fmt.unit.label),
        lengths=tuple(fmt.integer(length) for length in LENGTHS),
        rows=tuple(
            HeatRow(name=fmt.integer(size), cells=tuple(cell(column, row) for column in range(len(LENGTHS))))
            for row, size in enumerate(MICRO_BATCHES)
        ),
    )
