# -*- test-case-name: mvmtr.test.test_mfl_sieve -*-
"""The tests C{date} and C{currentdate} (RFC 5260)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from mvmtr.mfl.runtime import Run
from mvmtr.mfl.sieve import comparison, dates
from mvmtr.mfl.sieve.base import check_header_names
from mvmtr.mfl.sieve.index import INDEX, check_index, picker
from mvmtr.mfl.specs import Argument, Extension, Kind, Needs, Tag, TestSpec, Use

InZone = Callable[[datetime, Sequence[Any]], "datetime | None"]


def _check(use: Use) -> None:
    part, zone = use.arguments["date-part"], use.tags.get("zone")
    if part.constant is not None and _part_name(part.constant) not in dates.PARTS:
        shown = part.constant.decode("utf-8", "replace")
        known = ", ".join(dates.PARTS)
        use.problem(f'a date has no part "{shown}"; it has {known}', part.place)
    if zone is not None and zone.constant is not None and _zone(zone.constant) is None:
        shown = zone.constant.decode("utf-8", "replace")
        use.problem(f'"{shown}" is no time zone; one is written +hhmm or -hhmm', zone.place)
    if "header-name" in use.arguments:
        name = use.arguments["header-name"]
        if name.constant is not None:
            check_header_names(use, _listed(name))
        check_index(use)
    comparison.check(use, use.arguments["keys"])


def _listed(name: Any) -> Any:
    return type(name)(Kind.STRINGS, name.place, (name.constant,))


def _part_name(text: bytes) -> str:
    return text.decode("utf-8", "replace").lower()


def _zone(text: bytes) -> Any:
    return dates.parse_zone(text.decode("utf-8", "replace"))


def _in_zone(use: Use) -> InZone:
    """Where a date is looked at: its own zone, a given one, or that of this machine."""
    if "originalzone" in use.tags:
        return lambda date, values: date
    given = use.tags.get("zone")
    if given is None:
        return lambda date, values: dates.in_zone(date, None)

    def elsewhere(date: datetime, values: Sequence[Any]) -> datetime | None:
        zone = _zone(given.get(values))
        return None if zone is None else dates.in_zone(date, zone)

    return elsewhere


def _reader(use: Use) -> Callable[[datetime, Sequence[Any]], list[bytes]]:
    """From a date to the wanted part of it: one string, or none where it has none."""
    part, in_zone = use.arguments["date-part"], _in_zone(use)

    def read(date: datetime, values: Sequence[Any]) -> list[bytes]:
        there = in_zone(date, values)
        take = dates.PARTS.get(_part_name(part.get(values)))
        return [] if there is None or take is None else [take(there).encode()]

    return read


def _date(use: Use) -> Callable[[Run, Sequence[Any]], bool]:
    name = use.arguments["header-name"]
    compare = comparison.build(use, use.arguments["keys"])
    pick, read = picker(use), _reader(use)

    def date(run: Run, values: Sequence[Any]) -> bool:
        found: list[bytes] = []
        fields = pick(run.message.fields(name.get(values)))
        run.step(1 + 10 * len(fields))
        for field in fields:
            when = dates.parse(field.raw)
            if when is not None:
                found += read(when, values)
        return compare(run, found, values)

    return date


def _currentdate(use: Use) -> Callable[[Run, Sequence[Any]], bool]:
    compare = comparison.build(use, use.arguments["keys"])
    read = _reader(use)

    def currentdate(run: Run, values: Sequence[Any]) -> bool:
        now = run.state.get("now")
        if now is None:
            # One moment for the whole run (RFC 5260, section 5).
            now = run.state["now"] = dates.from_timestamp(run.host.now())
        return compare(run, read(now, values), values)

    return currentdate


_ZONE = Tag("zone", group="zone", kind=Kind.STRING)
_ARGUMENTS = (Argument("date-part", Kind.STRING), Argument("keys", Kind.STRINGS))

EXTENSION = Extension(
    ("date",),
    tests=(
        TestSpec(
            "date",
            _date,
            (Argument("header-name", Kind.STRING), *_ARGUMENTS),
            (_ZONE, Tag("originalzone", group="zone")),
            families=(*comparison.FAMILIES, INDEX),
            capabilities=("date",),
            check=_check,
        ),
        TestSpec(
            "currentdate",
            _currentdate,
            _ARGUMENTS,
            (_ZONE,),
            families=comparison.FAMILIES,
            capabilities=("date",),
            needs=Needs.NOTHING,
            check=_check,
        ),
    ),
)
