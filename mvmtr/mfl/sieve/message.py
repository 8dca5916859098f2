# -*- test-case-name: mvmtr.test.test_mfl_message -*-
"""A message as tests see it: the one received, with the edits of its header so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mvmtr.mfl.sieve import fields
from mvmtr.mfl.sieve.fields import Field

if TYPE_CHECKING:
    from mvmtr.mfl.host import IMessageSource


class Message:
    """
    A message. The header is taken apart when something first asks for it.

    @param source: the message as it was received.
    @ivar edited: whether the header is no longer the one received.
    """

    def __init__(self, source: IMessageSource) -> None:
        self._source = source
        self._fields: list[Field] | None = None
        self._index: dict[bytes, list[Field]] = {}
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

    def body(self) -> bytes:
        """The body, as it was received; lines end in LF."""
        return self._source.body()

    def header(self) -> bytes:
        """The header with its edits; lines end in LF."""
        if not self.edited:
            return self._source.header
        return b"".join(field.written + b"\n" for field in self._all())

    def _all(self) -> list[Field]:
        if self._fields is None:
            self._fields = fields.split(self._source.header)
            self._reindex()
        return self._fields

    def _reindex(self) -> None:
        self._values = {}
        self._index = index = {}
        for field in self._fields or ():
            index.setdefault(field.name.lower(), []).append(field)
        index.pop(b"", None)

    def fields(self, name: bytes) -> Sequence[Field]:
        """The fields of a name, in order."""
        if self._fields is None:
            self._all()
        return self._index.get(name.lower(), ())

    def values(self, name: bytes) -> list[bytes]:
        """The values of the fields of a name: unfolded, trimmed, in UTF-8."""
        name = name.lower()
        known = self._values.get(name)
        if known is None:
            found = [field.value for field in self.fields(name)]
            known = self._values[name] = found
        return known

    def add(self, name: bytes, value: bytes, last: bool = True) -> None:
        """
        Add a field after all others, or before them.

        @raise ValueError: when it would be no header field.
        """
        field = fields.make(name, value)
        everything = self._all()
        everything.insert(len(everything) if last else 0, field)
        self._changed()

    def delete(self, name: bytes, wanted: Callable[[Field], bool] | None = None) -> int:
        """
        Delete the fields of a name.

        @param wanted: which of them; all by default.
        @return: how many there were.
        """
        doomed = [field for field in self.fields(name) if wanted is None or wanted(field)]
        if doomed:
            gone = set(map(id, doomed))
            self._fields = [field for field in self._all() if id(field) not in gone]
            self._changed()
        return len(doomed)

    def _changed(self) -> None:
        self.edited = True
        self._reindex()
