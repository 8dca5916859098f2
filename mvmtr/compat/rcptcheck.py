# -*- test-case-name: mvmtr.test.test_rcptcheck -*-
"""
RCPTCHECK: a program that says whether a recipient exists, run once for each.

The program gets no argument. Its current folder is the qmail folder, descriptor 0 is
empty, and its environment is that of the connection with SENDER, RECIPIENT, HELO (or
what is known of the client's name) and USE_FD4=1. What it writes to descriptors 1 and 2
goes to the log. Its exit code is the answer:

    0, 112   it has nothing against the recipient
    100      no such recipient
    111      not known, try again later
    113      the sender has sent too much for now

With 100, 111 or 113 the text on descriptor 4 becomes the reply: a code and words, such as
C{451 come back tomorrow}. A 5xx with 111 is not believed. Every other code, a death by
signal, and a program that can't be run are C{451}: unlike in the patch, where a code that
is not known accepts.

Source: the RCPTCHECK patch by Jay Soffian, with descriptor 4 as in the combined patch of
John M. Simpson, 112 and 113 as in Roberto Puzzanghera's qmail.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping, Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mvmtr.interfaces import ICheck
from mvmtr.log import text_of
from mvmtr.policy import accepted
from mvmtr.programs import Program, current_folder, environment_for
from mvmtr.session import Defer, Reject, Session, Stage, Verdict
from mvmtr.turns import Turns

log = Logger()

REPLY = 4
"""The descriptor for the text of the reply."""

OUTPUT_MAX = 4096
"""Bytes kept of what a program writes to one descriptor."""

_CODE = re.compile(r"\A([45]\d\d)(?:[ -]|\Z)")
_LEADING_STATUS = re.compile(r"\A[245]\.\d{1,3}\.\d{1,3}(?: |\Z)")
_STATUS = re.compile(r"(?:\A|\(#)([45]\.\d{1,3}\.\d{1,3})(?=[ )]|\Z)")

_NO_MAILBOX = "5.1.1 sorry, no mailbox here by that name (#5.1.1)"
_NOT_VERIFIED = "4.3.0 unable to verify recipient (#4.3.0)"
_NOT_RUN = "4.3.0 unable to execute recipient check (#4.3.0)"
_TOO_MUCH = "4.3.0 you have exceeded your messaging limits (#4.3.0)"

_DEFAULTS: dict[int, Verdict] = {
    100: Reject(550, _NO_MAILBOX),
    111: Defer(451, _NOT_VERIFIED),
    113: Defer(451, _TOO_MUCH),
}


def verdict_of_exit(code: int | None, text: bytes = b"", program: str = "") -> Verdict | None:
    """
    What the exit of a program means. Pure.

    @param code: the exit code; C{None} when a signal ended it.
    @param text: what it wrote to descriptor 4.
    @param program: its name, for the reason.
    """
    if code in (0, 112):
        return None
    if code is None:
        return Defer(451, _NOT_RUN, reason=f"{program} was killed by a signal")
    default = _DEFAULTS.get(code, Defer(451, _NOT_RUN)).because(f"{program} exited {code}")
    return _reply(text, default, code) if code in _DEFAULTS else default


def _reply(text: bytes, default: Verdict, exit_code: int) -> Verdict:
    """The reply that a program asks for, as far as it may; else the default."""
    lines = text.decode("ascii", "replace").split("\n")
    match = _CODE.match(lines[0].strip())
    code = int(match[1]) if match else default.code
    if code >= 500 and exit_code == 111:
        return default
    kind = Reject if code >= 500 else Defer
    words = " ".join(_CODE.sub("", line.strip()) for line in lines).strip()
    found = _STATUS.search(words)
    status = "5.1.1" if kind is Reject else "4.3.0"
    if found and found[1][0] == status[0]:
        status = found[1]
    words = _LEADING_STATUS.sub("", words).strip()
    if words:
        said = f"{status} {words}"
    elif isinstance(default, kind):
        said = default.text
    else:
        said = _NOT_VERIFIED if kind is Defer else _NO_MAILBOX
    return kind(code, said, reason=default.reason)


@implementer(IReadDescriptor)
class _Output:
    """
    What a program writes: the beginning is kept, the rest is read and thrown away.

    @ivar data: what was kept.
    @ivar writing: the descriptor for the program; C{-1} when it was given back.
    """

    def __init__(self, reactor: IReactorFDSet) -> None:
        self.data = b""
        self._reactor = reactor
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)

    def start(self) -> None:
        """The program has its end of the pipe; read the other one."""
        os.close(self.writing)
        self.writing = -1
        self._reactor.addReader(self)

    def fileno(self) -> int:
        return self._reading

    def logPrefix(self) -> str:
        return "rcptcheck"

    def doRead(self) -> None:
        """Read what is there, as much as a pipe holds at most."""
        try:
            chunk = os.read(self._reading, 65536)
        except BlockingIOError:
            return
        self.data += chunk[: OUTPUT_MAX - len(self.data)]
        if not chunk:
            self._reactor.removeReader(self)

    def close(self) -> None:
        """Take what is left, without waiting for more, and give the descriptors back."""
        if self._reading < 0:
            return
        self.doRead()
        self._reactor.removeReader(self)
        os.close(self._reading)
        self._reading = -1
        if self.writing >= 0:
            os.close(self.writing)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor goes away."""


class _Run:
    """
    One run of a program in a process group of its own.

    @ivar verdict: fires once it has ended; when cancelled, the group is killed.
    """

    def __init__(self, path: bytes, reactor: IReactorFDSet) -> None:
        self._path = path
        self._reactor = reactor
        self._program = Program(self._ended, reactor, group=True)
        self.verdict: Deferred[Verdict | None] = Deferred(lambda _verdict: self._program.kill())

    def start(self, home: str, environment: Mapping[bytes, bytes]) -> None:
        """
        Start the program.

        @raise OSError: when it can't be started.
        @raise ValueError: when the environment holds what can't be in one.
        """
        with contextlib.ExitStack() as undo:
            self._log = _Output(self._reactor)
            undo.callback(self._log.close)
            self._reply = _Output(self._reactor)
            undo.callback(self._reply.close)
            with current_folder(home):
                self._program.start(
                    [self._path],
                    environment,
                    (
                        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                        (os.POSIX_SPAWN_DUP2, self._log.writing, 1),
                        (os.POSIX_SPAWN_DUP2, self._log.writing, 2),
                        (os.POSIX_SPAWN_DUP2, self._reply.writing, REPLY),
                    ),
                )
            undo.pop_all()
        self._log.start()
        self._reply.start()

    def _ended(self, code: int) -> None:
        self._log.close()
        self._reply.close()
        program = os.fsdecode(self._path)
        for line in self._log.data.splitlines():
            log.info("{program}: {line}", program=program, line=text_of(line))
        if not self.verdict.called:
            self.verdict.callback(
                verdict_of_exit(None if code < 0 else code, self._reply.data, program)
            )


@implementer(ICheck)
class RcptCheck:
    """
    Asks a program about recipients. Recipients of clients that may relay are left alone.

    @param program: the program to run, unless RCPTCHECK names another one for the
        connection; relative to C{home}; empty for none but that.
    @param home: the qmail folder.
    @param ours: checks that answer at once, and tell which recipients mail is taken for at
        all, such as L{RcptHosts<mvmtr.compat.rcpthosts.RcptHosts>}. About what none of
        them accepts the program is not asked. Without any, it is asked about everybody.
    @ivar paths: the files whose change wants a new object: none.
    """

    name = "rcptcheck"
    stages = frozenset({Stage.RCPT})

    def __init__(
        self, program: str, home: str, reactor: IReactorFDSet, ours: Sequence[ICheck] = ()
    ) -> None:
        self.paths: tuple[str, ...] = ()
        self._program = os.fsencode(program)
        self._home = home
        self._reactor = reactor
        self._ours = ours
        self._turns = Turns()

    def check(
        self, session: Session, stage: Stage, argument: bytes
    ) -> Deferred[Verdict | None] | Verdict | None:
        """See L{ICheck}."""
        program = session.connection.environment.get(b"RCPTCHECK") or self._program
        if session.relay or not program:
            return None
        if self._ours and not accepted(self._ours, session, stage, argument):
            return None
        connection = session.connection
        environment = environment_for(connection, connection.as_environment())
        transaction = session.transaction
        environment[b"SENDER"] = transaction.reverse_path if transaction else b""
        environment[b"RECIPIENT"] = argument
        environment[b"HELO"] = session.helo or session.connection.remote_host or b"unknown"
        environment[b"USE_FD4"] = b"1"
        return self._turns.run(
            session.connection.remote_ip,
            session.settings.smtp_server_programs_max,
            lambda: self._ask(program, environment),
        )

    def _ask(self, program: bytes, environment: dict[bytes, bytes]) -> Deferred[Verdict | None]:
        run = _Run(program, self._reactor)
        try:
            run.start(self._home, environment)
        except (OSError, ValueError) as error:
            log.error("unable to run {program!r}: {error}", program=program, error=error)
            return succeed(Defer(451, _NOT_RUN, reason=f"{os.fsdecode(program)}: {error}"))
        return run.verdict
