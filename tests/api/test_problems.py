"""Whatever is wrong, the answer is a problem document, and never a 500."""

import pytest
from fastapi.testclient import TestClient

from app.catalogue.snapshot import Snapshot

URL = "/api/v1/estimate"
JSON = {"content-type": "application/json"}


def assert_problem(response: object, status: int) -> None:
    assert getattr(response, "status_code") == status  # noqa: B009
    assert getattr(response, "headers")["content-type"] == "application/problem+json"  # noqa: B009
    body = getattr(response, "json")()  # noqa: B009
    assert {"type", "title", "status", "detail"} <= set(body)
    assert body["status"] == status


@pytest.mark.parametrize("body", [b"", b"{", b"[1", b"nonsense", b'{"a": NaN}', b"\xff\xfe", b'"\\ud800"', b"[" * 5000])
def test_malformed_json_is_a_400(client: TestClient, body: bytes) -> None:
    assert_problem(client.post(URL, content=body, headers=JSON), 400)


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"text"'])
def test_json_that_is_no_object_is_a_422(client: TestClient, body: bytes) -> None:
    assert_problem(client.post(URL, content=body, headers=JSON), 422)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "multipart/form-data"])
def test_another_content_type_is_a_415(client: TestClient, kind: str) -> None:
    assert_problem(client.post(URL, content=b'{"model": "llama-3-8b"}', headers={"content-type": kind}), 415)


def test_a_large_body_is_a_413_whether_announced_or_not(client: TestClient) -> None:
    large = b'{"model": "' + b"a" * 1_000_000 + b'"}'
    assert_problem(client.post(URL, content=large, headers=JSON), 413)
    pieces = (large[start : start + 10_000] for start in range(0, len(large), 10_000))
    assert_problem(client.post(URL, content=pieces, headers=JSON), 413)


def test_a_small_body_in_pieces_is_read_whole(client: TestClient) -> None:
    pieces = iter([b'{"model": "llama', b'-3-8b", "gpus": "none"}'])
    assert client.post(URL, content=pieces, headers=JSON).status_code == 200


def test_an_oversized_config_is_refused_at_its_field(client: TestClient) -> None:
    response = client.post(URL, json={"config": {"model_type": "llama", "padding": "x" * 70_000}})
    assert_problem(response, 422)
    assert response.json()["errors"][0]["field"] == "config"


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/api/v1/nothing", 404),
    ("DELETE", URL, 405),
    ("PUT", "/api/v1/models", 405),
    ("GET", "/api/v1/models/no-such-model-anywhere", 404),
    ("GET", "/api/v1/gpus/no-such-card", 404),
    ("GET", "/api/v1/gpus?limit=0", 422),
    ("GET", "/api/v1/gpus?limit=many", 422),
    ("GET", "/api/v1/models?colour=red", 422),
    ("GET", "/api/v1/offers?gpu=no-such-card", 422),
    ("GET", f"{URL}?model=llama-3-8b&lora_rank=sixteen", 422),
    ("GET", f"{URL}?model=llama-3-8b&config=%7B%7D", 422),
    ("GET", f"{URL}?model=llama-3-8b&lora_rank=8&lora_rank=9", 422),
    ("GET", f"{URL}?model=%00%F0%9F", 422),
    ("GET", "/api/v1/compare", 422),
    ("GET", "/api/v1/recommend?model=llama-3-8b&gpus_allowed=none-such", 422),
])  # fmt: skip
def test_wrong_addresses_and_values(client: TestClient, method: str, path: str, status: int) -> None:
    assert_problem(client.request(method, path), status)


def test_a_405_says_what_is_allowed(client: TestClient) -> None:
    assert "POST" in client.delete(URL).headers["allow"]


def test_every_answer_carries_its_id_and_safe_headers(client: TestClient) -> None:
    response = client.get("/api/v1/nothing", headers={"x-request-id": "caller-1234"})
    assert response.headers["x-request-id"] == "caller-1234"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    odd = client.get("/healthz", headers={"x-request-id": "a b<script>"})
    assert odd.headers["x-request-id"] != "a b<script>"


def test_a_person_gets_a_page_and_a_program_a_document(client: TestClient) -> None:
    page = client.get("/no-such-page", headers={"accept": "text/html,application/xhtml+xml"})
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert "Go to the calculator" in page.text
    assert_problem(client.get("/no-such-page", headers={"accept": "application/json"}), 404)
    assert_problem(client.get("/api/v1/nothing", headers={"accept": "text/html"}), 404)


def test_an_address_on_an_error_page_is_escaped(client: TestClient) -> None:
    page = client.get("/%3Cscript%3Ealert(1)%3C/script%3E", headers={"accept": "text/html"})
    assert "<script>alert" not in page.text


@pytest.mark.parametrize("config", ["text", [1], 7, True])
def test_a_config_that_is_no_object_is_refused_in_plain_words(client: TestClient, config: object) -> None:
    response = client.post(URL, json={"config": config})
    assert_problem(response, 422)
    (error,) = response.json()["errors"]
    assert (error["field"], error["message"]) == ("config", "must be a JSON object, not text or a list.")


@pytest.mark.parametrize("pattern", [{}, {"hybrid_override_pattern": None}])
def test_a_config_that_comes_to_no_layers_is_refused(
    client: TestClient, snapshot: Snapshot, pattern: dict[str, None]
) -> None:
    model = snapshot.model("nemotron-3-nano-30b-a3b")
    assert model is not None
    config = {name: value for name, value in model.config.items() if name != "hybrid_override_pattern"}
    response = client.post(URL, json={"config": {**config, **pattern}, "gpus": "none"})
    assert_problem(response, 422)
    (error,) = response.json()["errors"]
    assert error["field"].startswith("config")
