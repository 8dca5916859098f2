# -*- test-case-name: mvmtr.test.test_mfl_lexer -*-
"""Text to tokens, the same for both sides of the language. Pure and linear."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from mvmtr.mfl.errors import Place, Problem, printable

NUMBER_MAX = 2**63 - 1


class Kind(Enum):
    NAME = "a name"
    NUMBER = "a number"
    STRING = "a string"
    TEXT = "a text"
    SIGN = "a sign"
    END = "the end of the file"


class Token(NamedTuple):
    """
    @ivar text: as it stands in the file; of a string, what is between the quotes; of
        C{text:}, its lines as they are meant.
    @ivar end: where the next token would begin if nothing stood between.
    """

    kind: Kind
    text: str
    place: Place
    start: int
    end: int

    def __str__(self) -> str:
        shown: str = self.text
        if self.kind in (Kind.END, Kind.STRING, Kind.TEXT):
            shown = self.kind.value
        return shown


_TOKEN = re.compile(
    r"""
      (?P<space> [ \t\n\r\f\v\ufeff]+ | \#[^\n]* )
    | (?P<slashes> //[^\n]* )
    | (?P<comment> /\*[^*]*+(?:\*(?!/)[^*]*+)*+(?P<closed>\*/)? )
    | (?P<text> text:[ \t]*(?:\#[^\n]*)?\n )
    | (?P<name> \$?[A-Za-z_][A-Za-z0-9_]* )
    | (?P<number> [0-9][A-Za-z0-9_]* )
    | (?P<string> "[^"\\]*+(?:\\.[^"\\]*+)*+(?P<ended>")? )
    | (?P<sign> <<|>>|==|!=|<=|>=|&&|\|\||\+\+|--|[-+*/%]=|=~|!~
              | [][(){};:,.?=<>!~&|^+*/%-] )
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE | re.ASCII,
)
_NUMBER = re.compile(
    r"(?:0[xX](?P<hex>[0-9a-fA-F]{1,40})|(?P<digits>[0-9]{1,40})(?P<unit>[KMGkmg]?))\Z"
)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_TEXT_END = re.compile(r"^\.(?:\n|\Z)", re.MULTILINE)


class Lexer:
    """
    Reads one file.

    @param data: its bytes; what is not UTF-8 in it stays as it is.
    @param name: what the file is called in places.
    @param slashes: whether C{//} begins a comment; in a file of nothing but Sieve it is
        an error.
    @ivar problems: what is wrong; such parts are left out or read as what they resemble.
    @ivar doubtful: where something begins that has no end; what comes then may have been
        meant otherwise.
    """

    def __init__(self, data: bytes, name: str, slashes: bool = True) -> None:
        self.text = data.replace(b"\r\n", b"\n").decode("utf-8", "surrogateescape")
        self.lines = self.text.split("\n")
        self.problems: list[Problem] = []
        self.doubtful: Place | None = None
        self._printable: dict[int, str] = {}
        self._long_string: Place | None = None
        self._name = name
        self._slashes = slashes
        self._line = 1
        self._line_start = 0
        self._at = 0

    def problem(self, message: str, place: Place) -> Problem:
        """A problem, with its line."""
        # A line may be long, and have many problems.
        line = self._printable.get(place.line)
        if line is None:
            line = self.lines[place.line - 1] if 0 < place.line <= len(self.lines) else ""
            line = self._printable[place.line] = printable(line)
        return Problem(place, printable(message), line)

    def tokens(self) -> Sequence[Token]:
        """All tokens, the last of which is C{Kind.END}."""
        return tuple(self._tokens())

    def _report(self, message: str, place: Place) -> None:
        self.problems.append(self.problem(message, place))

    def _no_end(self, message: str, place: Place) -> None:
        self.doubtful = place
        self._report(message, place)

    def _move(self, to: int) -> None:
        lines = self.text.count("\n", self._at, to)
        if lines:
            self._line += lines
            self._line_start = self.text.rfind("\n", self._at, to) + 1
        self._at = to

    def _tokens(self) -> Iterator[Token]:
        while self._at < len(self.text):
            start = self._at
            place = Place(self._name, self._line, start - self._line_start + 1)
            match = _TOKEN.match(self.text, start)
            if match is None:
                self._report(f"{self.text[start]!a} has no meaning here", place)
                self._move(start + 1)
                continue
            kind = str(match.lastgroup)
            if kind == "text":
                self._move(match.end())
                text = self._multiline(place)
                yield Token(Kind.TEXT, text, place, start, self._at)
                continue
            self._move(match.end())
            token = self._token(kind, match, place)
            if token is not None:
                yield token
        place = Place(self._name, self._line, self._at - self._line_start + 1)
        yield Token(Kind.END, "", place, self._at, self._at)

    def _token(self, kind: str, match: re.Match[str], place: Place) -> Token | None:
        text = match[0]
        if kind == "comment":
            if not match["closed"]:
                self._no_end("this comment has no end; */ is missing", place)
            return None
        if kind == "slashes":
            if not self._slashes:
                self._report("Sieve's comments begin with # or /*", place)
            return None
        if kind == "string":
            if "\n" in text and self._long_string is None:
                self._long_string = place
            if not match["ended"]:
                # The quote that is missing is rather that of the first string that goes on
                # to another line than that of the last one of the file.
                self._no_end('this string has no end; " is missing', self._long_string or place)
            text = text[1:].removesuffix('"') if match["ended"] else text[1:]
            return Token(Kind.STRING, text, place, *match.span())
        if kind == "number":
            self._check_number(text, place)
            return Token(Kind.NUMBER, text, place, *match.span())
        if kind == "space":
            return None
        return Token(Kind.NAME if kind == "name" else Kind.SIGN, text, place, *match.span())

    def _multiline(self, place: Place) -> str:
        end = _TEXT_END.search(self.text, self._at)
        if end is None:
            self._no_end("this text has no end; a line of one dot is missing", place)
        lines = self.text[self._at : end.start() if end else len(self.text)]
        self._move(end.end() if end else len(self.text))
        return re.sub(r"^\.\.", ".", lines, flags=re.MULTILINE)

    def _check_number(self, text: str, place: Place) -> None:
        if _NUMBER.match(text) is None:
            self._report(f"{text[:40]} is not a number", place)
        elif number(text) > NUMBER_MAX:
            self._report(f"{text} is too large; the largest number is {NUMBER_MAX}", place)


def number(text: str) -> int:
    """The value of a number as it stands in a file; 0 when it is none."""
    match = _NUMBER.match(text)
    if match is None:
        return 0
    if match["hex"]:
        return int(match["hex"], 16)
    return int(match["digits"]) * _UNITS[match["unit"].lower()]


_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", '"': b'"', "\\": b"\\"}


def encode(text: str) -> bytes:
    """The bytes of a part of a file."""
    return text.encode("utf-8", "surrogateescape")


def sieve_string(text: str) -> bytes:
    """The value of a string with Sieve's escapes (RFC 5228, section 2.4.2)."""
    return encode(_ESCAPE.sub(_sieve_escape, text)) if "\\" in text else encode(text)


def _sieve_escape(match: re.Match[str]) -> str:
    return match[1]


def string(text: str) -> bytes:
    """
    The value of a string with the escapes of the C-like side.

    @raise ValueError: for an escape that there is not.
    """
    if "\\" not in text:
        return encode(text)
    parts = []
    for at, part in enumerate(_ESCAPE.split(text)):
        if at % 2 == 0:
            parts.append(encode(part))
        elif part[0] == "x" and len(part) == 3:
            parts.append(bytes([int(part[1:], 16)]))
        elif part in _ESCAPES:
            parts.append(_ESCAPES[part])
        else:
            raise ValueError(f"there is no escape \\{part}; a backslash is written \\\\")
    return b"".join(parts)
