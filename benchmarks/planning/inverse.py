"""Time and evaluations of inverse questions beside an estimate: ``python -m benchmarks.planning.inverse``.

In processor time of one process, so that other programs on the machine count little. "First" is the first question
about a model and method, while the memory model derives its step; "again" is the same question once more.
"""

import time
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from statistics import median
from typing import Any, Final, TypeVar

from app.catalogue.snapshot import Snapshot
from app.memory.inputs import MethodKind
from app.request import SolveRequest, Unknown, parse_json
from app.services.estimate import estimate
from app.services.solve import solve

TODAY: Final = date(2026, 11, 24)
MODELS: Final = ("llama-3-8b", "mistral-7b-v0.1", "qwen2.5-14b", "qwen2.5-32b", "llama-3-70b", "mixtral-8x7b-v0.1")
LIMITS: Final[Mapping[str, Mapping[str, Any]]] = {"one H100": {"gpu": "h100-sxm"}, "20 USD": {"budget": 20}}

Result = TypeVar("Result")


def timed(ask: Callable[[], Result]) -> tuple[float, Result]:
    """Milliseconds of processor time, and the answer."""
    started = time.process_time()
    answer = ask()
    return 1000 * (time.process_time() - started), answer


def main() -> None:
    """Print a table."""
    snapshot = Snapshot.bundled()
    runs = [{"model": model, "method": kind.value} for model in MODELS for kind in MethodKind]
    print(f"{'':10} {'':17} {'first, ms':>16} {'again, ms':>10} {'evaluations':>16}")
    print(f"{'':10} {'':17} {'median':>8} {'most':>7} {'median':>10} {'median':>8} {'most':>7}")
    asked = [parse_json({**run, "gpu": "h100-sxm", "gpus": "none"}) for run in runs]
    for run in asked:
        estimate(run, snapshot, TODAY)
    again = [timed(partial(estimate, run, snapshot, TODAY))[0] for run in asked]
    print(f"{'one H100':10} {'estimate':17} {'':8} {'':7} {median(again):10.1f}")
    for name, limit in LIMITS.items():
        for unknown in Unknown:
            _row(name, unknown, [{**run, **limit, "unknown": unknown.value} for run in runs], snapshot)


def _row(name: str, unknown: Unknown, questions: list[dict[str, Any]], snapshot: Snapshot) -> None:
    first, again, evaluations = [], [], []
    for question in questions:
        if unknown is Unknown.LORA_RANK and question["method"] == MethodKind.FULL:
            continue
        asked = parse_json(question, model=SolveRequest)
        spent, answer = timed(partial(solve, asked, snapshot, TODAY))
        first.append(spent)
        again.append(timed(partial(solve, asked, snapshot, TODAY))[0])
        evaluations.append(answer.evaluations)
    print(
        f"{name:10} {unknown:17} {median(first):8.1f} {max(first):7.0f} {median(again):10.1f} "
        f"{median(evaluations):8.0f} {max(evaluations):7d}"
    )


if __name__ == "__main__":
    main()
