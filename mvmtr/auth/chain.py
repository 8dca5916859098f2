# -*- test-case-name: mvmtr.test.test_auth_chain -*-
"""Several checkers of passwords as one: who is known to one of them may come in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernameHashedPassword
from twisted.cred.error import LoginFailed, UnauthorizedLogin
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.logger import Logger
from zope.interface import implementer

from mvmtr.auth.sasl import (
    ITERATIONS_OF_PASSWORDS,
    Credentials,
    ICramCredentials,
    IScramCredentials,
)

log = Logger()

_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")


class Unavailable(Exception):
    """Whether a password is right can't be told now."""


@implementer(ICredentialsChecker)
class Chain:
    """
    Asks checkers one after the other until one says yes.

    @param checkers: each provides L{ICredentialsChecker}; one that can give the salts of
        its users has a method C{salt_of}.
    """

    def __init__(self, checkers: Iterable[Any]) -> None:
        self._checkers = tuple(checkers)
        found: dict[Any, None] = {}
        for checker in self._checkers:
            found.update(dict.fromkeys(checker.credentialInterfaces))
        if IUsernameHashedPassword in found:
            # Who has passwords has all that proofs can be made of.
            found[IScramCredentials] = found[ICramCredentials] = None
        self.credentialInterfaces = tuple(found)

    def salt_of(self, user: bytes) -> tuple[bytes, int]:
        """Salt and number of iterations for a user, there or not."""
        for checker in self._checkers:
            if hasattr(checker, "salt_of"):
                salt, iterations = checker.salt_of(user)
                return salt, iterations
        return os.urandom(16), ITERATIONS_OF_PASSWORDS

    def requestAvatarId(self, credentials: Credentials) -> Deferred[bytes | tuple[()]]:
        """
        See L{ICredentialsChecker}. Fails with L{UnauthorizedLogin}; or with L{Unavailable}
        when nobody says yes and somebody could not answer. When it is cancelled, so is
        the checker that works on it.
        """
        return Deferred.fromCoroutine(self._ask(credentials))

    async def _ask(self, credentials: Credentials) -> bytes | tuple[()]:
        trouble = False
        for checker in self._checkers:
            if not any(one.providedBy(credentials) for one in checker.credentialInterfaces):
                continue
            try:
                return _name(await maybeDeferred(checker.requestAvatarId, credentials))
            except CancelledError:
                raise
            except LoginFailed:
                continue
            except Exception as error:
                # Its text, or what called whom with what, might hold a password.
                log.error(
                    "the password check {checker} failed: {kind}",
                    checker=type(checker).__name__,
                    kind=type(error).__name__,
                )
                trouble = True
        credentials.take_time()
        if trouble:
            raise Unavailable
        raise UnauthorizedLogin


def _name(user: object) -> bytes:
    """The user that a checker names, as it can stand in a log and in a header."""
    name = user.encode("utf-8") if isinstance(user, str) else user
    if not isinstance(name, bytes) or not name or _CONTROLS.search(name):
        raise TypeError("a checker gave no name")
    return name
