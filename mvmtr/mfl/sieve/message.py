# -*- test-case-name: mvmtr.test.test_mfl_message -*-
"""A message as tests see it: the one received, with the edits of its header so far."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mvmtr.mfl.sieve import fields
from mvmtr.mfl.sieve.fields import Field

if TYPE_CHECKING:
    from mvmtr.mfl.host import IMessageSource

_COLON = re.compile(rb"[ \t]*+:")


class Message:
    """
    A message. Its header stays one string: most scripts ask for a few fields, and to look
    for those is faster than to take apart all of them.

    @param source: the message as it was received.
    @ivar edited: whether the header is no longer the one received.
    """

    def __init__(self, source: IMessageSource) -> None:
        self._source = source
        self._header = source.header
        self._lower = b""
        self._fields: dict[bytes, Sequence[Field]] = {}
        self._values: dict[bytes, list[bytes]] = {}
        self.edited = False

    @property
    def size(self) -> int:
        """How many bytes the message had on the wire."""
        return self._source.size

    @property
    def body_size(self) -> int:
        """How many bytes its body had on the wire."""
        header = self._source.header
        return max(0, self._source.size - len(header) - header.count(b"\n") - 2)

    @property
    def original(self) -> bytes:
        """The header as it was received; lines end in LF."""
        return self._source.header

    @property
    def count(self) -> int:
        """What an edit of the header costs, in steps: its lines, and its kilobytes."""
        return self._header.count(b"\n") + (len(self._header) >> 10)

    def body(self) -> bytes:
        """The body, as it was received; lines end in LF."""
        return self._source.body()

    def header(self) -> bytes:
        """The header with its edits; lines end in LF."""
        return self._header

    def _places(self, name: bytes) -> list[tuple[int, int]]:
        """Where the fields of a name, in lower case, begin and end."""
        if not fields.is_name(name):
            return []
        if not self._lower:
            # With a line end before it, so that the first field is like the others.
            self._lower = b"\n" + self._header.lower()
        found = []
        lower, wanted = self._lower, b"\n" + name
        at = lower.find(wanted)
        while at >= 0:
            behind = at + len(wanted)
            if _COLON.match(lower, behind):
                behind = fields.end_of(self._header, at)
                found.append((at, behind))
            at = lower.find(wanted, behind)
        return found

    def fields(self, name: bytes) -> Sequence[Field]:
        """The fields of a name, in order."""
        name = name.lower()
        found = self._fields.get(name)
        if found is None:
            header = self._header
            found = tuple(Field(name, header[start:end]) for start, end in self._places(name))
            self._fields[name] = found
        return found

    def values(self, name: bytes) -> list[bytes]:
        """The values of the fields of a name: unfolded, trimmed, in UTF-8."""
        name = name.lower()
        known = self._values.get(name)
        if known is None:
            known = self._values[name] = [field.value for field in self.fields(name)]
        return known

    def _change(self, header: bytes) -> None:
        self._header = header
        self._lower = b""
        self._fields, self._values = {}, {}
        self.edited = True

    def add(self, name: bytes, value: bytes, last: bool) -> None:
        """
        Add a field after all others, or before them.

        @raise ValueError: when it would be no header field.
        """
        written = fields.make(name, value).written + b"\n"
        header = self._header
        if header and not header.endswith(b"\n"):
            header += b"\n"
        # What continues no field at the top would otherwise continue the new one.
        place = fields.end_of(header, 0) + 1 if header[:1] in (b" ", b"\t") else 0
        if last:
            place = len(header)
        self._change(header[:place] + written + header[place:])

    def delete(self, name: bytes, wanted: Callable[[Field], bool] | None = None) -> int:
        """
        Delete the fields of a name.

        @param wanted: which of them; all by default.
        @return: how many there were.
        """
        kept: list[bytes] = []
        done = deleted = 0
        places = self._places(name.lower())
        for (start, end), field in zip(places, self.fields(name), strict=True):
            if wanted is None or wanted(field):
                kept.append(self._header[done:start])
                done = end + 1
                deleted += 1
        if deleted:
            self._change(b"".join(kept) + self._header[done:])
        return deleted
