"""What published comparisons say of the methods, for the guide: shares of full fine-tuning's score, and sources."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.memory.inputs import MethodKind
from app.planning.quality import TASKS, Quality, QualityResult, Source, by_task, compared_ranks, spread
from app.services.quality import Finding, bundled_quality, bundled_results, findings, not_read, sources
from app.web.components import Link
from app.web.formatting import Formatter
from app.web.landing import Cell, Row
from app.web.wording import METHODS

_ADAPTERS: Final = (MethodKind.LORA, MethodKind.QLORA)
_NONE: Final = Cell(text="–", url="")
_DASH: Final = "\u2060–\u2060"
"""An en dash that keeps what it joins on one line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What somebody found, and who."""

    text: str
    source: Link


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceView:
    """A publication and where its figures were read."""

    link: Link
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityView:
    """Expected scores by method, task and rank, with everything a reader needs to doubt them."""

    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    coverage_text: str
    findings: tuple[Said, ...]
    sources: tuple[SourceView, ...]
    not_read: tuple[Said, ...]


def quality_view(fmt: Formatter) -> QualityView:
    """The same for every case: nobody's results depend on a card."""
    _ = fmt.gettext
    return QualityView(
        heads=(_("Score"), _("Of what was learnt"), _("Results")),
        rows=tuple(_rows(fmt)),
        coverage_text=_(
            "Full fine-tuning’s score is 100%. Shown are the middle and the range of {share} of the comparisons, each "
            "source with the same weight. Where a method falls behind depends on the task: no benchmark settles it."
        ).format(share=fmt.percent(bundled_quality(MethodKind.LORA).coverage)),
        findings=tuple(_said(finding, fmt) for finding in findings()),
        sources=tuple(_source(source, fmt) for source in sources()),
        not_read=tuple(
            Said(text=_(entry.why), source=Link(text=_("{name}").format(name=entry.what), url=""))
            for entry in not_read()
        ),
    )


def _rows(fmt: Formatter) -> list[Row]:
    _ = fmt.gettext
    rows = []
    for kind in _ADAPTERS:
        rows.append(_row(_(METHODS[kind]), bundled_quality(kind), fmt))
        for task, quality in by_task(kind, bundled_results()).items():
            rows.append(_row(_("{method}, {task}").format(method=_(METHODS[kind]), task=_(TASKS[task])), quality, fmt))
    for rank, results in compared_ranks(bundled_results()).items():
        name = _("LoRA, rank {rank}, where ranks were compared").format(rank=fmt.integer(rank))
        rows.append(_row_of(name, results, fmt))
    against_lora = [result for result in bundled_results() if result.against is MethodKind.LORA]
    rows.append(_row_of(_("QLoRA beside LoRA"), against_lora, fmt))
    return rows


def _row(name: str, quality: Quality, fmt: Formatter) -> Row:
    shares = (quality.share_of_full_low, quality.share_of_full, quality.share_of_full_high)
    gain = quality.share_of_gain
    learnt = _NONE if gain is None else Cell(url="", text=fmt.percent(gain))
    return Row(
        name=name, url="", cells=(_share(shares, fmt), learnt, _behind(quality.results, len(quality.sources), fmt))
    )


def _row_of(name: str, results: Sequence[QualityResult], fmt: Formatter) -> Row:
    behind = _behind(len(results), len({result.source.name for result in results}), fmt)
    return Row(name=name, url="", cells=(_share(spread(results), fmt), _NONE, behind))


def _share(values: tuple[float, float, float], fmt: Formatter) -> Cell:
    low, middle, high = values
    within = f"{fmt.integer(round(100 * low))}{_DASH}{fmt.percent(high)}"
    return Cell(url="", text=fmt.percent(middle), detail=within)


def _behind(count: int, sources_behind: int, fmt: Formatter) -> Cell:
    """How many comparisons, of how many sources: the list below says which."""
    told = fmt.ngettext("from {count} source", "from {count} sources", sources_behind)
    return Cell(url="", text=fmt.integer(count), detail=told.format(count=fmt.integer(sources_behind)))


def _source(source: Source, fmt: Formatter) -> SourceView:
    _ = fmt.gettext
    count = len([result for result in bundled_results() if result.source.name == source.name])
    detail = _("read in {place}").format(place=_(source.read))
    if count:
        told = fmt.ngettext("{count} comparison", "{count} comparisons", count).format(count=fmt.integer(count))
        detail = f"{told}, {detail}"
    cited = _("{authors}, {title}, {year}").format(authors=source.authors, title=source.title, year=source.year)
    return SourceView(link=Link(text=cited, url=source.url), detail=detail)


def _said(finding: Finding, fmt: Formatter) -> Said:
    _, source = fmt.gettext, finding.source
    cited = _("{source}, {place}").format(source=source.cited, place=_(finding.place))
    return Said(text=_(finding.text), source=Link(text=cited, url=source.url))
