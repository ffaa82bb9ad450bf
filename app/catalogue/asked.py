"""Counts what people ask for by the day: models, methods, cards, searches that found nothing, order links followed.

Nothing about who asked is looked at or kept. A search is kept only where it reads like a model's name, so that a mail
address or a telephone number typed by mistake is not.
"""

import logging
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from enum import StrEnum
from typing import Any, Final

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from app.catalogue.database import Database
from app.catalogue.snapshot import Snapshot
from app.catalogue.tables import AskedFor, OrderClick
from app.memory.inputs import MethodKind

logger = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 15.0
MAX_WAITING: Final = 5_000
"""Different things counted between two writes; more are not counted, so that nobody fills memory or the table."""
MAX_NOT_FOUND: Final = 500
"""Different searches without a result that a process counts between two writes."""
_METHODS: Final = frozenset(kind.value for kind in MethodKind)
_ASKED_KEY: Final = ("kind", "value", "day")
_CLICK_KEY: Final = ("offer_public_id", "day")
_NAME_LIKE: Final = re.compile(r"[a-z0-9][a-z0-9 ._/+-]{1,79}")
_MANY_DIGITS: Final = re.compile(r"\d[\d .-]{5,}\d")


class Kind(StrEnum):
    """What is counted."""

    MODEL = "model"
    METHOD = "method"
    CARD = "card"
    NOT_FOUND = "not_found"


class Asked:
    """Counts in memory and writes every few seconds. Without a database it counts nothing."""

    def __init__(self, database: Database | None, today: Callable[[], date]) -> None:
        self._database = database
        self._today = today
        self._lock = threading.Lock()
        self._waiting: Counter[tuple[Kind, str, date]] = Counter()
        self._clicks: Counter[tuple[str, date]] = Counter()
        self._not_found = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def run(self, asked: Mapping[str, str | None], snapshot: Snapshot) -> None:
        """Count a run by the texts it was asked with (``model``, ``method``, ``gpu``), without what was not given."""
        if self._database is None:
            return
        if model := asked.get("model"):
            found = None if model.lower().startswith("config:") else snapshot.model(model)
            if found is not None:
                self._count(Kind.MODEL, found.slug)
            else:
                self.not_found(model)
        if (method := asked.get("method")) in _METHODS:
            self._count(Kind.METHOD, str(method))
        card = snapshot.gpu(gpu) if (gpu := asked.get("gpu")) else None
        if card is not None:
            self._count(Kind.CARD, card.slug)

    def not_found(self, text: str) -> None:
        """Count a search that found nothing."""
        plain = " ".join(text.lower().split())
        if not _NAME_LIKE.fullmatch(plain) or _MANY_DIGITS.search(plain):
            return
        with self._lock:
            if (Kind.NOT_FOUND, plain, self._today()) not in self._waiting:
                if self._not_found >= MAX_NOT_FOUND:
                    return
                self._not_found += 1
        self._count(Kind.NOT_FOUND, plain)

    def click(self, offer_id: str) -> None:
        """Count an order link that was followed."""
        if self._database is None:
            return
        with self._lock:
            if len(self._clicks) < MAX_WAITING:
                self._clicks[offer_id, self._today()] += 1

    def flush(self) -> None:
        """Write what was counted; while the database is away it waits in memory."""
        with self._lock:
            waiting, self._waiting = self._waiting, Counter()
            clicks, self._clicks = self._clicks, Counter()
            self._not_found = 0
        if self._database is None or not (waiting or clicks):
            return
        try:
            self._write(self._database, waiting, clicks)
        except SQLAlchemyError:
            logger.warning("counts wait for the database", exc_info=True)
            with self._lock:
                self._waiting.update(waiting)
                self._clicks.update(clicks)

    def start(self) -> None:
        """Begin to write in the background."""
        if self._database is not None and self._thread is None:
            self._thread = threading.Thread(target=self._write_on, name="asked", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Write what is left."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
            self.flush()

    def _count(self, kind: Kind, value: str) -> None:
        if self._database is None:
            return
        key = (kind, value[:120], self._today())
        with self._lock:
            if key in self._waiting or len(self._waiting) < MAX_WAITING:
                self._waiting[key] += 1

    def _write_on(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self.flush()

    def _write(
        self, database: Database, waiting: Mapping[tuple[Kind, str, date], int], clicks: Mapping[tuple[str, date], int]
    ) -> None:
        # In one order everywhere, so that two processes never wait for each other's rows.
        asked = [
            {"kind": kind.value, "value": value, "day": day, "times": times}
            for (kind, value, day), times in sorted(waiting.items())
        ]
        followed = [
            {"offer_public_id": offer, "day": day, "clicks": times} for (offer, day), times in sorted(clicks.items())
        ]
        insert: Any = sqlite.insert if database.is_sqlite else postgresql.insert
        with database.writing() as session:
            for table, column, key, rows in (
                (AskedFor, "times", _ASKED_KEY, asked),
                (OrderClick, "clicks", _CLICK_KEY, followed),
            ):
                if rows:
                    added = insert(table)
                    more = {column: getattr(table, column) + added.excluded[column]}
                    session.connection().execute(added.on_conflict_do_update(index_elements=key, set_=more), rows)
