# -*- test-case-name: mvmtr.test.test_starttls -*-
"""A session that can have TLS under it, from its beginning or from STARTTLS on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IHandshakeListener, ISSLTransport
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mvmtr.protocol.flow import Flow
from mvmtr.protocol.load import Load
from mvmtr.protocol.tls import encryption_of, failure_text
from mvmtr.session import Encryption
from mvmtr.settings import Settings

if TYPE_CHECKING:
    from mvmtr.protocol.ucspi import Ucspi

_DEFAULTS = Settings()

_HANDSHAKE = b"\x16"
"""The first byte of a TLS handshake (RFC 8446, section 5.1)."""


def _is_encrypted(transport: Any) -> bool:
    return bool(ISSLTransport.providedBy(transport))


@implementer(IHandshakeListener)
class Secured(Flow):
    """
    A flow whose bytes may be encrypted; a subclass says what it means that they are, in
    C{secured}, C{spoke_in_clear} and C{handshake_failed}.

    @ivar load: where handshakes are counted.
    @ivar handshake_timeout: seconds that a handshake may take as a whole.
    @ivar handshakes_max: handshakes of all sessions at a time.
    @ivar encryption: what was agreed upon, or C{None}.
    @ivar ucspi: who does TLS for this process, if it does not do it itself.
    """

    load: Load
    handshake_timeout: float = _DEFAULTS.smtp_server_timeout_tls
    handshakes_max: float = _DEFAULTS.smtp_server_tls_handshakes_max
    encryption: Encryption | None = None
    ucspi: Ucspi | None = None
    _begun = False
    _shaking_hands = False
    _creator: Any = None

    # What a subclass provides

    def secured(self) -> None:
        """A handshake is done."""
        raise NotImplementedError

    def spoke_in_clear(self) -> None:
        """There was something else where a handshake should have begun."""
        raise NotImplementedError

    def handshake_failed(self, reason: str) -> None:
        """A handshake came to nothing, and the connection ends."""
        raise NotImplementedError

    # What a subclass uses

    def start_tls(self, creator: Any, go_ahead: bytes) -> bool:
        """
        Expect a handshake. What was written before goes out in clear.

        @param creator: an L{IOpenSSLServerConnectionCreator
            <twisted.internet.interfaces.IOpenSSLServerConnectionCreator>}; C{None} to let
            C{ucspi} do it.
        @param go_ahead: the reply that asks the client to begin. A client that did not wait
            for it does not get it.
        @return: C{False}, and nothing is done, when there are too many handshakes at a time.
        """
        if self.input:
            self.spoke_in_clear()
            return True
        if not self._expect_handshake():
            return False
        self.write(go_ahead)
        self._creator = creator
        if creator is None:
            assert self.ucspi is not None
            self._flush()
            self.ucspi.take_over(self)
        return True

    def continue_on(self, transport: Any, encryption: Encryption) -> None:
        """A handshake was done elsewhere; what is read and written now is encrypted there."""
        self.transport = transport
        transport.registerProducer(self, True)
        self._encrypted(encryption)

    def _expect_handshake(self) -> bool:
        """Begin to wait for it, unless there are too many."""
        if self.load.begin_handshake(self.handshakes_max):
            self._shaking_hands = True
            self.setTimeout(self.handshake_timeout)
        return self._shaking_hands

    def _handshake_over(self) -> None:
        if self._shaking_hands:
            self._shaking_hands = False
            self.load.end_handshake()

    def _give_up(self, reason: str = "") -> None:
        """
        End a connection whose handshake came to nothing; nobody is there to be told.

        @param reason: why, where the client is to blame.
        """
        self._handshake_over()
        self.setTimeout(None)
        self._closing = True
        if reason:
            self.handshake_failed(reason)
        self._abort()

    # The connection

    def connectionMade(self) -> None:
        """See L{IProtocol}."""
        if not _is_encrypted(self.transport):
            self._begun = True
            super().connectionMade()
        elif not self._expect_handshake():
            self._give_up("there are too many handshakes at a time")

    def dataReceived(self, data: bytes) -> None:
        """See L{IProtocol}."""
        if self._creator is None or self._closing:
            super().dataReceived(data)
            return
        creator, self._creator = self._creator, None
        if data.startswith(_HANDSHAKE):
            plain = self.transport
            self._put_tls_under(creator)
            plain.protocol.dataReceived(data)
        else:
            self._handshake_over()
            self.spoke_in_clear()

    def _put_tls_under(self, creator: Any) -> None:
        if hasattr(self.transport, "startTLS"):
            self.transport.startTLS(creator)
            return
        # A reactor without OpenSSL has transports that don't know how; see mvmtr.reactor.
        from twisted.protocols.tls import TLSMemoryBIOFactory

        plain = self.transport
        plain.unregisterProducer()
        factory = TLSMemoryBIOFactory(creator, False, Factory())
        self.transport = plain.protocol = factory.protocol(factory, self, False)
        self.transport.makeConnection(plain)
        self.transport.registerProducer(self, True)

    def handshakeCompleted(self) -> None:
        """See L{IHandshakeListener}."""
        if not self._closing:
            self._encrypted(encryption_of(self.transport.getHandle()))

    def _encrypted(self, encryption: Encryption) -> None:
        self._handshake_over()
        self.encryption = encryption
        if not self._begun:
            self._begun = True
            super().connectionMade()
            return
        self.secured()
        self._work()

    def _rest(self) -> None:
        """While a handshake is awaited its own clock runs."""
        if not self._shaking_hands:
            super()._rest()
        elif self._stopping:
            self._give_up()
        else:
            self._flush()

    def timeoutConnection(self) -> None:
        """See L{TimeoutMixin}."""
        if self._shaking_hands:
            self._give_up(f"it took more than {self.handshake_timeout} seconds")
        else:
            super().timeoutConnection()

    def readConnectionLost(self) -> None:
        """See L{IHalfCloseableProtocol}."""
        if self._shaking_hands:
            self._give_up(failure_text(None))
        else:
            super().readConnectionLost()

    def _leave(self) -> None:
        """Under TLS the connection ends when the client has said so too, which must be read."""
        super()._leave()
        if _is_encrypted(self.transport):
            self.transport.resumeProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{IProtocol}."""
        if self._shaking_hands and not self._closing:
            self.handshake_failed(failure_text(reason.value))
        self._handshake_over()
        super().connectionLost(reason)
