"""One run: every target by turns, in one process or several."""

import logging
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from math import ceil
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import hypothesis
from hypothesis import HealthCheck, Phase

from benchmarks.fuzz import stateful
from benchmarks.fuzz.meter import Seen, settled_bytes
from benchmarks.fuzz.record import Memory, Record
from benchmarks.fuzz.service import service
from benchmarks.fuzz.targets import Target, targets

ROUND: Final = 2_000
"""Inputs of one run of hypothesis, which remembers all that it sent for as long as one runs."""
TURNS: Final = 6
"""Every target has its turn so often, so that all of them are warm when memory is first read."""
WARM_TURNS: Final = 3
"""What is loaded once is loaded by half of them: what grows afterwards is what must not."""
Part = tuple[dict[str, Seen], list[Memory]]
"""What one process saw, and what it held after each turn."""
PACKAGES: Final = ("hypothesis", "schemathesis", "fastapi", "starlette", "pydantic", "sqlalchemy")


def _generated(target: Target, seen: Seen, count: int, seed: int) -> None:
    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=-(-count // len(target.doors)),
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(target.inputs)
    def send(value: Any) -> None:
        for door in target.doors:
            seen.measured(partial(door, value), lambda: repr(value))

    send()


def _until(seen: Seen, wanted: int, seed: int, one: Callable[[int, int], None]) -> None:
    """Rounds with a seed each until that many inputs were sent, the repeats that hypothesis leaves out not counted."""
    while seen.inputs < wanted:
        one(min(ROUND, wanted - seen.inputs), seed * 1_000_003 + seen.inputs)


def one_process(inputs: int, seed: int) -> Part:
    """Every target, by turns."""
    memory = []
    logging.getLogger("app").setLevel(logging.CRITICAL)  # tracebacks are in the record
    with tempfile.TemporaryDirectory(prefix="vram-fit-fuzz-") as folder, service(Path(folder)) as served:
        doors = targets(served)
        seen = {door.name: Seen() for door in doors} | {stateful.NAME: Seen()}
        machine = stateful.state_machine(served, seen[stateful.NAME])
        shares = {door.name: door.percent / 100 for door in doors}
        shares[stateful.NAME] = 1 - sum(shares.values())
        for turn in range(1, TURNS + 1):
            for door in doors:
                wanted = ceil(inputs * shares[door.name] * turn / TURNS)
                _until(seen[door.name], wanted, seed, partial(_generated, door, seen[door.name]))
            wanted = ceil(inputs * shares[stateful.NAME] * turn / TURNS)
            _until(seen[stateful.NAME], wanted, seed, partial(stateful.one_round, machine))
            memory.append(Memory(inputs=sum(one.inputs for one in seen.values()), resident_bytes=settled_bytes()))
            print(
                f"{memory[-1].inputs:,} inputs, {memory[-1].resident_bytes / 1e6:.0f} MB", file=sys.stderr, flush=True
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
    seen: dict[str, Seen] = {}
    for part, _ in parts:
        for name, one in part.items():
            seen.setdefault(name, Seen()).add(one)
    memory = [
        Memory(inputs=sum(one.inputs for one in turn), resident_bytes=sum(one.resident_bytes for one in turn))
        for turn in zip(*(held for _, held in parts), strict=True)
    ]
    return Record(
        seen=seen,
        memory=memory,
        warm=memory[WARM_TURNS - 1],
        seeds=seeds,
        seconds=time.monotonic() - began,
        versions={"Python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    )
