# -*- test-case-name: mvmtr.test.test_descriptors -*-
"""How many files and sockets this process can have open."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import stat

SPARE = 64
"""Descriptors that sessions leave to files, programs, and what else the process does."""

_ENDLESS = 1 << 20
"""What counts as the limit where there is none."""


def limit() -> int:
    """How many there can be now."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _ENDLESS if soft == resource.RLIM_INFINITY else soft


def raise_limit() -> int:
    """As many as the system allows; how many that are."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Some systems name a limit that they don't allow.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return limit()


def room(most: int) -> int:
    """
    How many are left, more or less: the lowest that is free tells.

    @param most: the limit.
    """
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            return most - probe.fileno()
    except OSError:
        return 0


def stream_family(descriptor: int) -> int | None:
    """The address family of a descriptor that is a stream socket; C{None} for all else."""
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return None
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        known = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
        is_stream = connection.type == socket.SOCK_STREAM and connection.family in known
        return connection.family if is_stream else None
