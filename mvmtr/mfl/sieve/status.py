# -*- test-case-name: mvmtr.test.test_mfl_status -*-
"""
What a scanner wrote into a header field, on the scales of C{spamtest} and C{virustest}
(RFC 5235). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from mvmtr.mfl.sieve import regex

_FIELD = re.compile(rb"\s*([!-9;-~]+)\s*(?::\s*(.*))?\Z", re.DOTALL)
_SCORE = re.compile(rb"[-+]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})")

Values = Callable[[bytes], list[bytes]]
"""From a field's name to the values of the message's fields of that name."""
Settings = Callable[[bytes], "bytes | None"]
"""From a setting's name to its value."""


class BadSetting(ValueError):
    """A setting that can't be used."""


@dataclass(frozen=True)
class Scale:
    """
    @ivar prefix: of the settings' names.
    @ivar highest: of the results; 0 stands for "not tested" and 1 for the cleanest.
    """

    prefix: bytes
    highest: int


SPAM = Scale(b"sieve_spamtest_", 10)
VIRUS = Scale(b"sieve_virustest_", 5)


def _read(setting: bytes, values: Values) -> bytes | None:
    """
    The value that a setting C{field [: expression]} finds in the message: of the first
    field that is there, all of it or what the group of the expression took.
    """
    parsed = _FIELD.match(setting)
    if parsed is None:
        raise BadSetting(f"{setting!r} names no header field")
    found = values(parsed[1])
    if not found:
        return None
    if not parsed[2]:
        return found[0]
    try:
        pattern = regex.compile_pattern(parsed[2], False)
    except ValueError as problem:
        raise BadSetting(f"the expression in {setting!r} is wrong: {problem}") from None
    groups = regex.search(pattern, found[0])
    return groups[1] if groups is not None and len(groups) > 1 else None


def _number(text: bytes) -> float | None:
    found = _SCORE.match(text.strip())
    return float(found.group()) if found else None


def _setting(scale: Scale, name: bytes, settings: Settings) -> bytes | None:
    """A setting that has a longer name in some versions of Dovecot."""
    return settings(scale.prefix + name) or settings(scale.prefix + b"score_" + name)


def _ratio(scale: Scale, kind: bytes, status: bytes, settings: Settings, values: Values) -> float:
    """How much of the highest score a message has; negative when that can't be told."""
    where = _setting(scale, b"max_header", settings)
    limit = _read(where, values) if where else _setting(scale, b"max_value", settings)
    highest = _number(limit) if limit else None
    score = float(len(status.strip())) if kind == b"strlen" else _number(status)
    if highest is None or highest <= 0 or score is None:
        return -1.0
    return min(1.0, max(0.0, score / highest))


def _by_text(scale: Scale, status: bytes, settings: Settings) -> int | None:
    for number in range(scale.highest + 1):
        wanted = settings(scale.prefix + b"text_value%d" % number)
        if wanted is not None and wanted == status:
            return number
    return None


def result(scale: Scale, settings: Settings, values: Values, percent: bool = False) -> bytes:
    """
    The result of a scanner on a scale of RFC 5235.

    @param percent: from 0 to 100.
    @return: decimal digits; C{0} where nothing was tested or nothing is set up.
    @raise BadSetting: when the settings are wrong.
    """
    where = settings(scale.prefix + b"status_header")
    if not where:
        return b"0"
    status = _read(where, values)
    if status is None:
        return b"0"
    kind = (settings(scale.prefix + b"status_type") or b"score").lower()
    if kind == b"text":
        number = _by_text(scale, status, settings)
        if not number:
            return b"0"
        return b"%d" % ((number - 1) * 100 // (scale.highest - 1) if percent else number)
    if kind not in (b"score", b"strlen"):
        raise BadSetting(f"{kind!r} is no type of a status; there are score, strlen and text")
    ratio = _ratio(scale, kind, status, settings, values)
    if ratio < 0:
        return b"0"
    # A tiny amount puts right what division lost: 0.7 of 10 is 7.
    return b"%d" % int((ratio * 100 if percent else ratio * (scale.highest - 1) + 1) + 1e-9)
