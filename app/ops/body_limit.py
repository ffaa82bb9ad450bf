"""Refuse bodies beyond a size before anything reads them, and those that take too long to arrive."""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.ops.problem import problem

LimitOf = Callable[[str], int]

UPLOAD_BYTES: Final = 1024 * 1024
"""Bodies that announce more are uploads: they are not held in memory here, and may take their time."""


class _Gone(Enum):
    TOO_LARGE = auto()
    DISCONNECTED = auto()


class BodyLimit:
    """Answers 413 to a body larger than ``limit_of(path)``, announced or not, and 408 to one that does not arrive."""

    def __init__(self, app: ASGIApp, limit_of: LimitOf, *, timeout_seconds: float) -> None:
        self.app = app
        self.limit_of = limit_of
        self._timeout_seconds = timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self.app(scope, receive, send)
            return
        limit = self.limit_of(scope["path"])
        length = _content_length(scope)
        if length is not None and length > limit:
            await _refuse(scope, receive, send, limit)
        elif length is not None and length > UPLOAD_BYTES:
            await self.app(scope, receive, send)
        else:
            # What does not announce its size is held here, so it may have only what an upload may not exceed in memory.
            await self._buffered(scope, receive, send, min(limit, UPLOAD_BYTES))

    async def _buffered(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        """Read the body up to the limit, then hand it on whole."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                body = await _read(receive, limit)
        except TimeoutError:
            detail = f"The body did not arrive within {self._timeout_seconds:g} seconds."
            await problem(408, detail, headers={"connection": "close"})(scope, receive, send)
            return
        if body is _Gone.TOO_LARGE:
            await _refuse(scope, receive, send, limit)
        if isinstance(body, _Gone):
            return
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self.app(scope, replay, send)


async def _read(receive: Receive, limit: int) -> bytes | _Gone:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return _Gone.DISCONNECTED
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            return _Gone.TOO_LARGE
        if not message.get("more_body", False):
            return b"".join(chunks)


def _content_length(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None


async def _refuse(scope: Scope, receive: Receive, send: Send, limit: int) -> None:
    response = problem(
        413, f"The body is larger than the {limit:,} bytes this address takes.", headers={"connection": "close"}
    )
    await response(scope, receive, send)
