"""Published measurements beside our estimates, each with the statistic it reports and under its own stack."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from app.memory.build import parse_config, supported_model_types
from app.memory.device import Device
from app.memory.estimate import estimate_memory
from app.memory.result import Interval, MemoryEstimate
from app.request import parse_json, resolve, to_groups

DATA = Path(__file__).parent / "data" / "measured_runs.jsonl"
SHARDED = DATA.with_name("measured_sharded.jsonl")
"""Runs over several GPUs."""

Statistic = Literal["allocated", "reserved"]


@dataclass(frozen=True, kw_only=True)
class MeasuredRun:
    """One published run. ``excluded`` says by which rule it is left out of every figure."""

    id: str
    tier: str
    source: str
    model: str
    config: Mapping[str, Any] | None
    stack: str
    request: Mapping[str, Any]
    gpu: str
    statistic: Statistic
    measured_bytes: int
    device_bytes: int | None
    full_sequences: bool
    excluded: str | None

    @property
    def omission(self) -> str | None:
        """Why no estimate is made, or None."""
        if self.excluded is not None:
            return self.excluded
        if self.config is None:
            return f"the architecture of {self.model} is not among the facts"
        if self.config["model_type"] not in supported_model_types():
            return f"family {self.config['model_type']} has no row"
        return None

    @property
    def family_of_runs(self) -> str:
        """The table a run is from; runs of one table share their software and their way of measuring."""
        return self.source.split(" @ ")[0]

    @property
    def configuration(self) -> str:
        """Runs that are equal in it measured the same thing."""
        ignored = {"gradient_accumulation_steps"} if self.request["method"] != "full" else set()
        request = {name: value for name, value in self.request.items() if name not in ignored}
        return json.dumps([self.model, self.stack, request, self.family_of_runs], sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class MeasuredComparison:
    """A run and our estimate of it. ``error`` is ours ÷ measured − 1."""

    run: MeasuredRun
    estimate: MemoryEstimate

    @property
    def estimated_bytes(self) -> int:
        """Our figure for the statistic that was reported."""
        if self.run.statistic == "allocated":
            return self.estimate.peak_allocated_bytes
        return self.estimate.peak_reserved_bytes

    @property
    def interval(self) -> Interval:
        """Our interval for that statistic."""
        return self.estimate.peak_allocated if self.run.statistic == "allocated" else self.estimate.peak_reserved

    @cached_property
    def error(self) -> float:
        """Relative, signed."""
        return self.estimated_bytes / self.run.measured_bytes - 1

    @property
    def covered(self) -> bool:
        """Whether the measured value lies in our interval."""
        return self.interval.low_bytes <= self.run.measured_bytes <= self.interval.high_bytes

    @property
    def exceeded(self) -> bool:
        """Whether more was measured than our upper end allows."""
        return self.run.measured_bytes > self.interval.high_bytes

    @property
    def counts_for_target(self) -> bool:
        """Tier A, full sequences, the allocator's allocated statistic."""
        return self.run.tier == "A" and self.run.full_sequences and self.run.statistic == "allocated"


def load_measured(path: Path = DATA) -> tuple[MeasuredRun, ...]:
    """Every run of the file, one per distinct configuration: the first."""
    runs: dict[str, MeasuredRun] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        run = MeasuredRun(**json.loads(line))
        runs.setdefault(run.configuration, run)
    return tuple(runs.values())


def compare_measured(run: MeasuredRun, device: Device | None = None) -> MeasuredComparison:
    """Estimate a run as a request for it would be. Only for a run without an ``omission``."""
    assert run.config is not None
    groups = to_groups(resolve(parse_json({**run.request, "stack": run.stack, "model": run.model})).run)
    estimate = estimate_memory(
        parse_config(run.config), groups.method, groups.precision, groups.batch, groups.cluster, device=device
    )
    return MeasuredComparison(run=run, estimate=estimate)


def compare_all_measured(runs: Iterable[MeasuredRun]) -> tuple[MeasuredComparison, ...]:
    """Every run that has no reason to be left out."""
    return tuple(compare_measured(run) for run in runs if run.omission is None)
