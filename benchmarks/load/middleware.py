"""What everything around an endpoint costs: one that computes nothing, with our middleware and without.

Two uvicorn workers of the same kind, asked by turns. Around the one is all that an operator's service has: request ids,
security headers, metrics, a log line, CORS, trusted hosts, rates counted in memory, body limits, languages and kept
embeds. Around the other is what FastAPI puts there. Both read a run and write an estimate's answer; none is computed.
"""

import logging
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from fastapi import FastAPI

from benchmarks.load import client
from benchmarks.load.embeds import HOST, Served, served
from benchmarks.load.memory_estimate import MODELS
from benchmarks.load.runs import distinct_runs
from benchmarks.load.server import LEAN, application

ROUNDS: Final = 7
REQUESTS: Final = 2_000
OPERATED: Final = {
    "VRAM_FIT_RATE_LIMIT": "1000000/minute",
    "VRAM_FIT_RATE_LIMIT_EXEMPT": "192.0.2.1",
    "VRAM_FIT_TRUSTED_HOSTS": "localhost",
}
"""Rates are counted for this machine too, and hosts are looked at."""


def operated() -> FastAPI:
    """The application as ``vram-fit serve`` runs it, a line for each request included, which goes nowhere."""
    logging.getLogger("app.requests").setLevel(logging.INFO)
    sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 – for as long as the process runs
    return application()


def bare() -> FastAPI:
    """The application with the framework's own stack alone."""
    app = application()
    app.user_middleware.clear()
    app.build_middleware_stack = FastAPI.build_middleware_stack.__get__(app)  # type: ignore[method-assign]
    return app


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """The CPU microseconds of a request, with our middleware and without."""

    around: float
    bare: float

    @property
    def share(self) -> float:
        """What is ours, of all."""
        return 1 - self.bare / self.around


def _microseconds(server: Served, requests: Sequence[bytes]) -> float:
    before = server.cpu_seconds()
    client.send(HOST, server.port, requests)
    return (server.cpu_seconds() - before) / len(requests) * 1e6


def compare(rounds: int = ROUNDS, requests: int = REQUESTS) -> list[Round]:
    """Measure by turns."""
    sent = client.encoded(LEAN, ({**run, "gpus": "none"} for run in islice(distinct_runs(MODELS), requests)))
    with (
        served("benchmarks.load.middleware:operated", OPERATED) as around,
        served("benchmarks.load.middleware:bare", OPERATED) as without,
    ):
        for server in (around, without):
            _microseconds(server, sent)
        return [Round(around=_microseconds(around, sent), bare=_microseconds(without, sent)) for _ in range(rounds)]


def main() -> None:
    """Print both and the share."""
    found = compare()
    around, without, share = (
        statistics.median(getattr(one, name) for one in found) for name in ("around", "bare", "share")
    )
    print(f"A request that computes nothing, {ROUNDS} rounds of {REQUESTS:,}, CPU time of the server")
    print(f"  {around:,.0f} µs with our middleware, {without:,.0f} µs without: {share:.1%} is ours")


if __name__ == "__main__":
    main()
