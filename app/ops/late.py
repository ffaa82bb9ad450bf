"""An endpoint that is made when it is first asked for: what few callers need shall not hold up everybody's start."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from app.ops.problem import problem

logger = logging.getLogger(__name__)


class Endpoint(Protocol):
    """An ASGI application that answers while it is running."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Answer until the context ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""


class Late:
    """Makes the endpoint in a thread at the first request, which waits for it, and runs it until :meth:`running` ends.

    Where it cannot be made, requests are answered with 503 and the log says why.
    """

    def __init__(self, make: Callable[[], Endpoint]) -> None:
        self._make = make
        self._endpoint: Endpoint | None = None
        self._asked: asyncio.Event | None = None
        self._settled = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be ready to make it until the context ends."""
        # Begun and ended in one task, as task groups within it must be.
        asked, stop = asyncio.Event(), asyncio.Event()
        self._asked, self._settled = asked, asyncio.Event()
        living = asyncio.create_task(self._live(asked, stop))
        try:
            yield
        finally:
            self._asked = None
            stop.set()
            asked.set()
            await living

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._asked is not None:
            self._asked.set()
            await self._settled.wait()
        if self._endpoint is None:
            await problem(503, "The service is starting or stopping.")(scope, receive, send)
        else:
            await self._endpoint(scope, receive, send)

    async def _live(self, asked: asyncio.Event, stop: asyncio.Event) -> None:
        await asked.wait()
        try:
            if not stop.is_set():
                endpoint = await run_in_threadpool(self._make)
                async with endpoint.running():
                    self._endpoint = endpoint
                    self._settled.set()
                    await stop.wait()
        except Exception:
            logger.exception("an endpoint could not be made")
        finally:
            self._endpoint = None
            self._settled.set()
