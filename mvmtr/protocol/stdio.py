# -*- test-case-name: mvmtr.test.test_stdio -*-
"""One session on descriptors 0 and 1, as a child of tcpserver or inetd."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO
from twisted.logger import Logger

from mvmtr.protocol.descriptors import stream_family
from mvmtr.protocol.door import Door
from mvmtr.protocol.server import stopped_in_time
from mvmtr.protocol.smtp import Receiver

if TYPE_CHECKING:
    from mvmtr.protocol.ucspi import Parent

log = Logger()


def tcp_family(descriptor: int) -> int | None:
    """The address family of a descriptor that is a TCP socket; C{None} for all else."""
    family = stream_family(descriptor)
    return family if family in (socket.AF_INET, socket.AF_INET6) else None


class StdioService(Service):
    """
    Runs one session, then says how it ended.

    @param door: what stands before the session.
    @param ended: called with the exit status: 0 after QUIT, otherwise 1.
    @param stop_timeout: seconds that the session has to end when the service stops.
    @param parent: what the parent does or has done about TLS, if anything.
    """

    def __init__(
        self,
        reactor: Any,
        door: Door,
        ended: Callable[[int], None],
        stop_timeout: int,
        parent: Parent | None = None,
    ) -> None:
        self._parent = parent
        self._stop_timeout = stop_timeout
        self._reactor = reactor
        self._door = door
        self._ended = ended
        door.passed = self._passed

    def startService(self) -> None:
        """Begin as soon as the reactor runs."""
        super().startService()
        self._reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        """Adopt the client's socket, which can do all that a socket can; or use the pipes."""
        family = tcp_family(0)
        try:
            shared = self._parent is not None and self._parent.ucspi is not None
            if family is not None and os.path.sameopenfile(0, 1) and not shared:
                os.set_blocking(0, False)
                self._reactor.adoptStreamConnection(0, family, self._door)
                _forget_client()
            elif self._door.secure:
                log.error("SMTPS is set, but descriptor 0 is no TCP socket")
                self._end(quit=False)
            else:
                StandardIO(self._door.buildProtocol(None), reactor=self._reactor)
        except OSError as error:
            log.warn("the client is gone already: {error}", error=error)
            self._end(quit=False)

    def _passed(self, protocol: Protocol | None) -> None:
        if isinstance(protocol, Receiver):
            if self._parent is not None:
                self._parent.tell(protocol)
            protocol.finished.addCallback(lambda _none: self._end(protocol.quit))
        else:
            self._end(quit=False)

    def _end(self, quit: bool) -> None:
        self._ended(0 if quit else 1)
        if self.running:
            self._reactor.stop()

    def stopService(self) -> Deferred[Any]:
        """End the session, if it hasn't ended."""
        super().stopService()
        if self._door.waiting or self._door.factory.sessions:
            self._ended(1)
        self._door.stopFactory()
        return stopped_in_time(self._door.factory, self._stop_timeout, self._reactor)


def _forget_client() -> None:
    """The transport has a descriptor of its own; with these the socket would never close."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
