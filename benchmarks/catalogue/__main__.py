"""``python -m benchmarks.catalogue``: import 100,000 offers on SQLite and PostgreSQL, then answer requests over them.

Requests are made in this process, through the whole application, each over a different run so that no cached answer is
timed. The same requests over 1,000 and over 100,000 offers are interleaved, so that both meet the same machine.
"""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import Final

import httpx
from fastapi import FastAPI

from app.catalogue.changes import Mode
from app.catalogue.database import Database
from app.catalogue.importing import FileFormat, import_offers, read_price_list
from app.catalogue.loading import load_bundled
from app.catalogue.migrate import migrate
from app.catalogue.service import CatalogueService, settle
from app.catalogue.snapshot import Snapshot
from app.main import create_app
from app.settings import Settings
from tools.postgres import PostgresServer, find_postgres

TODAY: Final = date(2026, 11, 24)
FEW, MANY = 1_000, 100_000
REQUESTS: Final = 60
PATHS: Final = ("/api/v1/recommend", "/api/v1/estimate")


def price_list(count: int) -> bytes:
    """A list of ``count`` servers over all cards; the same for the same count."""
    cards = [gpu.slug for gpu in Snapshot.bundled().gpus]
    draw = random.Random(count)
    rows = (
        f"s{number},{draw.choice(cards)},{draw.choice((1, 2, 4, 8))},{draw.uniform(0.1, 30):.3f},"
        f"{draw.choice(('USD', 'EUR'))},{draw.choice(('hour', 'month'))},{draw.choice(('eu', 'us'))},2026-10-01,16,128"
        for number in range(count)
    )
    header = "sku,gpu,gpus_per_server,amount,currency,period,region,observed_on,cpu_count,memory_gb"
    return "\n".join((header, *rows)).encode()


def fill(url: str, count: int) -> float:
    """A migrated, loaded database with ``count`` offers; returns the seconds that the import took."""
    database = Database(url)
    migrate(database)
    load_bundled(database)
    content = price_list(count)
    start = time.perf_counter()
    import_offers(
        database,
        read_price_list(content, FileFormat.CSV),
        provider="Example Hosting",
        mode=Mode.REPLACE,
        actor="benchmark",
        today=TODAY,
    )
    seconds = time.perf_counter() - start
    database.close()
    return seconds


async def seconds_per_request(applications: Sequence[FastAPI], path: str) -> list[float]:
    """The median seconds of one request to each application, taken in turns."""
    clients = [
        httpx.AsyncClient(transport=httpx.ASGITransport(app=application), base_url="http://benchmark")
        for application in applications
    ]
    taken: list[list[float]] = [[] for _ in clients]
    for number in range(REQUESTS):
        body = {"model": "mistral-7b-v0.1", "method": "qlora", "sequence_length": 512 + number}
        for client, times in zip(clients, taken, strict=True):
            start = time.perf_counter()
            response = await client.post(path, json=body)
            times.append(time.perf_counter() - start)
            response.raise_for_status()
    return [statistics.median(times[5:]) for times in taken]


@contextmanager
def applications(urls: Sequence[str]) -> Iterator[tuple[list[FastAPI], float]]:
    """An application over each database, and the seconds that the last one's snapshot took to load.

    They share the models, as one process has each model once; all else is each one's own.
    """
    built: list[FastAPI] = []
    with ExitStack() as stack:
        seconds = 0.0
        models = Snapshot.bundled().models
        for url in urls:
            database = Database(url)
            stack.callback(database.close)
            start = time.perf_counter()
            loaded = CatalogueService(database).snapshot
            seconds = time.perf_counter() - start
            snapshot = Snapshot(version=loaded.version, models=models, gpus=loaded.gpus, offers=loaded.offers())
            built.append(create_app(Settings(database_url=url), snapshot=snapshot, today=lambda: TODAY))
        settle()  # as the service does whenever it has loaded a catalogue
        yield built, seconds


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as directory:
        few, many = (f"sqlite:///{directory}/{count}.db" for count in (FEW, MANY))
        fill(few, FEW)
        print(f"SQLite      {MANY:,} offers imported in {fill(many, MANY):.1f} s (at most 60)")
        with applications((few, many)) as (both, loading):
            print(f"            their snapshot loaded in {loading:.1f} s")
            for path in PATHS:
                base, with_many = asyncio.run(seconds_per_request(both, path))
                print(
                    f"{path:<20} {base * 1e3:.2f} ms with {FEW:,}, {with_many * 1e3:.2f} ms with {MANY:,} offers: "
                    f"x {with_many / base:.2f} (at most 1.3)"
                )
    if find_postgres() is None:
        print("PostgreSQL  not installed; get it with: apt-get install postgresql")
        return
    with tempfile.TemporaryDirectory() as directory, PostgresServer(Path(directory)) as server:
        print(f"PostgreSQL  {MANY:,} offers imported in {fill(server.url('postgres'), MANY):.1f} s (at most 60)")


if __name__ == "__main__":
    main()
