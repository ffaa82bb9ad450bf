"""The speed model against runs it has not seen: each source is predicted from a calibration without it."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import median
from typing import Final

from app.memory.inputs import Precision
from app.speed.calibration import COVERAGE, Calibration
from app.speed.estimate import SpeedEstimate, estimate_speed
from benchmarks.speed.fitting import NORMAL_DEVIATIONS, fit
from benchmarks.speed.rows import MeasuredRun

Cell = tuple[str, str, str]

OUTLYING_REASONS: Final[Mapping[str, str]] = {
    "ljm565/universal-llm-trainer": (
        "full and LoRA steps take 1.5 to 2.6 times what every other source needs on the same cards, and its LoRA steps "
        "take longer than its own full steps (H100, Llama 3.1 8B: 6.4 s against 4.7 s), which do more arithmetic. Its "
        "configurations set deterministic: True (PyTorch's deterministic algorithms) and its loop reads the loss back "
        "in every micro-step (src/trainer/trainer.py), neither of which a request can ask for"
    ),
    "QwenLM/Qwen full": (
        "a full micro-step of Qwen-1.8B takes 0.26 to 0.29 s for 256 tokens as for 2,048, four times what its own "
        "QLoRA run needs to launch its kernels; from 4,096 tokens on the model is within a quarter. Its script runs "
        "under DeepSpeed, whose hooks on every parameter are not modelled"
    ),
}
"""Why a source that the calibration finds outlying, or one method of a source, is so: read in its own code and rows."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One run, predicted without its source."""

    run: MeasuredRun
    predicted: float
    low: float
    high: float
    log_deviation: float
    """The calibration's standard deviation for the card."""

    @property
    def deviations(self) -> float:
        """How many of them the measurement lies away."""
        return abs(log(self.ratio)) / self.log_deviation

    @property
    def ratio(self) -> float:
        """Predicted ÷ measured tokens per second."""
        return self.predicted / self.run.tokens_per_second

    @property
    def covered(self) -> bool:
        return self.low <= self.run.tokens_per_second <= self.high


@dataclass(frozen=True, kw_only=True)
class SourceVote:
    """What one source's runs say in a cell: their median ratio and median absolute error."""

    source: str
    runs: int
    ratio: float
    absolute_error: float
    covered: float
    outlying: bool

    @property
    def within_half(self) -> bool:
        """Within a factor 1.5."""
        return abs(log(self.ratio)) <= log(1.5)


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """One GPU architecture and segment × method."""

    cell: Cell
    votes: tuple[SourceVote, ...]

    def typical(self) -> tuple[SourceVote, ...]:
        """The votes of sources that are not outlying."""
        return tuple(vote for vote in self.votes if not vote.outlying)


def predict(run: MeasuredRun, calibration: Calibration) -> Prediction:
    """The model's answer for a run."""
    speed = estimate_speed(
        run.architecture,
        run.method,
        Precision(policy=run.policy),
        run.batch,
        run.cluster,
        run.device,
        calibration=calibration,
        stack=run.stack,
    )
    if not isinstance(speed, SpeedEstimate):
        raise TypeError(f"{run.id}: {speed.reason}")
    return Prediction(
        run=run,
        predicted=speed.tokens_per_second,
        low=speed.tokens_per_second_low,
        high=speed.tokens_per_second_high,
        log_deviation=calibration.efficiency_of(run.device).log_deviation,
    )


def leave_one_source_out(runs: Sequence[MeasuredRun]) -> tuple[Prediction, ...]:
    """Every run, predicted by a calibration on the other sources' runs alone.

    The interval's width is the other sources' too: it would have held the right share of their runs.
    """
    first = [prediction for source in sources_of(runs) for prediction in _without(source, runs, NORMAL_DEVIATIONS)]
    predictions: list[Prediction] = []
    for source in sources_of(runs):
        width = deviations_for_coverage([prediction for prediction in first if prediction.run.source != source])
        predictions += _without(source, runs, width)
    return tuple(predictions)


def sources_of(runs: Sequence[MeasuredRun]) -> list[str]:
    """The sources of some runs, sorted."""
    return sorted({run.source for run in runs})


def _without(source: str, runs: Sequence[MeasuredRun], width: float) -> list[Prediction]:
    calibration = fit([run for run in runs if run.source != source], width).calibration
    return [predict(run, calibration) for run in runs if run.source == source]


def deviations_for_coverage(predictions: Sequence[Prediction]) -> float:
    """How many of the stated standard deviations hold the stated share of runs, every source counting the same."""
    counts = Counter(prediction.run.source for prediction in predictions)
    spots = sorted((prediction.deviations, 1 / counts[prediction.run.source]) for prediction in predictions)
    reached, wanted = 0.0, COVERAGE * len(counts)
    for deviations, weight in spots:
        reached += weight
        if reached >= wanted:
            return round(deviations, 2)
    raise ValueError("no predictions")


def cells(predictions: Sequence[Prediction], outlying: frozenset[str]) -> tuple[CellResult, ...]:
    """One vote a source in every cell."""
    grouped: dict[Cell, dict[str, list[Prediction]]] = defaultdict(lambda: defaultdict(list))
    for prediction in predictions:
        grouped[prediction.run.cell][prediction.run.source].append(prediction)
    return tuple(
        CellResult(
            cell=cell,
            votes=tuple(_vote(source, found, source in outlying) for source, found in sorted(by_source.items())),
        )
        for cell, by_source in sorted(grouped.items())
    )


def _vote(source: str, predictions: Sequence[Prediction], outlying: bool) -> SourceVote:
    return SourceVote(
        source=source,
        runs=len(predictions),
        ratio=exp(median(log(prediction.ratio) for prediction in predictions)),
        absolute_error=median(abs(prediction.ratio - 1) for prediction in predictions),
        covered=sum(prediction.covered for prediction in predictions) / len(predictions),
        outlying=outlying,
    )


def cell_error(votes: Sequence[SourceVote]) -> float:
    """A cell's absolute error: the median of its sources'."""
    return median(vote.absolute_error for vote in votes)


def cell_ratio(votes: Sequence[SourceVote]) -> float:
    """A cell's predicted ÷ measured: the median of its sources'."""
    return exp(median(log(vote.ratio) for vote in votes))
