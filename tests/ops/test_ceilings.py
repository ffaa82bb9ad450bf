"""Bodies that are too large, too slow or never end."""

import asyncio
import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.ops.body_limit import BodyLimit
from tests.ops.conftest import Caller


def _endless() -> Iterator[bytes]:
    for _ in range(1_000):
        yield b" " * 1024


@pytest.mark.parametrize("content", [b" " * 200_000, _endless])
def test_a_body_beyond_the_limit_is_refused_announced_or_not(client: TestClient, content: Any) -> None:
    body = content() if callable(content) else content
    answer = client.post("/api/v1/estimate", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_that_does_not_arrive_is_given_up() -> None:
    async def never(*_: Any) -> None:
        raise AssertionError("the body never arrived")

    async def drip() -> dict[str, Any]:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b" ", "more_body": True}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    limited = BodyLimit(never, lambda _: 100_000, timeout_seconds=0.1)
    scope = {"type": "http", "method": "POST", "path": "/api/v1/estimate", "headers": [(b"content-length", b"5000")]}
    asyncio.run(limited(scope, drip, send))
    assert sent[0]["status"] == 408


def test_a_batch_has_a_ceiling(client: TestClient) -> None:
    answer = client.post("/api/v1/estimate/batch", json={"runs": [{"model": "llama-3-8b"}] * 101})
    assert answer.status_code == 422


@pytest.mark.parametrize("depth", [200, 20_000])
def test_deep_nesting_is_no_error_of_ours(caller: Caller, depth: int) -> None:
    body = b'{"model":' + b"[" * depth + b"]" * depth + b"}"
    answer = caller().post("/api/v1/estimate", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 422}


@pytest.mark.parametrize(
    ("path", "kind", "content"),
    [
        ("/api/v1/estimate", "application/json", '{"model": "llama-3-8b", "method": "lora", "method": "full"}'),
        ("/config", "application/x-www-form-urlencoded", "config=%7B%22method%22%3A1%2C%22method%22%3A2%7D"),
    ],
)
def test_a_key_given_twice_is_refused_by_name(client: TestClient, path: str, kind: str, content: str) -> None:
    answer = client.post(path, content=content, headers={"content-type": kind})
    assert answer.status_code in {400, 422}
    assert "“method” stands in one object more than once" in answer.text


def test_a_byte_order_mark_is_no_error(client: TestClient) -> None:
    body = b'\xef\xbb\xbf{"model": "llama-3-8b"}'
    answer = client.post("/api/v1/estimate", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200


def test_a_compressed_body_is_not_unpacked(client: TestClient) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert client.post("/api/v1/estimate", content=bomb, headers=headers).status_code == 400


@pytest.mark.parametrize(
    "config",
    [
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": 1024, "hidden_size": 2**24, "vocab_size": 2**24, "intermediate_size": 2**24},
        {"model_type": "mixtral", "num_local_experts": 10**6},
        {"layer_types": ["full_attention"] * 5_000},
        {"rope_scaling": {"a": [0] * 5_000}},
    ],
)
def test_a_configuration_of_a_monster_is_refused_or_answered_at_once(
    client: TestClient, config: dict[str, Any]
) -> None:
    small = {
        "model_type": "llama", "hidden_size": 256, "intermediate_size": 688, "num_attention_heads": 4,
        "num_hidden_layers": 2, "vocab_size": 32_000, "max_position_embeddings": 2_048,
    }  # fmt: skip
    started = time.process_time()
    answer = client.post("/api/v1/estimate", json={"config": small | config, "gpus": "none"})
    assert answer.status_code in {200, 422}
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("path", "limit"), [("/dataset", 4 * 1024 * 1024), ("/de/dataset", 4 * 1024 * 1024), ("/config", 128 * 1024)]
)
def test_a_form_takes_its_own_limit_and_no_more(client: TestClient, path: str, limit: int) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert client.post(path, content=b"a=" + b"b" * limit, headers=headers).status_code == 413


@pytest.mark.parametrize("value", [10**300, 1e308, -1, 10**5], ids=["long", "float", "negative", "large"])
@pytest.mark.parametrize("name", ["intermediate_size", "partial_rotary_factor"])
def test_a_number_beyond_all_bounds_is_refused_in_words(client: TestClient, name: str, value: float) -> None:
    config = {
        "model_type": "qwen2", "hidden_size": 256, "intermediate_size": 688, "num_attention_heads": 4,
        "num_hidden_layers": 2, "vocab_size": 32_000,
    } | {name: value}  # fmt: skip
    answer = client.post("/api/v1/estimate", json={"config": config, "gpus": "none"})
    assert answer.status_code == (200 if (name, value) == ("intermediate_size", 10**5) else 422)
    for language in ("", "/de"):
        pasted = client.post(f"{language}/config", data={"config": json.dumps(config)}, follow_redirects=False)
        assert pasted.status_code == (303 if answer.status_code == 200 else 422)
