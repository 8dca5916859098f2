# -*- test-case-name: mvmtr.test.test_server -*-
"""The listening side: a factory of sessions, and the service that opens the ports."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any

from twisted.application.service import Service
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from mvmtr.configuration import Configuration
from mvmtr.protocol.journal import refuse_connection
from mvmtr.protocol.load import Load
from mvmtr.protocol.peer import ip_of
from mvmtr.protocol.reply import TOO_MANY, reply_of
from mvmtr.protocol.smtp import Receiver
from mvmtr.session import Connection
from mvmtr.settings import Settings

log = Logger()


class CannotListen(Exception):
    """An endpoint that makes no sense or can't be opened; the message is one line."""


class Busy(Protocol):
    """Tells a client that there are too many."""

    def connectionMade(self) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        assert self.transport is not None
        self.transport.write(reply_of(TOO_MANY))
        self.transport.loseConnection()


def _is_loopback(address: bytes | None) -> bool:
    return address is None or ip_address(address.decode("ascii").partition("%")[0]).is_loopback


class ReceiverFactory(ServerFactory):
    """
    Makes sessions.

    @param configure: gives the configuration for a connection.
    @param portal: gives sessions their deliveries.
    @param describe: adds to a connection what the transport does not tell.
    @param settings: gives the settings of now, for what counts before a session has its
        own; without them nothing is limited.
    @ivar sessions: those that have not finished.
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
        self.sessions: set[Receiver] = set()
        self._by_address: Counter[bytes | None] = Counter()
        self._settings = settings
        self._configure = configure
        self._portal = portal
        self._describe = describe

    def buildProtocol(self, addr: Any, known: Connection | None = None) -> Protocol:
        """
        See L{IProtocolFactory<twisted.internet.interfaces.IProtocolFactory>}.

        @param known: who talks to whom, when the transport does not tell.
        """
        address = ip_of(addr) if known is None else known.remote_ip
        if self._is_full(address):
            return Busy()
        receiver = Receiver(self._configure, self._portal, self._describe, self.load)
        receiver.known = known
        if self._settings is not None:
            receiver.handshake_timeout = self._settings().smtp_server_timeout_tls
        receiver.factory = self
        self.sessions.add(receiver)
        self._by_address[address] += 1
        receiver.finished.addCallback(lambda _none: self._finished(receiver, address))
        return receiver

    def _is_full(self, address: bytes | None) -> bool:
        if self._settings is None:
            return False
        settings = self._settings()
        total = settings.smtp_server_connections_max
        per_address = settings.smtp_server_connections_per_address
        if per_address is None:
            per_address = 0 if _is_loopback(address) else (total + 1) // 2
        reason = None
        if len(self.sessions) >= total:
            reason = f"the limit is {total} at a time"
        elif per_address and self._by_address[address] >= per_address:
            reason = f"the limit for one client is {per_address} at a time"
        if reason is not None:
            refuse_connection(address, TOO_MANY.by("connections").because(reason))
        return reason is not None

    def _finished(self, receiver: Receiver, address: bytes | None) -> None:
        self.sessions.discard(receiver)
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

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


class Listener(Service):
    """
    Listens on any number of endpoints.

    @param endpoints: descriptions as for C{serverFromString}.
    @param stop_timeout: seconds that sessions have to end when the service stops.
    @param reload: called at SIGHUP.
    """

    def __init__(
        self,
        reactor: Any,
        endpoints: Sequence[str],
        factory: ReceiverFactory,
        stop_timeout: int,
        reload: Callable[[], None] | None = None,
    ) -> None:
        self._reload = reload
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
        for description in self._endpoints:
            try:
                endpoint = serverFromString(self._reactor, description)
                opening = endpoint.listen(self._factory)
            except Exception as error:
                raise CannotListen(f"cannot listen on {description!r}: {error}") from error
            result: list[Any] = []
            opening.addBoth(result.append)
            if not result:
                raise CannotListen(f"cannot listen on {description!r}: it does not open at once")
            if isinstance(result[0], Failure):
                raise CannotListen(f"cannot listen on {description!r}: {_why(result[0])}")
            self.ports.append(result[0])
            log.info("listening on {description}", description=description)

    def privilegedStartService(self) -> None:
        """Open the ports, while there are still the rights to do so."""
        if not self.ports:
            self.bind()

    def startService(self) -> None:
        """See L{Service}."""
        super().startService()
        self.privilegedStartService()
        if self._reload is not None:
            self._former_handler = signal.signal(signal.SIGHUP, self._hang_up)

    def _hang_up(self, _number: int, _frame: Any) -> None:
        self._reactor.callFromThread(self._reload)

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
