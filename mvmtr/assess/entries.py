# -*- test-case-name: mvmtr.test.test_assess_entries -*-
"""
Records as lines of JSON, to look at, to keep and to bring back. Pure.

A rule is C{{"rule": "block", "subject": "192.0.2.0/24", "reason": "…", "until": "…"}};
anything else C{{"key": …, "values": {…}, "until": …}}.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from mvmtr.assess import dates
from mvmtr.assess.records import KEY_MAX, Record
from mvmtr.assess.rules import ACTIONS, BadSubject, rule, subject_of

REASON_MAX = 500
"""Characters of a reason."""

_POINTS = {"points": float, "at": float}
_COUNT = {"count": int}

KINDS: Mapping[str, Mapping[str, type]] = {
    "client": _POINTS,
    "network": _POINTS,
    "helo": _POINTS,
    "domain": _POINTS,
    "connections": _COUNT,
    "recipients": _COUNT,
    "messages": _COUNT,
    "known": {"times": int, "at": float},
    "grey": {"first": float},
}
"""What records of each kind have at least, other than rules."""

_KNOWN = {"rule", "subject", "reason", "until", "file", "key", "values", "points_now"}


class BadEntry(ValueError):
    """No entry; the text says why."""


def entry_of(key: str, record: Record) -> dict[str, Any]:
    """A record as what is written as a line."""
    kind, _blank, rest = key.partition(" ")
    values = dict(record.values)
    if kind == "rule":
        subject = rest.partition(" ")[2]
        entry = {"rule": values["action"], "subject": subject, "reason": values["reason"]}
        if "file" in values:
            entry["file"] = values["file"]
        elif not _is_subject(subject, key, values["action"]):
            # The key is too long to have the whole subject in it.
            entry = {"key": key, "values": values}
    else:
        entry = {"key": key, "values": values}
    if record.expires:
        entry["until"] = dates.written(record.expires)
    return entry


def _is_subject(subject: str, key: str, action: str) -> bool:
    try:
        return subject_of(subject, action) == key
    except BadSubject:
        return False


def line_of(entry: Mapping[str, Any]) -> str:
    """An entry as a line of JSON, in ASCII."""
    return json.dumps(entry, separators=(",", ":"))


def read_line(line: str) -> tuple[str, Record]:
    """
    The key and the record that a line tells.

    @raise BadEntry: when it is no entry, or one that would make no sense to the assessors.
    """
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        raise BadEntry(f"{line[:40]!r} is no JSON") from None
    if not isinstance(entry, dict) or ("rule" in entry) == ("key" in entry):
        raise BadEntry("wants an object with either rule or key")
    if unknown := set(entry) - _KNOWN:
        raise BadEntry(f"{min(unknown)[:40]!r} is not known")
    try:
        end = dates.read(_text(entry, "until")) if "until" in entry else 0.0
        if "rule" in entry:
            return _rule(entry, end)
    except (BadSubject, dates.BadDate) as error:
        raise BadEntry(str(error)) from None
    key = _text(entry, "key")
    return key, Record(_values(key, entry.get("values")), end)


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str):
        raise BadEntry(f"{name} wants a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadEntry(f"{name} is not UTF-8") from None
    return value


def _rule(entry: Mapping[str, Any], end: float) -> tuple[str, Record]:
    action = _text(entry, "rule")
    reason = _reason(entry) if "reason" in entry else ""
    return subject_of(_text(entry, "subject"), action), rule(action, reason, end)


def _reason(values: Mapping[str, Any]) -> str:
    reason = _text(values, "reason")
    if len(reason) > REASON_MAX or not reason.isprintable():
        raise BadEntry(f"a reason has up to {REASON_MAX} printable characters")
    return reason


def _values(key: str, values: Any) -> dict[str, Any]:
    kind, _blank, rest = key.partition(" ")
    if not rest or len(key) > KEY_MAX or not isinstance(values, dict):
        raise BadEntry(f"{key[:40]!r} is no record")
    if kind == "rule":
        if values.get("action") not in ACTIONS or set(values) != {"action", "reason"}:
            raise BadEntry(f"{key[:40]!r}: no rule has these values")
        return {"action": values["action"], "reason": _reason(values)}
    if kind not in KINDS:
        raise BadEntry(f"{key[:40]!r} is of no kind that is known")
    for name, value in values.items():
        if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > 1e15:
            raise BadEntry(f"{key[:40]!r}: {name[:40]!r} wants a number")
    for name in KINDS[kind]:
        if name not in values:
            raise BadEntry(f"{key[:40]!r}: {name!r} is missing")
    return values
