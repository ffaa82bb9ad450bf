"""``/solve``: by a fresh estimate the answer fits, and the value right after it does not."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

from app.catalogue.facts import CatalogueModel
from app.catalogue.hub_answer import HubShape
from app.catalogue.snapshot import Snapshot
from app.memory.device import Verdict
from app.memory.optimizers import OPTIMIZERS
from app.request import RequestError, SolveRequest, Unknown, parse_json
from app.services.estimate import estimate
from app.services.policy import Policy
from app.services.results import EstimateResult
from app.services.solve import solve
from app.services.solved import LimitedBy, SolveResult

TODAY: Final = date(2026, 11, 24)
SNAPSHOT: Final = Snapshot.bundled()
MODELS: Final = tuple(sorted(model.slug for model in SNAPSHOT.models))
CARDS: Final = tuple(sorted(gpu.slug for gpu in SNAPSHOT.gpus))
FITTING: Final = {False: {Verdict.FITS}, True: {Verdict.FITS, Verdict.TIGHT}}
OF_SOLVE: Final = {"unknown", "budget", "deadline_hours", "max_gpus", "allow_tight"}

runs = st.fixed_dictionaries(
    {"model": st.sampled_from(MODELS), "method": st.sampled_from(["full", "lora", "qlora"])},
    optional={
        "stack": st.just("plain"),
        "micro_batch_size": st.sampled_from([1, 2, 3, 8, 32]),
        "sequence_length": st.sampled_from([64, 512, 1000, 2048, 8192]),
        "lora_rank": st.sampled_from([1, 8, 64, 200]),
        "lora_target_modules": st.sampled_from(["attention", "all-linear", "qv"]),
        "optimizer": st.sampled_from(sorted(OPTIMIZERS)),
        "gradient_accumulation_steps": st.sampled_from([1, 4]),
        "gradient_checkpointing": st.sampled_from(["none", "full", "selective"]),
        "attention": st.sampled_from(["sdpa", "eager", "flash_attention_2"]),
        "loss_kernel": st.sampled_from(["standard", "liger", "chunked", "upcast"]),
        "packing": st.booleans(),
        "precision": st.sampled_from(["bf16", "bf16-mixed", "fp16-mixed", "fp32"]),
        "allow_tight": st.booleans(),
    },
)
several = st.fixed_dictionaries(
    {},
    optional={
        "num_gpus": st.sampled_from([2, 4, 6, 8]),
        "strategy": st.sampled_from(["auto", "ddp", "zero2", "zero3", "fsdp", "fsdp_hybrid", "device_map"]),
    },
)
each = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def solved(run: Mapping[str, Any]) -> SolveResult:
    return solve(parse_json(run, model=SolveRequest), SNAPSHOT, TODAY)


def fresh(run: Mapping[str, Any], **changes: Any) -> EstimateResult:
    asked = {name: value for name, value in run.items() if name not in OF_SOLVE}
    return estimate(parse_json({**asked, **changes, "gpus": "none"}), SNAPSHOT, TODAY)


def status(result: EstimateResult) -> Verdict:
    assert result.verdict is not None
    return result.verdict.status


def check(run: dict[str, Any], following: Any, first: int) -> None:
    """``following`` tells the value after one, None where there is none; ``first`` is the easiest."""
    try:
        found = solved(run)
    except RequestError:
        with pytest.raises(RequestError):
            fresh({**run, run["unknown"]: first})
        reject()
    name, fitting = run["unknown"], FITTING[run.get("allow_tight", False)]
    if found.answer is None:
        assert status(fresh(run, **{name: first})) not in fitting
        assert found.limited_by in {LimitedBy.MEMORY, LimitedBy.UNSUPPORTED}
        return
    now = fresh(run, **{name: found.answer})
    assert status(now) in fitting
    assert now.memory == found.memory
    assert found.run.model_dump(exclude={"gpus"}) == now.run.model_dump(exclude={"gpus"})
    after = following(found.answer)
    if after is None:
        assert found.limited_by in {LimitedBy.FIELD_LIMIT, LimitedBy.MODEL_CONTEXT}
        assert found.limit.next is None
        return
    assert found.limit.next == after
    assert found.limited_by is LimitedBy.MEMORY
    next_ = fresh(run, **{name: after})
    assert status(next_) not in fitting
    assert next_.memory.required_high_bytes == found.limit.next_required_high_bytes
    assert found.limit.phase is next_.memory.peak_phase


@each
@given(runs, several, st.sampled_from(CARDS))
def test_the_micro_batch_is_the_largest(run: dict[str, Any], cluster: dict[str, Any], gpu: str) -> None:
    asked = {**run, **cluster, "gpu": gpu, "unknown": "micro_batch_size"}
    check(asked, lambda size: size + 1 if size < 65_536 else None, 1)


@each
@given(runs, several, st.sampled_from(CARDS))
def test_the_sequence_is_the_longest_to_the_token(run: dict[str, Any], cluster: dict[str, Any], gpu: str) -> None:
    model = SNAPSHOT.model(run["model"])
    assert model is not None
    most = model.architecture.max_position_embeddings or 16 * 2**20
    asked = {**run, **cluster, "gpu": gpu, "unknown": "sequence_length"}
    check(asked, lambda tokens: tokens + 1 if tokens < most else None, 1)


@each
@given(runs, several, st.sampled_from(CARDS))
def test_the_rank_is_the_highest(run: dict[str, Any], cluster: dict[str, Any], gpu: str) -> None:
    assume(run["method"] != "full")
    check({**run, **cluster, "gpu": gpu, "unknown": "lora_rank"}, lambda rank: rank + 1 if rank < 4096 else None, 1)


@settings(each, max_examples=40)
@given(runs, st.sampled_from(["auto", "ddp", "zero3", "fsdp2", "fsdp_hybrid", "device_map"]), st.sampled_from(CARDS))
def test_the_cards_are_the_fewest(run: dict[str, Any], strategy: str, gpu: str) -> None:
    asked = {**run, "strategy": strategy, "gpu": gpu, "unknown": "num_gpus"}
    check(asked, lambda count: count - 1 if count > 1 else None, 64)


def larger(model: str, sequence_length: int) -> list[CatalogueModel]:
    """Larger models that take the sequence, the next larger first."""
    than = SNAPSHOT.model(model)
    assert than is not None
    found = [
        other
        for other in SNAPSHOT.models
        if other.total_parameters > than.total_parameters
        and (other.architecture.max_position_embeddings or sequence_length) >= sequence_length
    ]
    return sorted(found, key=lambda other: other.total_parameters)


@settings(each, max_examples=15)
@given(runs, several, st.sampled_from(CARDS))
def test_the_model_is_the_largest(run: dict[str, Any], cluster: dict[str, Any], gpu: str) -> None:
    asked = {**run, **cluster, "gpu": gpu, "unknown": "model"}
    found = solved(asked)
    if found.answer is None:
        assert found.limited_by in {LimitedBy.MEMORY, LimitedBy.UNSUPPORTED}
        return
    assert isinstance(found.answer, str)
    fitting = FITTING[run.get("allow_tight", False)]
    now = fresh(asked, model=found.answer)
    assert status(now) in fitting
    assert now.memory == found.memory
    for model in larger(found.answer, run.get("sequence_length", 512))[:4]:
        try:
            assert status(fresh(asked, model=model.slug)) not in fitting
        except RequestError:
            continue


@pytest.mark.parametrize(
    "run",
    [
        {"method": "qlora"},
        {"method": "qlora", "allow_tight": True},
        {"method": "lora", "num_gpus": 2},
        {"method": "full", "num_gpus": 8, "optimizer": "adamw_bnb_8bit", "precision": "bf16"},
    ],
)
def test_no_larger_model_fits_at_all(run: dict[str, Any]) -> None:
    found = solved({**run, "gpu": "rtx-4090", "unknown": "model"})
    assert isinstance(found.answer, str)
    fitting = FITTING[run.get("allow_tight", False)]
    for model in larger(found.answer, 512):
        try:
            assert status(fresh({**run, "gpu": "rtx-4090"}, model=model.slug)) not in fitting
        except RequestError:
            continue


def test_no_model_has_fewer_parameters_than_published() -> None:
    """The search passes over models by their published counts."""
    for model in SNAPSHOT.models:
        assert model.architecture.total_parameters >= model.text_parameters, model.slug


def test_cards_of_a_budget_share_runs_settled_alike() -> None:
    run = {"model": "llama-3-8b", "method": "lora", "num_gpus": 4, "unknown": "micro_batch_size", "budget": 50}
    found = solved(run)
    assert found.evaluations <= 60
    for gpu in CARDS[::6]:
        alone = solved({**run, "gpu": gpu})
        assert isinstance(alone.answer, int | None)
        assert isinstance(found.answer, int)
        assert (alone.answer or 0) <= found.answer


def affordable(run: Mapping[str, Any], budget: Decimal) -> dict[str, Decimal]:
    """What the job costs on each card that surely holds it within a budget."""
    found = {}
    for gpu in CARDS:
        result = fresh(run, gpu=gpu)
        if status(result) is Verdict.FITS and result.cost is not None and result.cost.amount <= budget:
            found[gpu] = result.cost.amount
    return found


BUDGETS: Final = (
    ({"model": "llama-3-8b", "method": "lora", "num_examples": 20_000}, "sequence_length", "12", 1),
    ({"model": "llama-3-8b", "method": "lora", "num_examples": 20_000}, "micro_batch_size", "3", 1),
    ({"model": "llama-3-8b", "method": "qlora", "num_examples": 50_000}, "lora_rank", "9", 1),
    ({"model": "llama-3-70b", "method": "qlora", "num_examples": 5_000, "num_gpus": 2}, "micro_batch_size", "40", 1),
    ({"model": "llama-3-70b", "method": "lora", "num_examples": 5_000}, "num_gpus", "60", -1),
)


@pytest.mark.parametrize(("run", "unknown", "budget", "step"), BUDGETS)
def test_within_a_budget_no_card_takes_the_next_value(
    run: dict[str, Any], unknown: str, budget: str, step: int
) -> None:
    found = solved({**run, "unknown": unknown, "budget": float(budget)})
    assert isinstance(found.answer, int)
    here = affordable({**run, unknown: found.answer}, Decimal(budget))
    assert found.cost is not None
    assert here[found.run.gpu or ""] == found.cost.amount == min(here.values())
    if found.limit.next is not None:
        assert found.limit.next == found.answer + step
        assert not affordable({**run, unknown: found.limit.next}, Decimal(budget))
        assert found.limited_by in {LimitedBy.MEMORY, LimitedBy.BUDGET, LimitedBy.NO_OFFER}


STEPS: Final = {"micro_batch_size": 1, "sequence_length": 1, "lora_rank": 1, "num_gpus": -1}


@settings(each, max_examples=12)
@given(runs, st.sampled_from(sorted(STEPS)), st.sampled_from(["0.05", "0.5", "5", "50"]), st.sampled_from([1, 1, 2]))
def test_a_budget_is_kept_by_the_answer_and_by_no_next_value(
    run: dict[str, Any], unknown: str, budget: str, num_gpus: int
) -> None:
    run = {**run, "num_gpus": num_gpus, "num_examples": 20_000, "unknown": unknown}
    run.pop("allow_tight", None)
    assume(not (run["method"] == "full" and unknown == "lora_rank"))
    found = solved({**run, "budget": float(budget)})
    if found.answer is None:
        first = 64 if unknown == "num_gpus" else 1
        assert not affordable({**run, unknown: first}, Decimal(budget))
        return
    assert isinstance(found.answer, int)
    here = affordable({**run, unknown: found.answer}, Decimal(budget))
    assert found.cost is not None
    assert here[found.run.gpu or ""] == found.cost.amount == min(here.values())
    if found.limit.next is not None:
        assert found.limit.next == found.answer + STEPS[unknown]
        assert not affordable({**run, unknown: found.limit.next}, Decimal(budget))


def test_a_budget_that_holds_no_job_names_the_cheapest() -> None:
    run = {"model": "llama-3-8b", "method": "full", "num_examples": 1_000_000}
    found = solved({**run, "unknown": "lora_rank", "method": "lora", "budget": 0.01})
    assert found.answer is None
    assert found.limited_by is LimitedBy.BUDGET
    assert found.cost is not None
    assert f"{found.cost.amount:,}" in found.limit.text


def test_a_deadline_takes_as_many_cards_as_it_needs() -> None:
    run = {"model": "llama-3-8b", "method": "lora", "gpu": "h100-sxm", "num_examples": 100_000}
    at_ease = solved({**run, "unknown": "num_gpus"})
    assert at_ease.answer == 1
    hours = fresh(run, num_gpus=3).time
    assert hours is not None
    hurried = solved({**run, "unknown": "num_gpus", "deadline_hours": hours.total_seconds / 3600})
    assert hurried.answer == 3
    assert hurried.limited_by is LimitedBy.DEADLINE
    assert hurried.limit.next == 2


def test_a_global_batch_is_shared_out_whole() -> None:
    run = {
        "model": "llama-3-8b",
        "method": "qlora",
        "gpu": "rtx-3090",
        "global_batch_size": 90,
        "sequence_length": 2048,
    }
    found = solved({**run, "unknown": "micro_batch_size"})
    assert isinstance(found.answer, int)
    assert 90 % found.answer == 0
    assert status(fresh(run, micro_batch_size=found.answer)) is Verdict.FITS
    after = min(size for size in range(found.answer + 1, 91) if 90 % size == 0)
    assert found.limit.next == after
    assert status(fresh(run, micro_batch_size=after)) is not Verdict.FITS


def test_a_run_that_never_fits_says_what_would_help() -> None:
    run = {"model": "llama-3-8b", "method": "lora", "stack": "plain", "gpu": "rtx-4080"}
    found = solved({**run, "unknown": "micro_batch_size"})
    assert found.answer is None
    assert found.suggestion is not None
    assert status(fresh({**run, **found.suggestion.changes}, micro_batch_size=1)) is Verdict.FITS


def test_a_card_that_cannot_run_it_is_not_a_matter_of_memory() -> None:
    run = {"model": "llama-3.2-1b", "method": "lora", "precision": "bf16", "gpu": "v100-32gb-sxm"}
    found = solved({**run, "unknown": "sequence_length"})
    assert (found.answer, found.limited_by) == (None, LimitedBy.UNSUPPORTED)
    assert found.suggestion is not None
    assert found.suggestion.changes == {"precision": "fp16-mixed"}


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("model", ["llama-3-70b", "qwen2.5-14b", "mixtral-8x7b-v0.1"])
def test_the_card_list_counts_cards_as_solve_does(model: str, method: str) -> None:
    result = estimate(parse_json({"model": model, "method": method, "gpus": "all"}), SNAPSHOT, TODAY)
    missed = [card for card in result.gpus if card.verdict is Verdict.DOES_NOT_FIT]
    for card in missed[::4]:
        found = solved({"model": model, "method": method, "gpu": card.slug, "unknown": "num_gpus"})
        assert found.answer == card.min_gpus


def test_tens_of_evaluations_are_enough() -> None:
    for unknown in Unknown:
        run = {"model": "mistral-7b-v0.1", "method": "qlora", "gpu": "rtx-3090", "unknown": unknown}
        found = solved(run)
        assert found.evaluations <= (60 if unknown is Unknown.MODEL else 16)


def test_the_hub_is_asked_once_whatever_is_tried() -> None:
    model = SNAPSHOT.model("llama-3-8b")
    assert model is not None
    asked = []

    def hub(name: str) -> HubShape:
        asked.append(name)
        return HubShape(hub_id=name, config=model.config, source="the hub")

    run = {"model": "someone/of-their-own", "method": "qlora", "gpu": "rtx-4090", "unknown": "micro_batch_size"}
    found = solve(parse_json(run, model=SolveRequest), SNAPSHOT, TODAY, Policy(hub=hub))
    assert asked == ["someone/of-their-own"]
    assert found.answer == solved({**run, "model": "llama-3-8b"}).answer
    assert "model=someone/of-their-own" in found.links.estimate
