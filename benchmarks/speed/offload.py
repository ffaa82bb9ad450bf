"""The two paces of offloading (``app/speed/offload.py``) from the published runs that keep their states on the host."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import log
from statistics import mean
from typing import Final

from app.memory.inputs import Offload, Precision
from app.services.calibration import bundled_calibration
from app.speed.estimate import SpeedEstimate, estimate_speed
from app.speed.offload import LINK_SHARE, SECONDS_PER_GRADIENT_BYTE, copy_seconds, optimizer_seconds
from app.speed.shape import run_shape
from benchmarks.speed.rows import DATA, MeasuredRun, measured_run

LINK_SHARES: Final = tuple(percent / 100 for percent in range(4, 41))
SECONDS: Final = tuple(step * 1e-11 for step in range(0, 61))
"""For each byte of gradients."""


@dataclass(frozen=True, kw_only=True)
class Offloaded:
    """A run, and what is predicted of its step with the two paces as they are."""

    run: MeasuredRun
    without_seconds: float
    """Predicted without anything on the host."""
    copy_seconds: float
    update_seconds: float

    def seconds(self, link_share: float = LINK_SHARE, per_byte: float = SECONDS_PER_GRADIENT_BYTE) -> float:
        """The step with these paces."""
        copying = self.copy_seconds * LINK_SHARE / link_share
        return self.without_seconds + copying + self.update_seconds * per_byte / SECONDS_PER_GRADIENT_BYTE

    @property
    def ratio(self) -> float:
        """Predicted over measured."""
        return self.seconds() / self.run.step_seconds


def offloaded_runs() -> tuple[Offloaded, ...]:
    """The complete rows of FSDP with CPU offload, which puts parameters, gradients and states on the host. How many
    PCIe lanes the cards without NVLink had is not printed."""
    with DATA.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if "cpu offload" in row["parallelism"]]
    return tuple(_predicted(measured_run(row)) for row in rows if row["complete"] == "yes")


def _predicted(run: MeasuredRun) -> Offloaded:
    accumulation = run.batch.gradient_accumulation_steps
    without = estimate_speed(
        run.architecture, run.method, Precision(policy=run.policy), run.batch, run.cluster, run.device,
        calibration=bundled_calibration(), stack=run.stack,
    )  # fmt: skip
    assert isinstance(without, SpeedEstimate)
    shape = run_shape(run.architecture, run.method, run.policy, run.batch, run.stack, run.cluster.strategy)
    cluster = replace(run.cluster, offload=Offload.BOTH)
    return Offloaded(
        run=run,
        without_seconds=without.step_seconds,
        copy_seconds=copy_seconds(cluster, run.device, shape.exchange, accumulation),
        update_seconds=optimizer_seconds(cluster, shape.exchange),
    )


def best_paces(runs: Sequence[Offloaded]) -> tuple[float, float]:
    """The share of the link and the seconds a byte that come nearest: the least mean absolute error in logarithm."""

    def error(paces: tuple[float, float]) -> float:
        return mean(abs(log(run.seconds(*paces) / run.run.step_seconds)) for run in runs)

    return min(product(LINK_SHARES, SECONDS), key=error)


def print_offload() -> None:
    """One line a run."""
    runs = offloaded_runs()
    share, per_byte = best_paces(runs)
    print(f"\n# Offloading to the host: {share:.2f} of the link, {1e9 * per_byte:.2f} ns a byte of gradients")
    for item in runs:
        run = item.run
        name = f"{run.id} {run.gpu[:24]:24} {run.model[-18:]:18} {run.printed_method:6}"
        without, predicted = item.without_seconds, item.seconds()
        print(
            f"{name} measured {run.step_seconds:5.1f} s   without {without:5.1f}   "
            f"predicted {predicted:5.1f} ({item.ratio:.2f})"
        )
