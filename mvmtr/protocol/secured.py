# -*- test-case-name: mvmtr.test.test_starttls -*-
"""A session that can have TLS under it, from its beginning or from STARTTLS on."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IHandshakeListener, ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mvmtr.protocol.flow import Flow
from mvmtr.protocol.load import Load
from mvmtr.session import Encryption

_HANDSHAKE = b"\x16"
"""The first byte of a TLS handshake (RFC 8446, section 5.1)."""


@implementer(IHandshakeListener)
class Secured(Flow):
    """
    A flow whose bytes may be encrypted; a subclass says what it means that they are, in
    C{secured} and C{spoke_in_clear}.

    @ivar load: where handshakes are counted.
    @ivar handshake_timeout: seconds that a handshake may take as a whole.
    @ivar encryption: what was agreed upon, or C{None}.
    """

    load: Load
    handshake_timeout: float = 60
    encryption: Encryption | None = None

    def __init__(self) -> None:
        super().__init__()
        self._begun = False
        self._shaking_hands = False
        self._context: Any = None

    # What a subclass provides

    def secured(self) -> None:
        """A handshake is done."""
        raise NotImplementedError

    def spoke_in_clear(self) -> None:
        """There was something else where a handshake should have begun."""
        raise NotImplementedError

    # What a subclass uses

    def start_tls(self, context: Any) -> None:
        """
        Expect a handshake. What was written before goes out in clear.

        @param context: an L{IOpenSSLServerConnectionCreator
            <twisted.internet.interfaces.IOpenSSLServerConnectionCreator>}.
        """
        self._context = context
        self._expect_handshake()

    def _expect_handshake(self) -> None:
        self._shaking_hands = True
        self.load.handshakes += 1
        self.setTimeout(self.handshake_timeout)

    def _rest(self) -> None:
        """While a handshake is awaited its own clock runs."""
        if self._shaking_hands:
            self._flush()
        else:
            super()._rest()

    def _handshake_over(self) -> None:
        if self._shaking_hands:
            self._shaking_hands = False
            self.load.handshakes -= 1

    # The connection

    def connectionMade(self) -> None:
        """See L{IProtocol}."""
        if ISSLTransport.providedBy(self.transport):
            self._expect_handshake()
        else:
            self._begun = True
            super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """See L{IProtocol}."""
        if self._context is None or self._closing:
            super().dataReceived(data)
            return
        context, self._context = self._context, None
        if not data.startswith(_HANDSHAKE):
            self.spoke_in_clear()
            return
        self.transport.startTLS(context)
        self.transport.protocol.dataReceived(data)

    def handshakeCompleted(self) -> None:
        """See L{IHandshakeListener}."""
        self._handshake_over()
        handle = self.transport.getHandle()
        self.encryption = Encryption(
            handle.get_protocol_version_name(), handle.get_cipher_name(), handle.get_servername()
        )
        self.secured()
        if not self._begun:
            self._begun = True
            super().connectionMade()
        elif not self._closing:
            self.setTimeout(self.patience())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{IProtocol}."""
        self._handshake_over()
        super().connectionLost(reason)
