# -*- test-case-name: mvmtr.test.test_assess_server -*-
"""The server: requests of the policy protocol in, replies out, in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Coroutine, Sequence
from ipaddress import ip_address
from typing import Any, TypeVar
from typing import Protocol as Typed

from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from mvmtr.assess.hint import DUNNO, Hint, action_of, no_hint
from mvmtr.assess.question import feedback_of, question_of
from mvmtr.assess.service import Assessment
from mvmtr.assess.stores import StoreError
from mvmtr.assess.wire import AttributeReader, Attributes, BadRequest, written
from mvmtr.log import Record
from mvmtr.values import Network

log = Logger()

T = TypeVar("T")

IDLE_TIMEOUT = 1200
"""Seconds that a questioner may be silent; Postfix closes its connections before that."""

ANSWER_TIMEOUT = 30
"""Seconds after which a question goes without a hint."""

TARPIT_MAX = 60
"""Seconds that a reply to Postfix is held back at most; Postfix waits for 100."""

CONNECTIONS_MAX = 500
"""Connections at a time, unless the command line says otherwise."""

QUIET = 1
"""Seconds from one complaint in the log to the next."""

ASSESS = b"smtpd_access_policy"
FEEDBACK = b"mvmcas_feedback"
ADMIN = b"mvmcas_admin"


class Administration(Typed):
    """Whoever answers the requests of the administrator."""

    def answer(self, request: Attributes) -> Coroutine[Any, Any, Attributes]:
        """The reply to a request."""


@implementer(IPushProducer, IHalfCloseableProtocol)
class PolicyServer(Protocol, TimeoutMixin):
    """
    One connection. A request is looked at when the one before it was answered; what comes
    meanwhile waits, and of a questioner that does not read its replies nothing is read.
    """

    noisy = False
    factory: PolicyFactory
    transport: Any

    def __init__(self) -> None:
        self._reader = AttributeReader()
        self._requests: deque[Attributes] = deque()
        self._working = False
        self._congested = False
        self._is_last = False
        self._lost = False

    @property
    def peer(self) -> str:
        """Who asks, for the log."""
        return _name(self.transport.getPeer())

    def connectionMade(self) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        self.factory.connections.add(self)
        self.transport.registerProducer(self, True)
        self.setTimeout(IDLE_TIMEOUT)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        self._lost = True
        self.setTimeout(None)
        if not self._working:
            self.factory.forget(self)

    def timeoutConnection(self) -> None:
        """It is silent, or it does not read."""
        self.transport.abortConnection()

    def readConnectionLost(self) -> None:
        """The questioner has asked all; it may wait for replies."""
        self._is_last = True
        self._next()

    def writeConnectionLost(self) -> None:
        """See L{IHalfCloseableProtocol}; then the connection is lost as a whole."""

    def dataReceived(self, data: bytes) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        self.resetTimeout()
        if self._is_last:
            return
        try:
            self._requests += self._reader.feed(data)
        except BadRequest as error:
            log.warn("{peer}: {error}", peer=self.peer, error=error)
            self._is_last = True
            self.transport.abortConnection()
            return
        self._next()

    def pauseProducing(self) -> None:
        """The questioner does not read."""
        self._congested = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """It reads again."""
        self._congested = False
        self._next()

    def stopProducing(self) -> None:
        """C{connectionLost} tells."""

    def stop(self) -> None:
        """Close the connection; the question at hand is answered first."""
        self._is_last = True
        self._requests.clear()
        self._next()

    def _next(self) -> None:
        if self._working or self._congested or self._lost:
            return
        if self._requests:
            self._working = True
            self.transport.pauseProducing()
            Deferred.fromCoroutine(self._answer())
        elif self._is_last:
            self.transport.unregisterProducer()
            self.transport.loseConnection()
        else:
            self.transport.resumeProducing()

    async def _answer(self) -> None:
        while self._requests and not (self._congested or self._lost):
            reply = await self.factory.answer(self._requests.popleft())
            if not self._lost:
                self.transport.write(written(reply))
        self._working = False
        if self._lost:
            self.factory.forget(self)
        else:
            self._next()


class PolicyFactory(ServerFactory):
    """
    Makes connections, and knows what to answer.

    @param admin: who answers the administrator; without it nobody does.
    @param receivers: the networks that questions are taken from; empty is all.
    @param connections_max: connections at a time.
    @ivar connections: those that there are, or that have a question under way.
    """

    noisy = False

    def __init__(
        self,
        assessment: Assessment,
        reactor: Any,
        admin: Administration | None = None,
        receivers: Sequence[Network] = (),
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        self.connections: set[PolicyServer] = set()
        self._assessment = assessment
        self._reactor = reactor
        self._admin = admin
        self._receivers = receivers
        self._connections_max = connections_max
        self._stopped: Deferred[None] | None = None
        self._unanswered = 0
        self._quiet_until = 0.0

    def buildProtocol(self, addr: Any) -> Protocol | None:
        """See L{IProtocolFactory<twisted.internet.interfaces.IProtocolFactory>}."""
        if not self._is_receiver(getattr(addr, "host", None)):
            log.warn("{peer} is none of the receivers that may ask", peer=_name(addr))
            return None
        if len(self.connections) >= self._connections_max:
            most = self._connections_max
            log.warn("{peer} is one too many: the limit is {most}", peer=_name(addr), most=most)
            return None
        server = PolicyServer()
        server.factory = self
        return server

    def _is_receiver(self, host: str | None) -> bool:
        if host is None or not self._receivers:
            return True
        address = ip_address(host.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._receivers)

    def prepare(self) -> None:
        """Nothing is to be done before the first connection."""

    def forget(self, connection: PolicyServer) -> None:
        """A connection is over, and so is its question."""
        self.connections.discard(connection)
        if self._stopped is not None and not self.connections:
            stopped, self._stopped = self._stopped, None
            stopped.callback(None)

    def stop(self) -> Deferred[None]:
        """Close all connections; questions at hand are answered first, unless it is cancelled."""
        if not self.connections:
            return succeed(None)
        stopped = self._stopped = Deferred(self._abort)
        for connection in list(self.connections):
            connection.stop()
        return stopped

    def _abort(self, _stopped: Deferred[None]) -> None:
        self._stopped = None
        for connection in list(self.connections):
            connection.transport.abortConnection()

    async def answer(self, request: Attributes) -> Attributes:
        """
        The reply to a request. Whatever goes wrong, the reply is one that harms nobody.
        """
        try:
            return await self._answer(request)
        except (ValueError, StoreError) as error:
            problem = str(error)
        except TimeoutError:
            problem = f"the store does not answer within {ANSWER_TIMEOUT} s"
        except Exception:
            problem = "there is an error in the program"
            log.failure("no hint for {client}", client=_client(request))
        self._complain(request, problem)
        is_command = self._admin is not None and request.get(b"request") == ADMIN
        return no_hint(problem, is_command or b"mvmcas_version" in request)

    def _complain(self, request: Attributes, problem: str) -> None:
        self._unanswered += 1
        if self._reactor.seconds() < self._quiet_until:
            return
        self._quiet_until = self._reactor.seconds() + QUIET
        record = Record(
            event="no_hint", client=_client(request), reason=problem, so_far=self._unanswered
        )
        log.error("{record}", record=record)

    async def _answer(self, request: Attributes) -> Attributes:
        kind = request.get(b"request", b"")
        if kind == ASSESS:
            return await self._hint(request)
        if kind == FEEDBACK:
            await self._timely(self._assessment.tell(feedback_of(request)))
            return action_of(DUNNO, False)
        if kind == ADMIN and self._admin is not None:
            return await self._timely(self._admin.answer(request))
        raise BadRequest(f"request={kind[:40].decode('ascii', 'replace')} is not known here")

    async def _hint(self, request: Attributes) -> Attributes:
        question = question_of(request)
        hint = await self._timely(self._assessment.ask(question))
        if hint != DUNNO:
            log.info("{record}", record=_record(request, hint))
        if not question.extended and "tarpit" in hint.parameters:
            # Postfix can't wait by itself.
            seconds = min(int(hint.parameters["tarpit"]), TARPIT_MAX)
            await deferLater(self._reactor, seconds)
        return action_of(hint, question.extended)

    def _timely(self, working: Coroutine[Any, Any, T]) -> Awaitable[T]:
        return Deferred.fromCoroutine(working).addTimeout(ANSWER_TIMEOUT, self._reactor)


def _name(address: Any) -> str:
    return str(getattr(address, "host", "unix"))


def _client(request: Attributes) -> bytes:
    return request.get(b"client_address", b"unknown")


def _record(request: Attributes, hint: Hint) -> Record:
    return Record(
        event="hint",
        client=_client(request),
        state=request.get(b"protocol_state"),
        sender=request.get(b"sender"),
        recipient=request.get(b"recipient"),
        action=hint.action,
        code=hint.code or None,
        reason=hint.reason,
    )
