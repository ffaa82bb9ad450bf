"""Models by their id on the hub: read once, kept in SQL with revision and day, and asked for sparingly.

Answers that somebody may soon get differently (missing, gated) are kept in memory for minutes, failures for a minute.
While the hub is away, what was read before goes on answering.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from threading import BoundedSemaphore, Lock
from time import monotonic
from typing import Final

from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlmodel import Session, col, delete, func, select

from app.catalogue.database import Database
from app.catalogue.hub_answer import Conversion, HubAnswer, HubRefusal, Outcome, Reading, answer_of
from app.catalogue.hub_client import HubClient
from app.catalogue.tables import HubRecord, utc_now
from app.messages import mark

logger = logging.getLogger(__name__)

MAX_AT_ONCE: Final = 8
"""Visitors who wait for the hub side by side; others are told to come back, so that a slow hub stops nobody else."""
MAX_PER_MINUTE: Final = 120
"""Readings a process begins in a minute, whoever asks: the hub counts them by our address."""
_IN_MEMORY: Final = 1_024
_KEPT_SECONDS: Final = 3_600.0
_SETTLED_SECONDS: Final = 600.0
_FAILED_SECONDS: Final = 60.0
_SETTLED: Final = frozenset(
    {Outcome.NO_CONFIG, Outcome.GATED, Outcome.NOT_ALLOWED, Outcome.MISSING, Outcome.MALFORMED, Outcome.TOO_LARGE}
)
_BUSY_HERE: Final = HubRefusal(message=mark("cannot be looked up now: too many others are. Try again in a minute."))

Dated = tuple[Reading, datetime]


class HubModels:
    """Looks ids up. Safe to call from many threads; each call waits for the hub at most as long as its client does."""

    def __init__(
        self,
        client: HubClient,
        database: Database,
        *,
        cache_days: float,
        limit: int,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """``limit`` is how many configurations are kept; those read longest ago go first."""
        self._client = client
        self._database = database
        self._fresh = timedelta(days=cache_days)
        self._limit = limit
        self._now = now
        self._lock = Lock()
        self._known: OrderedDict[str, tuple[float, HubAnswer]] = OrderedDict()
        self._begun: deque[float] = deque()
        self._places = BoundedSemaphore(MAX_AT_ONCE)
        self._turns: dict[str, Lock] = {}
        self._left_alone_until = 0.0

    def lookup(self, hub_id: str) -> HubAnswer:
        """The answer for ``owner/name``."""
        name = hub_id.lower()
        known = self._remembered(name)
        if known is not None:
            return known
        if not self._places.acquire(blocking=False):
            return _BUSY_HERE
        try:
            with self._lock:
                turn = self._turns.setdefault(name, Lock())
            # Whoever asks for the same model meanwhile waits for this answer instead of asking again.
            with turn:
                return self._remembered(name) or self._found(hub_id, name)
        finally:
            self._places.release()
            with self._lock:
                self._turns.pop(name, None)

    def close(self) -> None:
        """Close the connections to the hub."""
        self._client.close()

    def _found(self, hub_id: str, name: str) -> HubAnswer:
        stored = self._stored(name)
        if stored is not None and self._now() - stored[1] < self._fresh:
            return self._remember(name, stored, _KEPT_SECONDS)
        reading = self._read(hub_id)
        if reading is None:
            return self._remember(name, stored, _FAILED_SECONDS) if stored else _BUSY_HERE
        if reading.content is not None or reading.base_hub_id is not None:
            self._store(name, reading)
            return self._remember(name, (reading, self._now()), _KEPT_SECONDS)
        if reading.outcome in _SETTLED:
            return self._remember(name, (reading, self._now()), _SETTLED_SECONDS)
        # The hub is away or slow: what was read before is better than nothing, and says its day.
        return self._remember(name, stored or (reading, self._now()), reading.wait_seconds or _FAILED_SECONDS)

    def _read(self, hub_id: str) -> Reading | None:
        """Ask the hub, unless it asked to be left alone or too many readings were begun (None)."""
        with self._lock:
            now = monotonic()
            if now < self._left_alone_until:
                return Reading(hub_id=hub_id, outcome=Outcome.BUSY, wait_seconds=self._left_alone_until - now)
            while self._begun and self._begun[0] < now - 60:
                self._begun.popleft()
            if len(self._begun) >= MAX_PER_MINUTE:
                return None
            self._begun.append(now)
        reading = self._client.read(hub_id)
        if reading.outcome is Outcome.BUSY:
            with self._lock:
                self._left_alone_until = monotonic() + (reading.wait_seconds or _FAILED_SECONDS)
        logger.info("hub", extra={"outcome": reading.outcome.value})
        return reading

    def _remembered(self, name: str) -> HubAnswer | None:
        with self._lock:
            expires, answer = self._known.get(name, (0.0, None))
            if answer is None or expires < monotonic():
                return None
            self._known.move_to_end(name)
            return answer

    def _remember(self, name: str, dated: Dated, seconds: float) -> HubAnswer:
        answer = answer_of(dated[0], host=self._client.host, read_on=dated[1].date())
        with self._lock:
            self._known[name] = (monotonic() + seconds, answer)
            self._known.move_to_end(name)
            while len(self._known) > _IN_MEMORY:
                self._known.popitem(last=False)
        return answer

    def _stored(self, name: str) -> Dated | None:
        try:
            with self._database.reading() as session:
                row = session.get(HubRecord, name)
                return (_reading(row), row.fetched_at) if row is not None else None
        except SQLAlchemyError:
            logger.warning("models read from the hub could not be looked up", exc_info=True)
            return None

    def _store(self, name: str, reading: Reading) -> None:
        try:
            with self._database.writing() as session:
                session.merge(
                    HubRecord(
                        hub_id_lower=name,
                        hub_id=reading.hub_id,
                        outcome=reading.outcome.value,
                        revision=reading.revision,
                        base_hub_id=reading.base_hub_id,
                        note=reading.conversion.value if reading.conversion else None,
                        content=dict(reading.content) if reading.content is not None else None,
                        fetched_at=self._now(),
                    )
                )
                session.flush()
                self._drop_oldest(session)
        except IntegrityError:
            logger.debug("another process read the same model first")
        except SQLAlchemyError:
            logger.warning("a model read from the hub is kept in memory only", exc_info=True)

    def _drop_oldest(self, session: Session) -> None:
        surplus = session.exec(select(func.count()).select_from(HubRecord)).one() - self._limit
        if surplus > 0:
            oldest = select(HubRecord.hub_id_lower).order_by(col(HubRecord.fetched_at)).limit(surplus)
            session.exec(delete(HubRecord).where(col(HubRecord.hub_id_lower).in_(list(session.exec(oldest)))))


def _reading(row: HubRecord) -> Reading:
    known = Reading(
        hub_id=row.hub_id,
        outcome=Outcome(row.outcome),
        revision=row.revision,
        base_hub_id=row.base_hub_id,
        content=row.content,
    )
    return replace(known, conversion=Conversion(row.note)) if row.note else known
