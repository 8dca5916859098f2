# -*- test-case-name: mvmtr.test.test_require -*-
"""Clients must give their name before they send mail."""

from __future__ import annotations

from zope.interface import implementer

from mvmtr.interfaces import ICheck
from mvmtr.session import Reject, Session, Stage, Verdict

HELO_FIRST = Reject(503, "5.5.1 HELO or EHLO with your name first (#5.5.1)")


@implementer(ICheck)
class RequireHelo:
    """Refuses MAIL of clients that gave no name (C{smtp_server_require_helo})."""

    name = "require_helo"
    stages = frozenset({Stage.MAIL})

    def check(self, session: Session, stage: Stage, argument: bytes) -> Verdict | None:
        """See L{ICheck}."""
        return None if session.helo else HELO_FIRST
