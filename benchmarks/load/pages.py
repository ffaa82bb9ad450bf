"""Pages against a bare Starlette response of the same bytes, by turns, in one run; and what an uncached one is made of.

A cached page is one address asked again and again. An uncached one is the result of a run that nobody asked for before:
estimate, the same run by the other methods, view model, template and compression. The shares are processor time of the
same calls in this process, over the same kind of runs.
"""

import gzip
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import parse_qsl, urlencode

from app.catalogue.snapshot import Snapshot
from app.services.policy import Policy
from app.web.answer import answer, choices
from app.web.calculator import calculator_page
from app.web.language import formatter
from app.web.shell import PageContext
from app.web.templating import render
from benchmarks.load import client
from benchmarks.load.bare import BODIES
from benchmarks.load.embeds import HOST, RUN, Rate, Served, compare, fetched, rate, served
from benchmarks.load.runs import distinct_runs

CACHED: Final = ("/", f"/?{RUN}", f"/de/?{RUN}", "/compare", "/models/llama-3-8b", "/gpus/rtx-3090", "/glossary")
CACHED_WANTED: Final = 0.5
UNCACHED_WANTED: Final = 0.025
"""Of a bare response's rate."""

MODELS: Final = ("llama-3-8b", "mistral-7b-v0.1", "qwen2.5-14b", "gemma-2-9b", "llama-3.2-1b")
GPUS: Final = ("rtx-3090", "rtx-4090", "a100-80gb-sxm", "h100-sxm")
ROUNDS: Final = 5
RUNS: Final = 120
"""Uncached pages asked for in a round."""
WARM_UP: Final = 1_000
"""Other runs before: a worker that has served a while has derived the shapes of the models asked for."""
BARE_REQUESTS: Final = 2_000
GZIP_LEVEL: Final = 4

Result = TypeVar("Result")


def addresses() -> Iterator[str]:
    """Distinct runs' addresses, each with a card."""
    for index, run in enumerate(distinct_runs(MODELS)):
        yield f"/?{urlencode({**run, 'gpu': GPUS[index % len(GPUS)]})}"


@dataclass(kw_only=True, slots=True)
class Shares:
    """Processor seconds by part, summed over pages."""

    estimate: float = 0.0
    view_model: float = 0.0
    template: float = 0.0
    compression: float = 0.0

    @property
    def total(self) -> float:
        """Of all parts."""
        return self.estimate + self.view_model + self.template + self.compression


def _timed(make: Callable[[], Result]) -> tuple[Result, float]:
    started = time.process_time()
    made = make()
    return made, time.process_time() - started


def shares(asked: Iterator[str], count: int) -> Shares:
    """What ``count`` pages are made of, after others that only warm what a worker keeps."""
    snapshot, today, policy = Snapshot.bundled(), datetime.now(UTC).date(), Policy()
    context = PageContext(fmt=formatter("en-GB", "gib"), base_url="http://localhost")
    lists = choices(snapshot, today)
    total = Shares()
    for index, address in enumerate(islice(asked, WARM_UP + count)):
        pairs = parse_qsl(address.partition("?")[2])
        found, estimate = _timed(partial(answer, pairs, snapshot, today, policy, {}))
        made = partial(calculator_page, context=context, choices=lists, oembed_url="http://localhost/")
        page, view_model = _timed(partial(made, state=found.state, outcome=found.outcome))
        text, template = _timed(partial(render, "calculator.html", page, context.fmt.translations))
        _packed, compression = _timed(partial(gzip.compress, text.encode(), GZIP_LEVEL, mtime=0))
        if index >= WARM_UP:
            total.estimate += estimate
            total.view_model += view_model
            total.template += template
            total.compression += compression
    return total


def _uncached_rate(server: Served, asked: Iterator[str], count: int) -> Rate:
    requests = [f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for path in islice(asked, count)]
    before = server.cpu_seconds()
    taken = client.send(HOST, server.port, requests)
    return Rate(per_second=count / taken, cpu_seconds=(server.cpu_seconds() - before) / count)


def uncached(asked: Iterator[str]) -> tuple[list[Rate], list[Rate], int]:
    """Uncached result pages and a bare response of one's bytes, by turns."""
    with served("benchmarks.load.server:application", {}) as own, tempfile.TemporaryDirectory() as folder:
        body = fetched(own.port, next(asked))
        Path(folder, "0").write_bytes(body)
        with served("benchmarks.load.bare:application", {BODIES: folder}) as bare:
            _uncached_rate(own, asked, WARM_UP)
            rate(bare, "/0", BARE_REQUESTS // 4)
            pairs = [(_uncached_rate(own, asked, RUNS), rate(bare, "/0", BARE_REQUESTS)) for _round in range(ROUNDS)]
    return [mine for mine, _ in pairs], [theirs for _, theirs in pairs], len(body)


def main() -> None:
    """Print both comparisons and the shares; exits with 1 where one is under what is wanted, by clock and by CPU."""
    failed = False
    print(f"Cached pages against a bare Starlette response of the same bytes; {ROUNDS} rounds, one worker each")
    for entry in compare(paths=CACHED):
        own, bare = (statistics.median(item.per_second for item in rates) for rates in (entry.own, entry.bare))
        failed |= max(entry.by_clock, entry.by_cpu) < CACHED_WANTED
        print(
            f"  {entry.by_clock:4.0%} by clock, {entry.by_cpu:4.0%} by CPU  {own:7,.0f} of {bare:7,.0f} a second  "
            f"{entry.size_bytes:7,} bytes  {entry.path}"
        )
    asked = addresses()
    own_rates, bare_rates, size_bytes = uncached(asked)
    by_clock = statistics.median(a.per_second / b.per_second for a, b in zip(own_rates, bare_rates, strict=True))
    by_cpu = sum(item.cpu_seconds for item in bare_rates) / sum(item.cpu_seconds for item in own_rates)
    failed |= max(by_clock, by_cpu) < UNCACHED_WANTED
    print(f"Uncached result pages, {ROUNDS} rounds of {RUNS} distinct runs, some {size_bytes:,} bytes each")
    own_median, bare_median = (
        statistics.median(item.per_second for item in rates) for rates in (own_rates, bare_rates)
    )
    print(f"  {by_clock:5.1%} by clock, {by_cpu:5.1%} by CPU  {own_median:6,.1f} of {bare_median:7,.0f} a second")
    parts = shares(asked, RUNS)
    print(f"What they are made of, {1000 * parts.total / RUNS:.1f} ms of processor time a page:")
    for name, seconds in (
        ("estimate, by three methods and every card", parts.estimate),
        ("view model", parts.view_model),
        ("template", parts.template),
        ("compression", parts.compression),
    ):
        print(f"  {seconds / parts.total:4.0%}  {name}")
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
