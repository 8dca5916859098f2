# -*- test-case-name: mvmtr.test.test_mfl_errors -*-
"""Where something stands in a file, and what is wrong there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

_LINE_MAX = 200
PROBLEMS_MAX = 100
"""So many problems are told of one file; who has more has another problem."""


class Place(NamedTuple):
    """A place in a file; lines and columns count from 1, columns in characters."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = Place("", 0, 0)


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong, with the line that it stands in."""

    place: Place
    message: str
    line: str = ""

    def __str__(self) -> str:
        if not self.place.line:
            return self.message
        text = f"{self.place}: {self.message}"
        if not self.line:
            return text
        start = max(0, self.place.column - _LINE_MAX // 2)
        shown = self.line[start : start + _LINE_MAX]
        return f"{text}\n    {shown}\n    {' ' * (self.place.column - 1 - start)}^"


class MflErrors(Exception):
    """
    A file that can't be used.

    @ivar problems: everything that is wrong with it, in the order of the file.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class RunError(Exception):
    """
    What went wrong while code ran.

    @ivar place: the place in the file that was running.
    """

    def __init__(self, message: str, place: Place = NOWHERE) -> None:
        self.message = message
        self.place = place
        super().__init__(message, place)

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place.line else self.message


class LimitReached(RunError):
    """A hook that wants more steps, calls, bytes or seconds than it may have."""


def printable(text: str) -> str:
    """The same text with a blank or a mark for what can't be shown, of the same length."""
    if text.isprintable():
        return text
    return "".join(" " if c in "\t\n" else c if c.isprintable() else "\ufffd" for c in text)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """C{; did you mean NAME?} for a name that is almost a known one, otherwise nothing."""
    by_lower = {each.lower(): each for each in known if each != name}
    close = get_close_matches(name.lower()[:100], by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[close[0]]}?" if close else ""
