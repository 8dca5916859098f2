# -*- test-case-name: mvmtr.test.test_live -*-
"""Whether files were edited since they were read."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

Stamp = tuple[tuple[int, int, int, int] | None, ...]

SETTLED = 1.0
"""Seconds after which a second edit of a file can't have the same time as the first."""

SETTLED_FINE = 0.05
"""The same where the file system knows parts of a second: several ticks of its clock."""


def stamp_of(paths: Iterable[str]) -> Stamp:
    """What changes with every edit of one of the files, or when one comes or goes."""
    stamp: list[tuple[int, int, int, int] | None] = []
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            stamp.append(None)
        else:
            stamp.append((status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return tuple(stamp)


def is_settled(stamp: Stamp, began: float, time_needed: float = SETTLED) -> bool:
    """
    Whether an edit since the files were read must show in their stamp.

    @param began: when reading them began.
    """
    latest = max((max(entry[2:]) for entry in stamp if entry), default=0)
    if latest % 10**9:
        time_needed = min(time_needed, SETTLED_FINE)
    return not began - time_needed <= latest / 1e9 <= time.time()
