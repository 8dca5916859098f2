# -*- test-case-name: mvmtr.test.test_storage -*-
"""How much is free where messages are kept."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable
from functools import lru_cache


@lru_cache(maxsize=16)
def spool_folder(configured: str) -> str:
    """Where files for messages are made: the configured folder, or the system's choice."""
    return configured or tempfile.gettempdir()


def shortage(folders: Iterable[str | None], size: int, free: int) -> str | None:
    """
    Why a message has no room, or C{None} if it has, or if that can't be told. Each folder is
    looked at once a second.

    @param folders: where it is to be kept; of one that does not exist yet, the one that it
        would be in counts; C{None} is one that is not known.
    @param size: of the message, in bytes.
    @param free: bytes to be left.
    """
    for folder in folders:
        system = None if folder is None else _file_system_of(folder, int(time.monotonic()))
        reason = None if system is None else shortage_of(system, size, free)
        if reason is not None:
            return f"{folder}: {reason}"
    return None


def shortage_of(system: os.statvfs_result, size: int, free: int) -> str | None:
    """The same for one file system."""
    # Some file systems count no inodes.
    if system.f_files and not system.f_favail:
        return "no inode is free"
    left = system.f_bavail * system.f_frsize
    if left - size < free:
        return f"{left} bytes are free"
    return None


@lru_cache(maxsize=16)
def _file_system_of(folder: str, _second: int) -> os.statvfs_result | None:
    while True:
        try:
            return os.statvfs(folder)
        except FileNotFoundError:
            folder, below = os.path.dirname(folder), folder
            if folder == below:
                return None
        except OSError:
            return None
