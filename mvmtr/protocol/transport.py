# -*- test-case-name: mvmtr.test.test_transport -*-
"""
TCP connections that write at once what the socket takes, and close at once when nothing is
left to write. Those of Twisted wait for the reactor to say that they may, which it always
does for a reply: two system calls and one round of the reactor for each.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python.failure import Failure


class PromptServer(tcp.Server):
    """
    A C{twisted.internet.tcp.Server} that does not wait for what it need not wait for. What
    goes through TLS goes the usual way.

    @ivar closes_now: nothing is left to do but to close it, which happens at once.
    """

    closes_now = False
    _is_reading = False

    def write(self, data: bytes) -> None:
        """See L{ITransport<twisted.internet.interfaces.ITransport>}."""
        if (
            not self.TLS
            and self.connected
            and not (self._tempDataBuffer or self.dataBuffer)
            and not (self._writeDisconnecting or self.disconnecting)
        ):
            sent = self.writeSomeData(data)
            if sent == len(data):
                return
            # Of a connection that is lost the reactor hears when it tries to write the rest.
            if isinstance(sent, int):
                data = data[sent:]
        super().write(data)

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
        self._is_reading = True
        try:
            self.protocol.dataReceived(data)
        finally:
            self._is_reading = False
        return CONNECTION_DONE if self.closes_now else None

    def loseConnection(self, *arguments: Any) -> None:
        """See L{ITransport<twisted.internet.interfaces.ITransport>}."""
        if (
            self._is_reading
            and self.connected
            and not self.TLS
            and not (self._tempDataBuffer or self.dataBuffer)
            and not (self._writeDisconnecting or self.disconnecting)
            and self.producer is None
        ):
            # The reactor closes it when C{doRead} has returned.
            self.disconnecting = self.closes_now = True
            return
        super().loseConnection(*arguments)

    def readConnectionLost(self, reason: Failure) -> None:
        """See L{IHalfCloseableDescriptor<twisted.internet.interfaces.IHalfCloseableDescriptor>}."""
        if self.closes_now:
            self.connectionLost(reason)
        else:
            super().readConnectionLost(reason)


def make_prompt(port: Any) -> None:
    """Let a listening port have such connections, if it is one of TCP."""
    # As far as inheritance goes, a port of Unix sockets is one of TCP.
    if isinstance(port, tcp.Port) and not isinstance(port, unix.Port):
        port.transport = PromptServer
