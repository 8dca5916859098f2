# -*- test-case-name: mvmtr.test.test_assess_rulefiles -*-
"""
Rules in files of a control folder, read again when a file was edited.

One rule a line: the subject, C{until=} with a date if it is to end, and the reason. Blank
lines and those that begin with C{#} do not count.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from twisted.logger import Logger

from mvmtr.assess import dates
from mvmtr.assess.records import Record, Records
from mvmtr.assess.rules import ACTIONS, BadSubject, rule, subject_of
from mvmtr.stamps import is_settled, stamp_of
from mvmtr.values import SettingError

log = Logger()

FILES = {action: f"mvmcas-{action}" for action in ACTIONS}
"""The name of the file for each action."""


_UNTIL = re.compile(r" *until=(\S*)")


def rules_in(content: bytes, action: str, name: str) -> Iterator[tuple[str, Record]]:
    """
    The rules of a file. Pure.

    @param name: of the file; each record has it with the number of the line as C{file}.
    @raise SettingError: for a line that is no rule.
    """
    for number, line in enumerate(content.split(b"\n"), 1):
        line = line.replace(b"\t", b" ").strip()
        if line and not line.startswith(b"#"):
            place = f"{name}:{number}"
            try:
                key, record = _rule_in(line.decode(), action)
            except UnicodeDecodeError:
                raise SettingError(f"{place}: is not UTF-8") from None
            except (BadSubject, dates.BadDate) as error:
                raise SettingError(f"{place}: {error}") from None
            yield key, replace(record, values={**record.values, "file": place})


def _rule_in(line: str, action: str) -> tuple[str, Record]:
    subject, _blank, said = line.partition(" ")
    end = 0.0
    if match := _UNTIL.match(said):
        end, said = dates.read(match[1]), said[match.end() :]
    return subject_of(subject, action), rule(action, said.strip(), end)


class RuleFiles:
    """
    All the files of a folder. Where two lines are about the same subject, the later one
    holds, and among files that of the later action: block, allow, relay, trap.

    @param now: the clock, in seconds since 1970.
    @raise SettingError: when a file can't be read, or has a line that is no rule.
    """

    def __init__(self, folder: str, now: Callable[[], float] = time.time) -> None:
        self._paths = [os.path.join(folder, name) for name in FILES.values()]
        self._now = now
        self._all: dict[str, Record] = {}
        self._holding: Records = {}
        self._first_end = 0.0
        self._complaint = ""
        if not os.path.isdir(folder):
            raise SettingError(f"{folder}: there is no such folder")
        self._note(time.time())
        self._read()

    def _note(self, began: float) -> None:
        self._stamp = stamp_of(self._paths)
        self._settled = is_settled(self._stamp, began)

    def __call__(self) -> Records:
        """
        The rules whose time is not over, by key.

        An edit that can't be read is logged and changes nothing.
        """
        if stamp_of(self._paths) != self._stamp or not self._settled:
            self._note(time.time())
            try:
                self._read()
                self._complaint = ""
            except SettingError as error:
                self._complain(f"{error}; the last good rules stay in force")
        elif 0 < self._first_end <= self._now():
            self._choose()
        return self._holding

    def _complain(self, complaint: str) -> None:
        """Log what is wrong, once for as long as it stays so."""
        if complaint != self._complaint:
            self._complaint = complaint
            log.error("{complaint}", complaint=complaint)

    def _read(self) -> None:
        found: dict[str, Record] = {}
        for action, path in zip(FILES, self._paths, strict=True):
            try:
                with open(path, "rb") as file:
                    found.update(rules_in(file.read(), action, FILES[action]))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise SettingError(f"{path}: {error.strerror}") from None
        self._all = found
        self._choose()

    def _choose(self) -> None:
        """Take those whose time is not over, and note when the next one's is."""
        now = self._now()
        self._holding = {key: one for key, one in self._all.items() if not one.is_over(now)}
        ends = (record.expires for record in self._holding.values() if record.expires)
        self._first_end = min(ends, default=0.0)
