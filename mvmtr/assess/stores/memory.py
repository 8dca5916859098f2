# -*- test-case-name: mvmtr.test.test_assess_stores -*-
"""Records in memory: gone when the process ends."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from typing import Any

from twisted.internet.task import deferLater
from zope.interface import implementer

from mvmtr.assess.records import Record
from mvmtr.assess.stores import PART_MAX, RECORDS_MAX, IStore, Part, Step, StoreError, T

SWEEP_MAX = 5000
"""Records that are looked at in one go, for nobody else gets an answer meanwhile."""


SCANS_MAX = 10
"""Lists under way, each of which has a copy of the keys; beyond, the oldest end early."""


@implementer(IStore)
class MemoryStore:
    """
    Two dictionaries: records with an end, those that were written last at the end, and
    records without one.

    @param now: the clock, in seconds since 1970.
    """

    name = "memory:"

    def __init__(
        self,
        reactor: Any,
        records_max: int = RECORDS_MAX,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._reactor = reactor
        self._max = records_max
        self._now = now
        # As text, which takes a fraction of the room that objects do.
        self._passing: dict[str, str] = {}
        self._lasting: dict[str, str] = {}
        self._scans: OrderedDict[str, Iterator[str]] = OrderedDict()
        self._numbers = count(1)

    async def open(self) -> None:
        """See L{IStore}."""

    def _find(self, key: str, now: float) -> Record | None:
        found = self._passing.get(key) or self._lasting.get(key)
        if found is None:
            return None
        record = Record.read(found)
        return None if record.is_over(now) else record

    async def transact(self, keys: Sequence[str], step: Step[T]) -> T:
        """See L{IStore}."""
        now = self._now()
        result, changes = step({k: found for k in keys if (found := self._find(k, now))})
        for key, change in changes.items():
            self._passing.pop(key, None)
            self._lasting.pop(key, None)
            if change is not None:
                place = self._passing if change.expires else self._lasting
                place[key] = change.written()
        self._make_room()
        return result

    def _make_room(self) -> None:
        """What was not written for the longest time goes; never what has no end."""
        excess = len(self._passing) + len(self._lasting) - self._max
        if excess > 0:
            for key in list(islice(self._passing, excess)):
                del self._passing[key]

    async def scan(self, prefix: str, cursor: str = "") -> Part:
        """See L{IStore}."""
        if cursor and cursor not in self._scans:
            raise StoreError(f"{self.name}: too many lists under way; begin again")
        if cursor:
            keys = self._scans.pop(cursor)
        else:
            every = (*self._lasting, *self._passing)
            keys = iter([key for key in every if key.startswith(prefix)])
        now = self._now()
        some = list(islice(keys, PART_MAX))
        part = [(key, found) for key in some if (found := self._find(key, now)) is not None]
        if len(some) < PART_MAX:
            return part, ""
        cursor = str(next(self._numbers))
        self._scans[cursor] = keys
        if len(self._scans) > SCANS_MAX:
            self._scans.popitem(last=False)
        return part, cursor

    async def sweep(self) -> int:
        """See L{IStore}."""
        swept = 0
        keys = iter(list(self._passing))
        while some := list(islice(keys, SWEEP_MAX)):
            now = self._now()
            for key in some:
                text = self._passing.get(key)
                if text is not None and float(text.partition(" ")[0]) <= now:
                    del self._passing[key]
                    swept += 1
            await deferLater(self._reactor, 0)
        return swept

    async def count(self) -> int:
        """See L{IStore}."""
        return len(self._passing) + len(self._lasting)

    async def close(self) -> None:
        """See L{IStore}."""
