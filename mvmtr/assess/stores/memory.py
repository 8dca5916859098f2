# -*- test-case-name: mvmtr.test.test_assess_stores -*-
"""Records in memory: gone when the process ends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from zope.interface import implementer

from mvmtr.assess.records import Record
from mvmtr.assess.stores import LISTED_MAX, IStore, Step, T


@implementer(IStore)
class MemoryStore:
    """
    A dictionary.

    @param now: the clock, in seconds since 1970.
    """

    name = "memory:"

    def __init__(self, reactor: Any = None, now: Callable[[], float] = time.time) -> None:
        self._now = now
        # As JSON, which takes a fraction of the room of a dictionary.
        self._records: dict[str, tuple[str, float]] = {}

    def open(self) -> Deferred[None]:
        """See L{IStore}."""
        return succeed(None)

    def _find(self, key: str, now: float) -> Record | None:
        found = self._records.get(key)
        if found is None or 0 < found[1] <= now:
            return None
        return Record(json.loads(found[0]), found[1])

    def transact(self, keys: Sequence[str], step: Step[T]) -> Deferred[T]:
        """See L{IStore}."""
        return maybeDeferred(self._transact, keys, step)

    def _transact(self, keys: Sequence[str], step: Step[T]) -> T:
        now = self._now()
        found = {key: record for key in keys if (record := self._find(key, now)) is not None}
        result, changes = step(found)
        for key, change in changes.items():
            if change is None:
                self._records.pop(key, None)
            else:
                self._records[key] = change.written(), change.expires
        return result

    def select(self, prefix: str) -> Deferred[list[tuple[str, Record]]]:
        """See L{IStore}."""
        now = self._now()
        keys = sorted(key for key in self._records if key.startswith(prefix))
        found = ((key, self._find(key, now)) for key in keys)
        return succeed([(key, record) for key, record in found if record is not None][:LISTED_MAX])

    def sweep(self) -> Deferred[int]:
        """See L{IStore}."""
        now = self._now()
        over = [key for key, (_values, until) in self._records.items() if 0 < until <= now]
        for key in over:
            del self._records[key]
        return succeed(len(self._records))

    def close(self) -> Deferred[None]:
        """See L{IStore}."""
        return succeed(None)
