"""The long runs that have a command of their own, short: they start, send everything and notice what is wrong."""

import time
from functools import partial

import pytest

from benchmarks.fuzz.meter import Seen, measured
from benchmarks.fuzz.run import run as fuzz
from benchmarks.load.resident_memory import STEPS, run, text


@pytest.mark.slow
def test_a_short_fuzz_run_finds_nothing_wrong() -> None:
    record = fuzz(600, seed=3, processes=2)
    assert {name: one.failures for name, one in record.seen.items() if one.failed} == {}
    assert all(one.inputs for one in record.seen.values())
    assert sum(one.inputs for one in record.seen.values()) >= 600
    assert f"{sum(one.inputs for one in record.seen.values()):,} inputs" in record.text()
    # What makes the inputs remembers them: the memory that is read must be of processes without it.
    assert not any(one.generators for one in record.memory)
    assert record.memory[-1].by_type["app.catalogue.snapshot.Snapshot"] >= 2


def test_what_escapes_is_counted_with_its_place() -> None:
    seen = Seen()

    def send(value: str) -> None:
        int(value)

    for value in ("1", "x", "y"):
        seen.count(measured(partial(send, value)), partial(repr, value))
    assert (seen.inputs, seen.failed) == (3, 2)
    ((place, shown),) = seen.failures.items()
    assert place.startswith("ValueError in test_long_runs.py:")
    assert shown.endswith("← 'x'")


def test_what_computes_long_or_waits_long_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.fuzz.meter.LATE_SECONDS", 0.02)
    monkeypatch.setattr("benchmarks.fuzz.meter.STUCK_SECONDS", 0.2)
    seen = Seen()
    seen.count(measured(lambda: sum(range(3_000_000))), lambda: "computes")
    seen.count(measured(lambda: time.sleep(0.25)), lambda: "waits")
    seen.count(measured(lambda: None), lambda: "neither")
    assert [words.rpartition(" ")[2] for words in seen.late] == ["computes", "waits"]


@pytest.mark.slow
def test_a_short_memory_run_answers_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.load.resident_memory.SETTLE_SECONDS", 0.1)
    held = run(STEPS * 10, seed=3)
    assert held.wrong == []
    assert [count for count, _ in held.resident_bytes] == [10 * step for step in range(1, STEPS + 1)]
    assert f"{held.growth - 1:+.1%}" in text(held, 3)
