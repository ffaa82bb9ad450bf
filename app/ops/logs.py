"""Structured logs: one line for each thing that happened, with the request's id and nothing about the visitor.

No address, query string, header or body is logged: a permalink says what somebody trains.
"""

import logging
import sys
from contextvars import ContextVar
from typing import Any, Final

import structlog
from pydantic_core import to_json
from structlog.typing import EventDict, Processor

REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)
"""Of the request that is being answered."""


def _add_request_id(_: Any, __: str, event: EventDict) -> EventDict:
    request_id = REQUEST_ID.get()
    if request_id is not None:
        event.setdefault("request_id", request_id)
    return event


_BEFORE: Final[list[Processor]] = [
    _add_request_id,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def log_config(level: str, style: str) -> dict[str, Any]:
    """What :func:`logging.config.dictConfig` takes: every logger's lines to standard error, as ``json`` or ``console``.

    Each worker process is given it anew, so it holds only what can be sent there.
    """
    handler = {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "structured"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"structured": {"()": "app.ops.logs.formatter", "style": style}},
        "handlers": {"standard_error": handler},
        "root": {"handlers": ["standard_error"], "level": level.upper()},
        "loggers": {
            # These are told for each request or each poll; at "info" they would drown what matters.
            name: {"level": "WARNING"}
            for name in ("httpx", "httpx2", "httpcore", "httpcore2", "alembic.runtime.plugins", "mcp")
        },
    }


def formatter(style: str) -> structlog.stdlib.ProcessorFormatter:
    """Turns a record into a line: JSON, or for a person's terminal."""
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=False)]
        if style == "console"
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_BEFORE, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    )


class RequestLog:
    """The one line that every request has: written like any other, without what makes the others slow."""

    def __init__(self, style: str) -> None:
        self._gate = logging.getLogger("app.requests")
        self._stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
        self._for_people = structlog.dev.ConsoleRenderer(colors=False) if style == "console" else None

    def write(self, **facts: Any) -> None:
        """One line, unless the level that was configured leaves it out."""
        if self._gate.isEnabledFor(logging.INFO):
            told = self._stamp(None, "info", {"event": "request", **facts})
            line = self._for_people(None, "info", told) if self._for_people else to_json(told).decode()
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
