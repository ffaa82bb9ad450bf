"""How often one caller may ask: per key or, without one, per address."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from time import time
from typing import Final

from limits import RateLimitItem, parse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.ops.addresses import REMEMBERED, Address, caller, household, is_within, networks
from app.ops.metrics import RATE_LIMIT_SKIPPED, RATE_LIMITED
from app.ops.problem import problem
from app.ops.rate_store import RateStore

COSTS: Final[Mapping[str, int]] = {
    # About how many estimates each makes at most, in the hundreds: see docs/security.md.
    "/api/v1/estimate/batch": 20,
    "/api/v1/recommend": 5,
    "/api/v1/compare": 5,
    "/api/v1/solve": 5,
    "/api/v1/serve": 2,
    "/api/v1/dataset-shape": 2,
    "/mcp": 5,
    # The pages of the same questions; an upload of lengths is read and counted whole.
    "/plan": 5,
    "/compare": 5,
    "/solve": 5,
    "/serve": 2,
    "/dataset": 5,
}
FREE: Final = ("/healthz", "/readyz", "/metrics", "/static/", "/api/v1/healthz", "/api/v1/readyz", "/embed.js")
OWN_KEYS: Final = "/api/v1/admin/"
"""Addresses whose bearer keys are the operator's, which are looked at there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What is allowed to whom."""

    per_address: RateLimitItem | None
    per_key: RateLimitItem | None
    keys: frozenset[bytes]
    """SHA-256 of the keys that are known."""
    exempt: Sequence[str]


def digest(key: bytes) -> bytes:
    """What is kept and compared of a key."""
    return hashlib.sha256(key).digest()


def limits_of(address: str | None, key: str | None, keys: Sequence[str], exempt: Sequence[str]) -> Limits:
    """From the settings' words. Raises ``ValueError``."""
    return Limits(
        per_address=parse(address) if address else None,
        per_key=parse(key) if key else None,
        keys=frozenset(digest(word.encode()) for word in keys),
        exempt=exempt,
    )


class RateLimit:
    """Answers 429 beyond the limit, and tells every counted caller what remains (``RateLimit`` headers)."""

    def __init__(self, app: ASGIApp, *, limits: Limits, store: RateStore) -> None:
        self.app = app
        self._limits = limits
        self._exempt = networks(limits.exempt)
        self._store = store
        self._address = lru_cache(maxsize=REMEMBERED)(self._who)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "OPTIONS" or scope["path"].startswith(FREE):
            await self.app(scope, receive, send)
            return
        key = _bearer(scope) if self._limits.keys and not scope["path"].startswith(OWN_KEYS) else None
        if key is not None and digest(key) not in self._limits.keys:
            refusal = problem(401, "This key is not known.", headers={"www-authenticate": "Bearer"})
            await refusal(scope, receive, send)
            return
        item, policy = (self._limits.per_key, "key") if key else (self._limits.per_address, "address")
        who = digest(key).hex() if key else self._address(caller(scope))
        if item is None or who is None:
            await self.app(scope, receive, send)
            return
        await self._counted(scope, receive, send, item, policy, who)

    def _who(self, address: Address | None) -> str | None:
        """As whom an address is counted; None where it is not."""
        if address is None or is_within(address, self._exempt):
            return None
        return household(address)

    async def _counted(
        self, scope: Scope, receive: Receive, send: Send, item: RateLimitItem, policy: str, who: str
    ) -> None:
        counted = await self._store.count(item, f"{policy}:{who}", _cost(scope["path"]))
        if counted is None:
            RATE_LIMIT_SKIPPED.inc()
            await self.app(scope, receive, send)
            return
        allowed, remaining, ends = counted
        seconds = max(1, ceil(ends - time()))
        headers = [
            (b"ratelimit-policy", f'"{policy}";q={item.amount};w={item.get_expiry()}'.encode()),
            (b"ratelimit", f'"{policy}";r={max(0, remaining) if allowed else 0};t={seconds}'.encode()),
        ]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        if allowed:
            await self.app(scope, receive, send_with_headers)
            return
        RATE_LIMITED.labels(policy=policy).inc()
        detail = f"More than {item.amount} in {item.get_expiry()} seconds. Ask again in {seconds} seconds."
        refusal = problem(429, detail, headers={"retry-after": str(seconds), "cache-control": "no-store"})
        await refusal(scope, receive, send_with_headers)


def _cost(path: str) -> int:
    """Of one request; a page costs the same under each language's two-letter prefix."""
    plain = path.rstrip("/")
    return COSTS.get(plain) or (COSTS.get(plain[3:], 1) if plain[3:4] == "/" else 1)


def _bearer(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return bytes(value[7:].strip()) or None
    return None
