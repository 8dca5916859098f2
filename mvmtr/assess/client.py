# -*- test-case-name: mvmtr.test.test_assess_client -*-
"""Asks a policy server: mvmcas, or any other that speaks Postfix's policy protocol."""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from mvmtr.assess.wire import AttributeReader, Attributes, BadRequest, written

CONNECTIONS_MAX = 20
"""Connections to the server, each with one question under way, unless a control says otherwise."""

WAITING_MAX = 1000
"""Questions that wait for a connection; further ones fail at once."""

IDLE_MAX = 100
"""Seconds after which a connection that was not used is not used any more."""

PAUSE = (1, 60)
"""Seconds until the next try to connect, after the first failure and at most."""

SILENT_MAX = 3
"""Questions without an answer in a row that count as a failure to connect."""


class Unavailable(Exception):
    """There is no answer; the text says why."""


class Closed(Unavailable):
    """The server has closed the connection, and has not answered."""


class PolicyConnection(Protocol):
    """
    One connection, with one question at a time.

    @ivar lost: it is of no use any more.
    @ivar used: when it was used, on the clock of the client that it belongs to.
    """

    transport: Any

    def __init__(self) -> None:
        self.lost = False
        self.used = 0.0
        self._reader = AttributeReader()
        self._answer: Deferred[Attributes] | None = None

    def connectionMade(self) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        if hasattr(self.transport, "setTcpKeepAlive"):
            self.transport.setTcpKeepAlive(1)

    def ask(self, attributes: Attributes) -> Deferred[Attributes]:
        """Send a question. Cancelling it ends the connection, for the reply would still come."""
        answer: Deferred[Attributes] = Deferred(lambda _answer: self.abort())
        self._answer = answer
        self.transport.write(written(attributes))
        return answer

    def abort(self) -> None:
        """Have no more of it."""
        self.lost = True
        self._answer = None
        self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        if self.lost:
            return
        answer = self._answer
        try:
            replies = self._reader.feed(data)
        except BadRequest as error:
            self.abort()
            if answer is not None:
                answer.errback(Unavailable(f"no reply of the policy protocol: {error}"))
            return
        if not replies:
            return
        if len(replies) > 1 or answer is None:
            # Which of them is meant for whom, nobody knows.
            self.abort()
        self._answer = None
        if answer is not None:
            answer.callback(replies[0])

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        self.lost = True
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.errback(Closed("the server closed the connection"))


class PolicyClient:
    """
    Some connections to a server, opened when they are needed and kept.

    After a failure to connect, and after some questions that were not answered, questions
    fail at once for a while, so that a server that is away costs nobody time.

    @param description: of the server, as for C{clientFromString}.
    @ivar connections_max: connections at a time; questions beyond that wait.
    @raise ValueError: when the description makes no sense.
    """

    def __init__(self, description: str, reactor: Any) -> None:
        self.name = description
        self.connections_max = CONNECTIONS_MAX
        self._endpoint = clientFromString(reactor, description)
        self._factory = Factory.forProtocol(PolicyConnection)
        self._factory.noisy = False
        self._reactor = reactor
        self._idle: list[PolicyConnection] = []
        self._busy = 0
        self._waiting: deque[Deferred[None]] = deque()
        self._silent = 0
        self._pause = 0.0
        self._down_until = 0.0
        self._closed = False

    def ask(self, attributes: Attributes, timeout: float) -> Deferred[Attributes]:
        """
        Ask a question.

        @param timeout: seconds that it may take, waiting for a connection included.
        @return: the reply. Fails with L{Unavailable}.
        """

        def timed_out(result: Any, timeout: float) -> Any:
            if not isinstance(result, Failure):
                return result
            self._silent += 1
            if self._silent >= SILENT_MAX:
                self._rest()
            return Failure(Unavailable(f"no reply within {timeout:g} s"))

        asking = Deferred.fromCoroutine(self._ask(attributes))
        return asking.addTimeout(timeout, self._reactor, timed_out)

    async def _ask(self, attributes: Attributes) -> Attributes:
        await self._place()
        try:
            return await self._answer(attributes)
        finally:
            self._busy -= 1
            if self._waiting:
                self._waiting.popleft().callback(None)

    async def _place(self) -> None:
        """Wait until fewer than all connections are busy."""
        if self._busy >= self.connections_max:
            if len(self._waiting) >= WAITING_MAX:
                raise Unavailable(f"{WAITING_MAX} questions wait already")
            place: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(place)
            await place
        self._busy += 1

    async def _answer(self, attributes: Attributes) -> Attributes:
        while True:
            connection = self._used_before()
            is_new = connection is None
            if connection is None:
                connection = await self._connect()
            try:
                reply: Attributes = await connection.ask(attributes)
            except Closed:
                if is_new:
                    raise
                # It was closed when the question was on its way.
                continue
            self._silent, self._pause = 0, 0.0
            self._keep(connection)
            return reply

    def _used_before(self) -> PolicyConnection | None:
        oldest = self._reactor.seconds() - IDLE_MAX
        while self._idle:
            connection = self._idle.pop()
            if connection.lost:
                continue
            if connection.used >= oldest:
                return connection
            connection.transport.loseConnection()
        return None

    def _keep(self, connection: PolicyConnection) -> None:
        if self._closed:
            connection.transport.loseConnection()
        elif not connection.lost:
            connection.used = self._reactor.seconds()
            self._idle.append(connection)

    async def _connect(self) -> PolicyConnection:
        left = self._down_until - self._reactor.seconds()
        if left > 0:
            raise Unavailable(f"not tried again for {left:.0f} s")
        try:
            made: PolicyConnection = await self._endpoint.connect(self._factory)
        except Exception as error:
            self._rest()
            raise Unavailable(f"unable to connect: {error}") from error
        return made

    def _rest(self) -> None:
        """Leave the server alone for a while. Those who fail together count once."""
        now = self._reactor.seconds()
        if self._down_until <= now:
            self._pause = min(max(PAUSE[0], self._pause * 2), PAUSE[1])
            self._down_until = now + self._pause

    def close(self) -> None:
        """Let go of all connections, once they are not needed."""
        self._closed = True
        for connection in self._idle:
            connection.transport.loseConnection()
        self._idle.clear()
