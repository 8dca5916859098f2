# -*- test-case-name: mvmtr.test.test_queue_batches -*-
"""One flush for many files: that of the whole file system, where it can be relied on."""

from __future__ import annotations

import ctypes
import os
import re
import time

KINDS = frozenset({0xEF53, 0x58465342, 0x9123683E, 0x01021994})
"""Ext4 and its forerunners, XFS, Btrfs, tmpfs (statfs(2)). Others may flush less than that."""

ERRORS_SINCE = (5, 8)
"""The Linux from which on syncfs tells that something could not be written (syncfs(2))."""

SLOW = 1.0
"""Seconds; a flush that takes longer had much to write that others had written."""

PAUSE = 60.0
"""Seconds for which files are flushed one by one after that."""

_libc = ctypes.CDLL(None, use_errno=True)


def kind_of(descriptor: int) -> int:
    """The kind of file system that a descriptor is on, as statfs(2) numbers them."""
    # The first field is the kind, and all of it is shorter than this.
    answer = (ctypes.c_long * 64)()
    _checked(_libc.fstatfs(descriptor, answer))
    return answer[0]


def reports_errors(release: str) -> bool:
    """Whether syncfs of a Linux of this release can be believed."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return found is not None and (int(found[1]), int(found[2])) >= ERRORS_SINCE


class Flush:
    """Flushes a file system, unless that was slow a moment ago."""

    def __init__(self) -> None:
        self._not_before = 0.0

    def __call__(self, descriptor: int) -> bool:
        """
        Flush the file system that a descriptor is on.

        @param descriptor: opened before the files were written, for then it is told of every
            error from there on.
        @return: C{False} if nothing was done, and each file has to be flushed by itself.
        @raise OSError: when something could not be written.
        """
        began = time.monotonic()
        if began < self._not_before or not reports_errors(os.uname().release):
            return False
        if kind_of(descriptor) not in KINDS:
            return False
        _checked(_libc.syncfs(descriptor))
        ended = time.monotonic()
        if ended - began > SLOW:
            self._not_before = ended + PAUSE
        return True


def _checked(status: int) -> None:
    if status:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
