"""The whole application in this process, over an SQLite file with the bundled catalogue, asked without a network."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import httpx
from fastapi import FastAPI

from app.admin.keys import ALL_SCOPES, create_key
from app.catalogue.database import Database
from app.catalogue.loading import load_bundled
from app.catalogue.migrate import migrate
from app.main import create_app
from app.settings import Settings

TODAY: Final = date(2026, 11, 24)

Headers = Sequence[tuple[bytes, bytes]]


class AnswerError(Exception):
    """An answer that says it is our fault."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request, as it is sent: ``target`` is the path and the query."""

    method: str
    target: bytes
    content: bytes = b""
    headers: Headers = ()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back, as it was sent: compressed where the headers say so."""

    status: int
    headers: Headers
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Service:
    """The application, a loop to ask it on, and a key to the operator's side."""

    app: FastAPI
    database: Database
    key: str
    _loop: asyncio.AbstractEventLoop
    _client: httpx.AsyncClient

    def send(self, asked: Asked) -> Answer:
        """Send one request. Raises whatever escaped the application."""
        return self._loop.run_until_complete(self._send(asked))

    def ask(self, method: str, path: str, content: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send one request. Raises :class:`AnswerError` for a 5xx, and whatever escaped the application."""
        named = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        target = path.encode("ascii", "backslashreplace")
        answer = self.send(Asked(method=method, target=target, content=content, headers=named))
        if answer.status >= 500:
            text = httpx.Response(answer.status, headers=list(answer.headers), content=answer.content).text
            raise AnswerError(f"{answer.status} {text[:120]}")

    async def _send(self, asked: Asked) -> Answer:
        # A client would quote what is no address; the raw path is sent as it is.
        url = httpx.URL("http://testserver/").copy_with(raw_path=asked.target)
        request = self._client.build_request(asked.method, url, content=asked.content, headers=list(asked.headers))
        answer = await self._client.send(request, stream=True)
        content = b"".join([part async for part in answer.aiter_raw()])
        return Answer(status=answer.status_code, headers=answer.headers.raw, content=content)


@contextmanager
def service(directory: Path) -> Iterator[Service]:
    """Start and stop it. The hub is left out: nothing here is to leave this machine."""
    url = f"sqlite:///{directory / 'fuzz.db'}"
    database = Database(url)
    migrate(database)
    load_bundled(database, actor="fuzz")
    made = create_key(database, name="fuzz", scopes=ALL_SCOPES, actor="fuzz")
    settings = Settings(_env_file=None, database_url=url, hub_url=None, log_requests=False, rate_limit=None)
    app = create_app(settings, today=lambda: TODAY)
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    living = loop.create_task(_live(app, stop))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=True), timeout=60)
    try:
        yield Service(app=app, database=database, key=made.text, _loop=loop, _client=client)
    finally:
        loop.run_until_complete(client.aclose())
        stop.set()
        loop.run_until_complete(living)
        loop.close()
        database.close()


async def _live(app: FastAPI, stop: asyncio.Event) -> None:
    """Its lifespan, begun and ended in one task as a server does it."""
    async with app.router.lifespan_context(app):
        await stop.wait()
