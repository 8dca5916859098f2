# -*- test-case-name: mvmtr.test.test_data -*-
"""
Decoding what follows DATA, by whole buffers: line ends, dots, the end, and hops.

Pure: bytes in, values out.
"""

from __future__ import annotations

import re
from functools import lru_cache

END = b"\r\n.\r\n"

DENSE = 16
"""Bytes a line, on the average, below which lines count as short."""

_STUFFED_DOT = re.compile(rb"\r\n\.(?!\r)")
_HOP = rb"(?:received|delivered-to):"
_HOP_LENGTH = len(b"delivered-to:")


@lru_cache(maxsize=2)
def _hop_after(line_end: bytes) -> re.Pattern[bytes]:
    return re.compile(line_end + _HOP, re.IGNORECASE)


class BareLineFeed(ValueError):
    """A LF without a CR before it. What follows can't be told from a smuggled message."""


class HopCounter:
    """
    Counts the Received and Delivered-To fields of a header.

    Lines are looked at as they come over the wire: one with a stuffed dot is no field,
    and only CRLF CRLF ends the header (C{blast} in qmail-smtpd.c).

    @param line_end: what ends a line, where that is not CRLF.
    @ivar hops: the number so far.
    """

    def __init__(self, line_end: bytes = b"\r\n") -> None:
        self.hops = 0
        self._tail: bytes | None = line_end
        self._end = line_end
        self._hop = _hop_after(line_end)

    @property
    def finished(self) -> bool:
        """Whether the header is over."""
        return self._tail is None

    def feed(self, raw: bytes) -> None:
        """Look at the next bytes from the wire."""
        if self._tail is None:
            return
        seen = len(self._tail)
        raw = self._tail + raw
        length = len(self._end)
        end = raw.find(2 * self._end, max(0, seen - 2 * length + 1))
        if end >= 0:
            raw = raw[: end + length]
        self.hops += sum(match.end() > seen for match in self._hop.finditer(raw))
        self._tail = None if end >= 0 else raw[1 - length - _HOP_LENGTH :]


class DataDecoder:
    """
    Turns the bytes after DATA into the message as qmail stores it.

    CRLF becomes LF, a dot at the beginning of a line is taken off, CRLF.CRLF ends the
    message, and nothing else does. A CR alone is data. Of C{.CR} followed by anything
    but LF the dot stays, as in qmail-smtpd.

    @ivar finished: whether the end has been seen.
    @ivar rest: what came after the end.
    """

    def __init__(self) -> None:
        self.finished = False
        self.rest = b""
        self._counter = HopCounter()
        # The client's CRLF after DATA is the line end before the first line.
        self._held = b"\r\n"
        self._at_start = True

    @property
    def hops(self) -> int:
        """How many Received and Delivered-To fields the header has so far."""
        return self._counter.hops

    def feed(self, raw: bytes) -> bytes:
        """
        Decode the next bytes from the wire.

        @return: the part of the message that is now certain.
        @raise BareLineFeed: at a LF that has no CR before it.
        """
        held = len(self._held)
        buffer = self._held + raw
        # Without it there is neither an end nor a dot to be taken off; one look instead of two.
        dot = buffer.find(b"\r\n.")
        end = buffer.find(END, dot) if dot >= 0 else -1
        if end >= 0:
            self.finished = True
            self.rest = buffer[end + len(END) :]
            complete = buffer[: end + 2]
            self._counter.feed(buffer[held : end + len(END)])
        else:
            complete = buffer[: len(buffer) - _undecided(buffer)]
            self._held = buffer[len(complete) :]
            self._counter.feed(raw)
        return self._decode(complete, dot)

    def _decode(self, raw: bytes, dot: int) -> bytes:
        if not raw:
            return raw
        if dot < 0:
            pass
        elif raw.find(b"\r\n.\r", dot) >= 0:
            raw = _STUFFED_DOT.sub(b"\r\n", raw)
        else:
            raw = raw.replace(b"\r\n.", b"\r\n")
        text = _stored(raw)
        if self._at_start:
            self._at_start = False
            return text[1:]
        return text


def _stored(raw: bytes) -> bytes:
    """
    With LF in the place of CRLF; the ways to do so have their strength in long and in short lines.

    @raise BareLineFeed: when there is a LF that has no CR before it.
    """
    ends = raw.count(b"\n")
    if ends * DENSE < len(raw):
        lines = raw.split(b"\r\n")
        if len(lines) != ends + 1:
            raise BareLineFeed
        return b"\n".join(lines)
    if raw.count(b"\r\n") != ends:
        raise BareLineFeed
    if raw.count(b"\r") == ends:
        return raw.translate(None, b"\r")
    return raw.replace(b"\r\n", b"\n")


def _undecided(buffer: bytes) -> int:
    """How many bytes at the end of a buffer may be the beginning of the end."""
    for length in (4, 3, 2, 1):
        if buffer.endswith(END[:length]):
            return length
    return 0
