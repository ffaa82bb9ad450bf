"""``/solve`` over HTTP: the contract's names, its errors, and that its links lead to the same figures."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

API = "/api/v1"
RUN = {"model": "llama-3-8b", "method": "qlora", "gpu": "rtx-4090"}


def asked(client: TestClient, **body: Any) -> dict[str, Any]:
    response = client.post(f"{API}/solve", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def refused(client: TestClient, **body: Any) -> dict[str, Any]:
    response = client.post(f"{API}/solve", json=body)
    assert response.status_code == 422, response.text
    (error,) = response.json()["errors"]
    found: dict[str, Any] = error
    return found


@pytest.mark.parametrize("unknown", ["micro_batch_size", "sequence_length", "lora_rank", "num_gpus", "model"])
def test_every_unknown_has_an_answer_whose_links_lead_to_the_same_figures(client: TestClient, unknown: str) -> None:
    answer = asked(client, **RUN, unknown=unknown)
    assert {"unknown", "answer", "run", "memory", "limited_by"} <= set(answer)
    assert answer["unknown"] == unknown
    assert answer["answer"] == answer["run"][unknown]
    estimate = client.get(answer["links"]["estimate"]).json()
    assert estimate["verdict"] == answer["verdict"]
    assert estimate["memory"] == answer["memory"]
    assert estimate["speed"] == answer["speed"]
    assert estimate["cost"] == answer["cost"]
    again = client.get(answer["links"]["self"]).json()
    assert again["answer"] == answer["answer"]
    assert client.get(answer["links"]["calculator"]).status_code == 200


def test_a_budget_alone_finds_card_and_offer(client: TestClient) -> None:
    answer = asked(client, model="llama-3-8b", method="lora", unknown="micro_batch_size", budget=3)
    assert float(answer["cost"]["amount"]) <= 3
    assert answer["cost"]["offer"]["gpu"] == answer["run"]["gpu"]


def test_the_unknown_s_own_value_is_ignored_and_said_to_be(client: TestClient) -> None:
    plain = asked(client, **RUN, unknown="sequence_length")
    given = asked(client, **RUN, unknown="sequence_length", sequence_length=7)
    assert given["answer"] == plain["answer"]
    assert given["ignored"] == ["sequence_length"]
    assert asked(client, **RUN, unknown="model")["ignored"] == ["model"]


def test_an_unknown_may_be_named_as_trainers_name_it(client: TestClient) -> None:
    names = ("micro_batch_size", "per_device_train_batch_size", "batch_size")
    assert len({asked(client, **RUN, unknown=name)["answer"] for name in names}) == 1


def test_a_pasted_config_is_asked_about_by_its_hash(client: TestClient) -> None:
    config = {
        "model_type": "llama",
        "vocab_size": 32000,
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "max_position_embeddings": 2048,
    }
    answer = asked(client, config=config, method="qlora", gpu="rtx-4090", unknown="sequence_length")
    assert (answer["answer"], answer["limited_by"]) == (2048, "model_context")
    assert client.get(answer["links"]["estimate"]).json()["memory"] == answer["memory"]


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"unknown": None}, "unknown", "is required"),
        ({"unknown": "epochs"}, "unknown", "not one of the choices"),
        ({"gpu": None}, "gpu", "unless a budget is given"),
        ({"gpu": "rtx-4091"}, "gpu", "rtx-4090"),
        ({"model": "lama-3-8b"}, "model", "llama-3-8b"),
        ({"method": "full", "unknown": "lora_rank"}, "unknown", "full fine-tuning"),
        ({"budget": 0}, "budget", "too small"),
        ({"global_batch_size": 8, "gradient_accumulation_steps": 2}, "global_batch_size", "leave one"),
        ({"unknown": "num_gpus", "tensor_parallel": 16, "max_gpus": 8}, "max_gpus", "parallel degrees"),
        ({"unknown": "num_gpus", "global_batch_size": 7, "micro_batch_size": 2}, "global_batch_size", "multiple of"),
        ({"offload": "some"}, "offload", "not one of the choices"),
        ({"unknown": "model", "lora_target_modules": ["nothing"]}, "lora_target_modules", "names no projection"),
        ({"unknown": "model", "pipeline_parallel": 200, "num_gpus": 200}, "pipeline_parallel", "more stages"),
    ],
)
def test_what_is_wrong_is_named(client: TestClient, changes: dict[str, Any], field: str, said: str) -> None:
    error = refused(client, **{**RUN, "unknown": "micro_batch_size", **changes})
    assert error["field"] == field
    assert said in str(error)


def test_the_fewest_cards_keep_the_run_s_parallel_degrees(client: TestClient) -> None:
    run = {"model": "llama-3-70b", "method": "full", "gpu": "h100-sxm", "unknown": "num_gpus"}
    answer = asked(client, **run, tensor_parallel=4)
    assert answer["answer"] % 4 == 0
    assert answer["limit"]["next"] == answer["answer"] - 4
    single = asked(client, **run, strategy="single")
    assert (single["answer"], single["run"]["num_gpus"]) == (None, 1)
