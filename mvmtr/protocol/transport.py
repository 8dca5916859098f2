# -*- test-case-name: mvmtr.test.test_transport -*-
"""
TCP connections whose replies leave together at the end of a turn of the reactor.

Those of Twisted ask the reactor whether they may write, which for a reply they always may. That
is two system calls and one more turn for each. To write at once would be worse: a client on the
same machine is woken for each reply by itself.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python.failure import Failure


class Outbox:
    """The connections of a port that have something to write, or are to be closed, in this turn."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._waiting: list[PromptServer] = []

    def add(self, transport: PromptServer) -> None:
        """One more of them."""
        if not self._waiting:
            self._reactor.callLater(0, self._send)
        self._waiting.append(transport)

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for transport in waiting:
            transport.send()


class PromptServer(tcp.Server):
    """
    A C{twisted.internet.tcp.Server} that writes and closes by way of the C{outbox} of its port.
    What goes through TLS goes the usual way.

    @ivar closes_now: it will be closed in this turn if all can be written.
    """

    server: Any
    closes_now = False
    _waits = False
    # To close the socket is enough: no other process has it.
    _shouldShutdown = False

    def getHost(self) -> Any:
        """See L{ITransport<twisted.internet.interfaces.ITransport>}."""
        return self.server.own_address or super().getHost()

    def write(self, data: bytes) -> None:
        """See L{ITransport<twisted.internet.interfaces.ITransport>}."""
        if self.TLS or self.dataBuffer or not self.connected or self._writeDisconnected:
            super().write(data)
        elif data:
            self._tempDataBuffer.append(data)
            self._tempDataLen += len(data)
            self._maybePauseProducer()
            self._wait()

    def loseConnection(self, *arguments: Any) -> None:
        """See L{ITransport<twisted.internet.interfaces.ITransport>}."""
        if (
            self.TLS
            or self.dataBuffer
            or not self.connected
            or self.disconnecting
            or self._writeDisconnecting
        ):
            super().loseConnection(*arguments)
        else:
            self.stopReading()
            self.disconnecting = self.closes_now = True
            self._wait()

    def _wait(self) -> None:
        if not self._waits:
            self._waits = True
            self.server.outbox.add(self)

    def send(self) -> None:
        """Write what there is; what the socket does not take is left to the reactor."""
        self._waits = False
        if self.disconnected or self._aborting:
            return
        reason = self.doWrite()
        if reason is not None:
            self.stopReading()
            self.stopWriting()
            self.connectionLost(Failure(reason))
        elif self.dataBuffer or self._tempDataLen:
            self.closes_now = False
            self.startWriting()

    def doRead(self) -> Any:
        """See L{IReadDescriptor<twisted.internet.interfaces.IReadDescriptor>}."""
        try:
            data = self.socket.recv(self.bufferSize)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        self.protocol.dataReceived(data)
        return None


def make_prompt(listening: Any) -> None:
    """Let a listening port have such connections, if it is one of TCP."""
    # As far as inheritance goes, a port of Unix sockets is one of TCP.
    if isinstance(listening, tcp.Port) and not isinstance(listening, unix.Port):
        port: Any = listening
        port.outbox = Outbox(port.reactor)
        address = port.getHost()
        # Where it listens on all of them, each connection has another one.
        port.own_address = None if address.host in ("0.0.0.0", "::") else address
        port.transport = PromptServer
