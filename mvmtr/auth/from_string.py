# -*- test-case-name: mvmtr.test.test_auth_options -*-
"""Checkers of passwords from strings, as the option --auth has them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from twisted.cred.checkers import FilePasswordDB, InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword

from mvmtr.auth.sasl import ICramCredentials, IScramCredentials

INTERFACES = (IUsernamePassword, IUsernameHashedPassword, IScramCredentials, ICramCredentials)
"""What a checker must have one of."""


class BadChecker(ValueError):
    """A description that no checker can be made of; the message has no argument of it."""


def checker_from_string(description: str) -> Any:
    """
    A checker from C{TYPE[:ARGUMENT]}: one of mvmtr's own, or of any plugin of Twisted's.

    @raise BadChecker: when there is no such type, or it can't use its argument.
    """
    kind, _colon, argument = description.partition(":")
    try:
        checker = _made(kind, argument)
    except BadChecker:
        raise
    except Exception as error:
        # The argument may be a password, and the exception may quote it.
        why = str(error) if kind in _OURS else type(error).__name__
        raise BadChecker(f"{kind}: {why}") from None
    if not set(checker.credentialInterfaces) & set(INTERFACES):
        raise BadChecker(f"{kind}: does not check passwords")
    return checker


def _made(kind: str, argument: str) -> Any:
    if kind in _OURS:
        # Without a look at all plugins, which takes time.
        return _OURS[kind](argument)
    from twisted.cred.strcred import InvalidAuthType, findCheckerFactory

    try:
        factory = findCheckerFactory(kind)
    except InvalidAuthType:
        raise BadChecker(f"there is no password check {kind!r}") from None
    checker = factory.generateChecker(argument)
    if isinstance(checker, FilePasswordDB):
        # twistd changes its folder.
        checker.filename = os.path.abspath(checker.filename)
    elif isinstance(checker, InMemoryUsernamePasswordDatabaseDontUse):
        # They are text, and what comes over the wire is not.
        words: Any = checker.users
        checker.users = {os.fsencode(user): os.fsencode(word) for user, word in words.items()}
    return checker


def types() -> Iterator[str]:
    """The types of checkers that there are, and what each wants behind its colon."""
    from twisted.cred.strcred import findCheckerFactories

    for factory in findCheckerFactories():
        if set(factory.credentialInterfaces) & set(INTERFACES):
            yield f"{factory.authType:14} {factory.argStringFormat}"


def _check_password(argument: str) -> Any:
    from mvmtr.auth.checkpassword import CheckPassword

    return CheckPassword(argument)


def _scram(argument: str) -> Any:
    from mvmtr.auth.scram import ScramFile

    return ScramFile(argument)


_OURS = {"checkpassword": _check_password, "scram": _scram}
