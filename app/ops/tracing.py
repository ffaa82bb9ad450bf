"""OpenTelemetry traces of requests, of the SQL they need and of the estimates they make; off unless switched on.

Nothing here says who asked or for what: a span has its route's template, status and request id, SQL with its
placeholders, and the name of a calculation. The ready-made instrumentations record addresses, queries and user agents,
and the SDK of the tool endpoint would join in if the provider were the global one; so the spans are made here.
"""

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from sqlalchemy import Engine, event
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import __version__
from app.ops.routes import RouteNames
from app.settings import Settings
from app.spans import OPENER

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

NAME: Final = "vram-fit"
MAX_SQL_CHARACTERS: Final = 2_000
_SPAN: Final = "vram_fit_span"


class TracingError(RuntimeError):
    """Traces are switched on and their packages are not installed."""


def provider_of(settings: Settings) -> "TracerProvider":
    """What makes tracers whose spans go in batches to ``settings.traces_to``. Raises :class:`TracingError`."""
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
    except ImportError as error:
        raise TracingError("traces_to needs more packages: pip install -r requirements-telemetry.txt") from error
    provider = TracerProvider(
        resource=Resource.create({"service.name": NAME, "service.version": __version__}),
        sampler=ParentBasedTraceIdRatio(settings.traces_share),
        shutdown_on_exit=False,  # a worker that is told to stop ends by the signal, where this would not run
    )
    provider.add_span_processor(BatchSpanProcessor(_exporter(settings)))
    return provider


def _exporter(settings: Settings) -> "SpanExporter":
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise TracingError("traces_to needs more packages: pip install -r requirements-telemetry.txt") from error
    return OTLPSpanExporter(endpoint=f"{settings.traces_to}/v1/traces")


class Traced:
    """A span around every request, under which the others are. What a visitor says of traces of its own is not read."""

    def __init__(self, app: ASGIApp, provider: "TracerProvider", names: RouteNames) -> None:
        self.app = app
        self._provider = provider
        self._tracer = provider.get_tracer(NAME, __version__)
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":

            async def last(message: Message) -> None:
                # The server ends as soon as it is told that all is done; what is still held is sent before.
                if message["type"] in {"lifespan.shutdown.complete", "lifespan.shutdown.failed"}:
                    await run_in_threadpool(self._provider.shutdown)
                await send(message)

            await self.app(scope, receive, last)
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        # An exception's message may hold what was asked for; the log has it under the request's id.
        with self._tracer.start_as_current_span(
            "request", kind=SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:
            token = OPENER.set(self._inner)
            try:
                await self.app(scope, receive, watched)
            finally:
                OPENER.reset(token)
                self._describe(span, scope, status)

    def _inner(self, name: str) -> Any:
        return self._tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False)

    def _describe(self, span: Span, scope: Scope, status: int) -> None:
        method, route = self._names.of(scope)
        span.update_name(f"{method} {route}")
        span.set_attributes(
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
                "vram_fit.request_id": scope.get("state", {}).get("request_id", ""),
            }
        )
        if status >= 500:
            span.set_attribute("error.type", str(status))
            span.set_status(Status(StatusCode.ERROR))


def trace_database(engine: Engine, provider: "TracerProvider") -> None:
    """A span for every statement that a traced request runs; what looks at the database by itself is left out."""
    tracer = provider.get_tracer(NAME, __version__)
    system = {"postgresql": "postgresql", "sqlite": "sqlite"}.get(engine.dialect.name, "other_sql")

    def begin(connection: Any, _cursor: Any, statement: str, _values: Any, context: Any, _many: bool) -> None:
        if trace.get_current_span().is_recording():
            operation = statement.split(None, 1)[0].upper()
            attributes = {
                "db.system.name": system,
                "db.operation.name": operation,
                "db.query.text": statement[:MAX_SQL_CHARACTERS],
            }
            span = tracer.start_span(operation, kind=SpanKind.CLIENT, attributes=attributes)
            connection.info[_SPAN] = span

    def end(connection: Any, *_: Any) -> None:
        span: Span | None = connection.info.pop(_SPAN, None)
        if span is not None:
            span.end()

    def failed(context: Any) -> None:
        if context.connection is not None:
            # A connection that was lost has nothing to take the span from; the span then ends with the request's.
            with suppress(Exception):
                span: Span | None = context.connection.info.pop(_SPAN, None)
                if span is not None:
                    span.set_attribute("error.type", type(context.original_exception).__name__)
                    span.set_status(Status(StatusCode.ERROR))
                    span.end()

    event.listen(engine, "before_cursor_execute", begin)
    event.listen(engine, "after_cursor_execute", end)
    event.listen(engine, "handle_error", failed)
