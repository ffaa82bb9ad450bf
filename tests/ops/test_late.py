"""What is made when it is first asked for: once, for all who wait, and not at the start."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from app.ops.late import Late
from app.ops.problem import problem


class Answering:
    """Answers with 418 while it runs."""

    def __init__(self) -> None:
        self.is_running = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.is_running = True
        yield
        self.is_running = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await problem(418 if self.is_running else 500, "Short and stout.")(scope, receive, send)


async def asked(late: Late) -> int:
    statuses: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    await late({"type": "http", "method": "POST", "path": "/", "headers": []}, receive, send)
    return statuses[0]


def seen(make: Callable[[], Any], requests: int) -> tuple[list[int], int]:
    """Statuses of requests sent at once, and of one after the end."""

    async def run() -> tuple[list[int], int]:
        late = Late(make)
        async with late.running():
            answers = await asyncio.gather(*(asked(late) for _ in range(requests)))
        return list(answers), await asked(late)

    return asyncio.run(run())


def test_it_is_made_once_for_all_who_wait_and_ends_with_the_service() -> None:
    made: list[Answering] = []

    def make() -> Answering:
        made.append(Answering())
        return made[-1]

    assert seen(make, 5) == ([418] * 5, 503)
    assert len(made) == 1
    assert not made[0].is_running


def test_it_is_not_made_for_nobody() -> None:
    def make() -> Answering:
        raise AssertionError("nobody asked")

    assert seen(make, 0) == ([], 503)


def test_one_that_cannot_be_made_is_answered_with_503() -> None:
    def make() -> Answering:
        raise RuntimeError("broken")

    assert seen(make, 2) == ([503, 503], 503)


def test_the_sdk_of_the_tools_is_not_loaded_at_the_start() -> None:
    words = "import sys, app.main; print([name for name in sys.modules if name.partition('.')[0] == 'mcp'])"
    found = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
