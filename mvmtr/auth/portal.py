# -*- test-case-name: mvmtr.test.test_auth_options -*-
"""Portals of C{twisted.cred}, through which clients come in with a name or without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IAnonymous
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from mvmtr.protocol.delivery import Realm, anonymous_portal


@implementer(ICredentialsChecker)
class _Taken:
    """Takes everybody for one user."""

    credentialInterfaces = (IAnonymous,)

    def __init__(self, user: bytes) -> None:
        self._user = user

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """See L{ICredentialsChecker}."""
        return succeed(self._user)


def portal_for(checkers: Sequence[Any], user: bytes | None = None) -> Portal:
    """
    Lets everybody in under no name, and users under theirs.

    @param checkers: of passwords.
    @param user: who everybody is taken for, with no question asked.
    """
    portal = anonymous_portal() if user is None else Portal(Realm(), [_Taken(user)])
    if checkers:
        from mvmtr.auth.chain import Chain

        portal.registerChecker(Chain(checkers))
    return portal
