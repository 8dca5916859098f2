# -*- test-case-name: mvmtr.test.test_badmailfrom -*-
"""badmailfrom: senders that are not accepted (qmail-smtpd.8)."""

from __future__ import annotations

import os

from zope.interface import implementer

from mvmtr.compat.controlfile import entries, read_lines
from mvmtr.interfaces import ICheck
from mvmtr.session import Reject, Session, Stage, Verdict


@implementer(ICheck)
class BadMailFrom:
    """
    Refuses listed addresses and C{@domains}. It decides at MAIL and is heard at RCPT.

    @param path: the file badmailfrom.
    @param senders: its entries and their lines.
    """

    name = "badmailfrom"
    stages = frozenset({Stage.MAIL})

    def __init__(self, path: str, senders: dict[bytes, int]) -> None:
        self.path = path
        self.senders = senders

    def check(self, session: Session, stage: Stage, argument: bytes) -> Verdict | None:
        """See L{ICheck}."""
        sender = argument.lower()
        _local, at, domain = sender.rpartition(b"@")
        for entry in (sender, at + domain) if at else (sender,):
            if entry in self.senders:
                return Reject(
                    553,
                    "5.7.1 sorry, your envelope sender is in my badmailfrom list (#5.7.1)",
                    reason=f"{self.path}:{self.senders[entry]}",
                    at_rcpt=True,
                )
        return None


def read_badmailfrom(directory: str) -> BadMailFrom | None:
    """
    The check for a control folder, or C{None} when the file is not there.

    @raise ControlError: when it is there and can't be read.
    """
    path = os.path.join(directory, "badmailfrom")
    lines = read_lines(path)
    return None if lines is None else BadMailFrom(path, entries(lines))
