# -*- test-case-name: mvmtr.test.test_check -*-
"""
What is probably not meant in a control folder: entries that never match, databases that
are older than their source. Each piece of advice is one line with file and line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from mvmtr.compat.badmailfrom import BadMailFrom
from mvmtr.compat.rcpthosts import RcptHosts


def about_rcpthosts(check: RcptHosts) -> Iterator[str]:
    """Entries that no recipient can match, and a stale morercpthosts.cdb."""
    for entry, line in (check.hosts or {}).items():
        shown = entry.decode("utf-8", "backslashreplace")
        where = f"{check.path}:{line}: {shown!r} never matches"
        if b"@" in entry:
            yield f"{where}: entries are domains, not addresses"
        elif b"*" in entry:
            yield f"{where}: the wildcard for all hosts below a domain is a leading dot"
        elif any(blank in entry for blank in (b" ", b"\t")):
            yield f"{where}: there is a blank in it"
    folder = os.path.dirname(check.path)
    source, cdb = (os.path.join(folder, name) for name in ("morercpthosts", "morercpthosts.cdb"))
    yield from stale(source, cdb, "run qmail-newmrh")
    if os.path.exists(source) and not os.path.exists(cdb):
        yield f"{source}: there is no morercpthosts.cdb made of it; run qmail-newmrh"
    if check.hosts is None and os.path.exists(cdb):
        yield f"{cdb}: means nothing without {check.path}"


def about_badmailfrom(check: BadMailFrom) -> Iterator[str]:
    """Entries that no sender can match."""
    for entry, line in check.senders.items():
        shown = entry.decode("utf-8", "backslashreplace")
        where = f"{check.path}:{line}: {shown!r} never matches"
        if b"*" in entry:
            yield f"{where}: the wildcard for a domain is @domain"
        elif b"@" not in entry and entry:
            yield f"{where} a sender with a domain; for a whole domain write @{shown}"


def stale(source: str, cdb: str, remedy: str) -> Iterator[str]:
    """A database that is older than what it is made of."""
    try:
        if os.stat(source).st_mtime_ns > os.stat(cdb).st_mtime_ns:
            yield f"{cdb}: older than {source}; {remedy}"
    except OSError:
        return
