"""Two real servers over one database: a price changed from outside is seen by both, and no request fails meanwhile."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

SEEN_WITHIN_SECONDS = 15
"""Two seconds where the machine is not busy with the other tests: each replica looks every second, and swaps."""

PAUSE_SECONDS = 0.02
"""Between one answer and the next request: without it, whoever asks takes the time of the import that is waited for."""


def _environment(url: str, port: int) -> dict[str, str]:
    return os.environ | {"DATABASE_URL": url, "HOST": "127.0.0.1", "PORT": str(port)}


def _command(*words: str) -> list[str]:
    return [sys.executable, "-c", "from app.cli import main; main()", *words]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def replicas(catalogue_database_url: str, tmp_path: Path) -> Iterator[list[str]]:
    ports = [_free_port(), _free_port()]
    with (tmp_path / "log").open("wb") as log:
        servers = [
            subprocess.Popen(
                _command("serve"), env=_environment(catalogue_database_url, port), cwd=tmp_path, stdout=log, stderr=log
            )
            for port in ports
        ]
        addresses = [f"http://127.0.0.1:{port}" for port in ports]
        try:
            for address in addresses:
                _wait_for(address, tmp_path / "log")
            yield addresses
        finally:
            for server in servers:
                server.terminate()
            for server in servers:
                server.wait(timeout=20)


def _wait_for(address: str, log: Path) -> None:
    end = time.monotonic() + 40
    while time.monotonic() < end:
        try:
            if httpx.get(f"{address}/api/v1/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"the server did not start: {log.read_text()}")


def _import(url: str, directory: Path, price: int) -> None:
    (directory / "prices.csv").write_text(f"sku,gpu,amount,currency,period\na,rtx-4090,{price},USD,hour\n")
    command = _command("catalogue", "import", "prices.csv", "--provider", "Example Hosting")
    subprocess.run(command, env=_environment(url, 0), cwd=directory, check=True, capture_output=True)


@pytest.mark.slow
def test_a_changed_price_is_seen_by_every_replica_under_load(
    replicas: list[str], catalogue_database_url: str, tmp_path: Path
) -> None:
    stop = threading.Event()
    statuses: list[int | str] = []

    def load(address: str) -> None:
        with httpx.Client(base_url=address, timeout=10) as client:
            number = 0
            while not stop.wait(PAUSE_SECONDS):
                number += 1
                query = f"/api/v1/estimate?model=mistral-7b-v0.1&method=qlora&sequence_length={512 + number}"
                try:
                    statuses.append(client.get(query).status_code)
                except httpx.TransportError as error:
                    statuses.append(repr(error))

    threads = [threading.Thread(target=load, args=(address,)) for address in replicas]
    for thread in threads:
        thread.start()
    try:
        for price in (7, 8):
            _import(catalogue_database_url, tmp_path, price)
            changed = time.monotonic()
            for address in replicas:
                while _price(address) != str(price):
                    assert time.monotonic() - changed < SEEN_WITHIN_SECONDS, f"{address} does not show {price}"
                    time.sleep(0.05)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(statuses) > 20
    assert set(statuses) == {200}


def _price(address: str) -> str | None:
    offers = httpx.get(f"{address}/api/v1/offers", params={"provider": "Example Hosting"}).json()["items"]
    return offers[0]["price"]["amount"] if offers else None
