# -*- test-case-name: mvmtr.test.test_assess_server -*-
"""The server: requests of the policy protocol in, replies out, in their order."""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from mvmtr.assess.hint import DUNNO, Hint, action_of
from mvmtr.assess.question import feedback_of, question_of
from mvmtr.assess.service import Assessment
from mvmtr.assess.stores import StoreError
from mvmtr.assess.wire import AttributeReader, Attributes, BadRequest, written
from mvmtr.log import Record

log = Logger()

IDLE_TIMEOUT = 1200
"""Seconds that a questioner may be silent; Postfix closes its connections before that."""

ASSESS = b"smtpd_access_policy"
FEEDBACK = b"mvmcas_feedback"


@implementer(IPushProducer)
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
        self._lost = False

    def connectionMade(self) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        self.factory.connections.add(self)
        self.transport.registerProducer(self, True)
        self.setTimeout(IDLE_TIMEOUT)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        self.factory.connections.discard(self)
        self._lost = True
        self.setTimeout(None)

    def dataReceived(self, data: bytes) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        self.resetTimeout()
        try:
            self._requests += self._reader.feed(data)
        except BadRequest as error:
            log.warn("{peer}: {error}", peer=self.transport.getPeer(), error=error)
            self.transport.loseConnection()
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

    def _next(self) -> None:
        if self._working or self._congested or self._lost:
            return
        if not self._requests:
            self.transport.resumeProducing()
            return
        self._working = True
        self.transport.pauseProducing()
        answering = Deferred.fromCoroutine(self.factory.answer(self._requests.popleft()))
        answering.addCallback(self._answered)

    def _answered(self, reply: Attributes) -> None:
        self._working = False
        if not self._lost:
            self.transport.write(written(reply))
            self._next()


class PolicyFactory(ServerFactory):
    """
    Makes connections, and knows what to answer.

    @ivar connections: those that there are.
    """

    noisy = False
    protocol = PolicyServer

    def __init__(self, assessment: Assessment) -> None:
        self.connections: set[PolicyServer] = set()
        self._assessment = assessment

    async def answer(self, request: Attributes) -> Attributes:
        """
        The reply to a request. Whatever goes wrong, the reply is one that harms nobody.
        """
        try:
            kind = request.get(b"request")
            if kind == FEEDBACK:
                await self._assessment.tell(feedback_of(request))
                return {b"action": b"DUNNO"}
            if kind == ASSESS:
                return await self._hint(request)
            raise BadRequest(f"request={(kind or b'')[:40]!r} is not known")
        except (BadRequest, ValueError, StoreError) as error:
            log.error("no hint for {client}: {error}", client=_client(request), error=error)
        except Exception:
            log.failure("no hint for {client}", client=_client(request))
        return action_of(DUNNO, False)

    async def _hint(self, request: Attributes) -> Attributes:
        question = question_of(request)
        hint = await self._assessment.ask(question)
        if hint != DUNNO:
            log.info("{record}", record=_record(request, hint))
        return action_of(hint, question.extended)


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
