"""What operators see, and what they must not."""

import json
import logging
import logging.config
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from app.ops.logs import log_config
from tests.ops.conftest import VISITOR, Caller


def _value(client: TestClient, name: str, **labels: str) -> float:
    """All samples with these labels together: other tests leave theirs under other labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return sum(
        sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


@pytest.fixture
def local(caller: Caller) -> TestClient:
    return caller("127.0.0.1")


def test_requests_are_counted_by_template_never_by_address(local: TestClient) -> None:
    wanted = {"route": "/api/v1/models/{slug}", "status": "200", "method": "GET"}
    before = _value(local, "vram_fit_responses_total", **wanted)
    routeless = _value(local, "vram_fit_responses_total", route="(none)")
    local.get("/api/v1/models/llama-3-8b")
    local.get("/api/v1/models/qwen2.5-14b-instruct")
    local.get("/wp-login.php")
    assert _value(local, "vram_fit_responses_total", **wanted) == before + 2
    assert _value(local, "vram_fit_responses_total", route="(none)") == routeless + 1
    assert "wp-login" not in local.get("/metrics").text
    assert _value(local, "vram_fit_request_seconds_count", route="/api/v1/models/{slug}") >= 2


def test_estimates_are_counted_by_method(local: TestClient) -> None:
    before = _value(local, "vram_fit_estimates_total", method="qlora")
    local.get("/api/v1/estimate?model=llama-3-8b&method=qlora&gpus=none")
    assert _value(local, "vram_fit_estimates_total", method="qlora") == before + 1


def test_the_catalogue_is_told(local: TestClient) -> None:
    assert _value(local, "vram_fit_catalogue_models") > 100


@pytest.mark.parametrize("address", [VISITOR, "10.0.0.4"])
def test_visitors_see_no_metrics(caller: Caller, address: str) -> None:
    assert caller(address).get("/metrics").status_code == 404
    assert caller(address, metrics_from=(address,)).get("/metrics").status_code == 200


@contextmanager
def _logging() -> Iterator[None]:
    """As ``vram-fit serve`` sets it up."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logging.config.dictConfig(log_config("info", "json"))
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def test_an_unexpected_error_is_logged_under_the_id_its_visitor_sees(
    caller: Caller, capfd: pytest.CaptureFixture[str]
) -> None:
    visitor = caller()

    async def fail() -> None:
        raise RuntimeError("broken")

    visitor.app.add_api_route("/fail", fail)  # type: ignore[attr-defined]
    with _logging():
        request_id = visitor.get("/fail").headers["x-request-id"]
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if request_id in line]
    failure = next(line for line in lines if line["event"] == "request failed")
    assert "RuntimeError: broken" in failure["exception"]
    assert failure["request_id"] == request_id
    assert next(line for line in lines if line["event"] == "request")["status"] == 500


def test_a_line_has_the_request_and_nothing_of_the_visitor(caller: Caller, capfd: pytest.CaptureFixture[str]) -> None:
    with _logging():
        caller().get(
            "/api/v1/estimate?model=llama-3-8b&gpus=none",
            headers={"x-request-id": "request-1", "user-agent": "agent-x", "authorization": "Bearer key-x"},
        )
    written = capfd.readouterr().err
    lines = [json.loads(line) for line in written.splitlines() if "request-1" in line]
    assert len(lines) == 1
    line = lines[0]
    assert line["event"] == "request"
    assert (line["route"], line["status"], line["method"]) == ("/api/v1/estimate", 200, "GET")
    assert line["request_id"] == "request-1"
    assert line["milliseconds"] > 0
    for personal in (VISITOR, "llama", "agent-x", "key-x"):
        assert personal not in written
