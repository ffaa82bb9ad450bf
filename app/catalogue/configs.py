"""Pasted configurations, kept under their hash so that a run over one has a permalink."""

import logging
from collections import OrderedDict
from collections.abc import Mapping
from datetime import timedelta
from threading import Lock
from typing import Any, Final

from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlmodel import col, delete, func, select

from app.catalogue.database import Database
from app.catalogue.tables import StoredConfig, utc_now

logger = logging.getLogger(__name__)

_IN_MEMORY: Final = 256
_USE_RESOLUTION: Final = timedelta(minutes=10)
"""A use is written down at most this often, so that reading stays reading."""


class StoredConfigs:
    """Configurations by hash: a small cache before the table, the least recently used dropped beyond ``limit``."""

    def __init__(self, database: Database, *, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._recent: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self._unwritten: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> Mapping[str, Any] | None:
        """The configuration of a hash, or None where it is not kept or the database is away."""
        with self._lock:
            if key in self._recent:
                self._recent.move_to_end(key)
                return self._recent[key]
        try:
            content = self._read(key)
        except SQLAlchemyError:
            logger.warning("stored configurations could not be read", exc_info=True)
            return None
        if content is not None:
            self._remember(key, content)
        return content

    def put(self, key: str, config: Mapping[str, Any]) -> None:
        """Keep a configuration, or mark it used again; where the database is away, in this process until it is back."""
        self._remember(key, config)
        with self._lock:
            self._unwritten[key] = config
            while len(self._unwritten) > _IN_MEMORY:
                self._unwritten.popitem(last=False)
            waiting = dict(self._unwritten)
        try:
            for name, content in waiting.items():
                self._write(name, content)
                with self._lock:
                    self._unwritten.pop(name, None)
        except SQLAlchemyError:
            logger.warning("configurations are kept in memory only", extra={"waiting": len(waiting)}, exc_info=True)

    def _read(self, key: str) -> dict[str, Any] | None:
        with self._database.reading() as session:
            row = session.get(StoredConfig, key)
            if row is None:
                return None
            content, used = row.content, row.last_used_at
        if utc_now() - used > _USE_RESOLUTION:
            with self._database.writing() as session:
                row = session.get(StoredConfig, key)
                if row is not None:
                    row.last_used_at = utc_now()
        return content

    def _write(self, key: str, config: Mapping[str, Any]) -> None:
        try:
            with self._database.writing() as session:
                row = session.get(StoredConfig, key)
                if row is not None:
                    row.last_used_at = utc_now()
                else:
                    session.add(StoredConfig(hash=key, content=dict(config)))
                    session.flush()
                    self._drop_oldest(session)
        except IntegrityError:
            logger.debug("another process kept the same configuration first")

    def _drop_oldest(self, session: Any) -> None:
        surplus = session.exec(select(func.count()).select_from(StoredConfig)).one() - self._limit
        if surplus > 0:
            by_use = select(StoredConfig.hash).order_by(col(StoredConfig.last_used_at)).limit(surplus)
            session.exec(delete(StoredConfig).where(col(StoredConfig.hash).in_(list(session.exec(by_use)))))

    def _remember(self, key: str, config: Mapping[str, Any]) -> None:
        with self._lock:
            self._recent[key] = config
            while len(self._recent) > min(_IN_MEMORY, self._limit):
                self._recent.popitem(last=False)
