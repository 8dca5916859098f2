# -*- test-case-name: mvmtr.test.test_workers,mvmtr.test.test_workers_limits -*-
"""
A worker: one of several processes that serve the same ports.

It is twistd with the options of its parent, L{workers<mvmtr.workers>}, and gets from it, by
inheritance, what L{Worker} names.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

if TYPE_CHECKING:
    from mvmtr.protocol.load import Load

log = Logger()

LIFE, READY, MEMORY, PORTS = 0, 3, 4, 5
"""
Descriptors of a worker: a pipe that ends when the parent does; where it says that it serves;
the memory of all workers; and the first of the listening sockets.
"""

START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from mvmtr.worker import main; main()"
)
"""What Python runs, with its path as the first argument: the same modules as the parent's."""


def command(section: int, ports: int, folder: str, arguments: list[str]) -> list[str]:
    """
    The command line of a worker.

    @param section: the number of its section of the memory.
    @param ports: how many there are.
    @param folder: from where the paths in its options go.
    @param arguments: those of twistd.
    """
    given = json.dumps([section, ports, folder])
    return [sys.executable, "-P", "-c", START, json.dumps(sys.path), given, *arguments]


class Worker:
    """
    What this process got from its parent.

    @param section: the number of its section of the memory.
    @param ports: how many there are.
    @ivar descriptors: the listening sockets, one for each endpoint.
    """

    def __init__(self, section: int, ports: int, folder: str) -> None:
        self._section = section
        self.descriptors = range(PORTS, PORTS + ports)
        # Programs that are started here get none of it.
        for descriptor in (READY, MEMORY, *self.descriptors):
            os.set_inheritable(descriptor, False)
        self._home = os.getcwd()
        os.chdir(folder)

    def load(self) -> Load:
        """What all workers use together."""
        from mvmtr.protocol.load import Load
        from mvmtr.protocol.shared import SharedCounts, SharedMemory

        return Load(SharedCounts(SharedMemory(MEMORY), self._section))

    def service(self, service: IService, reactor: Any) -> IService:
        """The service of a worker; all options have been looked at."""
        os.chdir(self._home)
        return _WorkerService(service, reactor)


current: Worker | None = None
"""Set when this process is a worker."""


def main() -> None:
    """Run twistd as a worker."""
    from twisted.scripts.twistd import run

    global current
    current = Worker(*json.loads(sys.argv.pop(1)))
    # What the terminal says is for the parent. To ignore it would be inherited by programs.
    signal.signal(signal.SIGINT, lambda _number, _frame: None)
    sys.argv[0] = "twistd"
    run()


class _WorkerService(Service):
    """
    Says when the service has started, and ends it when the parent has died.

    @param service: what the worker does.
    """

    def __init__(self, service: IService, reactor: Any) -> None:
        self._service = service
        self._reactor = reactor

    def startService(self) -> None:
        """See L{IService<twisted.application.service.IService>}."""
        super().startService()
        self._service.startService()
        self._reactor.addReader(_Life(self._parent_died))
        self._reactor.callWhenRunning(self._ready)

    def _ready(self) -> None:
        os.write(READY, b"ready")
        os.close(READY)

    def _parent_died(self) -> None:
        if self.running:
            log.warn("the parent is gone; this worker stops")
            self._reactor.stop()

    def stopService(self) -> Deferred[Any]:
        """See L{IService<twisted.application.service.IService>}."""
        super().stopService()
        return maybeDeferred(self._service.stopService)


@implementer(IReadDescriptor)
class _Life:
    """
    The pipe on which nothing comes but its end.

    @param ended: called then.
    """

    def __init__(self, ended: Any) -> None:
        self._ended = ended

    def logPrefix(self) -> str:
        """See L{IReadDescriptor<twisted.internet.interfaces.IReadDescriptor>}."""
        return "parent"

    def fileno(self) -> int:
        """See L{IReadDescriptor<twisted.internet.interfaces.IReadDescriptor>}."""
        return LIFE

    def doRead(self) -> Any:
        """See L{IReadDescriptor<twisted.internet.interfaces.IReadDescriptor>}."""
        return CONNECTION_LOST

    def connectionLost(self, reason: Failure) -> None:
        """See L{IReadDescriptor<twisted.internet.interfaces.IReadDescriptor>}."""
        self._ended()
