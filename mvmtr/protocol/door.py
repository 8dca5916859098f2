# -*- test-case-name: mvmtr.test.test_door -*-
"""
What stands before a session on a connection: the header of a proxy, and TLS from the
first byte.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import Factory, Protocol, ServerFactory, connectionDone
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure

from mvmtr.protocol.journal import refuse_connection
from mvmtr.protocol.peer import ip_of, is_within
from mvmtr.protocol.proxy import BadHeader, HeaderReader, Origin
from mvmtr.protocol.reply import BAD_PROXY_HEADER, TOO_MANY, reply_of
from mvmtr.session import Connection
from mvmtr.settings import Settings

if TYPE_CHECKING:
    from mvmtr.protocol.server import ReceiverFactory

HEADER_TIMEOUT = 10
"""Seconds that a proxy has for its header as a whole."""


class Door(ServerFactory):
    """
    Lets connections in to a factory of sessions, with who they really come from.

    @param factory: where the sessions come from.
    @param settings: gives the settings of now.
    @param context: when there is TLS from the first byte, an L{IOpenSSLServerConnectionCreator
        <twisted.internet.interfaces.IOpenSSLServerConnectionCreator>}.
    @param known: who talks to whom, where all connections are from one client and the transport
        does not tell.
    @param describe: as of the factory, where this is about other connections.
    @ivar passed: told the protocol of each session that begins, and C{None} for each
        connection that ends before one.
    @ivar waiting: the connections whose header has not come yet.
    @ivar factory: the factory of sessions.
    @ivar secure: whether there is TLS from the first byte.
    """

    noisy = False

    def __init__(
        self,
        factory: ReceiverFactory,
        settings: Callable[[], Settings],
        context: Any = None,
        known: Connection | None = None,
        describe: Callable[[Connection], Connection] | None = None,
    ) -> None:
        self.waiting: set[_Header] = set()
        self.passed: Callable[[Protocol | None], None] = lambda _protocol: None
        self.secure = context is not None
        self.factory = factory
        self._settings = settings
        self._known = None if known is None or known.remote_ip is None else known
        self._describe = describe
        self._wrapper: Any = None
        if self.secure:
            from twisted.protocols.tls import TLSMemoryBIOFactory

            self._wrapper = TLSMemoryBIOFactory(context, False, Factory())

    def buildProtocol(self, addr: Any) -> Protocol:
        """See L{IProtocolFactory<twisted.internet.interfaces.IProtocolFactory>}."""
        settings = self._settings()
        peer = ip_of(addr) if self._known is None else self._known.remote_ip
        if not is_within(peer, settings.smtp_server_proxy_networks):
            return self.session(addr, self._known)
        if len(self.waiting) >= settings.smtp_server_connections_max:
            refuse_connection(peer, TOO_MANY.by("proxy").because("too many without a header"))
            return _Refusal(b"" if self.secure else reply_of(TOO_MANY))
        return _Header(self, addr, peer)

    def session(self, addr: Any, known: Connection | None) -> Protocol:
        """
        The protocol of a session, with TLS in front of it where that is wanted.

        @param known: who talks to whom, when the transport does not tell.
        """
        protocol = self.factory.buildProtocol(addr, known, self._describe)
        self.passed(protocol)
        if self._wrapper is None:
            return protocol
        wrapped: Protocol = self._wrapper.protocol(self._wrapper, protocol)
        return wrapped

    def stopFactory(self) -> None:
        """Nobody is let in any more."""
        for header in list(self.waiting):
            header.transport.loseConnection()


class _Refusal(Protocol):
    """Turns a connection away."""

    def __init__(self, words: bytes) -> None:
        self._words = words

    def connectionMade(self) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        assert self.transport is not None
        self.transport.write(self._words)
        self.transport.loseConnection()


class _Header(Protocol, TimeoutMixin):
    """
    Waits for the header of a proxy, then gives its transport to a session.

    A proxy that connects and says nothing, to see whether it can, is not worth a line in
    the log.
    """

    transport: Any

    def __init__(self, door: Door, addr: Any, peer: bytes | None) -> None:
        self._door = door
        self._addr = addr
        self._peer = peer
        self._reader = HeaderReader()
        self._closing = False

    def connectionMade(self) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        self._door.waiting.add(self)
        self.setTimeout(HEADER_TIMEOUT)

    def dataReceived(self, data: bytes) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        if self._closing:
            return
        try:
            complete = self._reader.feed(data)
        except BadHeader as error:
            self._refuse(str(error))
            return
        if complete:
            assert self._reader.origin is not None
            self._pass(self._reader.origin, self._reader.rest)

    def _pass(self, origin: Origin, rest: bytes) -> None:
        self._leave()
        known = None
        if origin.source is not None:
            known = Connection(
                remote_ip=origin.source, local_ip=origin.destination, forwarded_by=self._peer
            )
        protocol = self._door.session(self._addr, known)
        self.transport.protocol = protocol
        protocol.makeConnection(self.transport)
        if rest:
            protocol.dataReceived(rest)

    def timeoutConnection(self) -> None:
        """See L{TimeoutMixin}."""
        self._refuse(f"it did not come within {HEADER_TIMEOUT} seconds")

    def _refuse(self, reason: str) -> None:
        self._closing = True
        self.setTimeout(None)
        refuse_connection(self._peer, BAD_PROXY_HEADER.by("proxy").because(reason))
        if not self._door.secure:
            self.transport.write(reply_of(BAD_PROXY_HEADER))
        self.transport.loseConnection()

    def _leave(self) -> None:
        self.setTimeout(None)
        self._door.waiting.discard(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        self._leave()
        if self._reader.begun and not self._closing:
            refuse_connection(
                self._peer, BAD_PROXY_HEADER.by("proxy").because("it ended within its header")
            )
        self._door.passed(None)
