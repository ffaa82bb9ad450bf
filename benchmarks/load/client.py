"""A small HTTP/1.1 client that keeps a few connections busy: what it costs itself must not hide what is measured."""

import asyncio
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any


def encoded(path: str, bodies: Iterable[dict[str, Any]]) -> list[bytes]:
    """Whole requests, ready to be written."""
    requests = []
    for fields in bodies:
        body = json.dumps(fields).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        requests.append(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return requests


async def _worker(host: str, port: int, requests: Iterator[bytes]) -> int:
    reader, writer = await asyncio.open_connection(host, port)
    received = 0
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{head.decode(errors='replace')} for {request.decode()}")
        length = head.lower().index(b"content-length:") + len(b"content-length:")
        await reader.readexactly(int(head[length : head.index(b"\r", length)]))
        received += 1
    writer.close()
    await writer.wait_closed()
    return received


async def _all(host: str, port: int, requests: Sequence[bytes], connections: int) -> float:
    shared = iter(requests)
    started = time.perf_counter()
    received = await asyncio.gather(*(_worker(host, port, shared) for _ in range(connections)))
    taken = time.perf_counter() - started
    if sum(received) != len(requests):
        raise RuntimeError(f"{sum(received)} of {len(requests)} requests were answered")
    return taken


def send(host: str, port: int, requests: Sequence[bytes], connections: int = 8) -> float:
    """Send all, several at a time; the seconds it took. Raises ``RuntimeError`` where one is not answered with 200."""
    return asyncio.run(_all(host, port, requests, connections))
