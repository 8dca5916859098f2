# -*- test-case-name: mvmtr.test.test_mfl_message -*-
"""Header fields, as they are written and as they are meant (RFC 5322, section 2.2). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mvmtr.mfl.sieve import words

_NEXT_FIELD = re.compile(rb"\n(?![ \t])")
_NAME = re.compile(rb"[!-9;-~]+\Z")
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LINE_END = re.compile(rb"[ \t]*(?:\r\n|\r|\n)[ \t\r\n]*")
_LINE = 78
_NAME_LONGEST = 200


@dataclass(frozen=True)
class Field:
    """
    @ivar name: as it is written; empty for a line that is no field.
    @ivar written: the whole field, folds included, without the line end after it.
    """

    name: bytes
    written: bytes

    @property
    def raw(self) -> bytes:
        """What follows the colon, unfolded and without white space around it."""
        value = self.written[self.written.find(b":") + 1 :]
        if b"\n" in value:
            value = value.replace(b"\n", b"")
        return value.strip(b" \t\r\n")

    @property
    def value(self) -> bytes:
        """The same in UTF-8, encoded words decoded."""
        return words.decode(self.raw)


def end_of(header: bytes, start: int) -> int:
    """Where the field that begins at a place ends: at a line end, or the end of the header."""
    found = _NEXT_FIELD.search(header, start)
    return found.start() if found else len(header)


def split(header: bytes) -> list[Field]:
    """The fields of a header whose lines end in LF."""
    header = header.removesuffix(b"\n")
    if not header:
        return []
    return [Field(_name(written), written) for written in _NEXT_FIELD.split(header)]


def _name(written: bytes) -> bytes:
    name, colon, _value = written.partition(b":")
    name = name.rstrip(b" \t")
    return name if colon and is_name(name) else b""


def is_name(name: bytes) -> bool:
    """Whether these bytes may be a field's name."""
    return _NAME.match(name) is not None


def is_value(value: bytes) -> bool:
    """Whether these bytes may be a field's value: UTF-8 with no control characters."""
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return _FORBIDDEN.search(value) is None


def make(name: bytes, value: bytes) -> Field:
    """
    A new field, folded, in ASCII.

    @param value: UTF-8. Line ends in it become folds.
    @raise ValueError: when no field can be made of it.
    """
    if not is_name(name) or len(name) > _NAME_LONGEST:
        raise ValueError(f"{name[:80]!r} is not the name of a header field")
    if not is_value(value):
        raise ValueError(f"the value of {name.decode('ascii')} has characters that no header has")
    lines = [words.encode(line) for line in _LINE_END.split(value.strip(b" \t\r\n"))]
    return Field(name, _fold(name + b": " + b"\n ".join(line for line in lines if line)))


def _fold(written: bytes) -> bytes:
    """The field with its long lines broken at spaces, where it has some."""
    lines: list[bytes] = []
    for line in written.split(b"\n"):
        while len(line) > _LINE:
            place = line.rfind(b" ", 1, _LINE)
            if place < 0 or not line[:place].strip() or line[:place].endswith(b":"):
                place = line.find(b" ", _LINE)
            if place < 0 or not line[place:].strip():
                break
            lines.append(line[:place])
            line = line[place:]
        lines.append(line)
    return b"\n".join(lines)
