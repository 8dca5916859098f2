# -*- test-case-name: mvmtr.test.test_assess_stores -*-
"""Records in a file, by SQLite. One process at a time writes; it needs no server."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any

from twisted.enterprise.adbapi import ConnectionPool
from twisted.python.failure import Failure
from zope.interface import implementer

from mvmtr.assess.records import Record, Records
from mvmtr.assess.stores import LISTED_MAX, IStore, Step, StoreError, T

BUSY_TIMEOUT = 5
"""Seconds to wait for another process that has the file."""

SWEEP_MAX = 10_000
"""Records that are forgotten in one go, for nobody else gets an answer meanwhile."""

_TABLES = """
    CREATE TABLE IF NOT EXISTS records (
        key TEXT PRIMARY KEY, record TEXT NOT NULL, expires REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS records_expires ON records (expires) WHERE expires > 0;
"""


def _prepare(connection: Any) -> None:
    # With the log of writes a process that is killed loses nothing that was committed.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


@implementer(IStore)
class SqliteStore:
    """
    A file with one table, used from one thread.

    @param now: the clock, in seconds since 1970.
    """

    def __init__(self, path: str, reactor: Any, now: Callable[[], float] = time.time) -> None:
        self.name = f"sqlite:{path}"
        self._now = now
        self._pool = ConnectionPool(
            "sqlite3",
            path,
            timeout=BUSY_TIMEOUT,
            check_same_thread=False,
            cp_min=1,
            cp_max=1,
            cp_reactor=reactor,
            cp_openfun=_prepare,
            cp_noisy=False,
        )

    async def open(self) -> None:
        """See L{IStore}."""
        self._pool.start()
        await self._run(lambda cursor: cursor.executescript(_TABLES))

    async def _run(self, function: Callable[[Any], T]) -> T:
        try:
            result: T = await self._pool.runInteraction(function)
        except sqlite3.Error as error:
            raise StoreError(f"{self.name}: {error}") from error
        return result

    async def transact(self, keys: Sequence[str], step: Step[T]) -> T:
        """See L{IStore}."""
        return await self._run(lambda cursor: self._transact(cursor, keys, step))

    def _transact(self, cursor: Any, keys: Sequence[str], step: Step[T]) -> T:
        # From the first look on nobody else may write.
        cursor.execute("BEGIN IMMEDIATE")
        result, changes = step(self._find(cursor, keys))
        gone = [(key,) for key, change in changes.items() if change is None]
        kept = [
            (key, change.written(), change.expires)
            for key, change in changes.items()
            if change is not None
        ]
        cursor.executemany("DELETE FROM records WHERE key = ?", gone)
        cursor.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", kept)
        return result

    def _find(self, cursor: Any, keys: Sequence[str]) -> Records:
        marks = ", ".join("?" * len(keys))
        cursor.execute(
            f"SELECT * FROM records WHERE key IN ({marks}) AND (expires = 0 OR expires > ?)",
            (*keys, self._now()),
        )
        return {key: Record(json.loads(text), until) for key, text, until in cursor}

    async def select(self, prefix: str) -> list[tuple[str, Record]]:
        """See L{IStore}."""

        def select(cursor: Any) -> list[tuple[str, Record]]:
            cursor.execute(
                "SELECT * FROM records WHERE key >= ? AND key < ?"
                " AND (expires = 0 OR expires > ?) ORDER BY key LIMIT ?",
                (prefix, prefix + "\U0010ffff", self._now(), LISTED_MAX),
            )
            return [(key, Record(json.loads(text), until)) for key, text, until in cursor]

        return await self._run(select)

    async def sweep(self) -> int:
        """See L{IStore}."""

        def sweep(cursor: Any) -> int:
            cursor.execute(
                "DELETE FROM records WHERE key IN"
                " (SELECT key FROM records WHERE expires > 0 AND expires <= ? LIMIT ?)",
                (self._now(), SWEEP_MAX),
            )
            cursor.execute("SELECT count(*) FROM records")
            return int(cursor.fetchone()[0])

        return await self._run(sweep)

    async def close(self) -> None:
        """See L{IStore}."""
        try:
            self._pool.close()
        except Exception as error:
            raise StoreError(f"{self.name}: {Failure(error).getErrorMessage()}") from error
