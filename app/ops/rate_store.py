"""Where rates are counted: in this process, or in Redis for all replicas.

While Redis is away nobody is counted and nobody refused; metrics and the log say so.
"""

import logging
from time import monotonic, time
from typing import Final, Protocol

from limits import RateLimitItem
from limits.aio.strategies import FixedWindowRateLimiter
from limits.storage import storage_from_string

logger = logging.getLogger(__name__)

STORE_TIMEOUT_SECONDS: Final = 0.25
RETRY_SECONDS: Final = 2.0
"""A store that failed is left alone so long, so that its timeouts do not slow every answer."""
MAX_CALLERS: Final = 100_000
"""Callers remembered in this process: about 20 MB; beyond it those first seen in a window are forgotten first."""

Counted = tuple[bool, int, float]
"""Whether it is allowed, what remains, and when the window ends in Unix time."""


class RateStore(Protocol):
    """Counts requests in fixed windows, each of which begins with a caller's first request."""

    @property
    def is_up(self) -> bool:
        """Whether requests are counted."""

    async def count(self, item: RateLimitItem, who: str, cost: int) -> Counted | None:
        """Count one request; None where nobody counted it."""


def rate_store(address: str) -> RateStore:
    """The store of an address, ``memory://`` or ``redis://…``."""
    return MemoryRates() if address.startswith("memory:") else RedisRates(address)


class MemoryRates:
    """In this process. The one of ``limits`` walks through every caller at every request, so it is not used here."""

    is_up: bool = True

    def __init__(self) -> None:
        self._windows: dict[str, tuple[float, int]] = {}
        self._sweep_at = 0.0

    async def count(self, item: RateLimitItem, who: str, cost: int) -> Counted | None:
        """Count one request."""
        now = time()
        if now > self._sweep_at:
            self._windows = {name: window for name, window in self._windows.items() if window[0] > now}
            self._sweep_at = now + item.get_expiry()
        ends, used = self._windows.get(who, (0.0, 0))
        if ends <= now:
            self._windows.pop(who, None)
            ends, used = now + item.get_expiry(), 0
            if len(self._windows) >= MAX_CALLERS:
                del self._windows[next(iter(self._windows))]
        used += cost
        self._windows[who] = (ends, used)
        return used <= item.amount, max(0, item.amount - used), ends


class RedisRates:
    """In Redis, by ``limits``."""

    def __init__(self, address: str) -> None:
        storage = storage_from_string(
            f"async+{address}",
            implementation="redispy",
            socket_timeout=STORE_TIMEOUT_SECONDS,
            socket_connect_timeout=STORE_TIMEOUT_SECONDS,
        )
        self._limiter = FixedWindowRateLimiter(storage)
        self._away_until: float | None = None

    @property
    def is_up(self) -> bool:
        """Whether the last request was counted."""
        return self._away_until is None

    async def count(self, item: RateLimitItem, who: str, cost: int) -> Counted | None:
        """Count one request; None while Redis is away."""
        if self._away_until is not None and self._away_until > monotonic():
            return None
        try:
            allowed = await self._limiter.hit(item, who, cost=cost)
            stats = await self._limiter.get_window_stats(item, who)
        except Exception as error:  # whatever the client of the store raises, visitors are served
            if self._away_until is None:
                logger.warning("rate limit store is away", extra={"error": type(error).__name__})
            self._away_until = monotonic() + RETRY_SECONDS
            return None
        if self._away_until is not None:
            logger.warning("rate limit store is back")
            self._away_until = None
        return allowed, stats.remaining, stats.reset_time
