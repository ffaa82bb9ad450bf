"""``/recommend`` over the whole catalogue, one to eight cards and every method, beside one ``/estimate``.

Both services are called as the endpoints call them and written as they write them. Every request is another model and
another shape. Each is asked twice: when nothing of its model is derived yet, and when it is, which is how a server
answers from the second question about a model on. Processor time is reported beside the clock's, since other work on
the machine stretches the clock's only.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from statistics import median
from typing import Any, Final, TypeAlias

from app.api.serialise import Serialiser
from app.catalogue.snapshot import Snapshot
from app.request import RecommendRequest, Run, parse_json
from app.services.estimate import estimate
from app.services.recommend import recommend
from app.services.results import EstimateResult, RecommendResult

TODAY: Final = date(2026, 11, 24)
REQUESTS: Final = 40
Answer: TypeAlias = Callable[[dict[str, Any], Snapshot], tuple[int, int]]
"""A service's answer to a request: how many estimates it made, and how many options or cards it has."""
_ESTIMATE: Final = Serialiser[EstimateResult](EstimateResult)
_RECOMMEND: Final = Serialiser[RecommendResult](RecommendResult)


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """Milliseconds of one answer."""

    clock: float
    processor: float
    evaluations: int
    options: int


def requests(snapshot: Snapshot, count: int) -> list[dict[str, Any]]:
    """Random requests, the same every time; each of another model."""
    chance = random.Random(11)
    return [
        {
            "model": model.slug,
            "sequence_length": chance.choice((512, 1024, 2048, 4096)),
            "global_batch_size": chance.choice((8, 16, 32, 64)),
            "num_examples": chance.choice((1_000, 20_000, 400_000)),
            "optimize_for": chance.choice(("cheapest", "fastest", "best_quality", "balanced")),
            "max_gpus": 8,
        }
        for model in chance.sample(snapshot.models, count)
    ]


def measured(answer: Answer, body: dict[str, Any], snapshot: Snapshot) -> Taken:
    """One answer, timed."""
    clock, processor = time.perf_counter(), time.process_time()
    evaluations, options = answer(body, snapshot)
    return Taken(
        clock=1000 * (time.perf_counter() - clock),
        processor=1000 * (time.process_time() - processor),
        evaluations=evaluations,
        options=options,
    )


def recommended(body: dict[str, Any], snapshot: Snapshot) -> tuple[int, int]:
    """As ``POST /recommend`` answers."""
    result = recommend(parse_json(body, model=RecommendRequest), snapshot, TODAY)
    _RECOMMEND(result)
    return result.evaluations, len(result.options)


def estimated(body: dict[str, Any], snapshot: Snapshot) -> tuple[int, int]:
    """As ``POST /estimate`` answers, with all the cards that fit."""
    run: Run = parse_json({name: body[name] for name in ("model", "sequence_length", "global_batch_size")})
    result = estimate(run, snapshot, TODAY)
    _ESTIMATE(result)
    return 1, len(result.gpus)


def main() -> None:
    """Print the table."""
    snapshot = Snapshot.bundled()
    bodies = requests(snapshot, REQUESTS)
    rows: dict[str, list[Taken]] = {name: [] for name in ("estimate", "recommend, new model", "recommend")}
    for body in bodies:
        rows["recommend, new model"].append(measured(recommended, body, snapshot))
        rows["recommend"].append(measured(recommended, body, snapshot))
        estimated(body, snapshot)
        rows["estimate"].append(measured(estimated, body, snapshot))
    print(f"{REQUESTS} requests, each of another model; milliseconds, medians (90th percentile)\n")
    print(f"{'':22} {'clock':>14} {'processor':>14} {'evaluations':>12} {'options':>8}")
    for name, taken in rows.items():
        clock, processor = [item.clock for item in taken], [item.processor for item in taken]
        print(
            f"{name:22} {median(clock):6.1f} ({high(clock):5.0f}) {median(processor):6.1f} ({high(processor):5.0f})"
            f" {median(item.evaluations for item in taken):12,.0f} {median(item.options for item in taken):8,.0f}"
        )
    most = max(item.evaluations for item in rows["recommend"])
    ratio = median(item.processor for item in rows["recommend"]) / median(item.processor for item in rows["estimate"])
    print(
        f"\nMost evaluations {most:,}; a recommendation takes the processor {ratio:.0f} times as long as an estimate."
    )


def high(values: list[float]) -> float:
    """The 90th percentile."""
    return sorted(values)[int(0.9 * (len(values) - 1))]


if __name__ == "__main__":
    main()
