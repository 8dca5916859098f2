"""
A client that sends mail over many sessions at a time and costs as little as can be: one process,
one epoll, bytes that were made beforehand. It looks at the code of every reply.
"""

from __future__ import annotations

import gc
import select
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import NamedTuple

PATIENCE = 60
"""Seconds in which something must come from the server."""

PIECE = 262144
"""Bytes that are read or written in one call."""


class Step(NamedTuple):
    """
    One turn of a session.

    @ivar words: what is sent; may be empty.
    @ivar codes: of the replies that must come then, in this order.
    @ivar handshake: whether TLS begins after it.
    """

    words: bytes
    codes: tuple[bytes, ...]
    handshake: bool = False


@dataclass(frozen=True)
class Traffic:
    """
    What is sent.

    @ivar sessions: at a time.
    @ivar opening: steps at the beginning of each connection, the greeting being the first.
    @ivar message: steps of one message; none if connections are what counts.
    @ivar closing: steps at the end of each connection.
    @ivar per_connection: messages of one.
    @ivar whole_sessions: whether times are those of whole sessions, not of messages.
    """

    sessions: int
    opening: tuple[Step, ...]
    message: tuple[Step, ...]
    closing: tuple[Step, ...]
    per_connection: int = 1
    whole_sessions: bool = False


@dataclass
class Outcome:
    """
    What a run showed.

    @ivar times: seconds of each message, or of each session.
    @ivar seconds: from the first connection to the end of the last one.
    @ivar client_cpu: seconds that this process worked.
    """

    times: list[float] = field(default_factory=list)
    seconds: float = 0.0
    client_cpu: float = 0.0

    @property
    def count(self) -> int:
        """Messages or sessions."""
        return len(self.times)


class Unexpected(Exception):
    """A server did not say what it should have said."""


class Session:
    """One connection after the other, until the time is over."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._traffic = run.traffic
        traffic = run.traffic
        self._steps = (*traffic.opening, *traffic.message, *traffic.closing)
        self._first = len(traffic.opening)
        self._last = self._first + len(traffic.message) - 1
        self.connect()

    def connect(self) -> None:
        """Begin a session."""
        self._began = time.perf_counter()
        self._left = self._traffic.per_connection
        self._socket: socket.socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.connect_ex(self._run.address)
        self._shaking = False
        self._unsent = memoryview(b"")
        self._heard = b""
        self._run.watch(self._socket.fileno(), self)
        self._number = 0
        self._step = self._steps[0]

    def ready(self, events: int) -> bool:
        """
        The socket can be read or written.

        @return: whether there is more to come of this session.
        """
        if self._shaking:
            return self._shake()
        if events & select.EPOLLOUT and self._unsent:
            self._write()
            if not events & ~select.EPOLLOUT:
                return True
        try:
            said = self._socket.recv(PIECE)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError as error:
            raise Unexpected(f"expected {self._step.codes}, got: {error}") from None
        if not said:
            return self._ended()
        self._heard += said
        if self._heard[-1] == 10 and self._answered():
            self._heard = b""
            self._next()
        return True

    def _answered(self) -> bool:
        """Whether all replies to this step are there; they must be the right ones."""
        heard, codes = self._heard, self._step.codes
        if len(codes) == 1:
            # The last line tells; others may only stand before it in the same reply.
            start = heard.rfind(b"\n", 0, -1) + 1
            if heard[start + 3 : start + 4] == b"-":
                return False
            found = [heard[start : start + 3]]
        else:
            found = [line[:3] for line in heard.split(b"\r\n") if line[3:4] == b" "]
        if tuple(found) != codes[: len(found)]:
            sent = self._step.words[:50]
            raise Unexpected(f"expected {codes} after {sent!r}, got {heard[:500]!r}")
        return len(found) == len(codes)

    def _next(self) -> None:
        """Go on to the next step."""
        number = self._number
        if self._step.handshake:
            context = self._run.context
            self._socket = context.wrap_socket(self._socket, do_handshake_on_connect=False)
            self._shaking = True
            self._shake()
            return
        if number == self._last:
            now = time.perf_counter()
            if not self._traffic.whole_sessions:
                self._run.outcome.times.append(now - self._message_began)
            self._left -= 1
            if self._left and now < self._run.deadline:
                number = self._first - 1
        self._take(number + 1)

    def _take(self, number: int) -> None:
        """Begin a step; beyond the last one, wait until the server closes."""
        self._number = number
        if number == len(self._steps):
            return
        if number == self._first:
            self._message_began = time.perf_counter()
        self._step = self._steps[number]
        self._unsent = memoryview(self._step.words)
        self._write()

    def _write(self) -> None:
        unsent = self._unsent
        was_waiting = len(unsent) != len(self._step.words)
        try:
            while unsent:
                unsent = unsent[self._socket.send(unsent[:PIECE]) :]
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass
        except OSError as error:
            raise Unexpected(f"nothing more can be sent: {error}") from None
        self._unsent = unsent
        if unsent or was_waiting:
            self._run.change(self._socket.fileno(), bool(unsent))

    def _shake(self) -> bool:
        """Go on with a handshake."""
        assert isinstance(self._socket, ssl.SSLSocket)
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            return True
        self._shaking = False
        self._take(self._number + 1)
        return True

    def _ended(self) -> bool:
        """The server has closed."""
        if self._number != len(self._steps):
            raise Unexpected(f"the server closed after {self._step.words[:50]!r}")
        self._run.forget(self._socket.fileno())
        self._socket.close()
        now = time.perf_counter()
        if self._traffic.whole_sessions:
            self._run.outcome.times.append(now - self._began)
        if now >= self._run.deadline:
            return False
        self.connect()
        return True


class Run:
    """
    All sessions with one server.

    @param address: host and port.
    @param seconds: after which nothing new is begun.
    """

    def __init__(self, address: tuple[str, int], traffic: Traffic, seconds: float) -> None:
        self.address = address
        self.traffic = traffic
        self.outcome = Outcome()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self._seconds = seconds
        self._poll = select.epoll()
        self._sessions: dict[int, Session] = {}

    def watch(self, descriptor: int, session: Session) -> None:
        """A connection has begun."""
        self._sessions[descriptor] = session
        self._poll.register(descriptor, select.EPOLLIN)

    def change(self, descriptor: int, writing: bool) -> None:
        """Say whether a connection waits until it can be written to."""
        self._poll.modify(descriptor, select.EPOLLIN | (select.EPOLLOUT if writing else 0))

    def forget(self, descriptor: int) -> None:
        """A connection is over."""
        self._poll.unregister(descriptor)
        del self._sessions[descriptor]

    def play(self) -> Outcome:
        """
        Send until the time is over, and let each session come to its end.

        @raise Unexpected: if a server says something else, or nothing.
        """
        gc.disable()
        cpu, began = time.process_time(), time.perf_counter()
        self.deadline = began + self._seconds
        try:
            for _ in range(self.traffic.sessions):
                Session(self)
            while self._sessions:
                ready = self._poll.poll(PATIENCE)
                if not ready:
                    raise Unexpected(f"no answer for {PATIENCE} seconds")
                for descriptor, events in ready:
                    self._sessions[descriptor].ready(events)
        finally:
            gc.enable()
            self._poll.close()
        self.outcome.seconds = time.perf_counter() - began
        self.outcome.client_cpu = time.process_time() - cpu
        return self.outcome
