"""Every way to do a run, tried one by one, finds nothing that beats what ``/recommend`` returns."""

import random
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from itertools import product
from typing import Any

import pytest

from app.catalogue.snapshot import Snapshot
from app.memory.device import Verdict
from app.memory.estimate import estimate_memory, judge
from app.memory.inputs import MethodKind
from app.planning.front import dominates
from app.request import RecommendRequest, RequestError, fill_in, parse_json, to_groups
from app.services.estimate import estimate
from app.services.pace import Pace, pace
from app.services.quality import quality_of
from app.services.recommend import recommend
from app.services.results import RecommendOption
from app.speed.cost import Conversion, paid_amount
from tests.planning.conftest import MODELS

CHOICES: dict[str, tuple[Any, ...]] = {
    "gradient_checkpointing": ("none", "full"),
    "loss_kernel": (None, "liger"),
    "optimizer": (None, "adamw_bnb_8bit"),
    "strategy": ("ddp", "zero2", "fsdp2"),
}
"""None is what the stack has."""
WITHOUT_LIGER = "olmoe-1b-7b-0924"
"""Liger has no kernels for it."""
HELD: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"gradient_checkpointing": "full"},
    {"micro_batch_size": 2, "global_batch_size": 8},
    {"stack": "plain"},
    {"num_gpus": 4, "strategy": "fsdp2"},
    {"optimizer": "adamw_torch"},
    {"allow_tight": True},
)


def requests() -> list[dict[str, Any]]:
    """Twenty requests, the same every time."""
    chance = random.Random(7)
    return [
        {
            "model": chance.choice(MODELS),
            "sequence_length": chance.choice((512, 1024, 2048, 4096)),
            "global_batch_size": chance.choice((8, 12, 16, 32)),
            "num_examples": chance.choice((500, 20_000, 400_000)),
            "max_gpus": chance.choice((1, 4, 8)),
            "limit": 200,
            **chance.choice(HELD),
        }
        for _ in range(20)
    ]


@pytest.mark.parametrize("body", requests(), ids=lambda body: f"{body['model']}-{body['sequence_length']}")
def test_no_way_beats_the_front_and_each_option_is_what_a_fresh_estimate_says(
    body: dict[str, Any], reduced: Snapshot, today: date
) -> None:
    given = parse_json({"max_gpus": 8, **body} if "num_gpus" in body else body, model=RecommendRequest)
    answer = recommend(given, reduced, today)
    front = {measures(option) for option in answer.options if option.position in answer.pareto}
    everything = set(exhaustive(given, reduced, today))
    assert bool(front) == bool(everything)
    beaten = {(mine, other) for mine in front for other in everything if dominates(other, mine)}
    assert not beaten
    assert front <= everything
    for option in answer.options[:12]:
        fresh = estimate(option.run, reduced, today)
        assert fresh.memory == option.memory
        assert fresh.time == option.time
        assert fresh.cost == option.cost
        assert fresh.verdict is not None
        assert fresh.verdict.status is option.verdict


def measures(option: RecommendOption) -> tuple[float, ...]:
    assert option.cost is not None
    assert option.time is not None
    assert option.quality is not None
    risk = 1.0 if option.verdict is Verdict.TIGHT else 0.0
    return (float(option.cost.amount), option.time.total_seconds, -option.quality.share_of_full, risk)


def exhaustive(given: RecommendRequest, snapshot: Snapshot, today: date) -> Iterator[tuple[float, ...]]:
    """Cost, time, quality and risk of every way on every card with every offer."""
    asked = {name: getattr(given, name) for name in given.model_fields_set}
    for name in ("max_gpus", "limit", "allow_tight"):
        asked.pop(name, None)
    counts = [given.num_gpus] if "num_gpus" in asked else range(1, given.max_gpus + 1)
    accepted = {Verdict.FITS, Verdict.TIGHT} if given.allow_tight else {Verdict.FITS}
    free = {name: values for name, values in CHOICES.items() if name not in asked}
    if given.model == WITHOUT_LIGER:
        free.pop("loss_kernel")
    for method, count, values in product(MethodKind, counts, product(*free.values())):
        chosen = {name: value for name, value in zip(free, values, strict=True) if value is not None}
        if count == 1 and chosen.pop("strategy", "ddp") != "ddp":
            continue
        if method is not MethodKind.FULL and ("optimizer" in chosen or chosen.get("strategy") == "zero2"):
            continue
        sizes = (
            [given.micro_batch_size] if "micro_batch_size" in asked else range(1, (given.global_batch_size or 0) + 1)
        )
        for size in sizes:
            run = {**asked, **chosen, "method": method, "num_gpus": count, "micro_batch_size": size}
            yield from tried(run, snapshot, accepted)


def tried(body: dict[str, Any], snapshot: Snapshot, accepted: set[Verdict]) -> Iterator[tuple[float, ...]]:
    try:
        run = fill_in(parse_json(body))
    except RequestError:
        return  # the batch cannot be divided so
    groups = to_groups(run)
    model = snapshot.model(run.model or "")
    assert model is not None
    quality = -quality_of(groups.method.kind, groups.method.adapter).share_of_full
    for gpu in snapshot.gpus:
        memory = estimate_memory(
            model.architecture, groups.method, groups.precision, groups.batch, groups.cluster, device=gpu.device
        )
        verdict, _ = judge(memory, gpu.device, groups.method, groups.precision, groups.batch)
        going = pace(model.architecture, groups, gpu)
        if verdict not in accepted or not isinstance(going, Pace):
            continue
        for offer in snapshot.offers():
            if offer.gpu == gpu.slug and offer.gpus_per_server >= run.num_gpus:
                paid: Decimal = paid_amount(going.job.total_seconds, offer, run.num_gpus, Conversion(currency="USD"))
                yield (float(paid), going.job.total_seconds, quality, 1.0 if verdict is Verdict.TIGHT else 0.0)
