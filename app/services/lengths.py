"""The shape of a data set: its lengths joined with a run, and what the run takes at the lengths that matter."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from math import ceil
from typing import Final

from app.catalogue.snapshot import Snapshot
from app.memory.result import Notice
from app.messages import message
from app.planning.length_fit import POINTS, FitError, FittedLengths, fit_lengths
from app.planning.lengths import Lengths, Shape, first_longest_batch, shape_of
from app.request import FieldError, GpuListing, RequestError, Run, permalink
from app.request.dataset import DatasetRequest
from app.services.estimate import estimate
from app.services.lengths_results import (
    BatchMemory,
    DatasetShapeResult,
    LengthFigures,
    LengthSource,
    MemoryByBatch,
    PackingReport,
)
from app.services.policy import DEFAULT_POLICY, Policy
from app.services.results import Links
from app.services.text_lengths import MESSAGE_TOKENS, MeasuredText
from app.spans import spanned

PATH: Final = "/dataset"
API_PATH: Final = "/api/v1/dataset-shape"
_OWN: Final = frozenset({"p95_tokens_per_example", "max_tokens_per_example"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What is known of the lengths: one of a list, a measured text, or a fit to three figures."""

    listed: Lengths | None = None
    measured: MeasuredText | None = None
    fitted: FittedLengths | None = None

    @property
    def lengths(self) -> Lengths:
        """The lengths to plan with; of a text, at many tokens a character."""
        if self.measured is not None:
            return self.measured.high
        if self.listed is not None:
            return self.listed
        assert self.fitted is not None
        return self.fitted.lengths

    @property
    def source(self) -> LengthSource:
        if self.measured is not None:
            return LengthSource.TEXT
        return LengthSource.LENGTHS if self.listed is not None else LengthSource.FIGURES


def known_figures(given: DatasetRequest) -> Known:
    """The fit to a request's three figures. Raises :class:`RequestError` on one that is missing or contradicts."""
    mean, percentile, longest = given.tokens_per_example, given.p95_tokens_per_example, given.max_tokens_per_example
    if mean is None or percentile is None or longest is None:
        names = ("tokens_per_example", "p95_tokens_per_example", "max_tokens_per_example")
        raise RequestError(
            *(FieldError(field=name, message="is required.") for name in names if getattr(given, name) is None)
        )
    try:
        return Known(fitted=fit_lengths(mean, percentile, longest))
    except FitError:
        field = "p95_tokens_per_example" if mean > percentile else "max_tokens_per_example"
        text = (
            "is below the mean; a list of lengths would tell." if mean > percentile else "is below the 95th percentile."
        )
        raise RequestError(FieldError(field=field, message=text)) from None


@spanned("dataset shape")
def dataset_shape(
    given: DatasetRequest, known: Known, snapshot: Snapshot, today: date, policy: Policy = DEFAULT_POLICY
) -> DatasetShapeResult:
    """What the lengths do to batches, and what a run takes of a card at them. Raises :class:`RequestError`."""
    limit = given.sequence_length if "sequence_length" in given.model_fields_set else None
    shape = shape_of(known.lengths, given.micro_batch_size, limit)
    examples = known.lengths.examples if known.fitted is None else given.num_examples
    padded = _run(given, shape, examples, packing=False)
    packed = _run(given, shape, examples, packing=True)
    query = permalink(given)
    return DatasetShapeResult(
        source=known.source,
        examples=examples,
        lengths=_figures(known.lengths),
        lengths_low=_figures(known.measured.low) if known.measured is not None else None,
        fitted_sigma=round(known.fitted.sigma, 3) if known.fitted is not None else None,
        run=padded.model_copy(update={"config": None}),
        micro_batch_size=given.micro_batch_size,
        longest_tokens=shape.longest_tokens,
        longest_batch_tokens=shape.longest_batch_tokens,
        mean_after_cut=shape.lengths.mean,
        expected_longest_tokens=shape.expected_longest_tokens,
        padding_share=shape.padding_share,
        cut_share=shape.cut_share,
        lost_share=shape.lost_share,
        first_longest_batch=first_longest_batch(examples, shape.lengths.share_at_longest, given.micro_batch_size),
        batches_per_epoch=ceil(examples / given.micro_batch_size),
        packing=PackingReport(
            sequence_length=shape.packing.sequence_tokens,
            examples_per_sequence=1 / shape.packing.sequences_per_example,
            sequences=ceil(examples * shape.packing.sequences_per_example),
            fill_share=shape.packing.fill_share,
            tokens_saved_share=shape.padding_share,
        ),
        memory=_memory(padded, packed, shape, snapshot, today, policy) if given.model or given.config else None,
        assumptions=tuple(_assumptions(known)),
        warnings=tuple(_warnings(known, shape)),
        links=Links(self=f"{API_PATH}?{query}", page=f"{PATH}?{query}"),
        padded_url=f"/?{permalink(padded)}",
        packed_url=f"/?{permalink(packed)}",
    )


def _figures(lengths: Lengths) -> LengthFigures:
    return LengthFigures(mean=lengths.mean, p95=lengths.quantile(0.95), longest=lengths.longest)


def _run(given: DatasetRequest, shape: Shape, examples: int, *, packing: bool) -> Run:
    """The run with the data set's lengths in the fields that the calculator has for them."""
    values = {name: getattr(given, name) for name in given.model_fields_set - _OWN}
    values |= {
        "sequence_length": shape.longest_tokens,
        "tokens_per_example": max(1, round(shape.lengths.mean)),
        "num_examples": examples,
        "packing": packing,
        "micro_batch_size": given.micro_batch_size,
    }
    return Run(**values)


def _memory(padded: Run, packed: Run, shape: Shape, snapshot: Snapshot, today: date, policy: Policy) -> MemoryByBatch:
    def at(run: Run, tokens: int) -> BatchMemory:
        asked = run.model_copy(
            update={"sequence_length": tokens, "tokens_per_example": tokens, "gpus": GpuListing.NONE}
        )
        found = estimate(asked, snapshot, today, policy)
        return BatchMemory(
            sequence_length=tokens,
            required_bytes=found.memory.required_bytes,
            required_low_bytes=found.memory.required_low_bytes,
            required_high_bytes=found.memory.required_high_bytes,
            verdict=found.verdict.status if found.verdict is not None else None,
        )

    return MemoryByBatch(
        longest=at(padded, shape.longest_tokens),
        expected=at(padded, ceil(shape.expected_longest_tokens)),
        mean=at(padded, max(1, round(shape.lengths.mean))),
        packed=at(packed, shape.packing.sequence_tokens),
    )


def _assumptions(known: Known) -> Iterator[str]:
    if known.fitted is not None:
        yield message(
            "Three figures say nothing of the shape between them: {points} lengths of a lognormal through the mean and "
            "the 95th percentile that ends at the maximum stand for the data. Two kinds of examples mixed are no "
            "lognormal; a list of lengths is exact.",
            points=POINTS,
        )
    if known.measured is not None:
        yield message(
            "Text is measured in characters: a token has 3.17 to 3.94 of them in English by the tokenisers of Llama 2 "
            "and Llama 3 (arXiv 2407.21783, section 3.2), and each message of a conversation {tokens} tokens of "
            "template. Batches are planned at the upper end. Nothing of the file is kept.",
            tokens=MESSAGE_TOKENS,
        )
    yield message(
        "An epoch takes every example once in random order, and each micro-batch is padded to its longest. Grouping by "
        "length pads less, and its longest batches are still these."
    )
    yield message(
        "Packing puts each example whole, longest first, into the fullest sequence that has room (TRL’s bfd). TRL then "
        "computes no padding; tools that pad a packed sequence to its full length compute the part that is not filled."
    )


def _warnings(known: Known, shape: Shape) -> Iterator[Notice]:
    if known.fitted is not None and not known.fitted.meets_mean:
        yield Notice(
            "not_lognormal",
            message("No lognormal has these three figures; the lengths are of another kind. Paste a list of them."),
        )
    if known.measured is not None and known.measured.other_scripts:
        yield Notice(
            "other_scripts",
            message(
                "Much of this text is outside ASCII. Other scripts and code take more tokens a character than English: "
                "raise the range, or count with the model’s tokeniser."
            ),
        )
    if shape.lost_share > 0:
        yield Notice(
            "cut",
            message("Examples are cut at the sequence length: what lies beyond is not learnt."),
        )
