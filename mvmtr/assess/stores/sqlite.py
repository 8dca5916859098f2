# -*- test-case-name: mvmtr.test.test_assess_stores -*-
"""Records in a file, by SQLite. One process at a time writes; it needs no server."""

from __future__ import annotations

import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from mvmtr.assess.records import Record
from mvmtr.assess.stores import PART_MAX, RECORDS_MAX, IStore, Part, Step, StoreError, T

BUSY_TIMEOUT = 5
"""Seconds to wait for another process that has the file."""

TOGETHER_MAX = 100
"""Questions that are answered in one transaction of the database."""

SWEEP_MAX = 1000
"""Records that are forgotten in one go, for nobody else gets an answer meanwhile."""

VACUUM_MAX = 1000
"""Pages of the file that are given back to the system in one go."""

_EVER = 1e12

_PREPARE = """
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA journal_size_limit = 16777216;
    CREATE TABLE IF NOT EXISTS records (
        key TEXT PRIMARY KEY, record TEXT NOT NULL, expires REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS records_expires ON records (expires) WHERE expires > 0;
"""
# With its log of writes a process that is killed loses nothing that was committed, and no
# commit has to wait for the disk.

Function = Callable[[sqlite3.Connection], Any]
Job = tuple[Function, "Deferred[Any]"]


def _on_disk(function: Function, connection: sqlite3.Connection) -> Any:
    """What a function comes to; errors of the database are raised, others are returned."""
    try:
        return function(connection)
    except sqlite3.Error:
        raise
    except Exception:
        return Failure()


def _work(connection: sqlite3.Connection, functions: Sequence[Function]) -> list[Any]:
    """
    Do all in one transaction or, where that fails, each in one of its own.

    @return: what each came to, or the L{Failure} that it ended with.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.Error:
        return [Failure()] * len(functions)
    try:
        results = [_on_disk(function, connection) for function in functions]
        connection.execute("COMMIT")
        return results
    except sqlite3.Error:
        failure = Failure()
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    if len(functions) == 1:
        return [failure]
    return [result for function in functions for result in _work(connection, [function])]


def _forget(connection: sqlite3.Connection, until: float, most: int) -> int:
    """Forget some of those that end until then, the first to end first."""
    gone = connection.execute(
        "DELETE FROM records WHERE key IN (SELECT key FROM records"
        " WHERE expires > 0 AND expires <= ? ORDER BY expires LIMIT ?)",
        (until, most),
    )
    return gone.rowcount


def _vacuum(connection: sqlite3.Connection) -> None:
    """Give pages that nobody uses back to the system."""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    for _ in range(min(free, VACUUM_MAX)):
        # The module of Python would do no more than one anyway.
        connection.execute("PRAGMA incremental_vacuum(1)")


@implementer(IStore)
class SqliteStore:
    """
    A file with one table, used from one thread. What is asked for while that is busy is
    done together next, for a transaction costs more than what is done in it.

    @param now: the clock, in seconds since 1970.
    """

    def __init__(
        self,
        path: str,
        reactor: Any,
        records_max: int = RECORDS_MAX,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.name = f"sqlite:{path}"
        self._path = path
        self._reactor = reactor
        self._max = records_max
        self._now = now
        self._connection: sqlite3.Connection | None = None
        self._threads = ThreadPool(0, 1, self.name)
        self._jobs: deque[Job] = deque()
        self._working: Deferred[None] | None = None

    async def open(self) -> None:
        """See L{IStore}. Waits for nothing, so that it can be done before the reactor runs."""
        connection = None
        try:
            # Who writes to whom is nobody else's business.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            connection = sqlite3.connect(
                self._path, BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
            )
            connection.executescript(_PREPARE)
        except (OSError, sqlite3.Error) as error:
            if connection is not None:
                connection.close()
            reason = error.strerror if isinstance(error, OSError) else error
            raise StoreError(f"{self.name}: {reason}") from error
        self._connection = connection
        self._threads.start()

    async def _run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            raise StoreError(f"{self.name}: not open")
        done: Deferred[T] = Deferred()
        self._jobs.append((function, done))
        if self._working is None:
            self._working = Deferred.fromCoroutine(self._work(self._connection))
        try:
            return await done
        except sqlite3.Error as error:
            raise StoreError(f"{self.name}: {error}") from error

    async def _work(self, connection: sqlite3.Connection) -> None:
        while self._jobs:
            some = [self._jobs.popleft() for _ in range(min(TOGETHER_MAX, len(self._jobs)))]
            functions = [function for function, _done in some]
            try:
                results = await deferToThreadPool(
                    self._reactor, self._threads, _work, connection, functions
                )
            except Exception:
                results = [Failure()] * len(some)
            for (_function, done), result in zip(some, results, strict=True):
                done.callback(result)
        self._working = None

    async def transact(self, keys: Sequence[str], step: Step[T]) -> T:
        """See L{IStore}."""
        marks = ", ".join("?" * len(keys))
        select = f"SELECT key, record FROM records WHERE key IN ({marks})"

        def transact(connection: sqlite3.Connection) -> T:
            now = self._now()
            found = {key: Record.read(text) for key, text in connection.execute(select, keys)}
            alive = {key: record for key, record in found.items() if not record.is_over(now)}
            result, changes = step(alive)
            gone = [(key,) for key, change in changes.items() if change is None]
            kept = [(key, new.written(), new.expires) for key, new in changes.items() if new]
            connection.executemany("DELETE FROM records WHERE key = ?", gone)
            connection.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", kept)
            return result

        return await self._run(transact)

    async def scan(self, prefix: str, cursor: str = "") -> Part:
        """See L{IStore}."""

        def scan(connection: sqlite3.Connection) -> Part:
            rows = connection.execute(
                "SELECT key, record FROM records WHERE key >= ? AND key < ? AND key > ?"
                " ORDER BY key LIMIT ?",
                (prefix, prefix + "\U0010ffff", cursor, PART_MAX),
            ).fetchall()
            now = self._now()
            found = [(key, Record.read(text)) for key, text in rows]
            alive = [(key, record) for key, record in found if not record.is_over(now)]
            return alive, rows[-1][0] if len(rows) == PART_MAX else ""

        return await self._run(scan)

    async def sweep(self) -> int:
        """See L{IStore}."""
        swept = 0
        while some := await self._run(partial(_forget, until=self._now(), most=SWEEP_MAX)):
            swept += some
        excess = await self.count() - self._max
        while excess > 0:
            some = await self._run(partial(_forget, until=_EVER, most=min(excess, SWEEP_MAX)))
            if not some:
                break
            swept += some
            excess -= some
        await self._run(_vacuum)
        return swept

    async def count(self) -> int:
        """See L{IStore}."""

        def count(connection: sqlite3.Connection) -> int:
            return int(connection.execute("SELECT count(*) FROM records").fetchone()[0])

        return await self._run(count)

    async def close(self) -> None:
        """See L{IStore}."""
        connection, self._connection = self._connection, None
        if self._working is not None:
            await self._working
        if connection is not None:
            self._threads.stop()
            connection.close()
