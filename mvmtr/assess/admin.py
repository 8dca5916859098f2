# -*- test-case-name: mvmtr.test.test_assess_admin -*-
"""
What a postmaster may do, as requests of the policy protocol.

Answers hold lines of L{entries}; a list that does not fit into one goes on with the
cursor that comes with it.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any

from twisted.logger import Logger

import mvmtr.log as logged
from mvmtr.assess.about import About, about
from mvmtr.assess.activity import ORDERS, Activity
from mvmtr.assess.entries import BadEntry, entry_of, line_of, read_line
from mvmtr.assess.records import Record, Records, key_of
from mvmtr.assess.reputation import SHARES, Reputation
from mvmtr.assess.rules import BadSubject
from mvmtr.assess.service import Assessment
from mvmtr.assess.stores import StoreError
from mvmtr.assess.wire import REQUEST_MAX, Attributes

log = Logger()

ENTRY = b"mvmcas_entry_%d"

ROOM = REQUEST_MAX // 2
"""Bytes of entries in one answer; any one entry fits into the other half."""

WALKS_MAX = 100
"""Lists that are under way at a time; beyond, the oldest can't go on."""

ROWS_MAX = 200
"""Clients in a table."""


class BadCommand(ValueError):
    """Nothing that can be done; the text says why."""


def entries_in(attributes: Mapping[bytes, bytes]) -> list[str]:
    """The entries of a request or an answer, in their order."""
    lines: list[str] = []
    for number in count(1):
        line = attributes.get(ENTRY % number)
        if line is None:
            return lines
        lines.append(line.decode("utf-8", "replace"))
    raise AssertionError


def with_entries(lines: list[str]) -> Attributes:
    """Attributes that hold entries, and their number."""
    entries = {ENTRY % number: line.encode() for number, line in enumerate(lines, 1)}
    return {**entries, b"mvmcas_count": b"%d" % len(lines)}


def take(lines: deque[str]) -> list[str]:
    """As many lines as fit into one request or answer, taken off; at least one if any."""
    taken: list[str] = []
    room = ROOM
    while lines and (not taken or len(lines[0]) <= room):
        # The name of the attribute takes some room as well.
        room -= len(lines[0]) + 30
        taken.append(lines.popleft())
    return taken


@dataclass
class _Walk:
    """A list under way: what is left to tell, and to read for each prefix."""

    prefixes: deque[str]
    lines: deque[str] = field(default_factory=deque)
    cursor: str = ""


class Admin:
    """
    Does what is asked for.

    @param files: rules from elsewhere than the store.
    @ivar activity: what clients do from now on.
    """

    def __init__(
        self,
        assessment: Assessment,
        files: Callable[[], Records] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.activity = Activity()
        self._store = assessment.store
        self._settings = assessment.engine.settings
        self._reputation = Reputation(self._settings)
        self._files = files or dict
        self._now = now
        self._began = now()
        self._walks: OrderedDict[str, _Walk] = OrderedDict()
        self._numbers = count(1)
        self._commands: dict[bytes, Callable[[Attributes], Awaitable[Attributes]]] = {
            b"put": self._put,
            b"list": self._list,
            b"show": self._show,
            b"forget": self._forget,
            b"top": self._top,
        }
        assessment.watchers.append(self.activity.note)

    async def answer(self, request: Attributes) -> Attributes:
        """The answer to a request; with C{mvmcas_error} when it can't be done."""
        name = request.get(b"mvmcas_command", b"")
        try:
            if name not in self._commands:
                raise BadCommand(f"{name[:40]!r} is no command that is known")
            return await self._commands[name](request)
        except (BadCommand, BadEntry, BadSubject, StoreError) as error:
            return {b"mvmcas_error": str(error).encode("utf-8", "replace")}
        except Exception:
            log.failure("unable to do {name}", name=name)
            return {b"mvmcas_error": b"there is an error in the program; see its log"}

    # Writing

    async def _put(self, request: Attributes) -> Attributes:
        """Remember entries; all of them or none."""
        changes: dict[str, Record | None] = {}
        lines = entries_in(request)
        for number, line in enumerate(lines, 1):
            try:
                key, record = read_line(line)
            except BadEntry as error:
                place = f"entry {number}: " if len(lines) > 1 else ""
                raise BadEntry(f"{place}{error}") from None
            if not record.is_over(self._now()):
                changes[key] = record
        if changes:
            await self._store.transact(list(changes), lambda _records: (None, changes))
            self._log("put", len(changes), next(iter(changes)))
        answer = {b"mvmcas_count": b"%d" % len(changes)}
        files = self._files()
        for key in changes:
            if key in files:
                place = files[key].values["file"]
                answer[b"mvmcas_note"] = f"{place} is about the same and holds".encode()
        return answer

    async def _forget(self, request: Attributes) -> Attributes:
        """Forget what is about a subject, or only the rules about it."""
        subject = self._about(request)
        only_rules = request.get(b"mvmcas_only") == b"rules"
        keys = list(subject.rules if only_rules else subject.rules + subject.keys)
        number = await self._forget_keys(keys)
        for prefix in () if only_rules else subject.prefixes:
            cursor, is_first = "", True
            while cursor or is_first:
                found, cursor = await self._store.scan(prefix, cursor)
                is_first = False
                number += await self._forget_keys([key for key, _record in found])
        self._log("forget", number, (subject.rules + subject.keys)[0])
        answer = {b"mvmcas_count": b"%d" % number}
        files = self._files()
        for key in subject.rules:
            if key in files:
                answer[b"mvmcas_note"] = f"{files[key].values['file']} stays".encode()
        return answer

    async def _forget_keys(self, keys: list[str]) -> int:
        def step(records: Records) -> tuple[int, dict[str, Record | None]]:
            return len(records), dict.fromkeys(records)

        return await self._store.transact(keys, step) if keys else 0

    def _log(self, command: str, number: int, key: str) -> None:
        record = logged.Record(event="admin", command=command, count=number, key=key)
        log.info("{record}", record=record)

    # Reading

    async def _list(self, request: Attributes) -> Attributes:
        """All records whose key begins with something."""
        if b"mvmcas_cursor" in request:
            return await self._go_on(request)
        prefix = request.get(b"mvmcas_prefix", b"").decode("utf-8", "replace")
        walk = _Walk(deque([prefix]))
        for key, record in self._files().items():
            if key.startswith(prefix):
                walk.lines.append(self._line(key, record))
        return await self._part_of(walk)

    async def _show(self, request: Attributes) -> Attributes:
        """All that is known about a subject, and then what holds for it too."""
        if b"mvmcas_cursor" in request:
            return await self._go_on(request)
        subject = self._about(request)
        keys = [*subject.rules, *subject.keys, *subject.others]
        files = self._files()
        records = await self._store.transact(keys, lambda records: (dict(records), {}))
        walk = _Walk(deque([*subject.prefixes, *subject.other_prefixes]))
        for key in keys:
            for source in (files, records):
                if key in source:
                    walk.lines.append(self._line(key, source[key]))
        return await self._part_of(walk)

    async def _go_on(self, request: Attributes) -> Attributes:
        cursor = request[b"mvmcas_cursor"].decode("ascii", "replace")
        walk = self._walks.pop(cursor, None)
        if walk is None:
            raise BadCommand("this list can't go on; begin again")
        return await self._part_of(walk)

    async def _part_of(self, walk: _Walk) -> Attributes:
        while walk.prefixes and not walk.lines:
            found, walk.cursor = await self._store.scan(walk.prefixes[0], walk.cursor)
            walk.lines += (self._line(key, record) for key, record in found)
            if not walk.cursor:
                walk.prefixes.popleft()
        answer = with_entries(take(walk.lines))
        if walk.lines or walk.prefixes:
            cursor = str(next(self._numbers))
            self._walks[cursor] = walk
            answer[b"mvmcas_cursor"] = cursor.encode()
            if len(self._walks) > WALKS_MAX:
                self._walks.popitem(last=False)
        return answer

    async def _top(self, request: Attributes) -> Attributes:
        """Clients that have most of something, and first of all sums."""
        number = request.get(b"mvmcas_rows", b"20")
        order = request.get(b"mvmcas_order", b"rate").decode("ascii", "replace")
        if not number.isdigit() or len(number) > 9 or order not in ORDERS:
            raise BadCommand(f"wants a number, and an order: {', '.join(ORDERS)}")
        now = self._now()
        first = self.activity.first(min(int(number), ROWS_MAX), order, now)
        keys = {one.client: key_of("client", one.client.encode()) for one in first}
        known: Records = {}
        if keys:
            known = await self._store.transact(list(keys.values()), lambda found: (dict(found), {}))
        rows = deque([line_of(await self._sums(now))])
        for one in first:
            row = {**asdict(one), "rate": round(one.per_minute(now), 1)}
            if keys[one.client] in known:
                row["points"] = self._points(known[keys[one.client]], now)
            rows.append(line_of(row))
        return with_entries(take(rows))

    async def _sums(self, now: float) -> dict[str, Any]:
        total = self.activity.total
        return {
            "store": self._store.name,
            "records": await self._store.count(),
            "clients": len(self.activity),
            "since": self._began,
            "now": now,
            "rate": round(total.per_minute(now), 1),
            "asked": total.asked,
            "put_off": total.put_off,
            "refused": total.refused,
        }

    def _about(self, request: Attributes) -> About:
        return about(request.get(b"mvmcas_subject", b"").decode("utf-8", "replace"), self._settings)

    def _points(self, record: Record, now: float) -> float:
        return round(self._reputation.points(record, now), 1)

    def _line(self, key: str, record: Record) -> str:
        entry = entry_of(key, record)
        if key.partition(" ")[0] in SHARES:
            entry["points_now"] = self._points(record, self._now())
        return line_of(entry)
