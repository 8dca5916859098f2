# -*- test-case-name: mvmtr.test.test_flow -*-
"""
The flow of a session: one thing at a time, replies in order, and an end to everything.

While something has to wait (a check, the queue) nothing is read and the client's clock
stands still. Replies leave in one write for each batch of commands that came together. A
client that does not read its replies gets no more of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IPushProducer,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mvmtr.policy import is_deferred, settled
from mvmtr.protocol.lines import LineReader
from mvmtr.protocol.stock import ESMTP

log = Logger()

CLOSE_TIMEOUT = 30
"""Seconds that a client has to read the last replies."""

OUTPUT_MAX = 16384
"""Bytes of replies that are kept back to leave in one write."""

_NEVER = float("inf")

LINGER = 0.5
"""Seconds that a client has to stop sending, once it was told that nothing more is read."""


@implementer(IHalfCloseableProtocol, IPushProducer)
class Flow(ESMTP):
    """
    What moves bytes and replies; a subclass says what they mean, in C{begin}, C{step},
    C{patience}, C{holds}, C{timed_out}, C{broken}, C{may_stop}, C{stopped} and
    C{ended}.

    @ivar input: what the client has sent; the subclass sets its limit in C{begin}.
    @ivar finished: fires when the connection is gone and no work is left.
    """

    noisy = False
    seconds = staticmethod(time.monotonic)
    transport: Any
    portal: Any
    delivery: Any

    # What most sessions never change is not kept for each of them: that takes half their memory.
    _output_size = 0
    _working = False
    _waiting = False
    _congested = False
    _end_of_input = False
    _closing = False
    _stopping = False
    _lost = False
    _deadline: IDelayedCall | None = None
    _alarm: IDelayedCall | None = None
    _alarm_at = _silence_ends = _NEVER

    def __init__(self) -> None:
        # Not that of ESMTP: it is for a reader and verbs that are replaced here.
        self.finished: Deferred[None] = Deferred()
        self.input = LineReader(0)
        self._output: list[bytes] = []

    # What a subclass provides

    def begin(self) -> None:
        """The connection is there."""
        raise NotImplementedError

    def step(self) -> bool:
        """Use some of the input; C{False} when there is not enough of it."""
        raise NotImplementedError

    def patience(self) -> float:
        """How long to wait for more input now, in seconds."""
        raise NotImplementedError

    def holds(self, unread: int) -> None:
        """So many bytes have come in and are not worked on."""
        raise NotImplementedError

    def timed_out(self) -> None:
        """The client was silent for that long."""
        raise NotImplementedError

    def broken(self) -> None:
        """A step failed by an error of this program."""
        raise NotImplementedError

    def may_stop(self) -> bool:
        """Whether there is nothing that the client may finish before the server stops."""
        raise NotImplementedError

    def stopped(self) -> None:
        """The server goes down."""
        raise NotImplementedError

    def ended(self) -> None:
        """The connection is gone and no work is left."""
        raise NotImplementedError

    # What a subclass uses

    def write(self, data: bytes) -> None:
        """Send a reply, together with the others of this batch, unless those are many."""
        self._output.append(data)
        self._output_size += len(data)
        if self._output_size > OUTPUT_MAX:
            # A client that does not read is noticed before the replies pile up.
            self._flush()

    def when(self, value: Any, function: Callable[[Any], None]) -> None:
        """Go on with a value: at once, or when the Deferred has it."""
        value = settled(value)
        if not is_deferred(value):
            function(value)
            return
        self._waiting = True
        value.addCallback(self._resume, function).addErrback(self._failed)
        if self._waiting:
            self.setTimeout(None)
            self.transport.pauseProducing()

    def close(self, linger: bool = False) -> None:
        """
        End the connection when all replies are out.

        @param linger: the client may be in the middle of sending; let it see the last
            reply before the connection is reset under it.
        """
        if self._closing:
            return
        self._closing = True
        self.setTimeout(None)
        self._flush()
        self.transport.unregisterProducer()
        # Only TCP resets a connection that is closed with input unread.
        # Under TLS the client says itself when it has heard everything.
        is_tcp = ITCPTransport.providedBy(self.transport)
        is_tcp = is_tcp and not ISSLTransport.providedBy(self.transport)
        if linger and is_tcp and not self._end_of_input:
            self._deadline = self.callLater(LINGER, self._leave)
            self.transport.loseWriteConnection()
            self.transport.resumeProducing()
        else:
            self._leave()

    def _leave(self) -> None:
        self.transport.loseConnection()
        if not (self._lost or getattr(self.transport, "closes_now", False)):
            self._deadline = self.callLater(CLOSE_TIMEOUT, self._abort)

    # The clock

    def setTimeout(self, period: float | None) -> None:
        """
        See L{TimeoutMixin}. A timer that ends too early is left alone, and set again when it
        ends: for most commands that costs nothing.
        """
        if period is None:
            self._silence_ends = _NEVER
            return
        self._silence_ends = ends = self.seconds() + period
        if ends < self._alarm_at:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm = self.callLater(period, self._ring)
            self._alarm_at = ends

    def _ring(self) -> None:
        self._alarm = None
        self._alarm_at = _NEVER
        left = self._silence_ends - self.seconds()
        if left <= 0:
            self._silence_ends = _NEVER
            self.timeoutConnection()
        elif left < _NEVER:
            self.setTimeout(left)

    # The connection

    def connectionMade(self) -> None:
        """See L{IProtocol}."""
        self.transport.registerProducer(self, True)
        self._work(self.begin)

    def dataReceived(self, data: bytes) -> None:
        """See L{IProtocol}."""
        if self._closing:
            return
        self.input.feed(data)
        self._work()
        self.holds(len(self.input))

    def readConnectionLost(self) -> None:
        """The client sends no more; what it has sent is answered."""
        self._end_of_input = True
        if self._closing:
            self.transport.loseConnection()
        else:
            self._work()

    def writeConnectionLost(self) -> None:
        """The client reads no more, or was told that there is no more."""
        if not self._closing:
            self.close()
            self._abort()

    def pauseProducing(self) -> None:
        """The client does not read its replies."""
        self._congested = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """It reads them again."""
        self._congested = False
        if not self._waiting:
            self.transport.resumeProducing()
            self._work()
            self.holds(len(self.input))

    def stopProducing(self) -> None:
        """The connection is gone; C{connectionLost} tells."""

    def timeoutConnection(self) -> None:
        """See L{TimeoutMixin}."""
        self.timed_out()
        if self._congested:
            self._closing = True
            self._abort()
        else:
            self.close()

    def stop(self) -> None:
        """End the session, once what it is in the middle of is done."""
        self._stopping = True
        self._work()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{IProtocol}. Work under way, such as a run of the queue, goes on."""
        self._lost = self._closing = True
        self._silence_ends = _NEVER
        for call in (self._alarm, self._deadline):
            if call is not None and call.active():
                call.cancel()
        if not self._waiting:
            self._end()

    # The work

    def _work(self, first: Callable[[], None] | None = None) -> None:
        """Take steps for as long as there is input and nothing to wait for."""
        if self._working or self._waiting or self._closing:
            return
        self._working = True
        try:
            if first is not None:
                first()
            while not (self._waiting or self._closing or self._congested):
                if (self._stopping and self.may_stop()) or not self.step():
                    break
        except Exception:
            log.failure("a session broke")
            self.broken()
            self.close()
        finally:
            self._working = False
        if not (self._waiting or self._closing):
            self._rest()

    def _rest(self) -> None:
        """All that could be done is done."""
        if self._stopping and self.may_stop():
            self.stopped()
            self.close()
        elif self._end_of_input and not self._congested:
            self.close()
        else:
            self.setTimeout(self.patience())
            self._flush()

    def _resume(self, value: Any, function: Callable[[Any], None]) -> None:
        self._waiting = False
        function(value)
        if self._waiting:
            return
        if self._lost:
            self._end()
        elif not (self._working or self._closing):
            if not self._congested:
                self.transport.resumeProducing()
            self._work()
            self.holds(len(self.input))

    def _failed(self, failure: Failure) -> None:
        log.failure("a session broke", failure)
        self._waiting = False
        if self._lost:
            self._end()
        else:
            self.broken()
            self.close()

    def _flush(self) -> None:
        output = self._output
        if output:
            self._output = []
            self._output_size = 0
            if not self._lost:
                self.transport.write(output[0] if len(output) == 1 else b"".join(output))

    def _abort(self) -> None:
        if hasattr(self.transport, "abortConnection"):
            self.transport.abortConnection()
        else:
            self.transport.connectionLost(Failure(ConnectionAborted()))

    def _end(self) -> None:
        if self._onLogout is not None:
            self._onLogout()
            self._onLogout = None
        try:
            self.ended()
        except Exception:
            log.failure("a session broke at its end")
        self.finished.callback(None)
