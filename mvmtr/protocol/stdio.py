# -*- test-case-name: mvmtr.test.test_stdio -*-
"""One session on descriptors 0 and 1, as a child of tcpserver or inetd."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.stdio import StandardIO
from twisted.logger import Logger

from mvmtr.protocol.server import ReceiverFactory, stopped_in_time

log = Logger()


def tcp_family(descriptor: int) -> int | None:
    """The address family of a descriptor that is a TCP socket; C{None} for all else."""
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return None
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        if connection.type != socket.SOCK_STREAM:
            return None
        return connection.family if connection.family in (socket.AF_INET, socket.AF_INET6) else None


class StdioService(Service):
    """
    Runs one session, then says how it ended.

    @param ended: called with the exit status: 0 after QUIT, otherwise 1.
    @param stop_timeout: seconds that the session has to end when the service stops.
    """

    def __init__(
        self,
        reactor: Any,
        factory: ReceiverFactory,
        ended: Callable[[int], None],
        stop_timeout: int,
    ) -> None:
        self._stop_timeout = stop_timeout
        self._reactor = reactor
        self._factory = factory
        self._ended = ended

    def startService(self) -> None:
        """Begin as soon as the reactor runs."""
        super().startService()
        self._reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        """Adopt the client's socket, which can do all that a socket can; or use the pipes."""
        family = tcp_family(0)
        try:
            if family is not None and os.path.sameopenfile(0, 1):
                os.set_blocking(0, False)
                self._reactor.adoptStreamConnection(0, family, self._factory)
                _forget_client()
            else:
                StandardIO(self._factory.buildProtocol(None), reactor=self._reactor)
        except OSError as error:
            log.warn("the client is gone already: {error}", error=error)
            self._end(quit=False)
            return
        (receiver,) = self._factory.sessions
        receiver.finished.addCallback(lambda _none: self._end(receiver.quit))

    def _end(self, quit: bool) -> None:
        self._ended(0 if quit else 1)
        if self.running:
            self._reactor.stop()

    def stopService(self) -> Deferred[Any]:
        """End the session, if it hasn't ended."""
        super().stopService()
        if self._factory.sessions:
            self._ended(1)
        return stopped_in_time(self._factory, self._stop_timeout, self._reactor)


def _forget_client() -> None:
    """The transport has a descriptor of its own; with these the socket would never close."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
