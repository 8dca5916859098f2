# -*- test-case-name: mvmtr.test.test_require -*-
"""Names must be full domain names: C{mail.example.org}, and not C{mail}."""

from __future__ import annotations

from collections.abc import Iterable

from zope.interface import implementer

from mvmtr.addresses import domain_of
from mvmtr.domains import is_full, is_literal
from mvmtr.interfaces import ICheck
from mvmtr.session import Reject, Session, Stage, Verdict

HELO = Reject(550, "5.7.1 the name that you gave with HELO is no full domain name (#5.7.1)")
SENDER = Reject(553, "5.1.8 the sender has no full domain name (#5.1.8)", at_rcpt=True)
RECIPIENT = Reject(553, "5.1.2 the recipient has no full domain name (#5.1.2)")


@implementer(ICheck)
class RequireFqdn:
    """
    Refuses names that are not full (C{smtp_server_require_fqdn}). An IP address in brackets
    will do. A name given with HELO is refused at MAIL: by then it is known whether the
    client may relay, and those who may are left alone.

    @param names: what is looked at: C{helo}, C{sender}, C{recipient}.
    """

    name = "require_fqdn"

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        at_mail = {Stage.MAIL} if self._names & {"helo", "sender"} else set()
        at_rcpt = {Stage.RCPT} if "recipient" in self._names else set()
        self.stages = frozenset(at_mail | at_rcpt)

    def check(self, session: Session, stage: Stage, argument: bytes) -> Verdict | None:
        """See L{ICheck}."""
        if session.relay or session.user is not None:
            return None
        if stage is Stage.RCPT:
            # RFC 5321, section 4.5.1.
            good = argument.lower() == b"postmaster" or _is_good(domain_of(argument))
            return None if good else RECIPIENT
        if "helo" in self._names and session.helo and not _is_good(session.helo):
            return HELO
        if "sender" in self._names and argument and not _is_good(domain_of(argument)):
            return SENDER
        return None


def _is_good(domain: bytes | None) -> bool:
    return domain is not None and (is_full(domain) or is_literal(domain))
