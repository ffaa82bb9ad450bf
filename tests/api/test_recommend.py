"""``/recommend`` and ``/compare``."""

from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.memory.inputs import Checkpointing

API = "/api/v1"


def asked(client: TestClient, path: str, **body: Any) -> dict[str, Any]:
    response = client.post(f"{API}{path}", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_the_cheapest_server_that_holds_the_run_comes_first(client: TestClient) -> None:
    answer = asked(client, "/recommend", model="mistral-7b-v0.1", method="qlora", limit=50)
    options = answer["options"]
    assert options
    assert [option["position"] for option in options] == list(range(1, len(options) + 1))
    for period in ("hour", "month"):
        prices = [Decimal(o["offer"]["price"]["amount"]) for o in options if o["offer"]["price"]["period"] == period]
        assert prices == sorted(prices)
    periods = [option["offer"]["price"]["period"] for option in options]
    assert periods == sorted(periods)
    assert {option["offer"]["price"]["currency"] for option in options} == {"USD"}
    assert all(option["reasons"] for option in options)


def test_with_a_job_the_cheapest_is_what_costs_least_in_all(client: TestClient) -> None:
    run = {"model": "mistral-7b-v0.1", "method": "qlora", "num_examples": 50_000, "limit": 50}
    options = asked(client, "/recommend", **run)["options"]
    costs = [Decimal(o["cost"]["amount"]) for o in options if o["offer"]["price"]["period"] == "hour"]
    assert len(costs) > 5
    assert costs == sorted(costs)


def test_every_option_is_what_a_fresh_estimate_of_its_run_says(client: TestClient) -> None:
    for option in asked(client, "/recommend", model="llama-3-8b", limit=4)["options"]:
        run = {name: value for name, value in option["run"].items() if value is not None}
        estimate = asked(client, "/estimate", **run)
        assert estimate["verdict"]["status"] == option["verdict"] == "fits"
        for part in ("memory", "time", "cost"):
            assert estimate[part] == option[part]
        assert not [warning for warning in estimate["warnings"] if warning["code"] == "offer_gone"]


def test_an_offer_that_is_not_there_is_said_and_the_cheapest_counts(client: TestClient) -> None:
    run = {"model": "llama-3-8b", "method": "qlora", "gpu": "rtx-3090"}
    cheapest = asked(client, "/estimate", **run)
    gone = asked(client, "/estimate", **run, offer="of-another-time")
    assert gone["cost"] == cheapest["cost"]
    assert "offer_gone" in {warning["code"] for warning in gone["warnings"]}


def test_what_is_given_is_kept_and_what_is_not_is_chosen(client: TestClient) -> None:
    given = {
        "gradient_checkpointing": "full",
        "micro_batch_size": 2,
        "global_batch_size": 8,
        "optimizer": "adamw_torch",
    }
    answer = asked(client, "/recommend", model="llama-3-8b", num_examples=5_000, **given)
    for option in answer["options"]:
        run = option["run"]
        assert {name: run[name] for name in given} == given
        assert run["micro_batch_size"] * run["gradient_accumulation_steps"] * option["num_gpus"] == 8
    assert "batch" not in {reason["code"] for reason in answer["decision"]["reasons"]}
    chosen = asked(client, "/recommend", model="llama-3-8b", num_examples=5_000)
    assert len({option["run"]["gradient_checkpointing"] for option in chosen["options"]}) == 2
    assert len({option["run"]["micro_batch_size"] for option in chosen["options"]}) > 1
    assert "batch" in {reason["code"] for reason in chosen["decision"]["reasons"]}


def test_a_70b_may_go_on_several_cards(client: TestClient) -> None:
    answer = asked(client, "/recommend", model="llama-3-70b", method="lora", num_examples=5_000)
    several = next(option for option in answer["options"] if option["num_gpus"] > 1)
    assert several["run"]["strategy"] == "fsdp2"
    assert several["offer"]["gpus_per_server"] >= several["num_gpus"]
    codes = {reason["code"] for reason in several["reasons"]}
    assert {"memory", "settings", "several_cards"} <= codes
    one = asked(client, "/recommend", model="llama-3-70b", method="lora", num_examples=5_000, max_gpus=1)
    assert {option["num_gpus"] for option in one["options"]} <= {1}


def test_cards_that_cannot_run_it_say_why_instead_of_how_many_would_hold_it(client: TestClient) -> None:
    answer = asked(client, "/recommend", model="llama-3-8b", method="lora", gpus_allowed=["t4", "rtx-2080-ti"])
    (reason,) = answer["decision"]["reasons"]
    assert reason["code"] == "unsupported"
    assert "bfloat16" in reason["text"]
    assert "fp16-mixed" in reason["text"]


def test_a_given_strategy_is_kept_on_every_number_of_cards(client: TestClient) -> None:
    run = {"model": "llama-3-8b", "method": "lora", "num_examples": 5_000, "limit": 50}
    sharded = asked(client, "/recommend", **run, strategy="zero3")["options"]
    assert {option["run"]["strategy"] for option in sharded} == {"zero3"}
    alone = asked(client, "/recommend", **run, strategy="single")["options"]
    assert {(option["run"]["strategy"], option["num_gpus"]) for option in alone} == {("single", 1)}


def test_quality_is_cited_and_its_spread_shown(client: TestClient) -> None:
    options = asked(client, "/recommend", model="llama-3.2-1b", limit=2, num_examples=2_000)["options"]
    quality = {option["run"]["method"]: option["quality"] for option in options}
    assert quality["full"]["share_of_full"] == 1.0
    for method in ("lora", "qlora"):
        assert quality[method]["share_of_full_low"] < quality[method]["share_of_full"] < 1
        assert len(quality[method]["sources"]) >= 3


def test_no_option_lacks_what_the_run_needs(client: TestClient) -> None:
    answer = asked(client, "/recommend", model="llama-3.2-1b", method="lora", precision="bf16-mixed", limit=200)
    old = {"rtx-2080-ti", "t4", "v100-16gb-pcie", "v100-32gb-sxm", "p40"}
    assert not old & {option["gpu"] for option in answer["options"]}


def test_full_fine_tuning_of_a_70b_says_what_would_hold_it(client: TestClient) -> None:
    answer = asked(client, "/recommend", model="llama-3-70b", method="full", num_gpus=1)
    assert answer["options"] == []
    assert answer["decision"]["method"] is None
    codes = {reason["code"] for reason in answer["decision"]["reasons"]}
    assert {"nothing_holds", "switch", "more_cards"} <= codes
    assert answer["rejected"]
    assert all(card["reason"] for card in answer["rejected"])


def test_a_fix_makes_the_rejected_card_hold_the_run(client: TestClient) -> None:
    asked_for = {"model": "llama-3-8b", "method": "full", "sequence_length": 4096, "num_gpus": 1}
    answer = asked(client, "/recommend", **asked_for, gpus_allowed=["rtx-4090"])
    (rejected,) = answer["rejected"]
    run = {**asked_for, "gpu": "rtx-4090", **rejected["fix"]["changes"]}
    assert asked(client, "/estimate", **run)["verdict"]["status"] == "fits"


def test_tight_cards_are_offered_only_where_allowed(client: TestClient) -> None:
    run = {"model": "llama-3-8b", "method": "lora", "limit": 200}
    assert {option["verdict"] for option in asked(client, "/recommend", **run)["options"]} == {"fits"}
    allowed = asked(client, "/recommend", **run, allow_tight=True)["options"]
    assert {option["verdict"] for option in allowed} == {"fits", "tight"}


def test_a_currency_without_offers_is_said(client: TestClient) -> None:
    answer = asked(client, "/recommend", model="llama-3-8b", method="qlora", currency="ISK")
    assert answer["options"] == []
    assert {reason["code"] for reason in answer["decision"]["reasons"]} == {"no_offer"}


def test_without_a_method_all_three_are_considered(client: TestClient) -> None:
    options = asked(client, "/recommend", model="llama-3.2-1b", limit=3)["options"]
    assert {option["run"]["method"] for option in options} == {"full", "lora", "qlora"}
    best = asked(client, "/recommend", model="llama-3.2-1b", limit=3, optimize_for="best_quality")["options"]
    assert best[0]["run"]["method"] == "full"


def test_compare_has_every_model_under_every_method(client: TestClient) -> None:
    rows = asked(client, "/compare", models=["llama-3-8b", "mistral-7b-v0.1"])["rows"]
    assert [(row["model"], row["method"]) for row in rows] == [
        (model, method) for model in ("llama-3-8b", "mistral-7b-v0.1") for method in ("full", "lora", "qlora")
    ]
    needs = [row["estimate"]["memory"]["required_bytes"] for row in rows[:3]]
    assert needs[0] > needs[1] > needs[2]
    assert all(row["estimate"]["gpus"] == [] for row in rows)


@pytest.mark.parametrize("query", ["models=llama-3-8b,mistral-7b-v0.1", "models=llama-3-8b&models=mistral-7b-v0.1"])
def test_compare_reads_lists_with_commas_or_repeated_keys(client: TestClient, query: str) -> None:
    rows = client.get(f"{API}/compare?{query}&methods=lora").json()["rows"]
    assert [row["model"] for row in rows] == ["llama-3-8b", "mistral-7b-v0.1"]


def test_a_difference_in_time_that_rounds_to_nothing_is_not_called_longer_or_sooner(client: TestClient) -> None:
    options = asked(client, "/recommend", model="llama-3-8b", method="lora", num_examples=50)["options"]
    trades = [option["trade_off"] for option in options if option["trade_off"]]
    assert any("about as fast as" in text for text in trades)
    assert not any(" 0.0 hours" in text for text in trades)


@pytest.mark.parametrize("checkpointing", Checkpointing)
def test_an_option_names_whatever_checkpointing_was_asked_for(client: TestClient, checkpointing: Checkpointing) -> None:
    query = {"model": "mistral-7b-v0.1", "method": "qlora", "gradient_checkpointing": checkpointing.value}
    answer = client.get("/api/v1/recommend", params=query)
    assert answer.status_code == 200
    assert answer.json()["options"]
