"""What the page about lengths says of one result: every figure as text, where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.memory.device import Verdict
from app.services.lengths_results import BatchMemory, DatasetShapeResult, LengthFigures, LengthSource
from app.web.components import Fact, Link, Tag
from app.web.formatting import EN_DASH, Formatter
from app.web.landing import Answered, Cell, Row
from app.web.wording import TONES, VERDICTS


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """What was pasted or uploaded, to show it again or say what is wrong with it."""

    lengths: str = ""
    lengths_error: str = ""
    file_name: str = ""
    file_error: str = ""
    skipped: tuple[str, ...] = ()
    skipped_count: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetAnswer:
    """The results part of the page."""

    facts: tuple[Fact, ...]
    actions: tuple[Link, ...]
    measured_text: str
    skipped_text: str
    skipped: tuple[str, ...]
    memory_text: str
    memory_heads: tuple[str, ...]
    memory: tuple[Row, ...]
    packing_text: str
    warnings: tuple[str, ...]
    assumptions: tuple[str, ...]
    answers: tuple[Answered, ...]
    api_url: str
    """Empty for what is not in an address."""


class Answer:
    """One result in words."""

    def __init__(self, result: DatasetShapeResult, sent: Sent, fmt: Formatter) -> None:
        self._result = result
        self._sent = sent
        self._fmt = fmt

    def view(self) -> DatasetAnswer:
        """All of it."""
        fmt, result, sent = self._fmt, self._result, self._sent
        _ = fmt.gettext
        figures = result.source is LengthSource.FIGURES
        return DatasetAnswer(
            facts=self._facts(),
            actions=(
                Link(text=_("Calculate this, padded"), url=result.padded_url, is_current=True),
                Link(text=_("Calculate it packed"), url=result.packed_url),
            ),
            measured_text=self._measured(),
            skipped_text=fmt.ngettext(
                "{count} line was left out:", "{count} lines were left out; the first are:", sent.skipped_count
            ).format(count=fmt.integer(sent.skipped_count))
            if sent.skipped_count
            else _("The file has more lines than are read:")
            if sent.skipped
            else "",
            skipped=tuple(_(text) for text in sent.skipped),
            memory_text=_("What a card must have for {count} sequences of each length, with this run.").format(
                count=fmt.integer(result.micro_batch_size)
            ),
            memory_heads=(_("Tokens each"), _("Needs"), _("This card")),
            memory=self._memory(),
            packing_text=self._packing(),
            warnings=tuple(_(notice.text) for notice in result.warnings),
            assumptions=tuple(_(text) for text in result.assumptions),
            answers=self._answers(),
            api_url=result.links.self if figures else "",
        )

    def _facts(self) -> tuple[Fact, ...]:
        fmt, result = self._fmt, self._result
        _ = fmt.gettext
        cut = (
            _("{share} of the examples are cut, {lost} of the tokens lost").format(
                share=fmt.percent(result.cut_share, 1), lost=fmt.percent(result.lost_share, 1)
            )
            if result.cut_share
            else _("no example is cut")
        )
        return (
            Fact(label=_("Sequence length to plan for"), value=fmt.integer(result.longest_tokens), detail=cut),
            Fact(
                label=_("An average batch’s longest"),
                value=fmt.integer(round(result.expected_longest_tokens)),
                detail=_("mean {mean} tokens").format(mean=fmt.integer(round(result.mean_after_cut))),
            ),
            Fact(
                label=_("Padding"),
                value=fmt.percent(result.padding_share),
                detail=_("of the tokens computed, at micro-batch {count}").format(
                    count=fmt.integer(result.micro_batch_size)
                ),
            ),
            Fact(
                label=_("Packed"),
                value=fmt.decimal(result.packing.examples_per_sequence, 1),
                detail=_("examples to a sequence, {share} filled").format(share=_filled(result, fmt)),
            ),
        )

    def _measured(self) -> str:
        fmt, result = self._fmt, self._result
        _ = fmt.gettext
        low, high = result.lengths_low, result.lengths
        if low is None:
            pattern = _("{examples} lengths: mean {mean}, 95th percentile {p95}, longest {longest} tokens.")
            return (
                pattern.format(examples=fmt.integer(result.examples), **self._numbers(high, high))
                if (result.source is LengthSource.LENGTHS)
                else ""
            )
        pattern = _("{examples} examples measured: mean {mean}, 95th percentile {p95}, longest {longest} tokens.")
        return pattern.format(examples=fmt.integer(result.examples), **self._numbers(low, high))

    def _numbers(self, low: LengthFigures, high: LengthFigures) -> Mapping[str, str]:
        pairs = {
            "mean": (round(low.mean), round(high.mean)),
            "p95": (low.p95, high.p95),
            "longest": (low.longest, high.longest),
        }
        integer = self._fmt.integer
        return {
            name: integer(least) if least == most else f"{integer(least)}{EN_DASH}{integer(most)}"
            for name, (least, most) in pairs.items()
        }

    def _memory(self) -> tuple[Row, ...]:
        memory = self._result.memory
        if memory is None:
            return ()
        _ = self._fmt.gettext
        return (
            self._row(_("The longest batch, padded"), memory.longest),
            self._row(_("An average batch, padded"), memory.expected),
            self._row(_("If every example were of mean length"), memory.mean),
            self._row(_("Packed sequences"), memory.packed),
        )

    def _row(self, name: str, batch: BatchMemory) -> Row:
        fmt = self._fmt
        verdict = batch.verdict
        return Row(
            name=name,
            url="",
            cells=(
                Cell(text=fmt.integer(batch.sequence_length), url=""),
                Cell(text=fmt.memory_range(batch.required_low_bytes, batch.required_high_bytes), url=""),
                Cell(text=EN_DASH, url="", tag=_tag(verdict, fmt) if verdict is not None else None),
            ),
        )

    def _packing(self) -> str:
        fmt, result = self._fmt, self._result
        _ = fmt.gettext
        return _(
            "Packed into sequences of {length} tokens, {examples} examples make {sequences} sequences, "
            "{share} filled, and no padding is computed: {saved} less work than padded batches of {count}. Every step "
            "is then as large as the longest batch."
        ).format(
            length=fmt.integer(result.packing.sequence_length),
            examples=fmt.integer(result.examples),
            sequences=fmt.integer(result.packing.sequences),
            share=_filled(result, fmt),
            saved=fmt.percent(result.packing.tokens_saved_share),
            count=fmt.integer(result.micro_batch_size),
        )

    def _answers(self) -> tuple[Answered, ...]:
        fmt, result = self._fmt, self._result
        _ = fmt.gettext
        return (
            Answered(
                question=_("Why does training run out of memory after many good steps?"),
                text=_(
                    "Memory follows the longest example of a batch, not the average: here {longest} tokens against "
                    "{expected} in an average batch of {count}. Plan with the longest, or cut it."
                ).format(
                    longest=fmt.integer(result.longest_tokens),
                    expected=fmt.integer(round(result.expected_longest_tokens)),
                    count=fmt.integer(result.micro_batch_size),
                ),
            ),
            Answered(
                question=_("How much does packing save?"),
                text=_(
                    "{saved} of the tokens that padded batches compute here. It changes the number of examples a step "
                    "learns from: about {count} to a sequence."
                ).format(
                    saved=fmt.percent(result.padding_share),
                    count=fmt.decimal(result.packing.examples_per_sequence, 1),
                ),
            ),
        )


def _filled(result: DatasetShapeResult, fmt: Formatter) -> str:
    """What packed sequences hold; all only where that is so."""
    share = result.packing.fill_share
    return fmt.percent(1) if share == 1 else fmt.percent(min(share, 0.999), 1)


def _tag(verdict: Verdict, fmt: Formatter) -> Tag:
    return Tag(tone=TONES[verdict], text=fmt.gettext(VERDICTS[verdict]))
