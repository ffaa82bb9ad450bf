"""Traces: what is in them, what is not, that they arrive at a collector, and that none are made unless asked for."""

import gzip
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from app.main import create_app
from app.settings import Settings
from tests.ops.conftest import Caller
from tests.ops.serving import served

RUN = {"model": "llama-3-8b", "method": "qlora", "gpu": "rtx-4090", "gpus": "none"}


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Spans as they end, instead of in batches."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("app.ops.tracing.provider_of", lambda _: provider)
    return exporter


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def named(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def test_a_request_is_a_span_with_its_calculation_below_it(caller: Caller, kept: InMemorySpanExporter) -> None:
    answer = caller(traces_to="http://collector.invalid").post("/api/v1/estimate", json=RUN)
    assert answer.status_code == 200
    spans = named(kept)
    request, estimate = spans["POST /api/v1/estimate"], spans["estimate"]
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.route": "/api/v1/estimate",
        "http.response.status_code": 200,
        "vram_fit.request_id": answer.headers["x-request-id"],
    }
    assert estimate.parent is not None
    assert request.context is not None
    assert estimate.parent.span_id == request.context.span_id


def test_what_is_computed_beside_the_event_loop_is_below_its_request(
    caller: Caller, kept: InMemorySpanExporter
) -> None:
    caller(traces_to="http://collector.invalid").get("/api/v1/compare?models=llama-3-8b&methods=lora,qlora")
    spans = kept.get_finished_spans()
    (compare,) = [span for span in spans if span.name == "compare"]
    assert compare.context is not None
    below = [span for span in spans if span.parent is not None and span.parent.span_id == compare.context.span_id]
    assert [span.name for span in below] == ["estimate", "estimate"]


def test_nothing_of_the_visitor_is_in_a_span(caller: Caller, kept: InMemorySpanExporter) -> None:
    visitor = caller(traces_to="http://collector.invalid")
    secret = "S3cretQuestion"
    headers = {
        "user-agent": secret,
        "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01",
        "authorization": f"Bearer {secret}",
    }
    for path in (f"/?model={secret}", f"/models/{secret}", f"/{secret}", f"/api/v1/models?q={secret}"):
        visitor.get(path, headers=headers)
    spans = kept.get_finished_spans()
    assert len([span for span in spans if span.parent is None]) == 4
    for span in spans:
        told = span.to_json()
        assert secret not in told
        assert "203.0.113." not in told
        assert span.context is not None
        assert f"{span.context.trace_id:032x}" != "ab" * 16


def test_an_error_of_ours_marks_its_span_without_its_words(
    caller: Caller, kept: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("holds what was asked for")

    monkeypatch.setattr("app.api.runs.estimate", broken)
    assert caller(traces_to="http://collector.invalid").post("/api/v1/estimate", json=RUN).status_code == 500
    (span,) = kept.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert "holds what was asked for" not in span.to_json()


def test_statements_of_a_request_are_spans_and_the_service_s_own_are_not(
    catalogue_database_url: str, kept: InMemorySpanExporter
) -> None:
    settings = Settings(
        _env_file=None,
        database_url=catalogue_database_url,
        hub_url=None,
        traces_to="http://collector.invalid",
        catalogue_poll_seconds=0.05,
    )
    with TestClient(create_app(settings)) as visitor:
        visitor.get("/api/v1/estimate?model=config:0123456789abcdef0123456789abcdef")
        threading.Event().wait(0.3)
    spans = kept.get_finished_spans()
    (request,) = [span for span in spans if span.parent is None]
    statements = [span for span in spans if "db.query.text" in attributes(span)]
    assert statements
    for span in statements:
        assert span.context is not None
        assert request.context is not None
        assert span.context.trace_id == request.context.trace_id
        assert attributes(span)["db.system.name"] in {"sqlite", "postgresql"}
        assert "0123456789abcdef" not in span.to_json()


class _Collector(BaseHTTPRequestHandler):
    """Takes traces as an OpenTelemetry collector does."""

    taken: list[ExportTraceServiceRequest]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        assert self.path == "/v1/traces"
        self.taken.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    taken: list[ExportTraceServiceRequest] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Collector", (_Collector,), {"taken": taken}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", taken
    server.shutdown()
    thread.join()


def test_the_command_sends_them_to_the_collector_before_it_ends(
    sqlite_templates: dict[str, Path], tmp_path: Path, collector: tuple[str, list[ExportTraceServiceRequest]]
) -> None:
    address, taken = collector
    shutil.copy(sqlite_templates["bundled"], tmp_path / "catalogue.db")
    with served(f"sqlite:///{tmp_path / 'catalogue.db'}", tmp_path, {"VRAM_FIT_TRACES_TO": address}) as (
        url,
        process,
        _,
    ):
        httpx.post(f"{url}/api/v1/estimate", json=RUN).raise_for_status()
        process.terminate()
        process.wait(timeout=30)
    resources = [group for message in taken for group in message.resource_spans]
    names = {span.name for group in resources for scope in group.scope_spans for span in scope.spans}
    assert {"POST /api/v1/estimate", "estimate"} <= names
    told = {pair.key: pair.value.string_value for group in resources for pair in group.resource.attributes}
    assert told["service.name"] == "vram-fit"


def test_none_are_made_and_nothing_is_loaded_unless_asked_for(caller: Caller, kept: InMemorySpanExporter) -> None:
    caller().post("/api/v1/estimate", json=RUN)
    assert kept.get_finished_spans() == ()
    assert not trace.get_current_span().is_recording()
    words = "import sys, app.main; print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    found = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_without_the_packages_the_start_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from app.ops.tracing import TracingError, provider_of

    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(TracingError, match=r"requirements-telemetry\.txt"):
        provider_of(Settings(_env_file=None, traces_to="http://127.0.0.1:4318"))
