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
        self._written: list[bytes] | None = None
        self._places: dict[bytes, list[int]] = {}
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

    def body(self) -> bytes:
        """The body, as it was received; lines end in LF."""
        return self._source.body()

    def header(self) -> bytes:
        """The header with its edits; lines end in LF."""
        if not self.edited:
            return self._source.header
        return b"".join(written + b"\n" for written in self._all())

    def _all(self) -> list[bytes]:
        """All fields as they are written."""
        if self._written is None:
            self._written = fields.cut(self._source.header)
            self._changed()
        return self._written

    def _changed(self) -> None:
        """Note anew where the fields of each name are."""
        self._fields, self._values = {}, {}
        places: dict[bytes, list[int]] = {}
        self._places = places
        for place, written in enumerate(self._written or ()):
            name, colon, _value = written.partition(b":")
            name = name.lower()
            if not colon:
                continue
            if name in places:
                places[name].append(place)
            else:
                places[name] = [place]
        for name in [name for name in places if name[-1:] in (b" ", b"\t")]:
            found = places.setdefault(name.rstrip(b" \t"), [])
            found += places.pop(name)
            found.sort()

    @property
    def count(self) -> int:
        """How many fields the header has."""
        return len(self._all())

    def fields(self, name: bytes) -> Sequence[Field]:
        """The fields of a name, in order."""
        name = name.lower()
        found = self._fields.get(name)
        if found is None:
            every = self._all()
            found = tuple(Field(name, every[place]) for place in self._places.get(name, ()))
            self._fields[name] = found
        return found

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
        every = self._all()
        every.insert(len(every) if last else 0, field.written)
        self.edited = True
        self._changed()

    def delete(self, name: bytes, wanted: Callable[[Field], bool] | None = None) -> int:
        """
        Delete the fields of a name.

        @param wanted: which of them; all by default.
        @return: how many there were.
        """
        found = self.fields(name)
        if not found:
            return 0
        places = self._places[name.lower()]
        doomed = {
            place
            for place, field in zip(places, found, strict=True)
            if wanted is None or wanted(field)
        }
        if doomed:
            every = enumerate(self._all())
            self._written = [written for place, written in every if place not in doomed]
            self.edited = True
            self._changed()
        return len(doomed)
