# -*- test-case-name: mvmtr.test.test_require_tls -*-
"""Mail only under TLS."""

from __future__ import annotations

from zope.interface import implementer

from mvmtr.interfaces import ICheck
from mvmtr.session import Reject, Session, Stage, Verdict

TLS_FIRST = Reject(530, "5.7.0 must issue a STARTTLS command first (#5.7.0)")


@implementer(ICheck)
class RequireTls:
    """Refuses MAIL in a session without TLS (RFC 3207, section 4)."""

    name = "require_tls"
    stages = frozenset({Stage.MAIL})

    def check(self, session: Session, stage: Stage, argument: bytes) -> Verdict | None:
        """See L{ICheck}."""
        return None if session.encryption is not None else TLS_FIRST
