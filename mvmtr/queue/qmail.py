# -*- test-case-name: mvmtr.test.test_queue_qmail -*-
"""
The hand-over to qmail-queue: message on descriptor 0, envelope on descriptor 1, answer by
exit code (qmail-queue.8), as qmail.c does it.

The pipes are filled before the program starts, so that for most messages all that is left
is to wait for its end.
"""

from __future__ import annotations

import fcntl
import os
import termios
from collections.abc import Callable, Iterator

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFDSet, IWriteDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mvmtr.interfaces import IQueue
from mvmtr.programs import Program, current_folder, environment_for
from mvmtr.queue.envelope import qmail_envelope
from mvmtr.session import Accept, Defer, Reject, Session, Transaction, Verdict, taken
from mvmtr.turns import Turns

log = Logger()

MESSAGE, ENVELOPE, ERROR_TEXT = 0, 1, 6
CHUNK = 65536
"""Bytes that a pipe takes, unless the user has very many of them."""

_NO_BYTES = b"\0\0\0\0"

_READ_ERROR = 54
_CUSTOM = (82, 88)

# Exit codes and texts of qmail.c; what is not here is permanent from 11 to 40.
_TEXTS = {
    11: "5.1.3 envelope address too long for qq (#5.1.3)",
    31: "5.3.0 mail server permanently rejected message (#5.3.0)",
    51: "4.3.0 qq out of memory (#4.3.0)",
    52: "4.3.0 qq timeout (#4.3.0)",
    53: "4.3.0 qq write error or disk full (#4.3.0)",
    54: "4.3.0 qq read error (#4.3.0)",
    55: "4.3.0 qq unable to read configuration (#4.3.0)",
    56: "4.3.0 qq trouble making network connection (#4.3.0)",
    61: "4.3.0 qq trouble in home directory (#4.3.0)",
    **dict.fromkeys(range(62, 67), "4.3.0 qq trouble creating files in queue (#4.3.0)"),
    71: "4.3.0 mail server temporarily rejected message (#4.3.0)",
    72: "4.4.1 connection to mail server timed out (#4.4.1)",
    73: "4.4.1 connection to mail server rejected (#4.4.1)",
    74: "4.4.2 communication with mail server failed (#4.4.2)",
    81: "4.3.0 qq internal bug (#4.3.0)",
    91: "4.3.0 qq internal bug (#4.3.0)",
    115: "5.1.3 envelope address too long for qq (#5.1.3)",
    120: "4.3.0 unable to exec qq (#4.3.0)",
}


def verdict_of_exit(code: int | None, complete: bool, error_text: bytes = b"") -> Verdict | None:
    """
    What an exit of qmail-queue means (C{qmail_close} in qmail.c).

    @param code: the exit code; C{None} when a signal ended it.
    @param complete: whether message and envelope could all be written to it.
    @param error_text: what it wrote to the descriptor for error texts.
    @return: a refusal, or C{None} when the message is in the queue.
    """
    if code is None:
        return Defer(451, "4.3.0 qq crashed (#4.3.0)", reason="qmail-queue was killed by a signal")
    reason = f"qmail-queue exited {code}"
    if code == 0:
        if complete:
            return None
        code, reason = _READ_ERROR, "qmail-queue exited 0 before it had read all"
    if code in _CUSTOM and error_text:
        return _custom(error_text.decode("ascii", "replace"), reason)
    text = _TEXTS.get(code)
    if text is None:
        if 11 <= code <= 40:
            text = "5.3.0 qq permanent problem (#5.3.0)"
        else:
            text = "4.3.0 qq temporary problem (#4.3.0)"
    if text.startswith("5"):
        return Reject(554, text, reason=reason)
    return Defer(451, text, reason=reason)


def _custom(text: str, reason: str) -> Verdict:
    """A text of the queue's own: D for denied or Z for later, then what to say."""
    if text[:1] == "D":
        return _with_status(Reject, 554, "5.3.0", text[1:], reason)
    return _with_status(Defer, 451, "4.3.0", text.removeprefix("Z"), reason)


def _with_status(
    kind: type[Reject] | type[Defer], code: int, status: str, text: str, reason: str
) -> Verdict:
    try:
        if text[1:2] == ".":
            return kind(code, text, reason=reason)
    except ValueError:
        pass
    return kind(code, f"{status} {text}", reason=reason)


class _Pipe:
    """
    A pipe to the program whose reading end stays open here as well, so that what the
    program left unread can be counted when it has ended.
    """

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits in the pipe."""
        return fcntl.ioctl(self.reading, termios.FIONREAD, _NO_BYTES) == _NO_BYTES

    def close_writing(self) -> None:
        """Let the program see the end of file."""
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1

    def close(self) -> None:
        """Give both ends back."""
        self.close_writing()
        os.close(self.reading)


@implementer(IWriteDescriptor)
class _Feed:
    """
    Writes chunks into a pipe: at once what it takes, the rest as the reactor says.

    @ivar finished: whether all has been written.
    @param then: called when there is nothing more to write, for good or ill.
    """

    def __init__(
        self,
        pipe: _Pipe,
        chunks: Iterator[bytes],
        reactor: IReactorFDSet,
        then: Callable[[], None],
    ) -> None:
        self.finished = False
        self._pipe = pipe
        self._chunks = chunks
        self._reactor = reactor
        self._then = then
        self._left = b""
        self._is_waiting = False

    def stop(self) -> None:
        """Write no more."""
        if self._is_waiting:
            self._is_waiting = False
            self._reactor.removeWriter(self)

    def fileno(self) -> int:
        return self._pipe.writing

    def logPrefix(self) -> str:
        return "qmail-queue"

    def doWrite(self) -> None:
        """Write what the pipe takes now."""
        try:
            while True:
                self._left = self._left or next(self._chunks, b"")
                if not self._left:
                    break
                self._left = self._left[os.write(self._pipe.writing, self._left) :]
            self.finished = True
        except BlockingIOError:
            if not self._is_waiting:
                self._is_waiting = True
                self._reactor.addWriter(self)
            return
        except (OSError, ValueError) as error:
            log.error("unable to read back a message: {error}", error=error)
        self.stop()
        self._pipe.close_writing()
        self._then()

    def connectionLost(self, reason: Failure) -> None:
        self.stop()


class _Run:
    """
    One run of the program.

    @ivar verdict: fires once it has ended.
    """

    def __init__(self, transaction: Transaction, envelope: bytes, reactor: IReactorFDSet) -> None:
        self.verdict: Deferred[Verdict] = Deferred()
        self._program = Program(self._ended, reactor)
        self._pipes: list[_Pipe] = []
        try:
            for _name in range(3):
                self._pipes.append(_Pipe())
        except BaseException:
            self._close_pipes()
            raise
        message_pipe, envelope_pipe, self._error_text = self._pipes
        self._message = _Feed(message_pipe, _message(transaction), reactor, self._message_ended)
        self._envelope = _Feed(envelope_pipe, iter((envelope,)), reactor, lambda: None)

    def start(self, program: bytes, home: str, environment: dict[bytes, bytes]) -> None:
        """
        Start the program.

        @param environment: its variables; ERROR_FD is set in it.
        @raise OSError: when it can't be started.
        """
        descriptor = _error_descriptor(environment)
        environment[b"ERROR_FD"] = b"%d" % descriptor
        message_pipe, envelope_pipe, error_text = self._pipes
        dup2 = (
            (os.POSIX_SPAWN_DUP2, message_pipe.reading, MESSAGE),
            (os.POSIX_SPAWN_DUP2, envelope_pipe.reading, ENVELOPE),
            (os.POSIX_SPAWN_DUP2, error_text.writing, descriptor),
        )
        try:
            self._message.doWrite()
            with current_folder(home):
                self._program.start([program], environment, dup2)
        except BaseException:
            self._close()
            raise

    def _message_ended(self) -> None:
        """Only a whole message gets an envelope: without one nothing is put in the queue."""
        if self._message.finished:
            self._envelope.doWrite()
        else:
            self._pipes[ENVELOPE].close_writing()

    def _ended(self, code: int) -> None:
        message_pipe, envelope_pipe, error_text = self._pipes
        complete = self._envelope.finished and message_pipe.is_empty and envelope_pipe.is_empty
        text = b"" if error_text.is_empty else os.read(error_text.reading, CHUNK)
        self._close()
        verdict = verdict_of_exit(None if code < 0 else code, complete, text)
        if verdict is None:
            pid = self._program.pid
            verdict = Accept(text=taken(pid), reason=f"qp {pid}")
        self.verdict.callback(verdict)

    def _close(self) -> None:
        self._message.stop()
        self._envelope.stop()
        self._close_pipes()

    def _close_pipes(self) -> None:
        for pipe in self._pipes:
            pipe.close()


def _message(transaction: Transaction) -> Iterator[bytes]:
    body = transaction.body
    assert body is not None
    # For most messages this is all, and one write.
    yield transaction.header + body.read(max(CHUNK - len(transaction.header), 0))
    yield from iter(lambda: body.read(CHUNK), b"")


def _error_descriptor(environment: dict[bytes, bytes]) -> int:
    """The descriptor for error texts: the one that ERROR_FD names, else notqmail's."""
    named = environment.get(b"ERROR_FD", b"")
    if named.isdigit() and 2 < int(named) < 1000:
        return int(named)
    return ERROR_TEXT


@implementer(IQueue)
class QmailQueue:
    """
    A program that speaks like qmail-queue.

    @param program: the program to run, unless QMAILQUEUE names another one for the
        connection; relative to C{home}.
    @param home: the folder to run it in.
    """

    def __init__(self, program: str, home: str, reactor: IReactorFDSet) -> None:
        self.name = f"qmail:{program}"
        self._program = os.fsencode(program)
        self._home = home
        # A program other than qmail's own may keep mail elsewhere.
        queue = os.path.join(home, "queue")
        self.folder = queue if os.path.isdir(queue) else None
        self._turns = Turns()
        self._reactor = reactor

    def put(self, session: Session) -> Deferred[Verdict]:
        """Run the program once, for all recipients, when it is the client's turn."""
        limit = session.settings.smtp_server_programs_max
        return self._turns.run(session.connection.remote_ip, limit, lambda: self._run(session))

    def _run(self, session: Session) -> Deferred[Verdict]:
        transaction = session.transaction
        assert transaction is not None
        environment = environment_for(session.connection, session.as_environment())
        program = environment.get(b"QMAILQUEUE") or self._program
        try:
            run = _Run(transaction, qmail_envelope(transaction), self._reactor)
            run.start(program, self._home, environment)
        except OSError as error:
            log.error("unable to run {program!r}: {error}", program=program, error=error)
            return succeed(Defer(451, _TEXTS[120], reason=f"{program!r}: {error.strerror}"))
        return run.verdict
