# -*- test-case-name: mvmtr.test.test_mfl_dates -*-
"""Dates in header fields and their parts (RFC 5322, section 3.3; RFC 5260, section 4). Pure."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

_MONTH_NAMES = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
_MONTHS = _MONTH_NAMES.lower().split()
_DAY_NAMES = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_ZONES = {"ut": 0, "gmt": 0, "utc": 0, "z": 0}
_ZONES.update(edt=-240, est=-300, cdt=-300, cst=-360, mdt=-360, mst=-420, pdt=-420, pst=-480)
_DATE = re.compile(
    r"\s*(?:[a-z]{3,9}\s*,\s*)?([0-9]{1,2})\s+([a-z]{3})[a-z]*\s+([0-9]{2,4})\s+"
    r"([0-9]{1,2})\s*:\s*([0-9]{1,2})(?:\s*:\s*([0-9]{1,2}))?"
    r"(?:\s*([-+][0-9]{4}|[a-z]{1,5}))?\s*\Z",
    re.IGNORECASE,
)
_ZONE = re.compile(r"([-+])([0-9]{2})([0-9]{2})\Z")
_COMMENT = re.compile(r"\([^()\\]*\)")
_MODIFIED_JULIAN_DAY_OF_1 = -678576
_LONGEST = 200


def parse_zone(text: str) -> timezone | None:
    """A zone as an offset: C{+hhmm}; C{None} for what is none."""
    found = _ZONE.match(text)
    if found is None:
        return None
    minutes = int(found[2]) * 60 + int(found[3])
    if minutes >= 24 * 60 or int(found[3]) >= 60:
        return None
    return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))


def _named_zone(name: str) -> timezone:
    offset = parse_zone(name)
    if offset is not None:
        return offset
    return timezone(timedelta(minutes=_ZONES.get(name.lower(), 0)))


def parse(value: bytes) -> datetime | None:
    """
    The date of a field's value, with its own zone: all of it, or what follows the last
    semicolon, as in C{Received}. C{None} when there is none.
    """
    text = value.rpartition(b";")[2][:_LONGEST].decode("latin-1")
    for _depth in range(3):
        text = _COMMENT.sub(" ", text)
    found = _DATE.match(text)
    if found is None or found[2].lower() not in _MONTHS:
        return None
    year = int(found[3])
    if len(found[3]) < 4:
        year += 1900 if len(found[3]) == 3 or year >= 50 else 2000
    month = _MONTHS.index(found[2].lower()) + 1
    second = min(int(found[6] or 0), 59) if found[6] == "60" else int(found[6] or 0)
    try:
        return datetime(
            year,
            month,
            int(found[1]),
            int(found[4]),
            int(found[5]),
            second,
            tzinfo=_named_zone(found[7] or "+0000"),
        )
    except ValueError:
        return None


def local_zone(when: float) -> timezone:
    """The zone of this machine at a time, given in seconds since 1970."""
    return timezone(timedelta(seconds=time.localtime(when).tm_gmtoff))


def from_timestamp(when: float) -> datetime:
    """A time, given in seconds since 1970, in the zone of this machine."""
    return datetime.fromtimestamp(when, local_zone(when))


def in_zone(date: datetime, zone: timezone | None) -> datetime | None:
    """
    The same moment elsewhere; C{None} outside of the years that there are.

    @param zone: C{None} is this machine's.
    """
    try:
        return date.astimezone(local_zone(date.timestamp()) if zone is None else zone)
    except (OverflowError, ValueError, OSError):
        return None


def _zone_text(date: datetime) -> str:
    offset = date.utcoffset() or timedelta()
    minutes = int(offset.total_seconds()) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"


def _iso8601(date: datetime) -> str:
    zone = _zone_text(date)
    return f"{_day(date)}T{_time(date)}{zone[:3]}:{zone[3:]}"


def _std11(date: datetime) -> str:
    day = _DAY_NAMES[date.isoweekday() % 7]
    month = _MONTH_NAMES.split()[date.month - 1]
    return f"{day}, {date.day:02} {month} {date.year:04} {_time(date)} {_zone_text(date)}"


def _day(date: datetime) -> str:
    return f"{date.year:04}-{date.month:02}-{date.day:02}"


def _time(date: datetime) -> str:
    return f"{date.hour:02}:{date.minute:02}:{date.second:02}"


PARTS: dict[str, Callable[[datetime], str]] = {
    "year": lambda date: f"{date.year:04}",
    "month": lambda date: f"{date.month:02}",
    "day": lambda date: f"{date.day:02}",
    "date": _day,
    "julian": lambda date: str(date.toordinal() + _MODIFIED_JULIAN_DAY_OF_1),
    "hour": lambda date: f"{date.hour:02}",
    "minute": lambda date: f"{date.minute:02}",
    "second": lambda date: f"{date.second:02}",
    "time": _time,
    "iso8601": _iso8601,
    "std11": _std11,
    "zone": _zone_text,
    "weekday": lambda date: str(date.isoweekday() % 7),
}
"""From a date to each of its parts."""
