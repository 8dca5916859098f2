# -*- test-case-name: mvmtr.test.test_chunks -*-
"""
What follows BDAT (RFC 3030): the argument, and the text in chunks.

Pure: bytes in, values out. Where a chunk ends is known from its length, so nothing in it
can be taken for its end.
"""

from __future__ import annotations

import re

from mvmtr.protocol.data import HopCounter

_ARGUMENT = re.compile(rb"([0-9]{1,20})( +LAST)? *", re.IGNORECASE)


class BadChunk(ValueError):
    """An argument of BDAT that does not say how long the chunk is."""


def parse_chunk(argument: bytes) -> tuple[int, bool]:
    """
    Take the argument of BDAT apart.

    @return: the length of the chunk in bytes, and whether it is the last one.
    @raise BadChunk: when it is not a number of up to twenty digits, with or without C{LAST}.
    """
    match = _ARGUMENT.fullmatch(argument)
    if match is None:
        raise BadChunk("wants a length, and LAST or nothing")
    return int(match[1]), match[2] is not None


class ChunkDecoder:
    """
    Turns the chunks of a message into the message as it is stored.

    CRLF and a LF alone end a line, and become LF; a line at the end of the message that
    has no end gets one. A CR alone is data, and so is every dot. It does not matter where
    one chunk ends and the next begins. A binary message stays as it is.

    @param binary: whether the message is binary (RFC 3030, section 3).
    """

    def __init__(self, binary: bool = False) -> None:
        self._binary = binary
        self._counter = HopCounter(b"\n")
        self._held = b""
        self._open_line = False

    @property
    def hops(self) -> int:
        """How many Received and Delivered-To fields the header has so far."""
        return self._counter.hops

    def feed(self, raw: bytes) -> bytes:
        """
        Decode the next bytes of a chunk.

        @return: the part of the message that is now certain.
        """
        if self._binary and self._counter.finished:
            return raw
        text = self._held + raw
        self._held = b"\r" if text.endswith(b"\r") else b""
        text = text.removesuffix(b"\r").replace(b"\r\n", b"\n")
        self._counter.feed(text)
        if self._binary:
            return raw
        if text:
            self._open_line = not text.endswith(b"\n")
        return text

    def end(self) -> bytes:
        """What is still to come of the message when its last chunk is over."""
        if self._binary:
            return b""
        rest, self._held = self._held, b""
        return rest + b"\n" if rest or self._open_line else b""
