"""The process that takes the inputs: the service, and nothing of what makes them.

What makes them remembers what it made, so that a process that held both could not tell whose its memory is.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from benchmarks.fuzz.doors import Kind, doors
from benchmarks.fuzz.holding import Held, held
from benchmarks.fuzz.meter import Outcome, measured
from benchmarks.fuzz.service import Asked, Service, service

HUNG_SECONDS: Final = 300.0
"""Without an answer for so long, the run ends."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """A value for every door of its kind."""

    kind: Kind
    value: Any


@dataclass(frozen=True, kw_only=True)
class WhatIsHeld:
    """Asks for the memory."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """That process, as the one that makes the inputs sees it."""

    key: str
    """Opens the operator's side of the service."""
    doors: Mapping[Kind, int]
    """To how many a value of a kind is sent."""
    _connection: "Connection[Any, Any]"

    def take(self, kind: Kind, value: Any) -> Sequence[Outcome]:
        """Send a value to every door of its kind; one outcome each."""
        outcomes: Sequence[Outcome] = self._told(Input(kind=kind, value=value))
        return outcomes

    def answer(self, asked: Asked) -> Outcome:
        """Send a request to the service; the answer is in the outcome."""
        outcome: Outcome = self._told(asked)
        return outcome

    def held(self) -> Held:
        """What the process holds."""
        now: Held = self._told(WhatIsHeld())
        return now

    def _told(self, message: Any) -> Any:
        self._connection.send(message)
        if not self._connection.poll(HUNG_SECONDS):
            raise TimeoutError(f"No answer within {HUNG_SECONDS:g} s to {message!r:.400}")
        return self._connection.recv()


@contextmanager
def subject(directory: Path) -> Iterator[Subject]:
    """Start and stop it."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_live, args=(theirs, directory))
    process.start()
    theirs.close()
    try:
        key, number = ours.recv()
        yield Subject(key=key, doors=number, _connection=ours)
    finally:
        ours.close()
        process.join(timeout=30)
        process.kill()


def _live(connection: "Connection[Any, Any]", directory: Path) -> None:
    """Take what comes until the other side is gone."""
    logging.getLogger("app").setLevel(logging.CRITICAL)  # tracebacks are in the record
    with service(directory) as served:
        ways = doors(served)
        connection.send((served.key, {kind: len(some) for kind, some in ways.items()}))
        while True:
            try:
                message = connection.recv()
            except EOFError:
                return
            match message:
                case Input(kind=kind, value=value):
                    connection.send([measured(partial(door, value)) for door in ways[kind]])
                case Asked():
                    connection.send(measured(partial(Service.send, served, message)))
                case WhatIsHeld():
                    connection.send(held())
