# -*- test-case-name: mvmtr.test.test_workers,mvmtr.test.test_workers_programs -*-
"""
The parent of several L{workers<mvmtr.worker>}: it opens the ports, and watches who serves them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from mvmtr import log as logging
from mvmtr import worker
from mvmtr.protocol import shared
from mvmtr.protocol.server import Listener

log = Logger()

WORKERS_MAX = shared.SECTIONS_MAX // 2

QUICK = 10
"""Seconds; a worker that lives shorter is not replaced at once."""

PAUSE_MAX = 60
"""Longest pause in seconds before a worker is started again. It doubles with each quick end."""

GRACE = 5
"""Seconds that a worker has to end, beyond those that its sessions have."""

LAST_WORDS = 1
"""Seconds after its end for which what it has written is waited for."""


def number_of(text: str | None) -> int:
    """
    How many workers an option asks for.

    @param text: a number, or C{auto} for one on each CPU that this process may use.
    @raise ValueError: when it is neither.
    """
    if text is None:
        return 1
    if text == "auto":
        return min(len(os.sched_getaffinity(0)), WORKERS_MAX)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= WORKERS_MAX):
        raise ValueError(f"{text!r} is neither a number from 1 to {WORKERS_MAX} nor auto")
    return int(text)


def twistd_arguments(twistd: Mapping[str, Any], logger: str | None) -> list[str]:
    """
    Arguments of twistd for a worker.

    @param twistd: the options of the parent's twistd.
    @param logger: where the parent's log goes, if it was told.
    """
    arguments = ["--nodaemon", "--pidfile="]
    for option, value in (("reactor", twistd.get("reactor")), ("logger", logger)):
        if value:
            arguments.append(f"--{option}={value}")
    if twistd.get("syslog"):
        arguments += ["--syslog", f"--prefix={twistd['prefix']}"]
    return arguments


class Workers(Service):
    """
    Keeps some workers at work.

    @param listener: has the ports, which are open.
    @param number: how many workers there are to be.
    @param arguments: of twistd, for each of them.
    @param stop_timeout: gives the seconds that the sessions of a worker have to end.
    @param reload: reads the configuration again; whether there is a new one.
    @param failed: called when no worker can start.
    """

    def __init__(
        self,
        reactor: Any,
        listener: Listener,
        number: int,
        arguments: Sequence[str],
        stop_timeout: Callable[[], int],
        reload: Callable[[], bool],
        failed: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._listener = listener
        self._number = number
        self._arguments = list(arguments)
        self._stop_timeout = stop_timeout
        self._read_again = reload
        self._failed = failed
        self._folder = os.getcwd()
        self._descriptor = shared.create(2 * number)
        self._memory = shared.SharedMemory(self._descriptor)
        self._sections = list(range(2 * number))
        # Those that serve; those that do so until another one is ready; those that end.
        self._serving: set[_Process] = set()
        self._former: set[_Process] = set()
        self._leaving: set[_Process] = set()
        self._calls: set[Any] = set()
        self._begun = self._has_failed = False
        self._reload_again = False
        self._pause = 0
        self._ended: Deferred[None] = Deferred()
        listener.reload = self.reload
        for port in listener.ports:
            port.stopReading()  # type: ignore[attr-defined]

    def startService(self) -> None:
        """See L{Service}. This process is what it is to be now: its user, and in the background."""
        super().startService()
        self._listener.startService()
        self._fill()

    def _fill(self) -> None:
        """Start as many workers as there are too few."""
        try:
            while len(self._serving) < self._number:
                self._start(self._sections[-1])
                self._sections.pop()
        except OSError as error:
            log.error("no worker can be started: {error}", error=error)
            if self._begun or self._serving:
                self._later(PAUSE_MAX, self._fill)
            else:
                self._reactor.callWhenRunning(self._give_up)

    def _start(self, section: int) -> None:
        process = _Process(self, section, self._reactor.seconds())
        ports = [port.fileno() for port in self._listener.ports]  # type: ignore[attr-defined]
        output: dict[int, Any] = {1: 1, 2: 2}
        if logging.file() is not None:
            output = {1: "r", 2: "r"}
        descriptors = {worker.LIFE: "w", **output, worker.READY: "r"}
        descriptors[worker.MEMORY] = self._descriptor
        descriptors.update(enumerate(ports, worker.PORTS))
        command = worker.command(section, len(ports), self._folder, self._arguments)
        self._reactor.spawnProcess(process, command[0], command, env=None, childFDs=descriptors)
        self._serving.add(process)

    def ready(self, process: _Process) -> None:
        """A worker serves; one of before may go."""
        log.info("worker {pid} is ready", pid=process.pid)
        self._begun = True
        if self._former and process in self._serving:
            self._end(self._former.pop())

    def _end(self, process: _Process) -> None:
        """A worker is to finish what it has."""
        if process not in self._leaving:
            self._leaving.add(process)
            process.signal("TERM")
        self._later(self._stop_timeout() + GRACE, lambda: process.signal("KILL"))

    def _later(self, seconds: float, function: Callable[[], None]) -> None:
        def called() -> None:
            self._calls.discard(call)
            function()

        call = self._reactor.callLater(seconds, called)
        self._calls.add(call)

    def reload(self) -> None:
        """Let new workers, with what is on the disk now, take the place of those that are there."""
        if self._former or self._leaving:
            self._reload_again = True
        elif self._read_again():
            self._former, self._serving = self._serving, set()
            self._fill()

    def exited(self, ended: Callable[[], None]) -> None:
        """A worker is gone, but a program that it has started may keep its output open."""
        self._reactor.callLater(LAST_WORDS, ended)

    def ended(self, process: _Process, how: str) -> None:
        """A worker is gone. What it held is free again."""
        self._memory.forget(process.section)
        self._sections.append(process.section)
        if process in self._leaving or not self.running:
            log.info("worker {pid} has stopped", pid=process.pid)
        elif process in self._former:
            log.warn("worker {pid} {how}; another one starts already", pid=process.pid, how=how)
        elif self._former and not process.is_ready:
            log.error("worker {pid} {how}; one of before goes on", pid=process.pid, how=how)
            self._serving.add(self._former.pop())
        elif not self._begun:
            log.error("worker {pid} {how} before it was ready", pid=process.pid, how=how)
            self._give_up()
        else:
            self._replace(process, how)
        for processes in (self._serving, self._former, self._leaving):
            processes.discard(process)
        self._look()

    def _replace(self, process: _Process, how: str) -> None:
        """Start another one; later, when they end quickly."""
        is_quick = self._reactor.seconds() - process.began < QUICK
        self._pause = min(max(1, 2 * self._pause), PAUSE_MAX) if is_quick else 0
        log.error(
            "worker {pid} {how}; another one starts in {pause} s",
            pid=process.pid,
            how=how,
            pause=self._pause,
        )
        self._later(self._pause, self._fill)

    def _give_up(self) -> None:
        if not self._has_failed:
            self._has_failed = True
            self._failed()
            self._reactor.stop()

    def _look(self) -> None:
        """Whether there is something that has waited for the end of a worker."""
        if self._former or self._leaving:
            return
        if not self.running:
            if not self._serving and not self._ended.called:
                self._ended.callback(None)
        elif self._reload_again:
            self._reload_again = False
            self.reload()

    def stopService(self) -> Deferred[Any]:
        """See L{Service}. All workers finish what they have."""
        super().stopService()
        self._forget_calls()
        closed = self._listener.stopService()
        for process in self._serving | self._former | self._leaving:
            self._end(process)
        self._serving.clear()
        self._former.clear()
        self._look()
        return DeferredList([closed, self._ended]).addCallback(lambda _: self._forget_calls())

    def _forget_calls(self) -> None:
        for call in self._calls:
            call.cancel()
        self._calls.clear()

    def write(self, lines: bytes) -> None:
        """Lines of a worker's log; they stay as they are."""
        file = logging.file()
        if file is not None:
            # A disk that is full has no room for words about it.
            with contextlib.suppress(OSError):
                file.write(lines)


class _Process(ProcessProtocol):
    """
    One worker, as its parent sees it.

    @ivar section: the number of its section of the memory.
    @ivar began: when it was started.
    @ivar is_ready: it has said that it serves.
    @ivar pid: the number of the process.
    """

    def __init__(self, workers: Workers, section: int, began: float) -> None:
        self._workers = workers
        self.section = section
        self.began = began
        self.is_ready = False
        self.pid = 0
        self._has_ended = False
        self._unfinished = {1: b"", 2: b""}

    def connectionMade(self) -> None:
        """See L{IProcessProtocol<twisted.internet.interfaces.IProcessProtocol>}."""
        assert self.transport is not None
        self.pid = self.transport.pid

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """See L{IProcessProtocol<twisted.internet.interfaces.IProcessProtocol>}."""
        if childFD == worker.READY:
            self.is_ready = True
            self._workers.ready(self)
            return
        lines, newline, rest = (self._unfinished[childFD] + data).rpartition(b"\n")
        self._unfinished[childFD] = rest
        if newline:
            self._workers.write(lines + newline)

    def signal(self, name: str) -> None:
        """Send a signal, if it is still there."""
        with contextlib.suppress(ProcessExitedAlready):
            self.transport.signalProcess(name)  # type: ignore[union-attr]

    def processExited(self, reason: Failure) -> None:
        """See L{IProcessProtocol<twisted.internet.interfaces.IProcessProtocol>}."""
        self._workers.exited(lambda: self._ended(reason.value))

    def processEnded(self, reason: Failure) -> None:
        """See L{IProcessProtocol<twisted.internet.interfaces.IProcessProtocol>}."""
        for rest in self._unfinished.values():
            if rest:
                self._workers.write(rest + b"\n")
        self._ended(reason.value)

    def _ended(self, status: Any) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        how = f"ended with status {status.exitCode}"
        if status.signal is not None:
            how = f"was ended by signal {status.signal}"
        self._workers.ended(self, how)


def check_twistd(twistd: Mapping[str, Any]) -> None:
    """
    Whether workers can be started under these options of twistd.

    @raise ValueError: when not.
    """
    if twistd["chroot"] is not None:
        raise ValueError("it can't be together with --chroot, where there is no Python")
