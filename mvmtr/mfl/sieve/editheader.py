# -*- test-case-name: mvmtr.test.test_mfl_sieve -*-
"""The commands C{addheader} and C{deleteheader} (RFC 5293)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mvmtr.mfl.runtime import Run
from mvmtr.mfl.sieve import comparison, fields
from mvmtr.mfl.sieve.fields import Field
from mvmtr.mfl.sieve.index import check_index, picker
from mvmtr.mfl.specs import Argument, CommandSpec, Extension, Kind, Tag, Use, Value

_NEVER_DELETED = frozenset({b"received", b"auto-submitted"})
"""RFC 5293, section 6."""
_NEVER_PROTECTED = b"subject"
_VALUE_MAX = 2048


def _settings(run: Run, *names: bytes) -> frozenset[bytes]:
    """The names of fields in some settings."""
    listed: set[bytes] = set()
    for name in names:
        listed.update((run.host.sieve_setting(name) or b"").lower().split())
    listed.discard(_NEVER_PROTECTED)
    return frozenset(listed)


def _check_name(use: Use) -> None:
    name = use.arguments["field-name"]
    if name.constant is not None and not fields.is_name(name.constant):
        shown = name.constant.decode("utf-8", "replace")
        use.problem(f'"{shown}" is no name of a header field', name.place)


def _check_add(use: Use) -> None:
    _check_name(use)
    value = use.arguments["value"]
    if value.constant is not None and not fields.is_value(value.constant):
        use.problem("no header field can have this value", value.place)


def _value_max(run: Run) -> int:
    text = (run.host.sieve_setting(b"sieve_editheader_max_header_size") or b"").lower()
    number = text.removesuffix(b"k")
    if not number.isdigit() or len(number) > 8:
        return _VALUE_MAX
    return max(1024, int(number) << (10 if text.endswith(b"k") else 0))


def _shortened(value: bytes, longest: int) -> bytes:
    """The value, cut behind a whole character where it is too long."""
    if len(value) <= longest:
        return value
    return value[:longest].decode("utf-8", "ignore").encode("utf-8")


def _add(use: Use) -> Callable[[Run, Sequence[Any]], None]:
    name, value = use.arguments["field-name"], use.arguments["value"]
    last = "last" in use.tags

    def add(run: Run, values: Sequence[Any]) -> None:
        field = name.get(values)
        forbidden = _settings(run, b"sieve_editheader_forbid_add", b"sieve_editheader_protected")
        if field.lower() in forbidden:
            return
        text = run.made(_shortened(value.get(values), _value_max(run)))
        run.step(20 + run.message.count)
        try:
            run.message.add(field, text, last)
        except ValueError as problem:
            raise run.problem(str(problem)) from None

    return add


def _check_delete(use: Use) -> None:
    _check_name(use)
    check_index(use)
    patterns = use.arguments.get("value-patterns")
    given = use.tag_of((*(tag.name for tag in comparison.TAGS), "value", "count", "regex"))
    if patterns is not None:
        comparison.check(use, patterns)
    elif given is not None:
        use.problem(f":{given} compares a value, and there is none")


def _delete(use: Use) -> Callable[[Run, Sequence[Any]], None]:
    name, patterns = use.arguments["field-name"], use.arguments.get("value-patterns")
    pick, choose = picker(use), _chooser(use, patterns)

    def delete(run: Run, values: Sequence[Any]) -> None:
        field = name.get(values)
        if not fields.is_name(field):
            raise run.problem(f"{field[:80]!r} is no name of a header field")
        kept = _NEVER_DELETED | _settings(
            run, b"sieve_editheader_forbid_delete", b"sieve_editheader_protected"
        )
        if field.lower() in kept:
            return
        found = run.message.fields(field)
        run.step(20 + run.message.count)
        doomed = set(map(id, choose(run, pick(found), values)))
        run.message.delete(field, lambda each: id(each) in doomed)

    return delete


Choose = Callable[[Run, Sequence[Field], Sequence[Any]], Sequence[Field]]


def _chooser(use: Use, patterns: Value | None) -> Choose:
    """From the fields of a name to those whose value the patterns want."""
    if patterns is None:
        return lambda run, found, values: found
    compare = comparison.build(use, patterns, captures=False)
    if comparison.match_type(use) == "count":
        return lambda run, found, values: (
            found if compare(run, [field.value for field in found], values) else ()
        )
    return lambda run, found, values: [
        field for field in found if compare(run, (field.value,), values)
    ]


_NAME = Argument("field-name", Kind.STRING)
_CAPABILITY = ("editheader",)

EXTENSION = Extension(
    _CAPABILITY,
    commands=(
        CommandSpec(
            "addheader",
            _add,
            (_NAME, Argument("value", Kind.STRING)),
            (Tag("last"),),
            capabilities=_CAPABILITY,
            check=_check_add,
        ),
        CommandSpec(
            "deleteheader",
            _delete,
            (_NAME, Argument("value-patterns", Kind.STRINGS, optional=True)),
            (Tag("index", kind=Kind.NUMBER), Tag("last")),
            families=comparison.FAMILIES,
            capabilities=_CAPABILITY,
            check=_check_delete,
        ),
    ),
)
