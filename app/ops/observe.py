"""Times, counts and logs every request by its route's template."""

from functools import lru_cache
from time import perf_counter

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.ops.logs import REQUEST_ID, RequestLog
from app.ops.metrics import REQUEST_SECONDS, RESPONSES
from app.ops.routes import RouteNames


class Observe:
    """Goes around everything, so that refusals and errors are seen too."""

    def __init__(self, app: ASGIApp, *, names: RouteNames, log: RequestLog | None) -> None:
        self.app = app
        self._names = names
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        request_id = scope.get("state", {}).get("request_id")
        token = REQUEST_ID.set(request_id)
        try:
            await self.app(scope, receive, watched)
        finally:
            self._tell(scope, status, perf_counter() - started, request_id)
            REQUEST_ID.reset(token)

    def _tell(self, scope: Scope, status: int, seconds: float, request_id: str | None) -> None:
        method, route = self._names.of(scope)
        duration, count = _counters(method, route, status)
        duration.observe(seconds)
        count.inc()
        if self._log is not None:
            self._log.write(
                level="error" if status >= 500 else "info",
                request_id=request_id,
                method=method,
                route=route,
                status=status,
                milliseconds=round(seconds * 1000, 2),
            )


@lru_cache(maxsize=4096)
def _counters(method: str, route: str, status: int) -> tuple[Histogram, Counter]:
    return REQUEST_SECONDS.labels(method, route), RESPONSES.labels(method, route, str(status))
