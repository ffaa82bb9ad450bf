"""What published comparisons say a method's result is worth beside full fine-tuning's (``data/quality.json``).

A result is one model trained on the same data by two methods and scored alike. Results of one source share its weight,
so that a long table counts no more than a short one; what is told is a weighted median with the 10 and 90 % quantiles.
Where the sources disagree, the range is wide, and :func:`by_task` shows on which tasks.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import log2
from typing import Final, cast

from app.memory.inputs import Adapter, LoraTargetPreset, MethodKind
from app.messages import Message, counted, mark, message, sentences

COVERAGE: Final = 0.8
"""Share of the weighted results that the range holds."""
_LEARNT: Final = 0.1
"""A share of the gain is told only where full fine-tuning gained at least this much of the untuned model's score."""


class Task(StrEnum):
    """What a model was trained to do."""

    INSTRUCTIONS = "instructions"
    MATHEMATICS = "mathematics"
    CODE = "code"
    NARROW = "narrow"
    CONTINUED_PRETRAINING = "continued_pretraining"


TASKS: Final[Mapping[Task, str]] = {
    Task.INSTRUCTIONS: mark("following instructions"),
    Task.MATHEMATICS: mark("maths"),
    Task.CODE: mark("code"),
    Task.NARROW: mark("one narrow task"),
    Task.CONTINUED_PRETRAINING: mark("continued pretraining"),
}
SUPERVISED: Final = frozenset(Task) - {Task.CONTINUED_PRETRAINING}
"""The tasks of supervised fine-tuning, which is what a run here does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where figures were published, and where they were read."""

    name: str
    authors: str
    title: str
    year: int
    url: str
    read: str

    @property
    def cited(self) -> str:
        return f"{self.authors.partition(',')[0]} {self.year}"


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityResult:
    """One model trained on the same data by two methods; a larger score is better."""

    source: Source
    place: str
    model: str
    task: Task
    data: str
    metric: str
    method: MethodKind
    score: float
    against: MethodKind
    reference: float
    """The score by ``against``."""
    rank: int | None = None
    targets: LoraTargetPreset | None = None
    untuned: float | None = None
    """The score without training, where the source gives it."""

    @property
    def share(self) -> float:
        """The score as a share of the other method's."""
        return self.score / self.reference

    @property
    def share_of_gain(self) -> float | None:
        """What was learnt as a share of what the other method learnt; None where that is little or not known."""
        if self.untuned is None or self.reference - self.untuned < _LEARNT * self.untuned:
            return None
        return (self.score - self.untuned) / (self.reference - self.untuned)


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """A method's expected result as a share of full fine-tuning's score. Full fine-tuning is 1 by definition."""

    share_of_full_low: float
    share_of_full: float
    share_of_full_high: float
    results: int
    sources: tuple[str, ...]
    note: str
    share_of_gain: float | None = None
    """The median of the same for what training adds to the untuned model's score, over the results that tell."""
    gain_sources: tuple[str, ...] = ()
    coverage: float = COVERAGE


FULL: Final = Quality(
    share_of_full_low=1.0,
    share_of_full=1.0,
    share_of_full_high=1.0,
    results=0,
    sources=(),
    note=mark("What the other methods are compared with."),
    share_of_gain=1.0,
)


def expected_quality(
    kind: MethodKind,
    results: Sequence[QualityResult],
    *,
    adapter: Adapter | None = None,
    task: Task | None = None,
) -> Quality:
    """A method's result beside full fine-tuning's, of direct comparisons only; without a task, of all supervised ones.

    An ``adapter`` leaves the figures as they are and adds what is known of its rank and targets to the note: results of
    one rank are other sources' than those of the next, so that taking only some would compare sources, not ranks.
    Raises ``ValueError`` where no result speaks.
    """
    if kind is MethodKind.FULL:
        return FULL
    wanted = SUPERVISED if task is None else {task}
    chosen = [
        result
        for result in results
        if result.method is kind and result.against is MethodKind.FULL and result.task in wanted
    ]
    if not chosen:
        raise ValueError(f"no published result compares {kind.value} with full fine-tuning")
    low, median, high = spread(chosen)
    learnt = [result for result in chosen if result.share_of_gain is not None]
    gains = [(result.share_of_gain or 0.0, weight) for result, weight in _weighted(learnt)]
    return Quality(
        share_of_full_low=low,
        share_of_full=median,
        share_of_full_high=high,
        results=len(chosen),
        sources=_sources(chosen),
        note=_note(chosen, adapter),
        share_of_gain=_quantile(gains, 0.5) if gains else None,
        gain_sources=_sources(learnt),
    )


def by_task(kind: MethodKind, results: Sequence[QualityResult]) -> Mapping[Task, Quality]:
    """The same for each task that has a result, so that a reader sees where a method falls behind."""
    told = {result.task for result in results if result.method is kind and result.against is MethodKind.FULL}
    return {task: expected_quality(kind, results, task=task) for task in Task if task in told}


def spread(results: Iterable[QualityResult]) -> tuple[float, float, float]:
    """The 10 % quantile, the median and the 90 % quantile of the shares, each source with the same weight."""
    shares = [(result.share, weight) for result, weight in _weighted(list(results))]
    tail = (1 - COVERAGE) / 2
    return _quantile(shares, tail), _quantile(shares, 0.5), _quantile(shares, 1 - tail)


def compared_ranks(results: Iterable[QualityResult]) -> Mapping[int, tuple[QualityResult, ...]]:
    """By rank, the supervised results of tables that set several ranks side by side on the same model and data."""
    tables: dict[tuple[str, str, str, MethodKind], list[QualityResult]] = {}
    for result in results:
        if result.rank is not None and result.against is MethodKind.FULL and result.task in SUPERVISED:
            tables.setdefault((result.source.name, result.place, result.model, result.method), []).append(result)
    found: dict[int, list[QualityResult]] = {}
    for table in tables.values():
        ranks = {result.rank for result in table if result.rank is not None}
        for result in table if len(ranks) > 1 else ():
            found.setdefault(result.rank or 0, []).append(result)
    return {rank: tuple(found[rank]) for rank in sorted(found)}


def _weighted(results: Sequence[QualityResult]) -> list[tuple[QualityResult, float]]:
    of_source = Counter(result.source.name for result in results)
    return [(result, 1 / of_source[result.source.name]) for result in results]


def _quantile(values: Sequence[tuple[float, float]], share: float) -> float:
    """The smallest value at which at least ``share`` of the weight is reached."""
    ordered = sorted(values)
    wanted = share * sum(weight for _, weight in ordered) * (1 - 1e-9)
    reached = 0.0
    for value, weight in ordered:
        reached += weight
        if reached >= wanted:
            return value
    return ordered[-1][0]


def _sources(results: Iterable[QualityResult]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(result.source.cited for result in results))


def _note(results: Sequence[QualityResult], adapter: Adapter | None) -> str:
    parts = [
        counted(
            "{count} published comparison, from {sources}.",
            "{count} published comparisons, from {sources}.",
            len(results),
            sources=", ".join(_sources(results)),
        )
    ]
    if len({result.source.name for result in results}) == 1:
        parts.append(message("One source only."))
    if adapter is not None:
        parts.extend(_of_adapter(results, adapter))
    return sentences(*parts)


def _of_adapter(results: Sequence[QualityResult], adapter: Adapter) -> Iterator[Message]:
    ranks = compared_ranks(results)
    if ranks:
        nearest = min(ranks, key=lambda rank: abs(log2(rank / adapter.rank)))
        shares = [result.share for result in ranks[nearest]]
        yield message(
            "Where several ranks were compared ({sources}), rank {rank} reached {low} to {high} % of full fine-tuning.",
            sources=", ".join(_sources(ranks[nearest])),
            rank=nearest,
            low=round(100 * min(shares)),
            high=round(100 * max(shares)),
        )
    if adapter.targets is not LoraTargetPreset.ALL_LINEAR:
        yield message(
            "Two sources find that adapters on attention alone fall behind those on all linear layers, without figures "
            "that could be read."
        )


def results_from(content: Mapping[str, object]) -> tuple[QualityResult, ...]:
    """Read the results from their file's content."""
    sources = sources_from(content)
    rows = cast("list[Mapping[str, object]]", content["results"])
    return tuple(_result(row, sources) for row in rows)


def sources_from(content: Mapping[str, object]) -> Mapping[str, Source]:
    """Read the sources from the file's content, by the names that rows use."""
    rows = cast("Mapping[str, Mapping[str, object]]", content["sources"])
    return {
        name: Source(
            name=name,
            authors=str(row["authors"]),
            title=str(row["title"]),
            year=int(str(row["year"])),
            url=str(row["url"]),
            read=str(row["read"]),
        )
        for name, row in rows.items()
    }


def _result(row: Mapping[str, object], sources: Mapping[str, Source]) -> QualityResult:
    untuned, rank, targets = row.get("untuned"), row.get("rank"), row.get("targets")
    return QualityResult(
        source=sources[str(row["source"])],
        place=str(row["place"]),
        model=str(row["model"]),
        task=Task(str(row["task"])),
        data=str(row["data"]),
        metric=str(row["metric"]),
        method=MethodKind(str(row["method"])),
        score=float(str(row["score"])),
        against=MethodKind(str(row["against"])),
        reference=float(str(row["reference"])),
        rank=None if rank is None else int(str(rank)),
        targets=None if targets is None else LoraTargetPreset(str(targets)),
        untuned=None if untuned is None else float(str(untuned)),
    )
