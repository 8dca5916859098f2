# -*- test-case-name: mvmtr.test.test_mfl_matching -*-
"""
The patterns of C{:matches}: C{*} is any text, C{?} any one character, a backslash takes
the next character as it is (RFC 5228, section 2.7.1). Pure.

A pattern is cut at its stars into sections. Each is looked for at the first place after the
one before it, and the last one at the end, so that every star takes as little as it can
(RFC 5229, section 3.2) and no choice is ever taken back: the work is the text's length times, at
worst, a section's length divided by the bits of a machine word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

_CHEAP = 4_000_000
"""Up to this product of text and section a simple search is used."""

LONGEST = 16_384
"""How many characters a section with a question mark may have."""


Codec = tuple[str, str]
"""An encoding, and what to do where it does not fit."""
CHARACTERS: Codec = ("utf-8", "surrogateescape")
"""UTF-8; each byte that does not belong to it is one character."""
BYTES: Codec = ("latin-1", "strict")
"""Each byte is one character, which is as good where no question mark counts them."""


def codec_of(patterns: Iterable[bytes]) -> Codec:
    """How to read the texts for some patterns."""
    return CHARACTERS if any(b"?" in pattern for pattern in patterns) else BYTES


@dataclass(frozen=True)
class Section:
    """
    What stands between two stars.

    @ivar text: its characters; those at C{holes} stand for any character.
    @ivar holes: where its question marks are, in order.
    """

    text: str
    holes: tuple[int, ...] = ()

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        holes = set(self.holes)
        pieces = ("." if at in holes else re.escape(char) for at, char in enumerate(self.text))
        return re.compile("".join(pieces), re.DOTALL)

    @cached_property
    def _masks(self) -> tuple[dict[str, int], int]:
        """For each character the places where it may stand, as bits; and those of the holes."""
        anywhere = sum(1 << at for at in self.holes)
        masks: dict[str, int] = {}
        holes = set(self.holes)
        for at, char in enumerate(self.text):
            if at not in holes:
                masks[char] = masks.get(char, anywhere) | 1 << at
        return masks, anywhere

    def at(self, text: str, start: int) -> bool:
        """Whether this section stands at a place of a text."""
        if not self.holes:
            return text.startswith(self.text, start)
        if start + len(self.text) > len(text):
            return False
        done = 0
        for hole in self.holes:
            if not text.startswith(self.text[done:hole], start + done):
                return False
            done = hole + 1
        return text.startswith(self.text[done:], start + done)

    def find(self, text: str, start: int, end: int) -> int:
        """The first place from C{start} on where this section fits before C{end}, or -1."""
        if not self.holes:
            return text.find(self.text, start, end)
        if len(self.holes) == len(self.text):
            return start if start + len(self.text) <= end else -1
        if (end - start) * len(self.text) <= _CHEAP:
            found = self._pattern.search(text, start, end)
            return found.start() if found else -1
        return self._find_by_bits(text, start, end)

    def _find_by_bits(self, text: str, start: int, end: int) -> int:
        masks, anywhere = self._masks
        goal = 1 << (len(self.text) - 1)
        state = 0
        for at in range(start, end):
            state = (state << 1 | 1) & masks.get(text[at], anywhere)
            if state & goal:
                return at + 1 - len(self.text)
        return -1


@dataclass(frozen=True)
class Glob:
    """
    A pattern, cut at its stars.

    @ivar sections: one more than there are stars.
    """

    sections: tuple[Section, ...]

    def match(self, text: str) -> tuple[int, ...] | None:
        """
        Where each section stands in a text that the pattern matches; otherwise C{None}.
        """
        first, last = self.sections[0], self.sections[-1]
        if len(self.sections) == 1:
            return (0,) if len(text) == len(first.text) and first.at(text, 0) else None
        start, end = len(first.text), len(text) - len(last.text)
        if start > end or not first.at(text, 0) or not last.at(text, end):
            return None
        places = [0]
        for section in self.sections[1:-1]:
            place = section.find(text, start, end)
            if place < 0:
                return None
            places.append(place)
            start = place + len(section.text)
        places.append(end)
        return tuple(places)

    def captures(self, text: str, places: tuple[int, ...]) -> tuple[str, ...]:
        """
        The whole text and then what each wildcard took.

        @param places: what L{match} answered for a text of this length.
        """
        taken = [text]
        done = 0
        for number, (section, place) in enumerate(zip(self.sections, places, strict=True)):
            if number:
                taken.append(text[done:place])
            taken.extend(text[place + hole] for hole in section.holes)
            done = place + len(section.text)
        return tuple(taken)


def parse(pattern: str) -> Glob:
    """
    A pattern, cut at its stars.

    @raise ValueError: when it is longer than can be matched in a fair time.
    """
    sections: list[Section] = []
    text: list[str] = []
    holes: list[int] = []
    characters = iter(pattern)
    for char in characters:
        if holes and len(text) > LONGEST:
            raise ValueError(f"a pattern with more than {LONGEST} characters around a '?'")
        if char == "*":
            sections.append(Section("".join(text), tuple(holes)))
            text, holes = [], []
            continue
        if char == "?":
            holes.append(len(text))
        elif char == "\\":
            char = next(characters, "\\")
        text.append(char)
    sections.append(Section("".join(text), tuple(holes)))
    return Glob(tuple(sections))
