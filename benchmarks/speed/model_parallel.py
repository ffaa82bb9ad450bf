"""The published runs that share a model or its sequences among GPUs, beside what is predicted of them.

Nothing is taken from them (``app/speed/model_parallel.py``).
"""

import csv
import re
from dataclasses import dataclass, replace
from typing import Final

from app.memory.inputs import Cluster, Precision, Strategy
from app.services.calibration import bundled_calibration
from app.speed.estimate import SpeedEstimate, estimate_speed
from benchmarks.speed.rows import DATA, MeasuredRun, measured_run

DEGREES: Final = {
    "tensor_parallel": re.compile(r"\btp(\d+)"),
    "pipeline_parallel": re.compile(r"\bpp(\d+)"),
    # Ulysses' exchange of heads, which DeepSpeed's runs use, also leaves a GPU its part of the sequence.
    "context_parallel": re.compile(r"\b(?:cp|sp)(\d+)"),
}
EXPERTS: Final = re.compile(r"\bep\d+")


@dataclass(frozen=True, kw_only=True)
class SharedRun:
    """A run, and what is predicted of it."""

    run: MeasuredRun
    parallelism: str
    predicted: SpeedEstimate

    @property
    def ratio(self) -> float:
        """Predicted tokens a second over measured ones."""
        return self.predicted.tokens_per_second / self.run.tokens_per_second

    @property
    def is_within(self) -> bool:
        """Whether the interval holds what was measured."""
        predicted = self.predicted
        return predicted.tokens_per_second_low <= self.run.tokens_per_second <= predicted.tokens_per_second_high


def shared_runs() -> tuple[SharedRun, ...]:
    """The complete rows in 16 bits, without those whose experts are shared out. The network between servers is not
    printed: it is taken for that of other clusters of such cards (``rows.py``)."""
    with DATA.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if _shares(row)]
    return tuple(_predicted(measured_run(row), row["parallelism"]) for row in rows)


def _shares(row: dict[str, str]) -> bool:
    is_sixteen_bits = row["precision"] in {"bf16", "fp16 AMP"}
    is_complete = row["complete"] == "yes" and row["micro_batch"] and not EXPERTS.search(row["parallelism"])
    return bool(is_complete and is_sixteen_bits and max(_degrees(row["parallelism"]).values()) > 1)


def _degrees(parallelism: str) -> dict[str, int]:
    found = {name: pattern.search(parallelism.lower()) for name, pattern in DEGREES.items()}
    return {name: int(match[1]) if match else 1 for name, match in found.items()}


def _predicted(run: MeasuredRun, parallelism: str) -> SharedRun:
    degrees = _degrees(parallelism)
    cluster = replace(
        run.cluster,
        strategy=_strategy(run.cluster, parallelism),
        tensor_parallel=degrees["tensor_parallel"],
        pipeline_parallel=degrees["pipeline_parallel"],
        context_parallel=degrees["context_parallel"],
    )
    predicted = estimate_speed(
        run.architecture, run.method, Precision(policy=run.policy), run.batch, cluster, run.device,
        calibration=bundled_calibration(), stack=run.stack,
    )  # fmt: skip
    assert isinstance(predicted, SpeedEstimate)
    return SharedRun(run=run, parallelism=parallelism, predicted=predicted)


def _strategy(cluster: Cluster, parallelism: str) -> Strategy:
    return cluster.strategy if parallelism.startswith(("fsdp", "zero")) else Strategy.SINGLE


def print_model_parallel() -> None:
    """One line a run."""
    runs = shared_runs()
    print(f"\n# Models and sequences shared out among GPUs: {len(runs)} runs")
    for item in runs:
        run, length = item.run, item.run.batch.sequence_length
        per_gpu = run.tokens_per_second / run.cluster.num_gpus
        print(
            f"{run.id} {run.gpu[:16]:16} {run.cluster.num_gpus:3} × {run.model[-20:]:20} {length:9,} tokens"
            f" {item.parallelism:12} measured {per_gpu:7.1f} tokens/s a GPU, predicted"
            f" {item.ratio * per_gpu:7.1f} ({item.ratio:.2f})"
        )
