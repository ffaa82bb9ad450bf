"""``/recommend`` and ``/compare``."""

from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient

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


def test_every_option_holds_the_run_by_the_estimates_own_verdict(client: TestClient) -> None:
    for option in asked(client, "/recommend", model="llama-3-8b", limit=5)["options"]:
        run = {"model": "llama-3-8b", "method": option["run"]["method"], "gpu": option["gpu"], "gpus": "none"}
        assert asked(client, "/estimate", **run)["verdict"]["status"] == option["verdict"] == "fits"


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
    answer = asked(client, "/recommend", model="llama-3-8b", method="lora", stack="plain", gpus_allowed=["rtx-4090"])
    (rejected,) = answer["rejected"]
    run = {"model": "llama-3-8b", "method": "lora", "stack": "plain", "gpu": "rtx-4090", **rejected["fix"]["changes"]}
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
