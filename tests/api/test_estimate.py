"""``/estimate``: shapes, sums, verdicts, links, configurations."""

import math
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.request import FIELDS, STACK_FIELDS

URL = "/api/v1/estimate"
RUN = {"model": "llama-3-8b", "method": "qlora", "gpu": "rtx-3090"}
CONFIG = {
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 512,
    "intermediate_size": 1376,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
}


def estimated(client: TestClient, **run: Any) -> dict[str, Any]:
    response = client.post(URL, json=run)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def problem_of(client: TestClient, **run: Any) -> dict[str, Any]:
    response = client.post(URL, json=run)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    return body


def test_components_and_overheads_sum_to_their_totals(client: TestClient) -> None:
    memory = estimated(client, **RUN)["memory"]
    components = sum(part["bytes"] for part in memory["components"])
    assert components == memory["peak_allocated_bytes"]
    assert components + sum(part["bytes"] for part in memory["overheads"]) == memory["required_bytes"]
    for phase in memory["phases"]:
        assert sum(part["bytes"] for part in phase["components"]) == phase["bytes"]
    assert max(phase["bytes"] for phase in memory["phases"]) == memory["peak_allocated_bytes"]
    assert memory["required_low_bytes"] <= memory["required_bytes"] <= memory["required_high_bytes"]


def test_the_verdict_speaks_of_the_results_own_numbers(client: TestClient) -> None:
    result = estimated(client, **RUN)
    verdict = result["verdict"]
    needed = f"{result['memory']['required_bytes'] / 2**30:.1f}"
    assert verdict["status"] == "fits"
    assert f"needs {needed} of the" in verdict["sentence"]
    assert verdict["headroom_bytes"] == verdict["usable_bytes"] - verdict["required_bytes"]
    assert estimated(client, model="llama-3-8b")["verdict"] is None


@pytest.mark.parametrize(
    ("run", "status"),
    [
        ({"model": "llama-3-70b", "method": "full", "gpu": "rtx-3090"}, "does_not_fit"),
        ({"model": "llama-3-8b", "precision": "bf16-mixed", "gpu": "rtx-2080-ti"}, "unsupported"),
    ],
)
def test_a_card_that_will_not_do_is_told_apart(client: TestClient, run: dict[str, Any], status: str) -> None:
    verdict = estimated(client, **run)["verdict"]
    assert verdict["status"] == status
    assert verdict["reason"]


def test_the_run_comes_back_filled_in_and_can_be_sent_again(client: TestClient) -> None:
    first = estimated(client, **RUN)
    assert set(first["run"]) == set(FIELDS)
    assert set(first["field_sources"]) == set(FIELDS)
    again = estimated(client, **first["run"])
    assert again["memory"] == first["memory"]
    assert {again["field_sources"][name] for name in STACK_FIELDS} == {"request"}


def test_get_and_post_answer_alike_and_the_link_leads_back(client: TestClient) -> None:
    posted = estimated(client, **RUN)
    assert posted["links"]["self"] == f"{URL}?model=llama-3-8b&method=qlora&gpu=rtx-3090"
    fetched = client.get(posted["links"]["self"])
    assert fetched.status_code == 200
    assert fetched.json() == posted


def test_listed_cards_hold_the_run_and_carry_offers(client: TestClient) -> None:
    fitting = estimated(client, model="mistral-7b-v0.1", method="qlora")["gpus"]
    assert {card["verdict"] for card in fitting} <= {"fits", "tight"}
    assert any(card["offer"] for card in fitting)
    for card in fitting:
        assert card["offer"] is None or card["offer"]["gpu"] == card["slug"]
        assert card["offer"] is None or card["offer"]["price"]["currency"] == "USD"
    everything = estimated(client, model="mistral-7b-v0.1", method="full", gpus="all")["gpus"]
    assert len(everything) == 97
    assert estimated(client, model="mistral-7b-v0.1", gpus="none")["gpus"] == []
    assert all(
        card["min_gpus"] is None or card["min_gpus"] >= 2 for card in everything if card["verdict"] == "does_not_fit"
    )
    assert any((card["min_gpus"] or 0) >= 2 for card in everything)


def test_the_largest_micro_batch_of_a_card_fits_it_and_one_more_does_not(client: TestClient) -> None:
    run = {"model": "llama-3-8b", "method": "qlora", "gpus": "all"}
    card = next(card for card in estimated(client, **run)["gpus"] if card["slug"] == "rtx-4090")
    largest = card["max_micro_batch_size"]
    usable = card["usable_bytes"]
    needed = [
        estimated(client, **{**run, "gpus": "none", "micro_batch_size": size})["memory"]["required_bytes"]
        for size in (largest, largest + 1)
    ]
    # The estimate rounds each tensor to the allocator's block; the affine form does not.
    assert needed[0] <= usable * 1.001
    assert needed[1] > usable * 0.999


def test_suggestions_are_changes_that_save_what_they_say(client: TestClient) -> None:
    run = {"model": "llama-3-8b", "method": "lora", "stack": "plain", "gpu": "rtx-3090"}
    result = estimated(client, **run)
    assert result["suggestions"]
    for suggestion in result["suggestions"]:
        changed = estimated(client, **{**run, **suggestion["changes"]})
        saved = result["memory"]["required_bytes"] - changed["memory"]["required_bytes"]
        assert saved == suggestion["saves_bytes"] > 0, suggestion["text"]


def test_a_posted_config_is_kept_under_its_hash(client: TestClient) -> None:
    posted = estimated(client, config=CONFIG, method="full", gpus="none")
    reference = posted["run"]["model"]
    assert reference.startswith("config:")
    assert posted["run"]["config"] is None
    fetched = client.get(posted["links"]["self"])
    assert fetched.status_code == 200
    assert fetched.json()["parameters"] == posted["parameters"]
    # 2 · V·h + L · (4h² + 3·h·i + 2h) + h
    assert posted["parameters"]["total"] == 2 * 32000 * 512 + 4 * (4 * 512**2 + 3 * 512 * 1376 + 1024) + 512
    assert problem_of(client, model="config:0123456789abcdef")["errors"][0]["field"] == "model"


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "config.model_type"),
        ({key: value for key, value in CONFIG.items() if key != "hidden_size"}, "config.hidden_size"),
        ({**CONFIG, "hidden_size": -4}, "config.hidden_size"),
        ({**CONFIG, "num_hidden_layers": 10**9}, "config.num_hidden_layers"),
        ({**CONFIG, "num_key_value_heads": 3}, "config.num_key_value_heads"),
        ({**CONFIG, "vocab_size": "many"}, "config.vocab_size"),
    ],
)
def test_a_config_that_describes_no_model_names_its_key(client: TestClient, config: dict[str, Any], field: str) -> None:
    assert problem_of(client, config=config)["errors"][0]["field"] == field


def test_names_that_are_not_known_get_suggestions(client: TestClient) -> None:
    model = problem_of(client, model="lama-3-8b")["errors"][0]
    assert model["field"] == "model"
    assert "llama-3-8b" in model["suggestions"]
    card = problem_of(client, model="llama-3-8b", gpu="rtx-4091")["errors"][0]
    assert card["field"] == "gpu"
    assert card["suggestions"]
    targets = problem_of(client, model="llama-3-8b", lora_target_modules=["q_prj"])["errors"][0]
    assert targets["suggestions"] == ["q_proj"]


def test_an_unknown_field_is_refused_by_name(client: TestClient) -> None:
    error = problem_of(client, model="llama-3-8b", micro_batch=2)["errors"][0]
    assert error["field"] == "micro_batch"
    assert "micro_batch_size" in error["suggestions"]


def test_the_hub_id_and_short_names_mean_the_same_model(client: TestClient) -> None:
    names = ("llama-3-8b", "meta-llama/Meta-Llama-3-8B", "llama 3 8b")
    answers = [estimated(client, model=name, gpus="none")["memory"] for name in names]
    assert answers[0] == answers[1] == answers[2]


def test_workspaces_are_left_out_where_traces_are_compared(client: TestClient) -> None:
    run = {"model": "llama-3-8b", "gpus": "none"}
    with_them = estimated(client, **run)["memory"]["components"]
    without = estimated(client, **run, include_workspaces=False)["memory"]["components"]
    assert "workspaces" in {part["name"] for part in with_them if part["bytes"]}
    assert "workspaces" not in {part["name"] for part in without if part["bytes"]}


def test_each_part_has_a_formula_where_it_is_asked_for(client: TestClient) -> None:
    run = {"model": "llama-3-8b", "gpus": "none", "method": "qlora"}
    memory = estimated(client, **run, explain=True)["memory"]
    for part in (*memory["components"], *memory["overheads"]):
        assert part["formula"].endswith(f"{part['bytes']:,} B"), part
        assert part["source"]
    assert all(part.get("formula") is None for part in estimated(client, **run)["memory"]["components"])


def test_a_batch_answers_each_run_by_itself(client: TestClient) -> None:
    body = {"runs": [RUN, {"model": "nothing-like-it"}, {"lora_rank": 0}]}
    results = client.post(f"{URL}/batch", json=body).json()["results"]
    assert results[0]["estimate"]["verdict"]["status"] == "fits"
    assert results[0]["errors"] == []
    assert [result["errors"][0]["field"] for result in results[1:]] == ["model", "lora_rank"]


@pytest.mark.parametrize("body", [[], {}, {"runs": []}, {"runs": [RUN] * 101}, {"runs": [1]}, {"runs": "x"}])
def test_a_batch_that_is_none_is_refused(client: TestClient, body: Any) -> None:
    response = client.post(f"{URL}/batch", json=body)
    assert response.status_code == 422


@pytest.mark.parametrize(
    "degrees",
    [
        {"num_gpus": 6, "tensor_parallel": 3},
        {"num_gpus": 8, "tensor_parallel": 8},
        {"num_gpus": 8, "pipeline_parallel": 8},
        {"num_gpus": 5, "pipeline_parallel": 5},
        {"num_gpus": 12, "tensor_parallel": 3, "pipeline_parallel": 2, "context_parallel": 2},
    ],
)
def test_cards_too_small_are_counted_only_in_numbers_that_the_degrees_divide(
    client: TestClient, degrees: dict[str, int]
) -> None:
    response = client.post(URL, json={"model": "mixtral-8x7b-v0.1", "method": "full", "gpus": "all", **degrees})
    assert response.status_code == 200
    model_parallel = math.prod(size for name, size in degrees.items() if name != "num_gpus")
    short = [card["min_gpus"] for card in response.json()["gpus"] if card["verdict"] == "does_not_fit"]
    assert short
    assert all(count is None or count % model_parallel == 0 for count in short)


def test_a_suggestion_that_would_leave_a_fields_bounds_is_not_made(client: TestClient) -> None:
    most = 1_048_576
    response = client.post(URL, json={"model": "llama-3-8b", "gradient_accumulation_steps": most, "gpus": "none"})
    assert response.status_code == 200
    changes = [suggestion["changes"] for suggestion in response.json()["suggestions"]]
    assert changes
    assert all(change.get("gradient_accumulation_steps", most) <= most for change in changes)


@pytest.mark.parametrize(
    ("model", "degrees", "field", "allowed"),
    [
        ("llama-3-8b", {"num_gpus": 64, "pipeline_parallel": 64}, "pipeline_parallel", "a whole number from 1 to 32"),
        ("mixtral-8x7b-v0.1", {"num_gpus": 256, "expert_parallel": 256}, "expert_parallel", "a divisor of 8"),
        ("mixtral-8x7b-v0.1", {"num_gpus": 3, "expert_parallel": 3}, "expert_parallel", "a divisor of 8"),
    ],
)
def test_degrees_that_the_model_cannot_be_split_into_are_refused(
    client: TestClient, model: str, degrees: dict[str, int], field: str, allowed: str
) -> None:
    response = client.post(URL, json={"model": model, "gpus": "none", **degrees})
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert (error["field"], error["allowed"]) == (field, allowed)


def test_as_many_stages_as_layers_and_groups_as_experts_are_taken(client: TestClient) -> None:
    estimated(client, model="llama-3-8b", num_gpus=32, pipeline_parallel=32, gpus="none")
    estimated(client, model="mixtral-8x7b-v0.1", num_gpus=8, expert_parallel=8, gpus="none")


def test_a_quantised_mixture_says_that_its_experts_are_not(client: TestClient) -> None:
    codes = {
        (model, method): [item["code"] for item in estimated(client, model=model, method=method)["warnings"]]
        for model in ("mixtral-8x7b-v0.1", "llama-3-8b")
        for method in ("lora", "qlora")
    }
    told = [run for run, warnings in codes.items() if "experts_not_quantised" in warnings]
    assert told == [("mixtral-8x7b-v0.1", "qlora")]


def test_a_model_that_cannot_be_split_so_leaves_the_others_of_a_comparison(client: TestClient) -> None:
    response = client.post(
        "/api/v1/compare",
        json={"models": ["llama-3-8b", "llama-3-70b"], "methods": ["lora"], "num_gpus": 64, "pipeline_parallel": 64},
    )
    assert response.status_code == 200
    small, large = response.json()["rows"]
    assert small["estimate"] is None
    assert "32 layers" in small["error"]
    assert large["estimate"]["memory"]["required_bytes"] > 0


def test_a_model_that_sees_says_what_an_image_takes(client: TestClient) -> None:
    result = estimated(client, model="gemma-3-4b-it", gpus="none")
    assert result["model"]["image_tokens"]["tokens"] == 256
    assert result["model"]["image_tokens"]["sizing"] == "fixed"
    assert "One image takes 256 tokens of the sequence; sequence_length counts them." in result["assumptions"]
    assert estimated(client, model="llama-3-8b", gpus="none")["model"]["image_tokens"] is None


@pytest.mark.parametrize(("sequence_length", "warned"), [(255, True), (256, False)])
def test_sequences_too_short_for_an_image_are_named(client: TestClient, sequence_length: int, warned: bool) -> None:
    result = estimated(client, model="gemma-3-4b-it", sequence_length=sequence_length, gpus="none")
    texts = {notice["code"]: notice["text"] for notice in result["warnings"]}
    expected = "One image takes 256 tokens: sequences of 255 hold text only."
    assert texts.get("images_beyond_sequence") == (expected if warned else None)
