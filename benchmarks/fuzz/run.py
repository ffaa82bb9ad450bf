"""One run: every target by turns, from one process or several, each to a service in a process of its own."""

import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from math import ceil
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import hypothesis
from hypothesis import HealthCheck, Phase

from benchmarks.fuzz import stateful
from benchmarks.fuzz.doors import Kind
from benchmarks.fuzz.holding import Held
from benchmarks.fuzz.meter import Seen
from benchmarks.fuzz.record import Record
from benchmarks.fuzz.subject import Subject, subject
from benchmarks.fuzz.targets import Target, targets

ROUND: Final = 2_000
"""Inputs of one run of hypothesis, which remembers all that it sent for as long as one runs."""
TURNS: Final = 6
"""Every target has its turn so often, so that all of them are warm when memory is first read."""
WARM_TURNS: Final = 3
"""What is loaded once is loaded by half of them: what grows afterwards is what must not."""
Part = tuple[dict[Kind, Seen], list[Held]]
"""What one process saw, and what its subject held after each turn."""
PACKAGES: Final = ("hypothesis", "schemathesis", "fastapi", "starlette", "pydantic", "sqlalchemy")


def _generated(target: Target, sent_to: Subject, seen: Seen, count: int, seed: int) -> None:
    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=ceil(count / sent_to.doors[target.kind]),
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(target.inputs)
    def send(value: Any) -> None:
        for outcome in sent_to.take(target.kind, value):
            seen.count(outcome, lambda: repr(value))

    send()


def _until(seen: Seen, wanted: int, seed: int, one: Callable[[int, int], None]) -> None:
    """Rounds with a seed each until that many inputs were sent, the repeats that hypothesis leaves out not counted."""
    while seen.inputs < wanted:
        one(min(ROUND, wanted - seen.inputs), seed * 1_000_003 + seen.inputs)


def one_process(inputs: int, seed: int) -> Part:
    """Every target, by turns."""
    memory = []
    with tempfile.TemporaryDirectory(prefix="vram-fit-fuzz-") as folder, subject(Path(folder)) as sent_to:
        seen = {kind: Seen() for kind in Kind}
        rounds = {
            target.kind: (target.percent / 100, partial(_generated, target, sent_to, seen[target.kind]))
            for target in targets()
        }
        chains = partial(stateful.one_round, stateful.state_machine(sent_to, seen[Kind.CHAIN]))
        rounds[Kind.CHAIN] = 1 - sum(share for share, _ in rounds.values()), chains
        for turn in range(1, TURNS + 1):
            for kind, (share, one) in rounds.items():
                _until(seen[kind], ceil(inputs * share * turn / TURNS), seed, one)
            memory.append(replace(sent_to.held(), inputs=sum(one.inputs for one in seen.values())))
            print(
                f"{memory[-1].inputs:,} inputs, {memory[-1].resident_bytes / 1e6:.1f} MB, {memory[-1].blocks:,} blocks",
                file=sys.stderr,
                flush=True,
            )
    return seen, memory


def run(inputs: int, seed: int, processes: int = 1) -> Record:
    """The inputs shared out among processes, each with a seed of its own."""
    began = time.monotonic()
    shares, seeds = [-(-inputs // processes)] * processes, range(seed, seed + processes)
    if processes == 1:
        parts = [one_process(inputs, seed)]
    else:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            parts = list(pool.map(one_process, shares, seeds))
    seen: dict[Kind, Seen] = {}
    for part, _ in parts:
        for kind, one in part.items():
            seen.setdefault(kind, Seen()).add(one)
    memory = [_together(turn) for turn in zip(*(held for _, held in parts), strict=True)]
    return Record(
        seen=seen,
        memory=memory,
        warm=memory[WARM_TURNS - 1],
        seeds=seeds,
        seconds=time.monotonic() - began,
        program=_program(),
        versions={"Python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    )


def _together(several: Sequence[Held]) -> Held:
    return Held(
        inputs=sum(one.inputs for one in several),
        resident_bytes=sum(one.resident_bytes for one in several),
        blocks=sum(one.blocks for one in several),
        by_type=sum((one.by_type for one in several), Counter[str]()),
        generators=tuple(sorted({name for one in several for name in one.generators})),
    )


def _program() -> str:
    """The commit that ran."""
    words = ("git", "describe", "--always", "--exclude=*", "--dirty= with changes")
    folder = Path(__file__).parent
    try:
        return subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "of no commit"
