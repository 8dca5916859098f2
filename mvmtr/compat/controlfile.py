# -*- test-case-name: mvmtr.test.test_controlfile -*-
"""
The format of control files, with the extensions of the compatibility document.

Blanks, tabs and CR at the end of a line do not count; then blank lines and those that
begin with C{#} are skipped; a backslash at the beginning of a line is taken off and
protects the rest; a backslash at the end appends the next line that is not skipped.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_DIGITS = re.compile(rb"\d+")


class ControlError(Exception):
    """Control files that are there and can't be read, or hold what they may not."""


class Line(NamedTuple):
    """A line that counts, and the number of the line of the file on which it begins."""

    text: bytes
    number: int


def parse_lines(content: bytes) -> list[Line]:
    """The lines of a control file that count. Pure."""
    lines = []
    # The pieces of a line that goes on, and where it began.
    pieces: list[bytes] = []
    beginning = 0
    for number, raw in enumerate(content.split(b"\n"), 1):
        text = raw.rstrip(b" \t\r")
        if not text or text.startswith(b"#"):
            continue
        if text.startswith(b"\\"):
            text = text[1:]
        if text.endswith(b"\\"):
            beginning = beginning or number
            pieces.append(text[:-1])
        elif pieces:
            lines.append(Line(b"".join((*pieces, text)), beginning))
            pieces, beginning = [], 0
        else:
            lines.append(Line(text, number))
    if pieces:
        lines.append(Line(b"".join(pieces), beginning))
    return lines


def read_lines(path: str) -> list[Line] | None:
    """
    The lines of a control file that count, or C{None} when there is no such file.

    @raise ControlError: when it is there and can't be read.
    """
    try:
        with open(path, "rb") as file:
            return parse_lines(file.read())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ControlError(f"{path}: {error.strerror}") from error


def entries(lines: list[Line]) -> dict[bytes, int]:
    """
    The entries of a list file in lower case (only A to Z are folded), each with its line.

    As in qmail's control.c and constmap.c, a NUL splits a line, and a line that begins
    with one is skipped.
    """
    found: dict[bytes, int] = {}
    for line in lines:
        if not line.text.startswith(b"\0"):
            for entry in line.text.lower().split(b"\0"):
                found.setdefault(entry, line.number)
    return found


def leading_number(text: bytes) -> int | None:
    """The number that a text begins with, as qmail's scan_ulong reads it; else C{None}."""
    match = _DIGITS.match(text)
    if match is None:
        return None
    # Beyond twenty digits there is nothing to measure; and Python refuses to convert
    # thousands of them.
    digits = match[0].lstrip(b"0") or b"0"
    return int(digits) if len(digits) <= 20 else 10**20
