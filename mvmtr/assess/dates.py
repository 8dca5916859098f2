# -*- test-case-name: mvmtr.test.test_assess_dates -*-
"""
When something ends, as a postmaster writes it. Pure.

Times are seconds since 1970; 0 is "never". Without a zone a time is UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

_FOR = re.compile(r"(?P<number>\d{1,9})(?P<unit>[smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?")


class BadDate(ValueError):
    """No date that is known; the text says what is."""


def until(text: str, now: float) -> float:
    """
    The end that a text tells.

    @param text: C{2026-12-31} (its first second), C{2026-12-31T12:00}, C{7d} from now on
        (s, m, h, d or w), or C{never}.
    @raise BadDate: when it is none of these, or over already.
    """
    if text == "never":
        return 0.0
    if match := _FOR.fullmatch(text):
        end = now + int(match["number"]) * _UNITS[match["unit"]]
        written(end)
    else:
        end = read(text)
    if end <= now:
        raise BadDate(f"{text} is over")
    return end


def read(text: str) -> float:
    """
    A date or time, as L{written} writes it or shorter.

    @raise BadDate: when it is none.
    """
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        moment = datetime.fromisoformat(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise BadDate(f"{text!r} is no date (2026-12-31, 2026-12-31T12:00, 7d)") from None
    if seconds <= 0:
        raise BadDate(f"{text} is before 1970")
    return seconds


def written(seconds: float) -> str:
    """
    A time as text, in UTC: C{2026-12-31T12:00:00Z}.

    @raise BadDate: when it is after the year 9999 or before 1970.
    """
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise BadDate(f"{seconds} is no time") from None
    if seconds < 0:
        raise BadDate(f"{seconds} is before 1970")
    return moment.isoformat().replace("+00:00", "Z")


def short(seconds: float) -> str:
    """A length of time for people: C{45 s}, C{12 min}, C{3 h}, C{5 d}."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
