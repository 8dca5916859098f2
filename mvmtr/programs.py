"""What there is to know about starting programs with C{posix_spawn}."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping

from mvmtr.session import Connection


def environment_for(connection: Connection, variables: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """
    The environment of a program that is run on behalf of a connection.

    @param variables: those of the connection or its session, and what is said to the program.
    """
    return dict(variables) if connection.complete else {**os.environb, **variables}


@contextlib.contextmanager
def current_folder(folder: str) -> Iterator[None]:
    """
    Another current folder for as long as it takes to start a program in it, for
    C{posix_spawn} can't change it.

    @raise OSError: when it can't be entered.
    """
    try:
        here = os.open(".", os.O_PATH | os.O_DIRECTORY)
    except PermissionError:
        # Rights were dropped in a folder of root's. There is no way back to it, and nothing
        # that would need one.
        os.chdir(folder)
        yield
        return
    try:
        os.chdir(folder)
        yield
    finally:
        os.fchdir(here)
        os.close(here)


def process_descriptor(pid: int) -> int:
    """
    A descriptor that tells when a child has ended.

    @raise OSError: when there can be none; the child is gone then.
    """
    try:
        return os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
