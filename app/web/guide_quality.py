"""What published comparisons say of the methods, for the guide: shares of full fine-tuning's score, and sources."""

from dataclasses import dataclass
from typing import Final

from app.memory.inputs import MethodKind
from app.planning.quality import TASKS, Quality, QualityResult, by_task, compared_ranks, spread
from app.services.quality import Finding, bundled_quality, bundled_results, findings, not_read, sources
from app.web.components import Link
from app.web.formatting import Formatter
from app.web.landing import Cell, Row
from app.web.wording import METHODS

_ADAPTERS: Final = (MethodKind.LORA, MethodKind.QLORA)
_NONE: Final = Cell(text="–", url="")


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
        heads=(_("Score"), _("Of what was learnt"), _("Behind it")),
        rows=tuple(_rows(fmt)),
        coverage_text=_(
            "Full fine-tuning’s score is 100%. Shown are the middle and the range of {share} of the comparisons, each "
            "source with the same weight. Where a method falls behind depends on the task: no benchmark settles it."
        ).format(share=fmt.percent(bundled_quality(MethodKind.LORA).coverage)),
        findings=tuple(_said(finding, fmt) for finding in findings()),
        sources=tuple(
            SourceView(
                link=Link(
                    text=_("{authors}, {title}, {year}").format(
                        authors=source.authors, title=source.title, year=source.year
                    ),
                    url=source.url,
                ),
                detail=_("read in {place}").format(place=_(source.read)),
            )
            for source in sources()
        ),
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
        rows.append(_rank_row(rank, results, fmt))
    against_lora = [result for result in bundled_results() if result.against is MethodKind.LORA]
    rows.append(
        Row(
            name=_("QLoRA beside LoRA"),
            url="",
            cells=(_share(spread(against_lora), fmt), _NONE, _behind(against_lora, fmt)),
        )
    )
    return rows


def _row(name: str, quality: Quality, fmt: Formatter) -> Row:
    _ = fmt.gettext
    gain = quality.share_of_gain
    told = _NONE if gain is None else Cell(url="", text=fmt.percent(gain), detail=_names(quality.gain_sources, fmt))
    return Row(
        name=name,
        url="",
        cells=(
            _share((quality.share_of_full_low, quality.share_of_full, quality.share_of_full_high), fmt),
            told,
            _comparisons(quality.results, quality.sources, fmt),
        ),
    )


def _rank_row(rank: int, results: tuple[QualityResult, ...], fmt: Formatter) -> Row:
    return Row(
        name=fmt.gettext("LoRA, rank {rank}, where ranks were compared").format(rank=fmt.integer(rank)),
        url="",
        cells=(_share(spread(results), fmt), _NONE, _behind(results, fmt)),
    )


def _share(values: tuple[float, float, float], fmt: Formatter) -> Cell:
    low, middle, high = values
    return Cell(url="", text=fmt.percent(middle), detail=f"{fmt.percent(low)}–{fmt.percent(high)}")


def _behind(results: list[QualityResult] | tuple[QualityResult, ...], fmt: Formatter) -> Cell:
    return _comparisons(len(results), tuple(dict.fromkeys(result.source.cited for result in results)), fmt)


def _comparisons(count: int, names: tuple[str, ...], fmt: Formatter) -> Cell:
    text = fmt.ngettext("{count} comparison", "{count} comparisons", count).format(count=fmt.integer(count))
    return Cell(url="", text=text, detail=_names(names, fmt))


def _names(names: tuple[str, ...], fmt: Formatter) -> str:
    """Citations, which are the same in every language."""
    return fmt.gettext("{names}").format(names=", ".join(names))


def _said(finding: Finding, fmt: Formatter) -> Said:
    _, source = fmt.gettext, finding.source
    cited = _("{source}, {place}").format(source=source.cited, place=finding.place)
    return Said(text=_(finding.text), source=Link(text=cited, url=source.url))
