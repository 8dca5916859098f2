# -*- test-case-name: mvmtr.test.test_mfl_sieve -*-
"""C{:index} and C{:last}: one of several fields of a name (RFC 5260, section 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from mvmtr.mfl.specs import Extension, Kind, Tag, Use

INDEX = "index"
"""The family of these tags."""

T = TypeVar("T")


def check_index(use: Use) -> None:
    """Report an index that counts nothing."""
    index = use.tags.get("index")
    if "last" in use.tags and index is None:
        use.problem(":last counts from the end for :index, which is missing")
    if index is not None and index.constant == 0:
        use.problem(":index counts from 1", index.place)


def picker(use: Use) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """From all fields of a name to those that a test or command wants."""
    index = use.tags.get("index")
    if index is None:
        return _all
    at = index.constant
    if "last" in use.tags:
        return lambda found: found[-at : len(found) - at + 1] if at <= len(found) else ()
    return lambda found: found[at - 1 : at]


def _all(found: Sequence[T]) -> Sequence[T]:
    return found


EXTENSION = Extension(
    ("index",),
    tags=(
        Tag("index", kind=Kind.NUMBER, capabilities=("index",), family=INDEX),
        Tag("last", capabilities=("index",), family=INDEX),
    ),
)
