# -*- test-case-name: mvmtr.test.test_checks -*-
"""Clients that may relay: all their recipients are accepted."""

from __future__ import annotations

from zope.interface import implementer

from mvmtr.interfaces import ICheck
from mvmtr.session import YES, Session, Stage, Verdict


@implementer(ICheck)
class Relay:
    """
    Says yes to recipients of a session that has a reason to relay, such as RELAYCLIENT
    (compatibility document, RELAYCLIENT), and has no opinion about others.
    """

    name = "relay"
    stages = frozenset({Stage.RCPT})

    def check(self, session: Session, stage: Stage, argument: bytes) -> Verdict | None:
        """See L{ICheck}."""
        return YES.because(session.relay) if session.relay else None
