# -*- test-case-name: mvmtr.test.test_assess_client -*-
"""Asks a policy server: mvmcas, or any other that speaks Postfix's policy protocol."""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from mvmtr.assess.wire import AttributeReader, Attributes, BadRequest, written

log = Logger()

CONNECTIONS_MAX = 20
"""Connections to the server, each with one question under way."""

WAITING_MAX = 1000
"""Questions that wait for a connection; further ones fail at once."""

PAUSE = (1, 60)
"""Seconds until the next try to connect, after the first failure and at most."""


class Unavailable(Exception):
    """There is no answer; the text says why."""


class PolicyConnection(Protocol):
    """One connection, with one question at a time."""

    noisy = False
    transport: Any

    def __init__(self) -> None:
        self._reader = AttributeReader()
        self._answer: Deferred[Attributes] | None = None
        self.lost = False

    def ask(self, attributes: Attributes) -> Deferred[Attributes]:
        """Send a question. Cancelling it ends the connection, for the reply would still come."""
        answer: Deferred[Attributes] = Deferred(lambda _answer: self.transport.abortConnection())
        self._answer = answer
        self.transport.write(written(attributes))
        return answer

    def dataReceived(self, data: bytes) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        try:
            replies = self._reader.feed(data)
        except BadRequest as error:
            self._fail(Unavailable(f"no reply of the policy protocol: {error}"))
            self.transport.abortConnection()
            return
        for reply in replies:
            answer, self._answer = self._answer, None
            if answer is None:
                self.transport.abortConnection()
                return
            answer.callback(reply)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        self.lost = True
        self._fail(Unavailable("the server closed the connection"))

    def _fail(self, error: Exception) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.called:
            answer.errback(error)


class PolicyClient:
    """
    Some connections to a server, opened when they are needed and kept.

    After a failure to connect, questions fail at once for a while, so that a server that
    is away costs nobody time.

    @param description: of the server, as for C{clientFromString}.
    @param timeout: seconds for one question, waiting included.
    @raise ValueError: when the description makes no sense.
    """

    def __init__(self, description: str, reactor: Any, timeout: float) -> None:
        self.name = description
        self._endpoint = clientFromString(reactor, description)
        self._reactor = reactor
        self._timeout = timeout
        self._idle: list[PolicyConnection] = []
        self._open = 0
        self._waiting: deque[Deferred[None]] = deque()
        self._pause = 0.0
        self._down_until = 0.0

    def ask(self, attributes: Attributes) -> Deferred[Attributes]:
        """
        Ask a question.

        @return: the reply. Fails with L{Unavailable}.
        """
        asking = Deferred.fromCoroutine(self._ask(attributes))
        asking.addTimeout(self._timeout, self._reactor, self._timed_out)
        return asking

    def _timed_out(self, _failure: Failure, timeout: float) -> Failure:
        return Failure(Unavailable(f"no reply within {timeout} s"))

    async def _ask(self, attributes: Attributes) -> Attributes:
        await self._place()
        try:
            connection = await self._connection()
            reply: Attributes = await connection.ask(attributes)
            if not connection.lost:
                self._idle.append(connection)
        finally:
            self._open -= 1
            if self._waiting:
                self._waiting.popleft().callback(None)
        return reply

    async def _place(self) -> None:
        """Wait until fewer than all connections are busy."""
        if self._open >= CONNECTIONS_MAX:
            if len(self._waiting) >= WAITING_MAX:
                raise Unavailable(f"{WAITING_MAX} questions wait already")
            place: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(place)
            await place
        self._open += 1

    async def _connection(self) -> PolicyConnection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.lost:
                return connection
        left = self._down_until - self._reactor.seconds()
        if left > 0:
            raise Unavailable(f"not tried again for {left:.0f} s")
        try:
            made: PolicyConnection = await self._endpoint.connect(
                Factory.forProtocol(PolicyConnection)
            )
        except Exception as error:
            self._pause = min(max(PAUSE[0], self._pause * 2), PAUSE[1])
            self._down_until = self._reactor.seconds() + self._pause
            raise Unavailable(f"unable to connect: {error}") from error
        self._pause = 0.0
        return made

    def close(self) -> None:
        """Let go of idle connections."""
        for connection in self._idle:
            connection.transport.loseConnection()
        self._idle.clear()
