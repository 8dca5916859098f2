# -*- test-case-name: mvmtr.test.test_assess_wire -*-
"""
Postfix's policy delegation protocol: lines of C{name=value}, an empty line at the end.
Pure: bytes in, values out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

REQUEST_MAX = 65536
"""Bytes of one request or reply."""

_UNSAFE = re.compile(rb"[\x00-\x1f\x7f]+")
_END = re.compile(rb"\A\r?\n|\n\r?\n")

Attributes = dict[bytes, bytes]


class BadRequest(ValueError):
    """What was sent is no request; the text says why."""


class AttributeReader:
    """
    Collects bytes and gives them back as requests, or as replies. Lines end with a line
    feed, as Postfix ends them, or with CRLF.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> list[Attributes]:
        """
        Append bytes from the wire.

        @return: the requests that are now complete.
        @raise BadRequest: when one is too long or a line is not C{name=value}. What comes
            after it can't be told from the rest of it.
        """
        self._buffer += data
        found = []
        while (end := _END.search(self._buffer, self._searched)) is not None:
            found.append(_parsed(bytes(self._buffer[: end.start()])))
            del self._buffer[: end.end()]
            self._searched = 0
        self._searched = max(0, len(self._buffer) - 2)
        if len(self._buffer) > REQUEST_MAX:
            raise BadRequest(f"more than {REQUEST_MAX} bytes")
        return found


def _parsed(text: bytes) -> Attributes:
    if len(text) > REQUEST_MAX:
        raise BadRequest(f"more than {REQUEST_MAX} bytes")
    attributes = {}
    for line in text.split(b"\n"):
        name, equals, value = line.removesuffix(b"\r").partition(b"=")
        if not equals or not name:
            raise BadRequest(f"{line[:40]!r} is not name=value")
        attributes[name] = value
    return attributes


def written(attributes: Mapping[bytes, bytes]) -> bytes:
    """
    Attributes as they go over the wire. Control characters in values become blanks, so
    that no value can be taken for a line of its own.
    """
    lines = [b"%s=%s\n" % (name, _UNSAFE.sub(b" ", value)) for name, value in attributes.items()]
    return b"".join(lines) + b"\n"
