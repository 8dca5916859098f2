# -*- test-case-name: mvmtr.test.test_rcpthosts -*-
"""rcpthosts and morercpthosts.cdb: the domains that mail is taken for (qmail-smtpd.8)."""

from __future__ import annotations

import os

from zope.interface import implementer

from mvmtr.addresses import domain_of, entries_for
from mvmtr.compat.cdb import Cdb, open_if_there
from mvmtr.compat.controlfile import ControlError, entries, read_lines
from mvmtr.interfaces import ICheck
from mvmtr.session import YES, Defer, Reject, Session, Stage, Verdict


@implementer(ICheck)
class RcptHosts:
    """
    The last word about recipients: accepted or not, never undecided.

    @param path: the file rcpthosts.
    @param hosts: its entries and their lines; C{None} when there is no such file, and then
        every recipient is accepted, as by qmail-smtpd.
    @param more: morercpthosts.cdb.
    """

    name = "rcpthosts"
    stages = frozenset({Stage.RCPT})

    def __init__(self, path: str, hosts: dict[bytes, int] | None, more: Cdb | None = None) -> None:
        self.path = path
        self.hosts = hosts
        self.more = more

    def check(self, session: Session, stage: Stage, argument: bytes) -> Verdict:
        """See L{ICheck}."""
        if self.hosts is None:
            return YES.because(f"{self.path} does not exist")
        domain = domain_of(argument)
        if domain is None:
            return YES.because("the recipient has no @")
        for entry in entries_for(domain):
            if entry in self.hosts:
                return YES.because(f"{self.path}:{self.hosts[entry]}")
        if self.more is not None:
            try:
                for entry in entries_for(domain):
                    if self.more.get(entry) is not None:
                        return YES.because(self.more.path)
            except ControlError as error:
                return Defer(421, "4.3.0 unable to read controls (#4.3.0)", reason=str(error))
        return Reject(
            553,
            "5.7.1 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
            reason=f"not in {self.path}",
        )


def read_rcpthosts(directory: str) -> RcptHosts:
    """
    The check for a control folder.

    @raise ControlError: when a file is there and can't be read.
    """
    path = os.path.join(directory, "rcpthosts")
    lines = read_lines(path)
    more = os.path.join(directory, "morercpthosts.cdb")
    if lines is None:
        return RcptHosts(path, None)
    return RcptHosts(path, entries(lines), open_if_there(more))
