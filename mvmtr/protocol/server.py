# -*- test-case-name: mvmtr.test.test_server -*-
"""The listening side: a factory of sessions, and the service that opens the ports."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure

from mvmtr.configuration import Configuration
from mvmtr.protocol import descriptors
from mvmtr.protocol.descriptors import SPARE, raise_limit, room
from mvmtr.protocol.journal import refuse_connection
from mvmtr.protocol.load import Load
from mvmtr.protocol.peer import ip_of
from mvmtr.protocol.reply import TOO_MANY, reply_of
from mvmtr.protocol.smtp import Receiver
from mvmtr.session import Connection, Verdict
from mvmtr.settings import Settings
from mvmtr.values import HANDOFF

log = Logger()


_DEFAULTS = Settings()


class CannotListen(Exception):
    """An endpoint that makes no sense or can't be opened; the message is one line."""


BUSY_TIMEOUT = 5
"""Seconds that a client has to hear that there are too many; a TLS handshake is part of it."""

DESCRIPTORS = 16
"""What a session may have open at a time: its socket, a file, a program with its pipes, questions
to the DNS."""

BUSY_MAX = 100
"""Clients that are told so at a time; the others are told nothing."""


class Busy(Protocol, TimeoutMixin):
    """
    Tells a client that there are too many.

    @param words: what to tell; empty to go at once.
    @param gone: called when the connection is over.
    """

    def __init__(self, words: bytes, gone: Callable[[], None]) -> None:
        self._words = words
        self._gone = gone

    def connectionMade(self) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        assert self.transport is not None
        if not self._words:
            self.timeoutConnection()
            return
        self.setTimeout(BUSY_TIMEOUT)
        self.transport.write(self._words)
        self.transport.loseConnection()

    def timeoutConnection(self) -> None:
        """See L{TimeoutMixin}."""
        transport: Any = self.transport
        if hasattr(transport, "abortConnection"):
            transport.abortConnection()
        else:
            transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        self.setTimeout(None)
        self._gone()


class ReceiverFactory(ServerFactory):
    """
    Makes sessions.

    @param configure: gives the configuration for a connection.
    @param portal: gives sessions their deliveries.
    @param describe: adds to a connection what the transport does not tell.
    @param settings: gives the settings of now, for what counts before a session has its
        own; without them nothing is limited.
    @ivar sessions: those that have not finished, and whose places they have.
    @ivar load: what they use together.
    """

    noisy = False

    def __init__(
        self,
        configure: Callable[[Connection], Configuration],
        portal: Portal,
        describe: Callable[[Connection], Connection | Deferred[Connection]],
        settings: Callable[[], Settings] | None = None,
    ) -> None:
        self.load = Load()
        self.sessions: dict[Receiver, bytes | None] = {}
        self._busy = 0
        self._descriptors = descriptors.limit()
        self._settings = settings
        self._configure = configure
        self._portal = portal
        self._describe = describe

    def buildProtocol(
        self, addr: Any, known: Connection | None = None, describe: Any = None
    ) -> Protocol:
        """
        See L{IProtocolFactory<twisted.internet.interfaces.IProtocolFactory>}.

        @param known: who talks to whom, when the transport does not tell.
        @param describe: for this connection, in the place of the usual one.
        """
        address = ip_of(addr) if known is None else known.remote_ip
        settings = _DEFAULTS if self._settings is None else self._settings()
        objection = self._objection(address, settings)
        if objection is not None:
            refuse_connection(address, objection)
            return self._turn_away(objection)
        describe = describe or self._describe
        receiver = Receiver(self._configure, self._portal, describe, self.load)
        if known is not None:
            receiver.known = known
        if settings.smtp_server_timeout_tls != receiver.handshake_timeout:
            receiver.handshake_timeout = settings.smtp_server_timeout_tls
        if settings.smtp_server_tls_handshakes_max != receiver.handshakes_max:
            receiver.handshakes_max = settings.smtp_server_tls_handshakes_max
        receiver.factory = self
        self.sessions[receiver] = address
        receiver.finished.addCallback(self._finished, receiver)
        return receiver

    def move(self, receiver: Receiver, address: bytes | None) -> Verdict | None:
        """
        A session becomes that of another client, unless there is no place for that one.

        @return: why it does not.
        """
        if self._settings is None:
            return None
        places = self.load.places
        objection = places.move(self.sessions[receiver], address, self._settings())
        if objection is None:
            self.sessions[receiver] = address
        return objection

    def _objection(self, address: bytes | None, settings: Settings) -> Verdict | None:
        if self._settings is None:
            return None
        objection: Verdict | None = None
        # To look at how many there are costs as much as a reply.
        needed = DESCRIPTORS * (len(self.sessions) + 1) + SPARE
        if needed > self._descriptors and room(self._descriptors) < SPARE:
            objection = TOO_MANY.because(f"{self._descriptors} descriptors are the limit")
        else:
            objection = self.load.places.enter(address, settings)
        return None if objection is None else objection.by("connections")

    def _turn_away(self, objection: Verdict) -> Protocol:
        words = reply_of(objection) if self._busy < BUSY_MAX else b""
        self._busy += 1

        def gone() -> None:
            self._busy -= 1

        return Busy(words, gone)

    def _finished(self, _none: None, receiver: Receiver) -> None:
        address = self.sessions.pop(receiver)
        if self._settings is not None:
            self.load.places.give_back(address)

    def prepare(self) -> None:
        """Get ready for as many connections as the settings say, as far as the system allows."""
        if self._settings is None:
            return
        self._descriptors = raise_limit()
        sessions = self._settings().smtp_server_connections_max
        if self._descriptors < sessions + SPARE:
            log.warn(
                "there are to be {sessions} sessions at a time, but this process can have only "
                "{limit} descriptors open (ulimit -n)",
                sessions=sessions,
                limit=self._descriptors,
            )

    def stop(self) -> Deferred[Any]:
        """End all sessions; those at work finish that first."""
        finished = []
        for receiver in list(self.sessions):
            done: Deferred[None] = Deferred()
            receiver.finished.chainDeferred(done)
            finished.append(done)
            receiver.stop()
        return gatherResults(finished, consumeErrors=True)


def stopped_in_time(factory: ReceiverFactory, seconds: int, reactor: Any) -> Deferred[Any]:
    """End all sessions, and wait for those at work no longer than that."""
    ended = factory.stop().addTimeout(seconds, reactor)
    return ended.addErrback(lambda _failure: log.warn("sessions were cut off by the stop"))


def endpoint_of(reactor: Any, description: str) -> tuple[Any, bool | None]:
    """
    The endpoint that is described, as for C{serverFromString}; C{tls:} and C{tls6:} are as
    C{tcp:} and C{tcp6:}, with TLS from the first byte; C{handoff:} is a socket for launchers.

    @return: the endpoint, and whether mvmtr's own TLS is to be there from the first byte;
        C{None} where the endpoint does TLS itself.
    @raise ValueError: or other errors, when there is no such endpoint.
    """
    # It loads OpenSSL, which a session of --stdio may do without.
    from twisted.internet.endpoints import serverFromString

    kind, _colon, rest = description.partition(":")
    if kind == HANDOFF:
        from mvmtr.protocol.handoff import HandoffEndpoint

        return HandoffEndpoint(reactor, rest), False
    if kind in ("tls", "tls6"):
        return serverFromString(reactor, f"{kind.replace('tls', 'tcp')}:{rest}"), True
    return serverFromString(reactor, description), None if kind == "ssl" else False


class Listener(Service):
    """
    Listens on any number of endpoints.

    @param endpoints: descriptions as for L{endpoint_of}.
    @param stop_timeout: seconds that sessions have to end when the service stops.
    @param reload: called at SIGHUP.
    @param door: gives what stands before the sessions of a port, given whether TLS is to
        be there from the first byte.
    @param inherited: descriptors of the ports, one for each endpoint, when another process has
        opened them.
    @param handoff: gives what listens to launchers.
    """

    def __init__(
        self,
        reactor: Any,
        endpoints: Sequence[str],
        factory: ReceiverFactory,
        stop_timeout: int,
        reload: Callable[[], Any] | None = None,
        door: Callable[[bool], Any] | None = None,
        inherited: Sequence[int] = (),
        handoff: Callable[[], Any] | None = None,
    ) -> None:
        self._inherited = inherited
        self._handoff = handoff
        self._door = door
        self.reload = reload
        self._former_handler: Any = None
        self.ports: list[IListeningPort] = []
        self._reactor = reactor
        self._endpoints = endpoints
        self._factory = factory
        self._stop_timeout = stop_timeout

    def bind(self) -> None:
        """
        Open the ports.

        @raise CannotListen: when one of them can't be opened.
        """
        from mvmtr.protocol.transport import make_prompt

        for number, description in enumerate(self._endpoints):
            try:
                endpoint, secure = endpoint_of(self._opener(number), description)
                opening = endpoint.listen(self._behind(description, secure))
            except Exception as error:
                raise CannotListen(f"cannot listen on {description!r}: {error}") from error
            result: list[Any] = []
            opening.addBoth(result.append)
            if not result:
                raise CannotListen(f"cannot listen on {description!r}: it does not open at once")
            if isinstance(result[0], Failure):
                raise CannotListen(f"cannot listen on {description!r}: {_why(result[0])}")
            make_prompt(result[0])
            self.ports.append(result[0])
            if not self._inherited:
                log.info("listening on {description}", description=description)
        self._factory.prepare()

    def _opener(self, number: int) -> Any:
        """The reactor that an endpoint is to use."""
        if not self._inherited:
            return self._reactor
        from mvmtr.protocol.adopted import Adopting

        return Adopting(self._reactor, self._inherited[number])

    def _behind(self, description: str, secure: bool | None) -> Any:
        if self._handoff is not None and description.startswith(f"{HANDOFF}:"):
            return self._handoff()
        if self._door is None or secure is None:
            return self._factory
        return self._door(secure)

    def privilegedStartService(self) -> None:
        """Open the ports, while there are still the rights to do so."""
        if not self.ports:
            self.bind()

    def startService(self) -> None:
        """See L{Service}."""
        super().startService()
        self.privilegedStartService()
        if self.reload is not None:
            self._former_handler = signal.signal(signal.SIGHUP, self._hang_up)

    def _hang_up(self, _number: int, _frame: Any) -> None:
        self._reactor.callFromThread(self.reload)

    def stopService(self) -> Deferred[Any]:
        """Close the ports, and wait for the sessions for as long as the setting says."""
        super().stopService()
        if self._former_handler is not None:
            signal.signal(signal.SIGHUP, self._former_handler)
        closed: list[Any] = [port.stopListening() for port in self.ports]
        self.ports = []
        ended = stopped_in_time(self._factory, self._stop_timeout, self._reactor)
        return DeferredList([*(one for one in closed if one is not None), ended])


def _why(failure: Failure) -> str:
    if failure.check(CannotListenError) and failure.value.socketError is not None:
        error = failure.value.socketError
        return str(getattr(error, "strerror", None) or error)
    return failure.getErrorMessage()
