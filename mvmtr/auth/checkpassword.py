# -*- test-case-name: mvmtr.test.test_checkpassword -*-
"""
The checkpassword interface: a program that reads user, password and timestamp from
descriptor 3, each with a NUL behind it, and runs another program if they are right.

The other program is C{/bin/true}, so that the exit code is the answer: 0 is yes, 111 and 2
are "can't tell now", anything else is no. So is a death by a signal: nobody can tell.

Source: http://cr.yp.to/checkpwd/interface.html. With C{cram:} in front the fields are
user, response and challenge of CRAM-MD5, as the AUTH patches for qmail-smtpd have it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
from collections.abc import Mapping
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mvmtr.auth.sasl import CramCredentials, ICramCredentials, PlainCredentials
from mvmtr.programs import process_descriptor

log = Logger()

DESCRIPTOR = 3
BYTES_MAX = 512
"""What a program must be able to read; more is not sent."""

BEHIND = "/bin/true"

_CAN_NOT_TELL = {2, 111}


class CanNotTell(Exception):
    """The program could not find out."""


class BadProgram(ValueError):
    """A description of a program that can't be run; the message says why."""


@implementer(IReadDescriptor)
class _Run:
    """
    One run of a program in a process group of its own, waited for by a process descriptor.

    @ivar code: fires with the exit code, negative for a signal, once it has ended; when
        cancelled, the group is killed.
    """

    def __init__(self, command: list[str], reactor: IReactorFDSet) -> None:
        self.code: Deferred[int] = Deferred(lambda _code: self._kill())
        self._command = command
        self._reactor = reactor
        self._pid = 0

    def start(self, fields: bytes, environment: Mapping[bytes, bytes]) -> None:
        """
        Start the program.

        @raise OSError: when it can't be started.
        """
        reading, writing = os.pipe()
        try:
            # All of it fits into the pipe.
            os.write(writing, fields)
        finally:
            os.close(writing)
        try:
            # What it prints goes nowhere, for it might be what it has read.
            self._pid = os.posix_spawn(
                self._command[0],
                self._command,
                environment,
                file_actions=(
                    (os.POSIX_SPAWN_DUP2, reading, DESCRIPTOR),
                    *((os.POSIX_SPAWN_OPEN, one, os.devnull, os.O_RDWR, 0) for one in range(3)),
                ),
                setpgroup=0,
                setsigdef=[signal.SIGPIPE],
            )
        finally:
            os.close(reading)
        self._descriptor = process_descriptor(self._pid)
        self._reactor.addReader(self)

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "checkpassword"

    def doRead(self) -> None:
        """The program has ended."""
        self._reactor.removeReader(self)
        os.close(self._descriptor)
        _pid, status = os.waitpid(self._pid, 0)
        self._pid = 0
        if not self.code.called:
            self.code.callback(os.waitstatus_to_exitcode(status))

    def _kill(self) -> None:
        """End the program and all that it has started."""
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor goes away; nobody waits for the answer any more."""
        self._kill()


def command_of(description: str) -> tuple[list[str], bool]:
    """
    The command of C{[cram:]PROGRAM [ARGUMENT]...}, and whether it is for CRAM-MD5.

    @raise BadProgram: when there is no such program.
    """
    cram = description.startswith("cram:")
    try:
        words = shlex.split(description.removeprefix("cram:"))
    except ValueError as error:
        raise BadProgram(f"{description}: {error}") from None
    if not words or "/" not in words[0]:
        raise BadProgram(f"{description}: a program is named by its path")
    program = os.path.abspath(words[0])
    if not (os.path.isfile(program) and os.access(program, os.X_OK)):
        raise BadProgram(f"{program} is no program")
    return [program, *words[1:], BEHIND], cram


@implementer(ICredentialsChecker)
class CheckPassword:
    """
    Asks a program.

    @param description: C{[cram:]PROGRAM [ARGUMENT]...}
    @raise BadProgram: when there is no such program.
    """

    def __init__(self, description: str, reactor: Any = None) -> None:
        self._command, cram = command_of(description)
        self.credentialInterfaces = (ICramCredentials if cram else IUsernamePassword,)
        self._reactor = reactor

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """See L{ICredentialsChecker}."""
        fields = _fields(credentials)
        if fields is None or len(fields) > BYTES_MAX:
            return fail(UnauthorizedLogin())
        run = _Run(self._command, self._reactor or _the_reactor())
        try:
            run.start(fields, credentials.environment)
        except OSError as error:
            log.error(
                "unable to run {program}: {error}", program=self._command[0], error=error.strerror
            )
            return fail(CanNotTell())
        return run.code.addCallback(self._ended, credentials.username)

    def _ended(self, code: int, user: bytes) -> bytes | tuple[()]:
        if code == 0:
            return user
        if code < 0 or code in _CAN_NOT_TELL:
            how = f"exited {code}" if code > 0 else f"was killed by signal {-code}"
            log.error("{program} {how}", program=self._command[0], how=how)
            raise CanNotTell
        raise UnauthorizedLogin


def _the_reactor() -> Any:
    from twisted.internet import reactor

    return reactor


def _fields(credentials: Any) -> bytes | None:
    if isinstance(credentials, PlainCredentials):
        # An empty timestamp: programs for CRAM-MD5 take another one for a challenge.
        return b"%s\0%s\0\0" % (credentials.username, credentials.password)
    if isinstance(credentials, CramCredentials):
        return b"%s\0%s\0%s\0" % (
            credentials.username,
            credentials.response,
            credentials.challenge,
        )
    return None
