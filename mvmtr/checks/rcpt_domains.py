# -*- test-case-name: mvmtr.test.test_checks -*-
"""Domains that mail is taken for by mvmtr's own setting, with or without rcpthosts."""

from __future__ import annotations

from collections.abc import Iterable

from zope.interface import implementer

from mvmtr.addresses import domain_of, entries_for
from mvmtr.interfaces import ICheck
from mvmtr.session import YES, Session, Stage, Verdict


@implementer(ICheck)
class RcptDomains:
    """
    Says yes to recipients in the domains of C{smtp_server_rcpt_domains}, and has no
    opinion about others.
    """

    name = "rcpt_domains"
    stages = frozenset({Stage.RCPT})

    def __init__(self, domains: Iterable[bytes]) -> None:
        self._domains = frozenset(domain.lower() for domain in domains)

    def check(self, session: Session, stage: Stage, argument: bytes) -> Verdict | None:
        """See L{ICheck}."""
        if not self._domains:
            return None
        for entry in entries_for(domain_of(argument) or b""):
            if entry in self._domains:
                name = entry.decode("utf-8", "replace")
                return YES.because(f"smtp_server_rcpt_domains has {name}")
        return None
