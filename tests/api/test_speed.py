"""Speed, time and cost in answers: from one model, in one currency, consistent with each other."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient

API = "/api/v1"
RUN = {"model": "llama-3-8b", "method": "qlora", "gpu": "rtx-3090", "num_examples": 10_000}


def asked(client: TestClient, path: str, **body: Any) -> dict[str, Any]:
    response = client.post(f"{API}{path}", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_speed_time_and_cost_follow_from_each_other(client: TestClient) -> None:
    result = asked(client, "/estimate", **RUN)
    speed, time, cost = result["speed"], result["time"], result["cost"]
    assert sum(part["seconds"] for part in speed["breakdown"]) == pytest.approx(speed["step_seconds"])
    assert speed["tokens_per_second_low"] < speed["tokens_per_second"] < speed["tokens_per_second_high"]
    assert speed["tokens_per_second"] == pytest.approx(4 * 512 / speed["step_seconds"])
    assert time["total_tokens"] == 10_000 * 512 * 3
    assert time["optimizer_steps"] == 7_500
    assert time["total_seconds"] >= time["optimizer_steps"] * speed["step_seconds"]
    hourly = Decimal(cost["offer"]["price"]["amount"])
    if cost["offer"]["price"]["period"] == "hour" and cost["offer"]["minimum_term"] is None:
        expected = hourly * Decimal(time["total_seconds"]) / 3600
        assert abs(Decimal(cost["amount"]) - expected) < Decimal("0.01")
    assert Decimal(cost["amount_low"]) <= Decimal(cost["amount"]) <= Decimal(cost["amount_high"])
    assert result["versions"]["speed_model"]


def test_a_run_that_does_not_fit_has_no_speed(client: TestClient) -> None:
    result = asked(client, "/estimate", model="llama-3-70b", method="full", gpu="rtx-3090", gpus="none")
    assert (result["speed"], result["time"], result["cost"]) == (None, None, None)


def test_a_card_without_bfloat16_names_the_precision_that_runs(client: TestClient) -> None:
    run = {"model": "llama-3.2-1b", "method": "lora", "gpu": "rtx-2080-ti"}
    result = asked(client, "/estimate", **run)
    assert result["verdict"]["status"] == "unsupported"
    assert result["speed"] is None
    (suggestion,) = result["suggestions"]
    assert suggestion["changes"] == {"precision": "fp16-mixed"}
    assert "tokens/s" in suggestion["text"]
    changed = asked(client, "/estimate", **{**run, **suggestion["changes"]})
    assert changed["verdict"]["status"] == "fits"
    assert changed["speed"]["tokens_per_second"] > 0


def test_each_card_that_holds_the_run_has_its_time_and_cost(client: TestClient) -> None:
    cards = asked(client, "/estimate", **RUN)["gpus"]
    timed = [card for card in cards if card["time"]]
    assert len(timed) > 30
    chosen = next(card for card in cards if card["slug"] == "rtx-3090")
    assert chosen["time"] == asked(client, "/estimate", **RUN)["time"]
    for card in cards:
        assert (card["cost"] is None) == (card["offer"] is None or card["time"] is None)
        assert card["cost"] is None or card["cost"]["offer"]["id"] == card["offer"]["id"]


def test_suggestions_say_what_they_cost_in_time(client: TestClient) -> None:
    run = {"model": "llama-3-8b", "method": "qlora", "stack": "plain", "gpu": "rtx-4090"}
    result = asked(client, "/estimate", **run)
    by_change = {next(iter(item["changes"])): item for item in result["suggestions"]}
    checkpointing = by_change["gradient_checkpointing"]
    changed = asked(client, "/estimate", **{**run, **checkpointing["changes"]})
    ratio = result["speed"]["tokens_per_second"] / changed["speed"]["tokens_per_second"]
    assert checkpointing["step_time_ratio"] == pytest.approx(ratio)
    assert 1.1 < ratio < 1.6
    assert "% slower" in checkpointing["text"]


def test_options_keep_the_budget_and_the_deadline(client: TestClient) -> None:
    run = {"model": "mistral-7b-v0.1", "method": "qlora", "num_examples": 10_000, "limit": 50}
    everything = asked(client, "/recommend", **run)["options"]
    costs = sorted(Decimal(option["cost"]["amount"]) for option in everything)
    hours = sorted(option["time"]["total_seconds"] / 3600 for option in everything)
    budget, deadline = costs[len(costs) // 2], hours[len(hours) // 2]
    kept = asked(client, "/recommend", **run, budget=float(budget), deadline_hours=deadline)["options"]
    assert 0 < len(kept) < len(everything)
    assert all(Decimal(option["cost"]["amount"]) <= budget for option in kept)
    assert all(option["time"]["total_seconds"] <= deadline * 3600 for option in kept)


def test_limits_nobody_keeps_are_said_with_the_nearest_miss(client: TestClient) -> None:
    answer = asked(client, "/recommend", model="llama-3-8b", method="qlora", budget=0.001, num_examples=10**6)
    assert answer["options"] == []
    (reason,) = answer["decision"]["reasons"]
    assert reason["code"] == "over_limits"
    assert "the cheapest takes" in reason["text"]


@pytest.mark.parametrize("objective", ["cheapest", "fastest", "balanced", "best_quality"])
def test_each_objective_puts_its_best_first_within_a_period(client: TestClient, objective: str) -> None:
    options = asked(client, "/recommend", model="llama-3.2-1b", limit=20, optimize_for=objective)["options"]
    hourly = [option for option in options if option["offer"]["price"]["period"] == "hour"]
    quality = {"full": 0, "lora": 1, "qlora": 2}
    measures: dict[str, Callable[[dict[str, Any]], Any]] = {
        "cheapest": lambda option: Decimal(option["offer"]["price"]["amount"]),
        "fastest": lambda option: option["time"]["total_seconds"],
        "balanced": lambda option: option["time"]["total_seconds"] * float(option["cost"]["amount"]),
        "best_quality": lambda option: quality[option["run"]["method"]],
    }
    values = [measures[objective](option) for option in hourly]
    assert len(values) > 5
    assert values == sorted(values)


def test_no_option_of_the_front_is_beaten_in_cost_and_time(client: TestClient) -> None:
    answer = asked(client, "/recommend", model="mistral-7b-v0.1", method="qlora", limit=50)
    by_position = {option["position"]: option for option in answer["options"]}
    assert answer["pareto"]
    for position in answer["pareto"]:
        mine = by_position[position]
        for other in answer["options"]:
            same_period = other["offer"]["price"]["period"] == mine["offer"]["price"]["period"]
            cheaper = Decimal(other["cost"]["amount"]) < Decimal(mine["cost"]["amount"])
            faster = other["time"]["total_seconds"] < mine["time"]["total_seconds"]
            assert not (same_period and cheaper and faster)
