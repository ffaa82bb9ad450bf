"""Fit the speed model's calibration to published runs.

Each run gives one number: its achieved fraction of the roofline, y = log(roofline seconds / measured seconds). Runs of
one source on one class of cards by one method are one vote, their median; :mod:`benchmarks.speed.mixed_model` takes the
votes apart.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import median
from typing import Any, Final

from app.memory.inputs import MethodKind
from app.speed.calibration import COVERAGE, Calibration, calibration_from
from app.speed.communication import HIDDEN_SHARE, exchange_seconds
from app.speed.step import PartName, StepWork, step_work
from app.speed.work import KernelStack
from benchmarks.speed.mixed_model import (
    CLASS_DEVIATION,
    NORMAL_SCALE,
    SEGMENT_DEVIATION,
    GpuClass,
    Solution,
    Vote,
    solve,
)
from benchmarks.speed.rows import DATA, MeasuredRun

DEFAULT_DEQUANTISATION_FRACTION: Final = 0.5
"""Where no pair of runs tells it."""
LAUNCH_BOUND_SHARE: Final = 0.7
"""A run whose launches alone take this share of its time says nothing of the card."""


NORMAL_DEVIATIONS: Final = 1.2816
"""Of a normal distribution, 80 % lies within so many standard deviations of its centre."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Everything a calibration says, before it is written."""

    content: dict[str, Any]
    outliers: tuple[str, ...]

    @property
    def calibration(self) -> Calibration:
        return calibration_from(self.content)


def work_of(run: MeasuredRun, dequantisation_fraction: float) -> StepWork:
    """The run's step on its card."""
    work = step_work(
        run.architecture, run.method, run.policy, run.batch, run.stack, run.device, dequantisation_fraction, run.cluster
    )
    assert work is not None
    return work


def fit(runs: Sequence[MeasuredRun], deviations_for_coverage: float = NORMAL_DEVIATIONS) -> Fit:
    """Calibrate from ``runs``. The interval is as many standard deviations wide as given (see
    :func:`benchmarks.speed.evaluation.deviations_for_coverage`)."""
    fraction, pairs = _dequantisation(runs)
    launch_seconds, launch_runs = _launches(runs, fraction)
    votes = _votes(runs, fraction, launch_seconds)
    solution = solve(votes)
    constants = _constants(fraction, pairs, launch_seconds, launch_runs)
    return Fit(
        content=_content(votes, solution, constants, deviations_for_coverage), outliers=tuple(sorted(solution.outliers))
    )


def _constants(fraction: float, pairs: Sequence[float], launch: float, launch_runs: int) -> dict[str, Any]:
    return {
        "dequantisation_bandwidth_fraction": {
            "value": round(fraction, 3),
            "pairs": len(pairs),
            "spread": [round(min(pairs), 3), round(max(pairs), 3)] if pairs else None,
            "method": "what a QLoRA step takes beyond its slope in tokens, less the same of LoRA: one source's series",
        },
        "seconds_per_launch": {
            "value": float(f"{launch:.3g}"),
            "runs": launch_runs,
            "method": "the fastest that any run on one GPU with eager kernels was seen to launch them",
        },
    }


# --- the two constants


def _dequantisation(runs: Sequence[MeasuredRun]) -> tuple[float, list[float]]:
    """The bandwidth fraction of dequantisation, from series that differ only in the micro-batch.

    A step takes a + b × tokens; a has the dequantisation in it for QLoRA and not for LoRA, and nothing else differs.
    """
    intercepts: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    series: dict[tuple[str, str, str, str], list[tuple[float, float, MeasuredRun]]] = defaultdict(list)
    for run in runs:
        if run.cluster.num_gpus > 1 or run.batch.gradient_accumulation_steps > 1 or "gptq" in run.framework:
            continue
        # Whether adapters are fused too changes the slope, not the intercept.
        stack = "eager" if run.stack is KernelStack.EAGER else f"fused {run.batch.loss_kernel.value}"
        tokens = run.batch.micro_batch_size * run.batch.sequence_length
        kind = run.method.kind.value
        series[run.source, run.model, stack, kind].append((tokens, run.step_seconds, run))
    bytes_of: dict[tuple[str, str, str], float] = {}
    for (source, model, stack, kind), points in series.items():
        if len({tokens for tokens, _, _ in points}) < 2 or kind == MethodKind.FULL.value:
            continue
        intercepts[source, model, stack][kind] = _intercept([(tokens, seconds) for tokens, seconds, _ in points])
        run = points[0][2]
        whole = dict(work_of(run, 1.0).parts).get(PartName.DEQUANTISATION, 0.0)
        if whole:
            bytes_of[source, model, stack] = whole
    fractions = [
        bytes_of[key] / (found["qlora"] - found["lora"])
        for key, found in intercepts.items()
        if "qlora" in found and "lora" in found and found["qlora"] > found["lora"] and key in bytes_of
    ]
    return (median(fractions) if fractions else DEFAULT_DEQUANTISATION_FRACTION), fractions


def _intercept(points: Sequence[tuple[float, float]]) -> float:
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    return mean_y - slope * mean_x


def _launches(runs: Sequence[MeasuredRun], fraction: float) -> tuple[float, int]:
    """The fastest that a run launched its kernels, and among how many."""
    seconds = [
        run.step_seconds / work_of(run, fraction).launches
        for run in runs
        if run.cluster.num_gpus == 1 and run.stack is KernelStack.EAGER
    ]
    return min(seconds), len(seconds)


# --- votes


def log_fraction_of(run: MeasuredRun, fraction: float, launch_seconds: float) -> float | None:
    """log(roofline ÷ measured) of a run's arithmetic; None where launches or the exchange bound it."""
    work = work_of(run, fraction)
    step = run.step_seconds
    if work.launches * launch_seconds > LAUNCH_BOUND_SHARE * step:
        return None
    exchange = exchange_seconds(run.cluster, run.device, work.exchange, run.batch.gradient_accumulation_steps)
    if exchange > HIDDEN_SHARE * step:
        return None
    return log(work.roofline_seconds / step)


def _votes(runs: Iterable[MeasuredRun], fraction: float, launch_seconds: float) -> list[Vote]:
    groups: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    for run in runs:
        value = log_fraction_of(run, fraction, launch_seconds)
        if value is not None:
            groups[run.source, *run.cell].append(value)
    votes = []
    for (source, architecture, segment, method), values in sorted(groups.items()):
        centre = median(values)
        deviation = NORMAL_SCALE * median(abs(value - centre) for value in values) if len(values) > 2 else 0.0
        votes.append(
            Vote(
                source=source,
                gpu_class=(architecture, segment),
                method=method,
                log_fraction=centre,
                runs=len(values),
                deviation=deviation,
            )
        )
    return votes


# --- the file


def _content(
    votes: Sequence[Vote], solution: Solution, constants: dict[str, Any], deviations_for_coverage: float
) -> dict[str, Any]:
    effects, typical = solution.effects, [vote for vote in votes if vote.source not in solution.outliers]
    new_run = solution.between**2 + solution.within**2
    segments, unmeasured = {}, {}
    for name in sorted(effects.segment):
        own = [vote for vote in votes if vote.gpu_class[1] == name]
        measured = len({vote.gpu_class for vote in typical if vote.gpu_class[1] == name})
        certainty = measured / (CLASS_DEVIATION**2 + new_run) + 1 / SEGMENT_DEVIATION**2
        unmeasured[name] = sqrt(1 / certainty + CLASS_DEVIATION**2 + new_run)
        segments[name] = _entry(effects.everything + effects.segment[name], unmeasured[name], own)
    classes = {}
    for key in sorted(effects.gpu_class):
        own = [vote for vote in votes if vote.gpu_class == key]
        sources = len(_sources(typical, key))
        deviation = sqrt(1 / (sources / new_run + 1 / CLASS_DEVIATION**2) + new_run)
        # An outlying source's deviation is its own, so alone it says little of the card.
        entry = _entry(effects.value(key), deviation if sources else unmeasured[key[1]], own)
        classes[" / ".join(key)] = entry if sources else {**entry, "only_outlying": True}
    deviation = sqrt(SEGMENT_DEVIATION**2 + CLASS_DEVIATION**2 + new_run)
    body: dict[str, Any] = {
        "written_by": "python -m benchmarks.speed.calibrate",
        "fraction": "achieved share of the roofline; log_deviation: standard deviation of a new source's run (log)",
        "between_sources": round(solution.between, 4),
        "within_sources": round(solution.within, 4),
        "deviations_for_coverage": {"value": deviations_for_coverage, "coverage": COVERAGE},
        "constants": constants,
        "everything": _entry(effects.everything, deviation, votes),
        "segments": segments,
        "classes": classes,
        "source_effects": {name: round(effect, 3) for name, effect in sorted(effects.source.items())},
        "outlying_sources": sorted(solution.outliers),
    }
    return {"version": _version(body), **body}


def _sources(votes: Sequence[Vote], gpu_class: GpuClass) -> set[str]:
    return {vote.source for vote in votes if vote.gpu_class == gpu_class}


def _entry(value: float, deviation: float, votes: Sequence[Vote]) -> dict[str, Any]:
    fractions = [exp(vote.log_fraction) for vote in votes]
    return {
        "fraction": round(exp(value), 4),
        "log_deviation": round(deviation, 4),
        "runs": sum(vote.runs for vote in votes),
        "sources": sorted({vote.source for vote in votes}),
        "votes_low": round(min(fractions), 3),
        "votes_high": round(max(fractions), 3),
    }


def _version(body: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode() + DATA.read_bytes())
    return f"speed-{digest.hexdigest()[:8]}"
