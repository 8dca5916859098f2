# -*- test-case-name: mvmtr.test.test_mfl_matching -*-
"""
Comparators (RFC 4790): when two strings are the same, and which comes first. Pure.

A comparator maps a string to a key. Equal keys are equal strings, and the order of keys is
the order of strings.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Comparator:
    """
    @ivar name: as scripts write it.
    @ivar key: from a string to what is compared in its stead.
    @ivar fold: from a string to the one in which substrings are looked for; C{None} when
        the comparator knows no substrings.
    @ivar ignores_case: whether letters match in either case.
    """

    name: str
    key: Callable[[bytes], Any]
    fold: Callable[[bytes], bytes] | None = None
    ignores_case: bool = False


_DIGITS = re.compile(rb"[0-9]+")


def _octets(value: bytes) -> bytes:
    return value


def _number(value: bytes) -> tuple[bool, int, bytes]:
    """
    The digits that lead the string, as a number of any size; a string with none is greater
    than every number (RFC 4790, section 9.1.1). Numbers compare by length, then by digits,
    so that a very long one costs no conversion.
    """
    found = _DIGITS.match(value)
    if found is None:
        return (True, 0, b"")
    digits = found.group().lstrip(b"0")
    return (False, len(digits), digits)


def _unicode_fold(value: bytes) -> bytes:
    """Titlecased and decomposed (RFC 5051, section 2); what is not UTF-8 stays as it is."""
    text = value.decode("utf-8", "surrogateescape")
    folded = unicodedata.normalize("NFKD", "".join(letter.title() for letter in text))
    return folded.encode("utf-8", "surrogateescape")


OCTET = Comparator("i;octet", _octets, _octets)
ASCII_CASEMAP = Comparator("i;ascii-casemap", bytes.upper, bytes.upper, ignores_case=True)
ASCII_NUMERIC = Comparator("i;ascii-numeric", _number)
UNICODE_CASEMAP = Comparator("i;unicode-casemap", _unicode_fold, _unicode_fold, ignores_case=True)

DEFAULT = ASCII_CASEMAP
COMPARATORS = {
    comparator.name: comparator
    for comparator in (OCTET, ASCII_CASEMAP, ASCII_NUMERIC, UNICODE_CASEMAP)
}
BUILT_IN = frozenset({OCTET.name, ASCII_CASEMAP.name})
"""Those that need no C{require} (RFC 5228, section 2.7.3)."""
