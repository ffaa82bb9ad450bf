"""Calibrate the speed model from the published runs: ``python -m benchmarks.speed.calibrate`` writes the data file.

Each run gives one number: its achieved fraction of the roofline, y = log(roofline seconds / measured seconds). Runs of one
source on one class of cards by one method are one vote, their median. The votes are taken apart into

    y = everything + segment + class + source + rest

by penalised least squares (the best linear unbiased prediction of a mixed model): each effect is drawn to nothing by its
own spread, so that a class with few sources leans on its segment, and a source that is slow everywhere does not make a
card slow. A source far from the others (beyond ``OUTLYING``) keeps its whole deviation to itself.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from pathlib import Path
from statistics import median
from typing import Any, Final

from app.memory.inputs import MethodKind
from app.speed.calibration import Calibration, calibration_from
from app.speed.communication import HIDDEN_SHARE, exchange_seconds, optimizer_shards
from app.speed.step import StepWork, step_work
from app.speed.work import KernelStack
from benchmarks.speed.rows import DATA, MeasuredRun, read_rows

OUTPUT: Final = Path(__file__).parents[2] / "app" / "speed" / "data" / "efficiency.json"

CLASS_DEVIATION: Final = 0.2
"""How far classes of one segment lie apart (log): A100, H100 and L40S, which several sources measured, show 0.1-0.2."""
SEGMENT_DEVIATION: Final = 0.2
OUTLYING: Final = 3.0
"""Standard deviations of a source's effect beyond which it is an outlier."""
SMALLEST_DEVIATION: Final = 0.05
"""No two labs' runs agree better than this, whatever a handful of votes says."""
ROUNDS: Final = 300

DEFAULT_DEQUANTISATION_FRACTION: Final = 0.5
"""Where no pair of runs tells it."""
LAUNCH_BOUND_SHARE: Final = 0.7
"""A run whose launches alone take this share of its time says nothing of the card."""


@dataclass(frozen=True, kw_only=True)
class Vote:
    """What one source says of one class of cards by one method."""

    source: str
    gpu_class: tuple[str, str]
    method: str
    log_fraction: float
    runs: int
    deviation: float
    """Of its runs about their median (log)."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Everything a calibration says, before it is written."""

    content: dict[str, Any]
    source_effects: Mapping[str, float]
    outliers: tuple[str, ...]

    @property
    def calibration(self) -> Calibration:
        return calibration_from(self.content)


def work_of(run: MeasuredRun, dequantisation_fraction: float) -> StepWork:
    """The run's step on its card."""
    shards = optimizer_shards(run.cluster)
    work = step_work(
        run.architecture, run.method, run.policy, run.batch, run.stack, run.device, dequantisation_fraction, shards
    )
    assert work is not None
    return work


def fit(runs: Sequence[MeasuredRun]) -> Fit:
    """Calibrate from ``runs``."""
    fraction, pairs = _dequantisation(runs)
    launch_seconds, launch_runs = _launches(runs, fraction)
    votes = _votes(runs, fraction, launch_seconds)
    return _solve(votes, _constants(fraction, pairs, launch_seconds, launch_runs))


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
        loss = run.batch.loss_kernel.value if run.stack is KernelStack.FUSED else ""
        tokens = run.batch.micro_batch_size * run.batch.sequence_length
        kind = run.method.kind.value
        series[run.source, run.model, f"{run.stack.value} {loss}", kind].append((tokens, run.step_seconds, run))
    bytes_of: dict[tuple[str, str, str], float] = {}
    for (source, model, stack, kind), points in series.items():
        if len({tokens for tokens, _, _ in points}) < 2 or kind == MethodKind.FULL.value:
            continue
        intercepts[source, model, stack][kind] = _intercept([(tokens, seconds) for tokens, seconds, _ in points])
        run = points[0][2]
        whole = next((part.seconds for part in work_of(run, 1.0).parts if part.name == "dequantisation"), 0.0)
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
        deviation = 1.4826 * median(abs(value - centre) for value in values) if len(values) > 2 else 0.0
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


# --- the mixed model


def _solve(votes: Sequence[Vote], constants: dict[str, Any]) -> Fit:
    within = max(SMALLEST_DEVIATION, median([vote.deviation for vote in votes if vote.runs > 2] or [0.0]))
    between, rest = SMALLEST_DEVIATION, within
    effects = _effects(votes, between, rest, frozenset())
    outliers: frozenset[str] = frozenset()
    for _ in range(5):
        typical = [effect for name, effect in effects.source.items() if name not in outliers]
        between = max(SMALLEST_DEVIATION, 1.4826 * median([abs(effect) for effect in typical] or [0.0]))
        rest = max(SMALLEST_DEVIATION, 1.4826 * median([abs(effects.rest(vote)) for vote in votes] or [0.0]))
        outliers = frozenset(name for name, effect in effects.source.items() if abs(effect) > OUTLYING * between)
        effects = _effects(votes, between, rest, outliers)
    content = _content(votes, effects, between, max(within, rest), constants)
    return Fit(content=content, source_effects=dict(effects.source), outliers=tuple(sorted(outliers)))


@dataclass(kw_only=True)
class _Effects:
    everything: float
    segment: dict[str, float]
    gpu_class: dict[tuple[str, str], float]
    source: dict[str, float]

    def value(self, gpu_class: tuple[str, str]) -> float:
        return self.everything + self.segment.get(gpu_class[1], 0.0) + self.gpu_class.get(gpu_class, 0.0)

    def rest(self, vote: Vote) -> float:
        return vote.log_fraction - self.value(vote.gpu_class) - self.source[vote.source]


def _effects(votes: Sequence[Vote], between: float, rest: float, outliers: frozenset[str]) -> _Effects:
    """Penalised least squares, one effect after another until they stand still."""
    effects = _Effects(
        everything=median([vote.log_fraction for vote in votes]),
        segment={vote.gpu_class[1]: 0.0 for vote in votes},
        gpu_class={vote.gpu_class: 0.0 for vote in votes},
        source={vote.source: 0.0 for vote in votes},
    )
    weight = 1 / rest**2
    for _ in range(ROUNDS):
        for name in effects.source:
            penalty = 0.0 if name in outliers and _compared(votes, name) else 1 / between**2
            own = [effects.rest(vote) + effects.source[name] for vote in votes if vote.source == name]
            effects.source[name] = weight * sum(own) / (weight * len(own) + penalty)
        for key in effects.gpu_class:
            own = [effects.rest(vote) + effects.gpu_class[key] for vote in votes if vote.gpu_class == key]
            effects.gpu_class[key] = weight * sum(own) / (weight * len(own) + 1 / CLASS_DEVIATION**2)
        for name in effects.segment:
            own = [effects.rest(vote) + effects.segment[name] for vote in votes if vote.gpu_class[1] == name]
            effects.segment[name] = weight * sum(own) / (weight * len(own) + 1 / SEGMENT_DEVIATION**2)
        effects.everything += sum(effects.rest(vote) for vote in votes) / len(votes)
    return effects


def _compared(votes: Sequence[Vote], source: str) -> bool:
    """Whether others measured a class that the source did, so that its deviation can be told from the card's."""
    classes = {vote.gpu_class for vote in votes if vote.source == source}
    return any(vote.source != source and vote.gpu_class in classes for vote in votes)


def _content(
    votes: Sequence[Vote], effects: _Effects, between: float, within: float, constants: dict[str, Any]
) -> dict[str, Any]:
    new_run = between**2 + within**2
    classes = {}
    for key in sorted(effects.gpu_class):
        own = [vote for vote in votes if vote.gpu_class == key]
        sources = {vote.source for vote in own}
        certainty = len(sources) / new_run + 1 / CLASS_DEVIATION**2
        classes[" / ".join(key)] = _entry(effects.value(key), sqrt(1 / certainty + new_run), own)
    segments = {}
    for name in sorted(effects.segment):
        own = [vote for vote in votes if vote.gpu_class[1] == name]
        measured = len({vote.gpu_class for vote in own})
        certainty = measured / (CLASS_DEVIATION**2 + new_run) + 1 / SEGMENT_DEVIATION**2
        deviation = sqrt(1 / certainty + CLASS_DEVIATION**2 + new_run)
        segments[name] = _entry(effects.everything + effects.segment[name], deviation, own)
    deviation = sqrt(SEGMENT_DEVIATION**2 + CLASS_DEVIATION**2 + new_run)
    body: dict[str, Any] = {
        "written_by": "python -m benchmarks.speed.calibrate",
        "fraction": "achieved share of the roofline; log_deviation: standard deviation of a new source's run (log)",
        "between_sources": round(between, 4),
        "within_sources": round(within, 4),
        "constants": constants,
        "everything": _entry(effects.everything, deviation, votes),
        "segments": segments,
        "classes": classes,
        "source_effects": {name: round(effect, 3) for name, effect in sorted(effects.source.items())},
    }
    return {"version": _version(body), **body}


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


def main() -> None:
    runs, _ = read_rows()
    result = fit(runs)
    OUTPUT.write_text(json.dumps(result.content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, entry in result.content["classes"].items():
        print(
            f"{name:28} {entry['fraction']:.3f} ± {entry['log_deviation']:.3f}  "
            f"{entry['runs']:3} runs, {len(entry['sources'])} sources ({entry['votes_low']}-{entry['votes_high']})"
        )
    print("outlying sources:", ", ".join(result.outliers) or "none")


if __name__ == "__main__":
    main()
