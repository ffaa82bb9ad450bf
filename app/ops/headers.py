"""Headers every response carries: a request id, and what browsers need to stay safe."""

import re
from collections.abc import Mapping
from random import Random

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")

SECURITY_HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "strict-origin-when-cross-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data: https:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
}
"""Put on a response that does not set them itself; the embedded pages set their own ``frame-ancestors``."""

_SECURITY = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

_STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")

_ids = Random()
"""Seeded by the system in each process. An id names a line of the log and guards nothing."""


class StandardHeaders:
    """Adds the request id (the caller's if it is a sane one) and the security headers."""

    def __init__(self, app: ASGIApp, *, is_https: bool = False) -> None:
        """``is_https`` tells browsers to use nothing else for a year."""
        self.app = app
        self._added = [*_SECURITY, *([_STRICT_TRANSPORT] if is_https else [])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [pair for pair in message["headers"] if pair[0] != b"x-request-id"]
                names = {name for name, _ in own}
                added = [pair for pair in self._added if pair[0] not in names]
                message["headers"] = [*own, *added, (b"x-request-id", request_id.encode())]
            await send(message)

        await self.app(scope, receive, send_with_headers)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return f"{_ids.getrandbits(64):016x}"
