"""The OpenAPI document: every example works when pasted, and the names that clients rely on are there."""

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from app.request import FIELDS

ESTIMATE_FIELDS = {
    "verdict", "run", "field_sources", "ignored", "parameters", "memory", "speed", "time", "cost", "gpus",
    "suggestions", "assumptions", "warnings", "similar_measurements", "versions", "links",
}  # fmt: skip
MEMORY_FIELDS = {
    "peak_allocated_bytes", "peak_allocated_low_bytes", "peak_allocated_high_bytes", "peak_reserved_bytes",
    "peak_reserved_low_bytes", "peak_reserved_high_bytes", "required_bytes", "required_low_bytes",
    "required_high_bytes", "coverage", "peak_phase", "components", "overheads", "phases", "host_bytes",
}  # fmt: skip
CARD_FIELDS = {
    "slug", "name", "memory_bytes", "usable_bytes", "verdict", "reason", "headroom_bytes", "max_micro_batch_size",
    "min_gpus", "time", "cost", "offer",
}  # fmt: skip
OFFER_FIELDS = {
    "id", "provider", "gpu", "gpus_per_server", "price", "hourly", "minimum_term", "tax_included", "setup_fee",
    "commitment", "region", "in_stock", "observed_on", "is_sample", "source", "order_url",
}  # fmt: skip
OPTION_FIELDS = {
    "position", "run", "gpu", "num_gpus", "offer", "verdict", "memory", "speed", "time", "cost", "quality",
    "reasons", "trade_off",
}  # fmt: skip


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    """The document as callers get it."""
    read: dict[str, Any] = client.get("/openapi.json").json()
    return read


def validate(document: dict[str, Any], operation: dict[str, Any], body: Any) -> None:
    """Hold an answer to the schema its operation declares."""
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(body)


def test_every_body_example_works_when_pasted(client: TestClient, document: dict[str, Any]) -> None:
    sent = 0
    for path, operations in document["paths"].items():
        for operation in operations.values():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            for example in content.get("examples", {}).values():
                response = client.post(path, json=example["value"])
                assert response.status_code == 200, (path, example["summary"], response.text)
                validate(document, operation, response.json())
                sent += 1
    assert sent >= 8


def test_every_query_example_works_when_pasted(client: TestClient, document: dict[str, Any]) -> None:
    sent = 0
    for path, operations in document["paths"].items():
        operation = operations.get("get", {})
        examples = {
            parameter["name"]: parameter.get("example", next(iter(parameter["schema"].get("examples", [])), None))
            for parameter in operation.get("parameters", [])
            if parameter["in"] == "query"
        }
        given = {name: value for name, value in examples.items() if value is not None}
        if given:
            response = client.get(path, params=given)
            assert response.status_code == 200, (path, given, response.text)
            validate(document, operation, response.json())
            sent += 1
    assert sent >= 5


def test_every_run_endpoint_documents_every_field(document: dict[str, Any]) -> None:
    for path in ("/api/v1/estimate", "/api/v1/compare", "/api/v1/recommend", "/api/v1/solve"):
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert set(FIELDS) <= set(body["properties"])
        assert body["additionalProperties"] is False
        query = {parameter["name"] for parameter in document["paths"][path]["get"]["parameters"]}
        assert set(FIELDS) - {"config"} <= query
        assert all(parameter["description"] for parameter in document["paths"][path]["get"]["parameters"])


def test_errors_are_documented_as_problems_only(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status.startswith(("4", "5")):
                    assert list(response["content"]) == ["application/problem+json"], (path, status)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_operations_have_unique_names(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))


def test_the_names_clients_rely_on_are_there(client: TestClient) -> None:
    run = {"model": "mistral-7b-v0.1", "method": "qlora", "gpu": "rtx-4090"}
    estimate = client.post("/api/v1/estimate", json=run).json()
    assert set(estimate) >= ESTIMATE_FIELDS
    assert set(estimate["memory"]) >= MEMORY_FIELDS
    assert set(estimate["run"]) == set(FIELDS)
    assert set(estimate["parameters"]) == {"total", "trainable", "frozen", "adapter", "active"}
    assert set(estimate["versions"]) >= {"memory_model", "speed_model", "catalogue"}
    assert set(estimate["links"]) >= {"self", "page"}
    assert set(estimate["memory"]["components"][0]) == {"name", "bytes", "explanation", "formula", "source"}
    card = next(card for card in estimate["gpus"] if card["offer"])
    assert set(card) >= CARD_FIELDS
    assert set(card["offer"]) >= OFFER_FIELDS
    assert set(card["offer"]["price"]) == {"amount", "currency", "period"}
    answer = client.post("/api/v1/recommend", json=run).json()
    assert set(answer) >= {"options", "pareto", "rejected", "decision", "evaluations", "contact_url"}
    assert set(answer["options"][0]) >= OPTION_FIELDS
    solved = client.post("/api/v1/solve", json={**run, "unknown": "sequence_length"}).json()
    assert set(solved) >= {"unknown", "answer", "run", "memory", "limited_by"}
    assert set(solved["run"]) == set(FIELDS)
    assert set(solved["memory"]) >= MEMORY_FIELDS


def test_the_document_is_generated_once(application: FastAPI) -> None:
    assert application.openapi() is application.openapi()
