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

import os
import shlex
from collections.abc import Mapping
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import Logger
from zope.interface import implementer

from mvmtr.auth.sasl import CramCredentials, ICramCredentials, PlainCredentials
from mvmtr.programs import Program
from mvmtr.turns import Turns

log = Logger()

DESCRIPTOR = 3
BYTES_MAX = 512
"""What a program must be able to read; more is not sent."""

BEHIND = "/bin/true"

AT_A_TIME = 40
"""Runs of one program; further ones wait for their turn."""

_CAN_NOT_TELL = {2, 111}


class CanNotTell(Exception):
    """The program could not find out."""


class BadProgram(ValueError):
    """A description of a program that can't be run; the message says why."""


class _Run:
    """
    One run of a program in a process group of its own.

    @ivar code: fires with the exit code, negative for a signal, once it has ended; when
        cancelled, the group is killed.
    """

    def __init__(self, reactor: IReactorFDSet) -> None:
        self._program = Program(self._ended, reactor, group=True)
        self.code: Deferred[int] = Deferred(lambda _code: self._program.kill())

    def start(self, command: list[str], fields: bytes, environment: Mapping[bytes, bytes]) -> None:
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
            self._program.start(
                command,
                environment,
                (
                    (os.POSIX_SPAWN_DUP2, reading, DESCRIPTOR),
                    *((os.POSIX_SPAWN_OPEN, one, os.devnull, os.O_RDWR, 0) for one in range(3)),
                ),
            )
        finally:
            os.close(reading)

    def _ended(self, code: int) -> None:
        if not self.code.called:
            self.code.callback(code)


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
        self._turns = Turns()

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """See L{ICredentialsChecker}."""
        fields = _fields(credentials)
        if fields is None or len(fields) > BYTES_MAX:
            return fail(UnauthorizedLogin())
        client = credentials.environment.get(b"TCPREMOTEIP")
        code = self._turns.run(client, AT_A_TIME, lambda: self._run(fields, credentials))
        return code.addCallback(self._ended, credentials.username)

    def _run(self, fields: bytes, credentials: Any) -> Deferred[int]:
        run = _Run(self._reactor or _the_reactor())
        try:
            run.start(self._command, fields, credentials.environment)
        except OSError as error:
            log.error(
                "unable to run {program}: {error}", program=self._command[0], error=error.strerror
            )
            return fail(CanNotTell())
        return run.code

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
