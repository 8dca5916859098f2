# -*- test-case-name: mvmtr.test.test_mfl_sieve -*-
"""
What all tests that compare strings share: the tags for the match type and the comparator,
their checks, and the function that they become.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mvmtr.mfl.runtime import Run
from mvmtr.mfl.sieve import comparators, matching
from mvmtr.mfl.sieve.comparators import Comparator
from mvmtr.mfl.specs import Kind, Tag, Use, Value

MATCH = "match"
"""The family, and the group, of the tags that say how to match."""
COMPARATOR = "comparator"
"""The family of the tag that names a comparator."""
FAMILIES = (MATCH, COMPARATOR)

TAGS = (
    *(Tag(name, group=MATCH, family=MATCH) for name in ("is", "contains", "matches")),
    Tag("comparator", kind=Kind.STRING, family=COMPARATOR, constant=True),
)
"""Those of the base language."""

_MATCHES = ("is", "contains", "matches", "regex", "value", "count")
_FOR_REGEX = frozenset({comparators.OCTET.name, comparators.ASCII_CASEMAP.name})

Compare = Callable[[Run, Sequence[bytes], Sequence[Any]], bool]
"""From the run, the values of the message and the arguments to whether they match."""


_WORK_MAX = 2000
_PROGRAM = 14
"""So many bytes times instructions of a regular expression, as a power of two, are a step."""


def work(size: int) -> int:
    """
    What it costs to look through so many bytes, in steps. It stops to grow at some
    megabytes, so that a few tests of a large message are not too much for a script.
    """
    return min(size >> 10, _WORK_MAX)


def match_type(use: Use) -> str:
    """The match type of a test, in lower case."""
    return use.tag_of(_MATCHES) or "is"


def _relation(use: Use) -> str:
    given = use.tags.get(match_type(use))
    return "eq" if given is None else given.constant.decode("utf-8", "replace").lower()


def _comparator(use: Use) -> Comparator | None:
    given = use.tags.get("comparator")
    if given is None:
        return comparators.DEFAULT
    return comparators.COMPARATORS.get(given.constant.decode("utf-8", "replace"))


def check(use: Use, keys: Value) -> None:
    """Report what is wrong with the match type, the comparator or the keys of a test."""
    comparator = _checked_comparator(use)
    match = match_type(use)
    given = use.tags.get(match)
    if given is not None and _relation(use) not in matching.RELATIONS:
        relations = ", ".join(matching.RELATIONS)
        use.problem(f'"{_relation(use)}" is no relation; there are {relations}', given.place)
        return
    if comparator is None:
        return
    if match in matching.SUBSTRINGS and comparator.fold is None:
        use.problem(f'the comparator "{comparator.name}" knows no substrings, as :{match} needs')
    elif match == "regex" and comparator.name not in _FOR_REGEX:
        use.problem(f'regular expressions do not go with the comparator "{comparator.name}"')
    else:
        _check_keys(use, match, comparator, keys)


def _checked_comparator(use: Use) -> Comparator | None:
    comparator = _comparator(use)
    given = use.tags.get("comparator")
    if given is None:
        return comparator
    name = given.constant.decode("utf-8", "replace")
    if comparator is None:
        use.problem(f'there is no comparator "{name}"', given.place)
    elif name not in comparators.BUILT_IN and f"comparator-{name}" not in use.capabilities:
        use.problem(f'this needs require "comparator-{name}";', given.place)
        return None
    return comparator


def _check_keys(use: Use, match: str, comparator: Comparator, keys: Value) -> None:
    if keys.constant is None or match not in matching.CAPTURING:
        return
    for key in keys.constant:
        try:
            matching.matcher(match, comparator, (key,))
        except ValueError as problem:
            what = "regular expression" if match == "regex" else "pattern"
            use.problem(f"this {what} is wrong: {problem}", keys.place)


def build(use: Use, keys: Value, captures: bool = True) -> Compare:
    """
    The function that compares the values of a test with its keys. Where the keys are
    known it is made for them once.

    @param captures: whether a match sets the match variables; only where C{variables} is
        required.
    """
    match = match_type(use)
    comparator = _comparator(use) or comparators.DEFAULT
    relation = _relation(use)
    keep = captures and match in matching.CAPTURING and "variables" in use.capabilities
    if keys.constant is None:
        return _with_changing_keys(match, comparator, relation, keys, keep)
    find = matching.matcher(match, comparator, keys.constant, relation)
    count = len(keys.constant)
    program = matching.size_of(match, comparator, keys.constant)

    def compare(run: Run, found: Sequence[bytes], values: Sequence[Any]) -> bool:
        size = sum(map(len, found))
        run.step(1 + count * (len(found) + work(size)) + (size * program >> _PROGRAM))
        return _kept(run, find(found), keep)

    return compare


def _kept(run: Run, taken: matching.Captures | None, keep: bool) -> bool:
    """Whether there was a match; its variables are set."""
    if taken is not None and keep:
        run.captures = [run.made(text) for text in taken]
    return taken is not None


def _with_changing_keys(
    match: str, comparator: Comparator, relation: str, keys: Value, keep: bool
) -> Compare:
    # What it costs to read the keys anew.
    shift = 8 if match == "matches" else 10

    def compare(run: Run, found: Sequence[bytes], values: Sequence[Any]) -> bool:
        wanted = keys.get(values)
        size = sum(map(len, found))
        run.step(1 + len(wanted) * (len(found) + work(size)))
        run.step(sum(map(len, wanted)) >> shift)
        try:
            program = matching.size_of(match, comparator, wanted)
            run.step((program >> 2) + (size * program >> _PROGRAM))
            find = matching.matcher(match, comparator, wanted, relation)
        except ValueError as problem:
            raise run.problem(f"this pattern is wrong: {problem}") from None
        return _kept(run, find(found), keep)

    return compare
