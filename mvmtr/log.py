# -*- test-case-name: mvmtr.test.test_log -*-
"""
What mvmtr logs, and how it looks as text.

Each event of a session is one L{Record}, an ordered set of names and values. It goes
through C{twisted.logger} as the field C{record} of an event, for observers that want the
values, and reads as one line of C{name=value}.
"""

from __future__ import annotations

import atexit
import os
import re
import stat
import sys
from collections.abc import Mapping
from functools import lru_cache
from textwrap import indent
from typing import IO, Any

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    LogLevel,
    PredicateResult,
    formatEvent,
    formatTime,
)
from zope.interface import implementer, provider

_PLAIN = re.compile(r"[^\s\"\\=\x00-\x20\x7f-\U0010ffff]+\Z")
_ESCAPED = re.compile(r'[\x00-\x1f\x7f-\xa0\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"\\]')

_QUESTION = re.compile(
    r"DNSDatagramProtocol starting on |St(art|opp)ing protocol <twisted\.names\.|\(UDP Port "
)

VALUE_MAX = 2000
"""Longest value in characters; of longer ones the length is told instead of the rest."""


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in '"\\':
        return "\\" + character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def text_of(value: object) -> str:
    """
    A value as it stands in a log line, in quotes where it is not one plain word.

    Bytes that are not UTF-8 and all control characters are written C{\\xHH}, so that no
    value can end a line or look like another one.
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    text = str(value)
    if len(text) > VALUE_MAX:
        text = f"{text[:VALUE_MAX]}...({len(text)})"
    if _PLAIN.match(text):
        return text
    return '"' + _ESCAPED.sub(_escape, text) + '"'


# Most lines name the same few clients, senders and verdicts.
_text_of_often = lru_cache(maxsize=1024)(text_of)
_OFTEN_MAX = 100


class Record(dict[str, Any]):
    """Names and values of one event; values that are C{None} are not known and left out."""

    def __str__(self) -> str:
        often = _text_of_often
        words = []
        for name, value in self.items():
            if value is None:
                continue
            kind = type(value)
            if kind is int:
                words.append(f"{name}={value}")
            elif (kind is bytes or kind is str) and len(value) <= _OFTEN_MAX:
                words.append(f"{name}={often(value)}")
            else:
                words.append(f"{name}={text_of(value)}")
        return " ".join(words)


@provider(ILogFilterPredicate)
def _is_ours_or_matters(event: LogEvent) -> Any:
    level = event.get("log_level") or LogLevel.info
    namespace = event.get("log_namespace") or ""
    if namespace.startswith("mvmtr") or level >= LogLevel.warn:
        return PredicateResult.yes
    return PredicateResult.no


@provider(ILogFilterPredicate)
def _is_no_plugin_cache(event: LogEvent) -> Any:
    """
    twistd can't write its cache of plugins into a folder of root's. Nobody needs to know:
    the plugins are found all the same.
    """
    text = str(event.get("format") or event.get("log_format") or "")
    if text.startswith("Unable to write to plugin cache"):
        return PredicateResult.no
    return PredicateResult.yes


@provider(ILogFilterPredicate)
def _is_no_question(event: LogEvent) -> Any:
    """Each question to the DNS would be four lines about its port."""
    if event.get("log_namespace") == "log_legacy" and _QUESTION.match(event.get("log_text") or ""):
        return PredicateResult.no
    return PredicateResult.maybe


def _line(event: LogEvent) -> str:
    text = formatEvent(event)
    if "log_failure" in event:
        # Indented, so that nothing in it can look like a line of its own.
        text += "\n" + indent(event["log_failure"].getTraceback().rstrip(), "    ", bool)
    return f"mvmtr: {text}\n"


def stderr_observer() -> ILogObserver:
    """
    For a server of one connection: lines on descriptor 2, without a date, which the log
    program of the supervisor adds; and of twistd's own words only those that matter.
    """
    file = sys.__stderr__
    if file is None or _is_the_client(file):
        file = open(os.devnull, "w")
    return FilteringLogObserver(FileLogObserver(file, _line), [_is_ours_or_matters])


def _is_the_client(file: IO[str]) -> bool:
    """inetd makes descriptor 2 the client as well, who must see no log."""
    try:
        descriptor = file.fileno()
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode) and os.path.sameopenfile(1, descriptor)
    except OSError:
        return False


@implementer(ILogObserver)
class RecordObserver:
    """
    Writes the lines of records as C{twisted.logger} would, at a fifth of the cost: there are two
    for most messages. Those of one turn of the reactor are written in one piece.

    @param file: where they go.
    @param other: the observer for all other events.
    """

    def __init__(self, file: Any, other: ILogObserver) -> None:
        self._file = file
        self._other = other
        self._second = -1
        self._stamp = ""
        self._lines: list[str] = []
        atexit.register(self._write)

    def __call__(self, event: LogEvent) -> None:
        """See L{ILogObserver}."""
        record = event.get("record")
        if not isinstance(record, Record) or event["log_format"] != "{record}":
            self._write()
            self._other(event)
            return
        second = int(event["log_time"])
        if second != self._second:
            self._second = second
            self._stamp = formatTime(second)
        level = event["log_level"].name
        self._lines.append(f"{self._stamp} [{event['log_namespace']}#{level}] {record}\n")
        if len(self._lines) == 1:
            self._write_soon()

    def _write_soon(self) -> None:
        # Whoever sets up the log has no reactor yet.
        from twisted.internet import reactor

        clock: Any = reactor
        if clock.running:
            clock.callLater(0, self._write)
        else:
            self._write()

    def _write(self) -> None:
        if self._lines:
            lines, self._lines = self._lines, []
            self._file.write("".join(lines))
            self._file.flush()


_twistd: Mapping[str, Any] = {}
_file: Any = None


def use_twistd(options: Mapping[str, Any]) -> None:
    """Tell L{twistd_observer} the options of twistd itself, before it is called."""
    global _twistd
    _twistd = options


def twistd_observer() -> ILogObserver:
    """
    twistd's own observer, as its options want it, less some lines that help nobody.

    twistd calls this by name and with no argument; hence L{use_twistd}.
    """
    from twisted.logger import LegacyLogObserverWrapper
    from twisted.scripts._twistd_unix import UnixAppLogger

    global _file
    observer = UnixAppLogger(_twistd)._getLogObserver()
    out = observer._outFile if isinstance(observer, FileLogObserver) else None
    if out is not sys.stdout:
        _file = out
    if not ILogObserver.providedBy(observer):
        observer = LegacyLogObserverWrapper(observer)
    observer = FilteringLogObserver(observer, [_is_no_question, _is_no_plugin_cache])
    return observer if out is None else RecordObserver(out, observer)


def file() -> Any:
    """
    The file that L{twistd_observer} writes to, and that only one process can write to, since
    twistd begins a new one when it gets long; C{None} where the log goes somewhere else.
    """
    return _file
