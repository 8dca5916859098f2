# -*- test-case-name: mvmtr.test.test_mfl_matching -*-
"""
Match types (RFC 5228, section 2.7; RFC 5231; draft-ietf-sieve-regex): how the values of a
message and the keys of a script are compared. Pure.

L{matcher} answers a function from the values to what matched. The values are asked for
one after the other, each is tried with every key, and the first match ends the search.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mvmtr.mfl.sieve import glob, regex
from mvmtr.mfl.sieve.comparators import Comparator

Captures = tuple[bytes, ...]
Matcher = Callable[[Iterable[bytes]], Captures | None]
"""
From values to C{None} where none of them matches, otherwise to the match variables: none
for the match types that set none.
"""

RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
    "eq": operator.eq,
    "ne": operator.ne,
}

_MATCHED: Captures = ()


def _is(comparator: Comparator, keys: Sequence[bytes]) -> Matcher:
    key_of = comparator.key
    wanted = frozenset(map(key_of, keys))

    def match(values: Iterable[bytes]) -> Captures | None:
        for value in values:
            if key_of(value) in wanted:
                return _MATCHED
        return None

    return match


def _contains(comparator: Comparator, keys: Sequence[bytes]) -> Matcher:
    fold = _fold(comparator)
    wanted = tuple(map(fold, keys))

    def match(values: Iterable[bytes]) -> Captures | None:
        for value in values:
            folded = fold(value)
            for key in wanted:
                if key in folded:
                    return _MATCHED
        return None

    return match


def _matches(comparator: Comparator, keys: Sequence[bytes]) -> Matcher:
    fold = _fold(comparator)
    codec = glob.codec_of(keys)
    patterns = tuple(glob.parse(fold(key).decode(*codec)) for key in keys)

    def match(values: Iterable[bytes]) -> Captures | None:
        for value in values:
            folded = fold(value).decode(*codec)
            for pattern in patterns:
                places = pattern.match(folded)
                if places is not None:
                    # What was taken, as it is written in the value where that can be told.
                    text = value.decode(*codec)
                    taken = pattern.captures(text if len(text) == len(folded) else folded, places)
                    return tuple(each.encode(*codec) for each in taken)
        return None

    return match


def _regex(comparator: Comparator, keys: Sequence[bytes]) -> Matcher:
    patterns = tuple(regex.compile_pattern(key, comparator.ignores_case) for key in keys)

    def match(values: Iterable[bytes]) -> Captures | None:
        for value in values:
            for pattern in patterns:
                found = regex.search(pattern, value)
                if found is not None:
                    return found
        return None

    return match


def _value(comparator: Comparator, keys: Sequence[bytes], relation: str) -> Matcher:
    holds = RELATIONS[relation]
    key_of = comparator.key
    bounds = tuple(map(key_of, keys))

    def match(values: Iterable[bytes]) -> Captures | None:
        for value in values:
            own = key_of(value)
            for bound in bounds:
                if holds(own, bound):
                    return _MATCHED
        return None

    return match


def _count(comparator: Comparator, keys: Sequence[bytes], relation: str) -> Matcher:
    by_value = _value(comparator, keys, relation)

    def match(values: Iterable[bytes]) -> Captures | None:
        count = sum(1 for _value in values)
        return by_value((b"%d" % count,))

    return match


def _fold(comparator: Comparator) -> Callable[[bytes], bytes]:
    if comparator.fold is None:
        raise ValueError(f"the comparator {comparator.name!r} knows no substrings")
    return comparator.fold


_SIMPLE = {"is": _is, "contains": _contains, "matches": _matches, "regex": _regex}
_RELATIONAL = {"value": _value, "count": _count}
SUBSTRINGS = frozenset({"contains", "matches"})
"""The match types that look for substrings."""
CAPTURING = frozenset({"matches", "regex"})
"""The match types that set match variables."""


def matcher(
    match: str, comparator: Comparator, keys: Sequence[bytes], relation: str = "eq"
) -> Matcher:
    """
    A function that compares values with keys.

    @param match: the match type: C{is}, C{contains}, C{matches}, C{regex}, C{value} or C{count}.
    @param relation: for C{value} and C{count}: a name of L{RELATIONS}.
    @raise ValueError: when the comparator cannot do it or a pattern is wrong.
    """
    if match in _RELATIONAL:
        return _RELATIONAL[match](comparator, keys, relation)
    return _SIMPLE[match](comparator, keys)


def size_of(match: str, comparator: Comparator, keys: Sequence[bytes]) -> int:
    """
    How large the programs of regular expressions are, which is what a byte costs at the
    worst; for other match types 0.

    @raise ValueError: when one is wrong.
    """
    if match != "regex":
        return 0
    patterns = (regex.compile_pattern(key, comparator.ignores_case) for key in keys)
    return sum(pattern.programsize for pattern in patterns)
