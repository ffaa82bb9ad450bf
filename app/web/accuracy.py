"""The accuracy page: errors as distributions, the worst cases, and what nothing has been held against yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.memory.inputs import MethodKind
from app.messages import mark
from app.services.accuracy import accuracy
from app.web.accuracy_scatter import Scatter, scatter
from app.web.components import Fact, Note, PageMeta
from app.web.formatting import Formatter
from app.web.landing import Answered, Cell, Row
from app.web.schema import faq_page
from app.web.shell import PageContext, page_meta
from app.web.wording import METHODS, PHASES

PATH: Final = "/accuracy"
WORST: Final = 5
SMALLEST_SHOWN: Final = 0.00005
"""Smaller errors than a hundredth of a per cent are shown as such."""

FIGURES: Final = (mark("Runs"), mark("Median"), mark("Largest"), mark("Within 1%"))
INTERVAL_FIGURES: Final = (mark("Runs"), mark("Median"), mark("Largest"), mark("In our range"))
SPEED_FIGURES: Final = (mark("Full"), mark("LoRA"), mark("QLoRA"))


@dataclass(frozen=True, kw_only=True, slots=True)
class AccuracyPage:
    """How far to trust the figures."""

    meta: PageMeta
    title: str
    lead: str
    facts: tuple[Fact, ...]
    traced_text: str
    traced_heads: tuple[str, ...]
    by_method: tuple[Row, ...]
    by_phase: tuple[Row, ...]
    by_family: tuple[Row, ...]
    measured_text: str
    measured_heads: tuple[str, ...]
    measured: tuple[Row, ...]
    several_text: str
    several: tuple[Row, ...]
    scatter: Scatter
    worst_traced: tuple[Note, ...]
    worst_measured: tuple[Note, ...]
    speed_text: str
    speed_heads: tuple[str, ...]
    speed: tuple[Row, ...]
    outlying: tuple[Note, ...]
    left_out: tuple[Note, ...]
    not_validated: tuple[Note, ...]
    answers: tuple[Answered, ...]
    written_by: str
    structured: str


def accuracy_page(context: PageContext) -> AccuracyPage:
    """The page of the bundled figures."""
    fmt = context.fmt
    _ = fmt.gettext
    found = accuracy()
    memory, speed = found["memory"], found["speed"]
    traced, measured = memory["traced"], memory["measured"]
    everything, target, without = traced["all"], measured["target"], speed["without_outlying"]
    figures = {
        "traced": fmt.integer(everything["runs"]),
        "traced_median": _share(everything["median"], fmt),
        "close": fmt.percent(everything["share_close"], 1),
        "measured": fmt.integer(target["runs"]),
        "measured_median": _share(target["median"], fmt),
        "covered": fmt.percent(target["share_in_interval"]),
        "speed_median": fmt.percent(without["median_absolute_error"]),
    }
    answers = _answers(figures, fmt)
    return AccuracyPage(
        meta=page_meta(
            context,
            path=PATH,
            title=_("How accurate is the GPU memory estimate?"),
            description=_(
                "Held against {traced} traced training steps ({close} within 1%) and {measured} published "
                "measurements (median error {measured_median}), with the worst cases and what is not checked."
            ).format(**figures),
        ),
        title=_("{close} of {traced} traced peaks are met within 1%").format(**figures),
        lead=_(
            "Errors are our figure against the reference, and every run that can be written as a request counts: none "
            "is left out for its error. The worst are below, and so is what nothing has been held against."
        ),
        facts=(
            Fact(label=_("Traced runs"), value=figures["traced"], detail=_("median {traced_median}").format(**figures)),
            Fact(
                label=_("Measured runs"),
                value=figures["measured"],
                detail=_("median {measured_median}").format(**figures),
            ),
            Fact(
                label=_("Measured in our range"),
                value=figures["covered"],
                detail=_("allocated memory, sequences without padding"),
            ),
            Fact(
                label=_("Speed"),
                value=figures["speed_median"],
                detail=_("median error, on sources not calibrated with"),
            ),
        ),
        traced_text=_(
            "The libraries’ own code, run on fake tensors that count every allocation. What is compared is the peak "
            "that PyTorch would report as allocated."
        ),
        traced_heads=tuple(_(name) for name in FIGURES),
        by_method=(
            _distribution(_("All"), everything, fmt),
            *(
                _distribution(_(METHODS[MethodKind(group["value"])]), group, fmt)
                for group in traced["groups"]
                if group["option"] == "method"
            ),
        ),
        by_phase=tuple(_distribution(_phase(group["phase"], fmt), group, fmt) for group in traced["phases"]),
        by_family=tuple(
            _distribution(group["value"], group, fmt)
            for group in sorted(traced["groups"], key=lambda group: (-group["largest"], group["value"]))
            if group["option"] == "family"
        ),
        measured_text=_(
            "Published by others, on their cards and under their versions. What was allocated is the model’s own "
            "subject; what the allocator reserved depends on the order of a run’s lengths as well."
        ),
        measured_heads=tuple(_(name) for name in INTERVAL_FIGURES),
        measured=tuple(
            _interval_row(f"{_statistic(group['statistic'], fmt)}: {_source(group['source'])}", group, fmt)
            for group in measured["groups"]
        ),
        several_text=_(
            "{runs} complete runs: median error {median}. One project published what FSDP had allocated; of other "
            "strategies what was reserved is known, and less completely (B)."
        ).format(
            runs=fmt.integer(memory["several_gpus"]["target"]["runs"]),
            median=_share(memory["several_gpus"]["target"]["median"], fmt),
        ),
        several=tuple(_interval_row(_strategy(group, fmt), group, fmt) for group in memory["several_gpus"]["groups"]),
        scatter=scatter(measured["runs"], fmt),
        worst_traced=tuple(_traced_note(case, fmt) for case in traced["largest"][:WORST]),
        worst_measured=tuple(_measured_note(case, fmt) for case in measured["largest"][:WORST]),
        speed_text=_(
            "Each source’s step times, predicted by a calibration that had not seen the source: the median error of "
            "the cells is {all} over {cells} of them that more than one source stands behind, {speed_median} without "
            "outlying sources."
        ).format(
            all=fmt.percent(speed["all_sources"]["median_absolute_error"]),
            cells=fmt.integer(speed["all_sources"]["cells"]),
            **figures,
        ),
        speed_heads=tuple(_(name) for name in SPEED_FIGURES),
        speed=_speed_rows(speed["cells"], fmt),
        outlying=tuple(Note(lead=f"{name}:", text=f"{_(why)}.") for name, why in speed["outlying"].items()),
        left_out=tuple(
            Note(
                lead=fmt.ngettext("{count} run:", "{count} runs:", item["runs"]).format(
                    count=fmt.integer(item["runs"])
                ),
                text=_(item["reason"]),
            )
            for item in (*traced["left_out"], *measured["left_out"])
        ),
        not_validated=tuple(Note(lead=_(item["what"]) + ":", text=_(item["why"])) for item in found["not_validated"]),
        answers=answers,
        written_by=f"{memory['written_by']}; {speed['written_by']}",
        structured=faq_page(tuple((answer.question, answer.text) for answer in answers)),
    )


def _share(error: float, fmt: Formatter) -> str:
    if 0 < abs(error) < SMALLEST_SHOWN:
        return "< " + fmt.percent(0.0001, 2)
    return fmt.percent(error, 2 if abs(error) < 0.1 else 0)


def _share_of_runs(share: float, fmt: Formatter) -> str:
    """All of them only where it is all of them."""
    return fmt.percent(share, 1 if 0.995 <= share < 1 else 0)


def _distribution(name: str, found: Mapping[str, Any], fmt: Formatter) -> Row:
    texts = (
        fmt.integer(found["runs"]),
        _share(found["median"], fmt),
        _share(found["largest"], fmt),
        _share_of_runs(found["share_close"], fmt),
    )
    return Row(name=name, url="", cells=tuple(Cell(text=text, url="") for text in texts))


def _interval_row(name: str, found: Mapping[str, Any], fmt: Formatter) -> Row:
    texts = (
        fmt.integer(found["runs"]),
        _share(found["median"], fmt),
        _share(found["largest"], fmt),
        _share_of_runs(found["share_in_interval"], fmt),
    )
    return Row(name=name, url="", cells=tuple(Cell(text=text, url="") for text in texts))


def _phase(name: str, fmt: Formatter) -> str:
    return next((fmt.gettext(words) for phase, words in PHASES.items() if phase.value == name), name)


def _strategy(group: Mapping[str, Any], fmt: Formatter) -> str:
    """A strategy by its name in a request, the method, how complete the runs are and what they report."""
    _ = fmt.gettext
    words = [group["strategy"]]
    if group["offload"]:
        words.append(_("with offload"))
    if group["split"]:
        words.append(_("with split matrices, layers or experts"))
    words.append(_("full fine-tuning") if group["full"] else _("adapters"))
    return f"{', '.join(words)} ({group['tier']}): {_statistic(group['statistic'], fmt)}"


def _statistic(name: str, fmt: Formatter) -> str:
    return fmt.gettext("allocated") if name == "allocated" else fmt.gettext("reserved")


def _source(name: str) -> str:
    """A source's repository and file, without the folders between."""
    repository, _space, path = name.partition(" ")
    return f"{repository}, {path.rsplit('/', 1)[-1]}" if path else repository


def _traced_note(case: Mapping[str, Any], fmt: Formatter) -> Note:
    _ = fmt.gettext
    parts = sorted(case["difference_bytes"].items(), key=lambda pair: -abs(pair[1]))[:3]
    listed = ", ".join(
        f"{name} {'+' if size > 0 else '−'}{fmt.memory_with_unit(abs(size))}"
        for name, size in parts
        if abs(size) >= fmt.unit.size_bytes // 20
    )
    text = _("{ours} against {traced} ({error}), at the peak in the phase “{phase}”.").format(
        ours=fmt.memory_with_unit(case["estimated_bytes"]),
        traced=fmt.memory_with_unit(case["reference_bytes"]),
        error=_signed(case["error"], fmt),
        phase=_phase(case["phase"], fmt),
    )
    more = " " + _("Ours less traced: {parts}.").format(parts=listed) if listed else ""
    return Note(lead=case["run"] + ":", text=text + more)


def _measured_note(case: Mapping[str, Any], fmt: Formatter) -> Note:
    _ = fmt.gettext
    pattern = (
        _("{ours} allocated against {measured} ({error}); our range is {range}. Source: {source}.")
        if case["statistic"] == "allocated"
        else _(
            "{ours} reserved against {measured} ({error}); our range is {range}. The allocator may keep blocks of "
            "earlier lengths that fit no later one. Source: {source}."
        )
    )
    text = pattern.format(
        ours=fmt.memory_with_unit(case["estimated_bytes"]),
        measured=fmt.memory_with_unit(case["reference_bytes"]),
        error=_signed(case["error"], fmt),
        range=fmt.memory_range(case["low_bytes"], case["high_bytes"]),
        source=_source(case["source"]),
    )
    return Note(lead=case["run"] + ":", text=text)


def _signed(error: float, fmt: Formatter) -> str:
    return ("+" if error > 0 else "−") + fmt.percent(abs(error), 1 if abs(error) < 0.1 else 0)


def _speed_rows(cells: Sequence[Mapping[str, Any]], fmt: Formatter) -> tuple[Row, ...]:
    """A row for each class of cards, a cell for each method: its error and how many sources stand behind it."""
    by_class: dict[str, dict[str, Mapping[str, Any]]] = {}
    for cell in cells:
        by_class.setdefault(f"{cell['architecture']}, {fmt.gettext(cell['segment'])}", {})[cell["method"]] = cell
    return tuple(
        Row(name=name, url="", cells=tuple(_speed_cell(found.get(kind.value), fmt) for kind in MethodKind))
        for name, found in by_class.items()
    )


def _speed_cell(cell: Mapping[str, Any] | None, fmt: Formatter) -> Cell:
    if cell is None:
        return Cell(text="–", url="")
    sources = len(cell["votes"])
    return Cell(
        text=fmt.percent(cell["absolute_error"]),
        url="",
        detail=fmt.ngettext("{count} source", "{count} sources", sources).format(count=fmt.integer(sources)),
    )


def _answers(figures: Mapping[str, str], fmt: Formatter) -> tuple[Answered, ...]:
    _ = fmt.gettext
    return (
        Answered(
            question=_("How accurate is the memory estimate?"),
            text=_(
                "{close} of {traced} traced training steps are met within 1%; their median error is {traced_median}. "
                "Of {measured} published measurements of allocated memory half are met within {measured_median}, and "
                "{covered} lie in the range shown."
            ).format(**figures),
        ),
        Answered(
            question=_("How accurate are the time and the cost?"),
            text=_(
                "The median error on published step times that the calibration had not seen is {speed_median}, "
                "outlying sources apart. The cost follows from the time and a dated price."
            ).format(**figures),
        ),
    )
