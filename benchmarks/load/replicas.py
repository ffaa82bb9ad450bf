"""Two replicas behind nginx over PostgreSQL and Redis, while one after another of them is taken away.

``python -m benchmarks.load.replicas --seconds 300`` is the whole proof; fewer seconds are a smoke test of it. The proxy
is ``deploy/nginx.conf`` with the addresses of this machine. Everything that is started is stopped.
"""

import argparse
import asyncio
import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

import httpx

from benchmarks.load.parts import Nginx, Redis, Replica, command, environment
from benchmarks.load.runs import distinct_runs
from tools.postgres import PostgresServer

CALLERS: Final = 8
KEY: Final = "key-of-the-load-generator"
CONFIG: Final = {
    "model_type": "llama", "hidden_size": 256, "intermediate_size": 688, "num_attention_heads": 4,
    "num_hidden_layers": 2, "vocab_size": 32_000, "max_position_embeddings": 2_048,
}  # fmt: skip
READS: Final = (
    "/", "/embed/result?model=llama-3-8b&method=qlora&gpu=rtx-4090", "/api/v1/offers?gpu=rtx-4090&limit=20",
    "/api/v1/models?q=qwen", "/api/v1/recommend?model=llama-3-8b&method=qlora", "/badge.svg?model=llama-3-8b",
)  # fmt: skip


@dataclass
class Seen:
    """What the callers saw."""

    seconds: list[float] = field(default_factory=list)
    failures: list[tuple[float, str]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)


async def _ask(client: httpx.AsyncClient, seen: Seen, number: int, run: dict[str, Any], began: float) -> None:
    started = time.monotonic()
    kind = "POST estimate" if number % 10 < 6 else "POST config" if number % 10 == 6 else "GET"
    try:
        if kind == "POST estimate":
            answer = await client.post("/api/v1/estimate", json=run | {"gpus": "none"})
        elif kind == "POST config":
            config = CONFIG | {"vocab_size": 32_000 + number}
            answer = await client.post("/api/v1/estimate", json={"config": config, "gpus": "none"})
        else:
            answer = await client.get(READS[number % len(READS)])
        problem = "" if answer.status_code == 200 else f"{kind}: {answer.status_code} {answer.text[:80]}"
        if kind == "POST config" and not problem:
            seen.kept.append(answer.json()["run"]["model"])
    except httpx.TransportError as error:
        problem = f"{kind}: {type(error).__name__}"
    seen.kinds[kind] += 1
    seen.seconds.append(time.monotonic() - started)
    if problem:
        seen.failures.append((started - began, problem))


async def _load(address: str, seconds: float) -> Seen:
    seen, numbers, began = Seen(), count(), time.monotonic()
    runs = list(islice(distinct_runs(("llama-3-8b", "qwen2.5-14b-instruct")), 2_000))
    headers = {"authorization": f"Bearer {KEY}"}

    async def caller() -> None:
        async with httpx.AsyncClient(base_url=address, headers=headers, timeout=30) as client:
            while time.monotonic() - began < seconds:
                number = next(numbers)
                await _ask(client, seen, number, runs[number % len(runs)], began)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return seen


async def _disturb(events: list[tuple[str, Callable[[], object]]], seconds: float, log: list[str]) -> None:
    """One event after another, evenly over the time."""
    began, pause = time.monotonic(), seconds / (len(events) + 1)
    for number, (name, act) in enumerate(events, 1):
        await asyncio.sleep(max(0.0, began + number * pause - time.monotonic()))
        started = time.monotonic() - began
        await asyncio.to_thread(act)
        log.append(f"{started:6.1f} s  {name} ({time.monotonic() - began - started:.1f} s)")


def _restart(database: PostgresServer) -> None:
    database.stop("fast")
    time.sleep(1)
    database.start()


def _import(url: str, directory: Path, number: int) -> None:
    file = directory / f"prices-{number}.csv"
    file.write_text(f"gpu,price,currency,period\nrtx-4090,0.{40 + number},USD,hour\n")
    words = command("catalogue", "import", str(file), "--provider", "Example Hosting", "--mode", "replace")
    subprocess.run(words, env=environment(DATABASE_URL=url), cwd=directory, check=True, capture_output=True)


def _lost(address: str, kept: list[str]) -> int:
    with httpx.Client(base_url=address, headers={"authorization": f"Bearer {KEY}"}, timeout=30) as client:
        asked = [client.get("/api/v1/estimate", params={"model": name, "gpus": "none"}) for name in kept]
        return sum(answer.status_code != 200 for answer in asked)


def run(seconds: float) -> int:
    """Start all, load it, disturb it, stop all; 1 where a write was lost or errors were more than allowed."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vram-fit-replicas-")))
        for name in ("postgres", "redis", "nginx"):
            (directory / name).mkdir()
        database = stack.enter_context(PostgresServer(directory / "postgres"))
        url, redis = database.url("postgres"), stack.enter_context(Redis(directory / "redis"))
        for words in (("migrate",), ("catalogue", "load")):
            subprocess.run(command(*words), env=environment(DATABASE_URL=url), cwd=directory, check=True)
        settings = {
            "DATABASE_URL": url,
            "VRAM_FIT_RATE_LIMIT_STORAGE": redis.url,
            "VRAM_FIT_API_KEYS": json.dumps([KEY]),
            "VRAM_FIT_RATE_LIMIT_KEY": "100000/second",
        }
        replicas = [stack.enter_context(Replica(directory / f"log-{number}", settings)) for number in (1, 2)]
        nginx = stack.enter_context(Nginx(directory / "nginx", [replica.port for replica in replicas]))
        events: list[tuple[str, Callable[[], object]]] = [
            ("SIGTERM to replica 1, then started again", lambda: replicas[0].restart(signal.SIGTERM)),
            ("prices imported", lambda: _import(url, directory, 1)),
            ("SIGKILL to replica 2, then started again", lambda: replicas[1].restart(signal.SIGKILL)),
            ("Redis stopped and started", redis.restart),
            ("PostgreSQL stopped and started", lambda: _restart(database)),
            ("prices imported", lambda: _import(url, directory, 2)),
        ]
        log: list[str] = []

        async def both() -> Seen:
            disturbing = asyncio.create_task(_disturb(events, seconds, log))
            seen = await _load(nginx.url, seconds)
            await disturbing
            return seen

        seen = asyncio.run(both())
        lost = _lost(nginx.url, seen.kept)
        offers = httpx.get(f"{nginx.url}/api/v1/offers.csv?provider=example-hosting").text
        return _report(seen, log, lost, bool(re.search(r"\b0\.42\b", offers)))


def _report(seen: Seen, log: list[str], lost: int, is_imported: bool) -> int:
    cuts = statistics.quantiles(seen.seconds, n=100)
    print("\n".join(log))
    print(f"requests {len(seen.seconds):,} ({', '.join(f'{kind} {n:,}' for kind, n in seen.kinds.items())})")
    print(f"p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms, longest {max(seen.seconds) * 1000:.0f} ms")
    print(f"failures {len(seen.failures)}")
    for at, problem in seen.failures[:20]:
        print(f"  {at:6.1f} s  {problem}")
    print(f"configurations acknowledged {len(seen.kept):,}, lost {lost}; last import present: {is_imported}")
    return int(bool(seen.failures) or lost > 0 or not is_imported)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    sys.exit(run(parser.parse_args().seconds))
