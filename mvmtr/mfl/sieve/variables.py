# -*- test-case-name: mvmtr.test.test_mfl_sieve -*-
"""The command C{set} and the test C{string} (RFC 5229)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mvmtr.mfl.runtime import Run
from mvmtr.mfl.sieve import comparison
from mvmtr.mfl.specs import Argument, CommandSpec, Extension, Kind, Needs, Tag, TestSpec, Use

MODIFIER = "modifier"
"""The family of the tags that change what C{set} stores."""
QUOTING = "quoting"
"""The group of those that quote."""

_WILDCARDS = (b"\\", b"*", b"?")
_REGEX_SIGNS = tuple(bytes((sign,)) for sign in rb"\.^$*+?()[]{}|")


def _quoting(signs: tuple[bytes, ...]) -> Callable[[bytes], bytes]:
    """A function that sets a backslash before some signs, of which it is the first."""

    def quote(value: bytes) -> bytes:
        for sign in signs:
            value = value.replace(sign, b"\\" + sign)
        return value

    return quote


def _length(value: bytes) -> bytes:
    """How many characters there are."""
    return b"%d" % len(value.decode("utf-8", "surrogateescape"))


def _lower_first(value: bytes) -> bytes:
    return value[:1].lower() + value[1:]


def _upper_first(value: bytes) -> bytes:
    return value[:1].upper() + value[1:]


_MODIFIERS: dict[str, Callable[[bytes], bytes]] = {
    "lower": bytes.lower,
    "upper": bytes.upper,
    "lowerfirst": _lower_first,
    "upperfirst": _upper_first,
    "quotewildcard": _quoting(_WILDCARDS),
    "quoteregex": _quoting(_REGEX_SIGNS),
    "length": _length,
}
"""In the order in which they are applied: the higher precedence first."""

_GROUPS = {
    "lower": "case",
    "upper": "case",
    "lowerfirst": "first letter",
    "upperfirst": "first letter",
    "quotewildcard": QUOTING,
    "length": "length",
}


def _set(use: Use) -> Callable[[Run, Sequence[Any]], bytes]:
    value = use.arguments["value"]
    changes = tuple(change for name, change in _MODIFIERS.items() if name in use.tags)
    if not changes:
        return lambda run, values: run.made(value.get(values))

    def store(run: Run, values: Sequence[Any]) -> bytes:
        text: bytes = value.get(values)
        for change in changes:
            text = change(run.made(text))
        return run.made(text)

    return store


def _check_string(use: Use) -> None:
    comparison.check(use, use.arguments["keys"])


def _string(use: Use) -> Callable[[Run, Sequence[Any]], bool]:
    source, keys = use.arguments["source"], use.arguments["keys"]
    compare = comparison.build(use, keys)
    if comparison.match_type(use) != "count":
        return lambda run, values: compare(run, source.get(values), values)

    def count(run: Run, values: Sequence[Any]) -> bool:
        # Empty strings do not count (RFC 5229, section 5).
        return compare(run, [text for text in source.get(values) if text], values)

    return count


EXTENSION = Extension(
    ("variables",),
    tests=(
        TestSpec(
            "string",
            _string,
            (Argument("source", Kind.STRINGS), Argument("keys", Kind.STRINGS)),
            families=comparison.FAMILIES,
            capabilities=("variables",),
            needs=Needs.NOTHING,
            check=_check_string,
        ),
    ),
    commands=(
        CommandSpec(
            "set",
            _set,
            (Argument("name", Kind.STRING, constant=True), Argument("value", Kind.STRING)),
            families=(MODIFIER,),
            capabilities=("variables",),
            needs=Needs.NOTHING,
            assigns="name",
        ),
    ),
    tags=tuple(Tag(name, group=group, family=MODIFIER) for name, group in _GROUPS.items()),
)
