"""``/serve`` over HTTP: figures that add up, links that repeat the answer, and errors that name the field."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

SERVE = "/api/v1/serve"


def answer(client: TestClient, **asked: Any) -> dict[str, Any]:
    response = client.get(SERVE, params=asked)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def by_format(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {report["serve_as"]: report for report in result["formats"]}


def test_llama_3_8b_keeps_128_kib_a_token_and_a_gib_a_request(client: TestClient) -> None:
    result = answer(client, model="llama-3-8b", gpu="rtx-4090")
    assert result["cache"]["bytes_per_token"] == 131_072
    assert result["cache"]["request_low_bytes"] == result["cache"]["request_high_bytes"] == 2**30
    formats = by_format(result)
    assert set(formats) == {"merged", "gptq", "awq", "adapters"}
    assert formats["merged"]["weights"]["total_bytes"] == 2 * result["parameters"]
    assert formats["awq"]["weights"]["total_bytes"] < formats["gptq"]["weights"]["total_bytes"]


def test_a_placement_s_bytes_add_up_to_what_the_server_may_use(client: TestClient) -> None:
    for report in answer(client, model="qwen2.5-14b", gpu="a100-80gb-sxm", adapters=8)["formats"]:
        placed = report["placement"]
        parts = ("weights_bytes", "adapters_high_bytes", "reserve_high_bytes", "cache_low_bytes")
        assert sum(placed[part] for part in parts) == placed["budget_bytes"]
        assert placed["requests_low"] == placed["cache_low_bytes"] // placed["request_high_bytes"]


def test_post_and_get_and_the_permalink_answer_the_same(client: TestClient) -> None:
    asked = {"model": "llama-3-70b", "serve_as": "gptq", "concurrent_requests": 16, "gpu": "h100-sxm"}
    posted = client.post(SERVE, json=asked).json()
    assert posted == answer(client, **asked)
    assert client.get(posted["links"]["self"]).json() == posted
    assert client.get(posted["links"]["page"]).status_code == 200


def test_offers_are_cheapest_first_and_each_surely_serves_what_was_asked(client: TestClient) -> None:
    result = answer(client, model="mistral-7b-v0.1", concurrent_requests=20, context_length=4096)
    amounts = [float(option["monthly"]["amount"]) for option in result["options"]]
    assert len(amounts) > 5
    assert amounts == sorted(amounts)
    for option in result["options"]:
        assert option["placement"]["fits"]
        assert option["placement"]["requests_low"] >= 20
        assert option["offer"]["gpus_per_server"] >= option["placement"]["cards"]
    assert by_format(result)["merged"]["cheapest"] == result["options"][0]


def test_a_card_without_the_kernels_says_so(client: TestClient) -> None:
    formats = by_format(answer(client, model="llama-3-8b", gpu="mi300x"))
    assert formats["merged"]["placement"] is not None
    assert formats["awq"]["placement"] is None
    assert "no kernel for this weight format" in formats["awq"]["reason"]
    assert (
        "no fp8"
        in by_format(answer(client, model="llama-3-8b", gpu="rtx-3090", kv_cache_dtype="fp8"))["merged"]["reason"]
    )


def test_a_posted_configuration_gets_a_link(client: TestClient) -> None:
    config = {
        "model_type": "llama",
        "vocab_size": 32000,
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
    }
    posted = client.post(SERVE, json={"config": config}).json()
    assert posted["cache"]["bytes_per_token"] == 2 * 22 * 4 * 64 * 2
    assert "model=config:" in posted["links"]["self"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"model": "lama 3 8b"}, "model"),
        ({}, "model"),
        ({"model": "llama-3-8b", "context_length": 0}, "context_length"),
        ({"model": "llama-3-8b", "gpu_memory_utilization": 1.5}, "gpu_memory_utilization"),
        ({"model": "llama-3-8b", "serve_as": "gguf"}, "serve_as"),
        ({"model": "llama-3-8b", "gpu": "rtx-9999"}, "gpu"),
        ({"model": "llama-3-8b", "lora_target_modules": "nothing_proj"}, "lora_target_modules"),
        ({"model": "llama-3-8b", "concurent_requests": 5}, "concurent_requests"),
        ({"model": "llama-3-8b", "provider": False}, "provider"),
        ({"model": "llama-3-8b", "lora_target_modules": [""]}, "lora_target_modules"),
    ],
)
def test_what_is_wrong_names_its_field(client: TestClient, asked: dict[str, Any], field: str) -> None:
    response = client.post(SERVE, json=asked)
    assert response.status_code == 422
    assert field in {error["field"] for error in response.json()["errors"]}


def test_a_longer_context_than_the_model_s_is_warned_of(client: TestClient) -> None:
    codes = {notice["code"] for notice in answer(client, model="llama-3-8b", context_length=50_000)["warnings"]}
    assert codes == {"beyond_context"}
