"""What makes a run fit, and what the room of one that fits buys: every answer against a fresh estimate."""

from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.catalogue.snapshot import Snapshot
from app.request import parse_json
from app.services import room, ways_out
from app.services.assess import Assessment
from app.services.lookup import find_gpu
from app.services.policy import DEFAULT_POLICY
from tests.api.test_estimate import estimated

Run = dict[str, Any]

NOTHING_FITS: Run = {"model": "llama-3-70b", "method": "qlora", "gpu": "rtx-4090"}
TOO_LARGE: tuple[Run, ...] = (
    {"model": "llama-3-8b", "method": "lora", "stack": "plain", "gpu": "rtx-3090"},
    {"model": "llama-3-8b", "method": "full", "gpu": "a100-80gb-sxm"},
    {"model": "llama-3-8b", "method": "lora", "gpu": "rtx-4090", "sequence_length": 4096, "micro_batch_size": 12},
    {"model": "llama-3-8b", "method": "lora", "stack": "plain", "gpu": "rtx-3090", "sequence_length": 4096},
    {"model": "llama-3-8b", "method": "lora", "gpu": "rtx-4090", "sequence_length": 32768, "micro_batch_size": 2},
    {"model": "gemma-2-9b", "method": "qlora", "stack": "plain", "gpu": "rtx-4080", "sequence_length": 4096},
    {"model": "llama-3-70b", "method": "full", "gpu": "h200-sxm-141gb"},
    NOTHING_FITS,
    {"model": "llama-3-8b", "method": "full", "gpu": "rtx-4090", "num_gpus": 4},
)
ROOMY: tuple[Run, ...] = (
    {"model": "llama-3-8b", "method": "qlora", "gpu": "rtx-4090", "lora_rank": 8},
    {"model": "llama-3-8b", "method": "lora", "gpu": "h100-sxm", "gradient_accumulation_steps": 6},
    {"model": "qwen2.5-0.5b", "method": "full", "gpu": "rtx-4090"},
)


def of(run: Run) -> str:
    return " ".join(str(run[name]) for name in ("model", "method", "gpu"))


def fresh(client: TestClient, run: Run, changes: Run) -> dict[str, Any]:
    return estimated(client, **{**run, "gpus": "none", **changes})


def ways(client: TestClient, run: Run) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The estimate, and its suggestions but for the one of more cards."""
    result = estimated(client, **run)
    assert result["verdict"]["status"] in {"does_not_fit", "tight"}
    return result, [one for one in result["suggestions"] if "num_gpus" not in one["changes"]]


@pytest.mark.parametrize("run", TOO_LARGE, ids=of)
def test_a_way_out_saves_and_takes_as_long_as_it_says(client: TestClient, run: Run) -> None:
    result, found = ways(client, run)
    assert found
    for one in found:
        changed = fresh(client, run, one["changes"])
        assert result["memory"]["required_bytes"] - changed["memory"]["required_bytes"] == one["saves_bytes"] > 0
        assert one["step_time_ratio"] > 0
        shown = f"{changed['memory']['required_bytes'] / 2**30:.1f} GiB"
        assert shown in one["text"].replace(",", "")


@pytest.mark.parametrize("run", [run for run in TOO_LARGE if run is not NOTHING_FITS], ids=of)
def test_a_way_out_makes_it_fit_and_none_of_its_changes_can_be_left_out(client: TestClient, run: Run) -> None:
    _, found = ways(client, run)
    for one in found:
        assert fresh(client, run, one["changes"])["verdict"]["status"] == "fits", one["text"]
        groups = [{name: value} for name, value in one["changes"].items() if name != "gradient_accumulation_steps"]
        for left_out in groups if len(groups) > 1 else []:
            dropped = {*left_out, *({"gradient_accumulation_steps"} if "micro_batch_size" in left_out else ())}
            rest = {name: value for name, value in one["changes"].items() if name not in dropped}
            assert fresh(client, run, rest)["verdict"]["status"] != "fits", (one["text"], left_out)


@pytest.mark.parametrize("run", [run for run in TOO_LARGE if run is not NOTHING_FITS], ids=of)
def test_ways_that_leave_the_result_alone_come_first_then_few_changes_then_the_fastest(
    client: TestClient, run: Run
) -> None:
    def order(one: dict[str, Any]) -> tuple[bool, bool, int]:
        names = set(one["changes"]) - {"gradient_accumulation_steps"}
        changes_job = bool(names & {"method", "precision", "lora_rank", "use_dora", "sequence_length"})
        return changes_job, "method" in names, len(names)

    _, found = ways(client, run)
    assert [order(one) for one in found] == sorted(order(one) for one in found)
    for one, other in pairwise(found):
        assert order(one) < order(other) or one["step_time_ratio"] <= other["step_time_ratio"]


def test_a_smaller_micro_batch_is_the_largest_that_fits(client: TestClient) -> None:
    run = TOO_LARGE[2]
    _, found = ways(client, run)
    size = found[0]["changes"]["micro_batch_size"]
    assert found[0]["changes"]["gradient_accumulation_steps"] == 12 // size
    larger = min(other for other in (2, 3, 4, 6, 12) if other > size)
    assert fresh(client, run, {"micro_batch_size": larger})["verdict"]["status"] != "fits"
    assert len([one for one in found if "micro_batch_size" in one["changes"]]) == 1


def test_where_no_single_change_is_enough_several_are_named_together(client: TestClient) -> None:
    _, found = ways(client, TOO_LARGE[4])
    (together,) = found
    assert len(together["changes"]) > 2
    assert " + " in together["text"]


@pytest.mark.parametrize("run", TOO_LARGE[-3:], ids=of)
def test_more_cards_are_named_where_only_another_result_would_fit(client: TestClient, run: Run) -> None:
    result = estimated(client, **run)
    shared = result["suggestions"][-1]
    assert "num_gpus" in shared["changes"]
    changed = fresh(client, run, shared["changes"])
    assert changed["verdict"]["status"] == "fits"
    assert result["memory"]["required_bytes"] - changed["memory"]["required_bytes"] == shared["saves_bytes"]


@pytest.mark.parametrize(("gpu", "offered"), [("rtx-3090", True), ("p40", False)])
def test_a_fused_loss_is_not_offered_where_the_card_does_not_run_its_kernels(
    client: TestClient, gpu: str, offered: bool
) -> None:
    run: Run = {"model": "llama-3.2-1b", "method": "lora", "stack": "plain", "precision": "fp32", "gpu": gpu}
    run |= {"micro_batch_size": 6, "sequence_length": 2048, "gradient_checkpointing": "full"}
    _, found = ways(client, run)
    assert found
    assert any("loss_kernel" in one["changes"] for one in found) == offered


@pytest.mark.parametrize("run", TOO_LARGE, ids=of)
def test_the_evaluations_are_bounded(snapshot: Snapshot, run: Run) -> None:
    assessment = Assessment.of(parse_json(run), snapshot, date(2026, 11, 24), DEFAULT_POLICY)
    ways_out.ways_out(assessment, find_gpu(run["gpu"], snapshot))
    # Each shown way is sized once more, and the run itself once.
    assert assessment.evaluations <= ways_out.MOST_EVALUATIONS + ways_out.MOST_WAYS + 1


@pytest.mark.parametrize("run", ROOMY, ids=of)
def test_what_the_room_buys_fits_and_takes_what_it_says(client: TestClient, run: Run) -> None:
    result = estimated(client, **run)
    more = [one for one in result["suggestions"] if one["saves_bytes"] < 0]
    assert more
    for one in more:
        changed = fresh(client, run, one["changes"])
        assert changed["verdict"]["status"] == "fits", one["text"]
        assert result["memory"]["required_bytes"] - changed["memory"]["required_bytes"] == one["saves_bytes"]
        ratio = result["speed"]["tokens_per_second"] / changed["speed"]["tokens_per_second"]
        assert one["step_time_ratio"] == pytest.approx(ratio)


@pytest.mark.parametrize("run", ROOMY, ids=of)
@pytest.mark.parametrize(("name", "step"), [("micro_batch_size", 1), ("sequence_length", 128)])
def test_what_the_room_buys_is_the_most_that_fits(client: TestClient, run: Run, name: str, step: int) -> None:
    found = [one["changes"] for one in estimated(client, **run)["suggestions"] if one["saves_bytes"] < 0]
    (value,) = (changes[name] for changes in found if name in changes)
    if "gradient_accumulation_steps" in run and name == "micro_batch_size":
        assert value == 24, "all sequences of a step at once"
        return
    context = {"llama-3-8b": 8192, "qwen2.5-0.5b": 32768}[run["model"]]
    if name == "sequence_length" and value + step > context:
        return
    assert fresh(client, run, {name: value + step})["verdict"]["status"] != "fits"


def test_the_room_says_what_a_buyer_would_use_it_for(client: TestClient) -> None:
    found = [one["changes"] for one in estimated(client, **ROOMY[0])["suggestions"] if one["saves_bytes"] < 0]
    assert {"gradient_checkpointing": "none"} in found
    assert {"method": "lora", "quantization": None} in found
    assert {"lora_rank": 256} in found
    assert {"lora_target_modules": "all-linear"} in found


def test_without_a_list_of_cards_the_first_kind_of_way_is_enough(client: TestClient) -> None:
    everything = ways(client, TOO_LARGE[0])[1]
    first = estimated(client, **TOO_LARGE[0], gpus="none")["suggestions"]
    assert any("method" in one["changes"] for one in everything)
    assert first == [one for one in everything if "method" not in one["changes"]]


def test_nothing_is_computed_that_nobody_asked_for(client: TestClient) -> None:
    assert estimated(client, **ROOMY[0], gpus="none")["suggestions"] == []
    assert all(one["saves_bytes"] > 0 for one in estimated(client, model="llama-3-8b", gpus="none")["suggestions"])


@pytest.mark.parametrize("run", ROOMY, ids=of)
def test_the_evaluations_for_the_room_are_bounded(snapshot: Snapshot, run: Run) -> None:
    assessment = Assessment.of(parse_json(run), snapshot, date(2026, 11, 24), DEFAULT_POLICY)
    found = room.room(assessment, find_gpu(run["gpu"], snapshot), None)
    assert assessment.evaluations <= room.MOST_EVALUATIONS + len(found) + 1
