# -*- test-case-name: mvmtr.test.test_programs -*-
"""Programs that are started with C{posix_spawn} and waited for by the reactor."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

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


@implementer(IReadDescriptor)
class Program:
    """
    One run of a program, whose end a process descriptor (pidfd) tells the reactor.

    @ivar pid: its process.
    @param ended: called with its exit code, negative for a signal, once it has ended.
    @param group: give it a process group of its own, which is killed with it, and when the
        reactor goes away. Without one the program goes on by itself then.
    """

    def __init__(
        self, ended: Callable[[int], None], reactor: IReactorFDSet, group: bool = False
    ) -> None:
        self.pid = 0
        self._descriptor = -1
        self._ended = ended
        self._reactor = reactor
        self._group: dict[str, Any] = {"setpgroup": 0} if group else {}

    def start(
        self,
        command: Sequence[bytes | str],
        environment: Mapping[bytes, bytes],
        file_actions: Sequence[tuple[Any, ...]],
    ) -> None:
        """
        Start the program; its path is the first word of the command.

        @param file_actions: what becomes of its descriptors, see L{os.posix_spawn}.
        @raise OSError: when it can't be started.
        @raise ValueError: when the environment holds what can't be in one.
        """
        self.pid = os.posix_spawn(
            command[0],
            list(command),
            environment,
            file_actions=file_actions,
            setsigdef=(signal.SIGPIPE,),
            **self._group,
        )
        try:
            self._descriptor = os.pidfd_open(self.pid)
        except OSError:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            raise
        self._reactor.addReader(self)

    def kill(self) -> None:
        """End the program and all that it has started, unless it has ended."""
        if self._descriptor >= 0:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "program"

    def doRead(self) -> None:
        """The program has ended."""
        self._reactor.removeReader(self)
        os.close(self._descriptor)
        self._descriptor = -1
        _pid, status = os.waitpid(self.pid, 0)
        self._ended(os.waitstatus_to_exitcode(status))

    def connectionLost(self, reason: Failure) -> None:
        """The reactor goes away."""
        if self._group:
            self.kill()
