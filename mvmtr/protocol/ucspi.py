# -*- test-case-name: mvmtr.test.test_ucspi -*-
"""
UCSPI-TLS: the parent, such as sslserver, does TLS for this process when it is asked to.

Its variables name three descriptors: one to ask on, and two that take the place of 0 and 1
from then on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.interfaces import IPullProducer, IReadDescriptor
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure
from zope.interface import implementer

from mvmtr.session import Encryption

if TYPE_CHECKING:
    from mvmtr.protocol.secured import Secured

ANSWER_MAX = 65536
"""Longest answer of the parent in bytes; it may hold certificates."""

_NAMES = (b"SSLCTLFD", b"SSLREADFD", b"SSLWRITEFD")


def encryption_told(variables: Mapping[bytes, bytes]) -> Encryption | None:
    """What a parent tells by variables named as those of mod_ssl, if it does."""
    protocol = variables.get(b"SSL_PROTOCOL") or variables.get(b"SSL_VERSION")
    if not protocol:
        return None
    cipher = variables.get(b"SSL_CIPHER", b"unknown")
    return Encryption(
        protocol.decode("ascii", "replace"),
        cipher.decode("ascii", "replace"),
        variables.get(b"SSL_TLS_SNI") or None,
    )


def parse_answer(answer: bytes) -> dict[bytes, bytes] | None:
    """
    The variables in an answer of the parent: C{NAME=VALUE}, each ended by a NUL, and one more
    NUL at the end of all. Pure.

    @return: C{None} while the end has not come.
    """
    end = answer.find(b"\0\0")
    if end < 0:
        return None
    pairs = (line.partition(b"=") for line in answer[:end].split(b"\0") if line)
    return {name: value for name, _equals, value in pairs}


@dataclass(frozen=True)
class Ucspi:
    """
    The descriptors that the parent has given.

    @ivar control: to ask on, and to hear on how it went.
    @ivar reading: what the client says under TLS.
    @ivar writing: what it is told.
    """

    control: int
    reading: int
    writing: int
    reactor: Any

    @classmethod
    def offered_by(cls, environment: Mapping[bytes, bytes], reactor: Any) -> Ucspi | None:
        """The descriptors that variables name, where C{UCSPITLS} says that they may be used."""
        if environment.get(b"UCSPITLS", b"-") == b"-":
            return None
        numbers = []
        for name in _NAMES:
            text = environment.get(name, b"")
            if not text.isdigit() or len(text) > 9:
                return None
            numbers.append(int(text))
            try:
                os.fstat(numbers[-1])
            except OSError:
                return None
        control, reading, writing = numbers
        return cls(control, reading, writing, reactor)

    def take_over(self, session: Secured) -> None:
        """
        Let the parent do a handshake, when all that the session has written is out; then
        let the session go on over the parent's descriptors.
        """
        plain = session.transport
        plain.pauseProducing()
        plain.unregisterProducer()
        plain.registerProducer(_WhenWritten(lambda: self._ask(session)), False)

    def _ask(self, session: Secured) -> None:
        plain = session.transport
        plain.unregisterProducer()
        plain.protocol = _Closed()
        for descriptor in (0, 1):
            # The parent has the same socket, and may not expect it to be like this.
            os.set_blocking(descriptor, True)
        plain.loseConnection()

        def answered(variables: Mapping[bytes, bytes] | None) -> None:
            if variables is None:
                session.connectionLost(Failure(ConnectionLost()))
                return
            make: Any = StandardIO
            transport = make(Protocol(), self.reading, self.writing, self.reactor)
            transport.protocol = session
            session.continue_on(
                transport, encryption_told(variables) or Encryption("TLS", "unknown")
            )

        answer = _Answer(self.control, self.reactor, answered)
        session.transport = _Between(session, answer)
        try:
            os.write(self.control, b"Y")
        except OSError:
            session.transport.abortConnection()


class _Closed(Protocol):
    """Sees to it that nothing else becomes descriptor 0 or 1, which programs may be given."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        for _free in (0, 1):
            os.open(os.devnull, os.O_RDWR)


class Parent:
    """
    What a parent process does or has done about TLS.

    @ivar ucspi: the parent's offer to do it, if it makes one.
    """

    def __init__(self, environment: Mapping[bytes, bytes], reactor: Any) -> None:
        self.ucspi = Ucspi.offered_by(environment, reactor)
        self._encryption = encryption_told(environment) if self.ucspi is None else None

    def tell(self, session: Secured) -> None:
        """Let a session know before it begins."""
        session.ucspi = self.ucspi
        session.encryption = self._encryption


@implementer(IPullProducer)
class _WhenWritten:
    """Calls a function once all that was written before is out."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._asked = 0

    def resumeProducing(self) -> None:
        """Called once at registration, and then when the buffer is empty."""
        self._asked += 1
        if self._asked == 2:
            self._function()

    def stopProducing(self) -> None:
        """The client is gone."""


@implementer(IReadDescriptor)
class _Answer:
    """Reads the answer of the parent."""

    def __init__(self, control: int, reactor: Any, answered: Any) -> None:
        self._control = control
        self._reactor = reactor
        self._answered = answered
        self._said = b""
        os.set_blocking(control, False)
        reactor.addReader(self)

    def fileno(self) -> int:
        """See L{IReadDescriptor<twisted.internet.interfaces.IReadDescriptor>}."""
        return self._control

    def logPrefix(self) -> str:
        """See L{ILoggingContext<twisted.internet.interfaces.ILoggingContext>}."""
        return "UCSPI-TLS"

    def doRead(self) -> None:
        """See L{IReadDescriptor<twisted.internet.interfaces.IReadDescriptor>}."""
        try:
            piece = os.read(self._control, ANSWER_MAX)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        self._said += piece
        variables = parse_answer(self._said)
        if variables is None and piece and len(self._said) <= ANSWER_MAX:
            return
        self.stop()
        self._answered(variables)

    def connectionLost(self, reason: Failure) -> None:
        """See L{IReadDescriptor<twisted.internet.interfaces.IReadDescriptor>}."""
        self.stop()

    def stop(self) -> None:
        """Wait no more."""
        self._reactor.removeReader(self)


class _Between:
    """The transport of a session while its parent shakes hands: there is nothing but an end."""

    def __init__(self, session: Secured, answer: _Answer) -> None:
        self._session = session
        self._answer = answer

    def abortConnection(self) -> None:
        """Wait no more; the parent sees it when this process ends."""
        self._answer.stop()
        self._session.connectionLost(Failure(ConnectionAborted()))
