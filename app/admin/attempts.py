"""Wrong keys cost time: each doubles how long its address must wait before another is looked at."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import Final

from starlette.types import Scope

from app.ops.addresses import caller, household

FIRST_DELAY_SECONDS: Final = 1.0
LONGEST_DELAY_SECONDS: Final = 900.0
FORGOTTEN_AFTER_SECONDS: Final = 3_600.0
MAX_AT_ONCE: Final = 16
"""Keys of one address that are looked at side by side: otherwise many sent at once would cost one delay."""
MAX_ADDRESSES: Final = 50_000
"""Addresses remembered: about 10 MB; beyond it those that failed longest ago are forgotten first."""


class Attempts:
    """Wrong keys by address, in this process."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[int, float]] = {}
        self._in_hand: dict[str, int] = {}
        self._lock = Lock()

    @contextmanager
    def looking(self, address: str) -> Iterator[float]:
        """Look at a key: gives the seconds to wait instead, 0 where it may be looked at now."""
        wait = self.wait_seconds(address)
        with self._lock:
            count = self._in_hand.get(address, 0)
            if count >= MAX_AT_ONCE:
                wait = max(wait, FIRST_DELAY_SECONDS)
            self._in_hand[address] = count + 1
        try:
            yield wait
        finally:
            with self._lock:
                self._in_hand[address] -= 1
                if not self._in_hand[address]:
                    del self._in_hand[address]

    def wait_seconds(self, address: str) -> float:
        """How long an address must wait before its next key is looked at; 0 where it need not."""
        with self._lock:
            count, last = self._failures.get(address, (0, 0.0))
        if not count:
            return 0.0
        return max(0.0, last + _delay(count) - monotonic())

    def failed(self, address: str) -> float:
        """Note a wrong key; returns the wait that follows from it, in seconds."""
        now = monotonic()
        with self._lock:
            count, last = self._failures.pop(address, (0, now))
            count = 1 if now - last > FORGOTTEN_AFTER_SECONDS else count + 1
            # Put last, so that the first in the dictionary is the one that failed longest ago.
            self._failures[address] = (count, now)
            if len(self._failures) > MAX_ADDRESSES:
                del self._failures[next(iter(self._failures))]
        return _delay(count)

    def succeeded(self, address: str) -> None:
        """Forget an address's wrong keys."""
        with self._lock:
            self._failures.pop(address, None)


def address_of(scope: Scope) -> str:
    """What failures are counted under: the caller's address, or one name for all that have none."""
    address = caller(scope)
    return household(address) if address is not None else "without an address"


def _delay(failures: int) -> float:
    return float(min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(failures - 1, 30)))
