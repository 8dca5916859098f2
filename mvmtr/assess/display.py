# -*- test-case-name: mvmtr.test.test_assess_display -*-
"""How the postmaster's program shows things, as lines of text. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mvmtr.assess.dates import read, short
from mvmtr.log import text_of

Entry = Mapping[str, Any]

RULE_HEADING = ("ACTION", "SUBJECT", "UNTIL", "REASON")
TOP_HEADING = (
    "CLIENT", "NAME", "/MIN", "ASKED", "PUT OFF", "REFUSED", "POINTS", "SEEN", "LAST REASON",
)  # fmt: skip
NAME_WIDTH = 30


def plain(value: object) -> str:
    """A value without anything that a terminal would obey; what clients say is shown."""
    text = text_of(value)
    return text[1:-1].replace('\\"', '"').replace("\\\\", "\\") if text[:1] == '"' else text


def columns(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Rows as lines, all columns but the last as wide as their widest cell."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = [cell.ljust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True)]
        yield "  ".join((*padded, row[-1])).rstrip()


def rules(entries: Iterable[Entry]) -> Iterator[str]:
    """A table of rules."""
    rows = sorted((_rule(entry) for entry in entries), key=lambda row: row[1::-1])
    yield from columns([RULE_HEADING, *rows])


def _rule(entry: Entry) -> tuple[str, ...]:
    if "rule" not in entry:
        # One with a subject that is too long to be told.
        entry = {**entry["values"], "until": entry.get("until", ""), "subject": entry["key"]}
        entry["rule"] = entry["action"]
    reason = plain(entry.get("reason", ""))
    if "file" in entry:
        reason = f"{reason} ({entry['file']})".strip()
    return entry["rule"], plain(entry["subject"]), _moment(entry.get("until", "")), reason


def _moment(date: str) -> str:
    """A date to the second."""
    return f"{date[:10]} {date[11:19]}".strip() if date else ""


def known(entry: Entry, now: float) -> str:
    """One line about one record."""
    if "rule" in entry:
        action, subject, until, reason = _rule(entry)
        end = f" until {until}" if until else ""
        return f"{action} {subject}{end}: {reason or 'no reason given'}"
    values = entry["values"]
    name = plain(entry["key"])
    kind = name.partition(" ")[0]
    if "points_now" in entry:
        said = f"{entry['points_now']} points"
    elif kind == "known":
        said = f"came back {values['times']} times, last {_ago(values['at'], now)}"
    elif kind == "grey":
        passed = "mail is taken" if values.get("passed") else "has to come back"
        said = f"first seen {_ago(values['first'], now)}, {passed}"
    else:
        said = ", ".join(f"{name} {plain(value)}" for name, value in values.items())
    if "until" in entry:
        said += f"; forgotten in {short(read(entry['until']) - now)}"
    return f"{name}: {said}"


def _ago(moment: float, now: float) -> str:
    return f"{short(now - moment)} ago"


def top(rows: Sequence[Entry], width: int) -> Iterator[str]:
    """
    The table of clients.

    @param rows: sums, then a row for each client.
    @param width: of the terminal.
    """
    sums, *clients = rows
    now = sums["now"]
    yield f"{plain(sums['store'])} has {sums['records']} records"[:width]
    yield (
        f"up {short(now - sums['since'])}: {sums['clients']} clients, "
        f"{sums['rate']} questions/min, {sums['asked']} in all, "
        f"{sums['put_off']} put off, {sums['refused']} refused"
    )[:width]
    cells = [TOP_HEADING, *(_client(row, now) for row in clients)]
    yield from (line[:width].rstrip() for line in columns(cells))


def _client(row: Entry, now: float) -> tuple[str, ...]:
    return (
        plain(row["client"]),
        plain(row["name"])[-NAME_WIDTH:],
        str(row["rate"]),
        str(row["asked"]),
        str(row["put_off"]),
        str(row["refused"]),
        str(row.get("points", "-")),
        _ago(row["at"], now),
        plain(row["reason"]),
    )
