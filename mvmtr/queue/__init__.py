"""
Where accepted mail goes. Each queue provides L{IQueue<mvmtr.interfaces.IQueue>}.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from twisted.internet.interfaces import IReactorFDSet

from mvmtr.interfaces import IQueue


class QueueError(ValueError):
    """A description of a queue that can't be understood or used."""


def _qmail(rest: str, home: str, reactor: IReactorFDSet) -> IQueue:
    from mvmtr.queue.qmail import QmailQueue

    return QmailQueue(rest or os.path.join(home, "bin", "qmail-queue"), home, reactor)


def _maildir(rest: str, home: str, reactor: IReactorFDSet) -> IQueue:
    from mvmtr.queue.maildir import Maildir

    if not rest:
        raise QueueError("maildir: wants a folder, as in maildir:/var/mail/in")
    try:
        return Maildir(os.path.abspath(rest))
    except OSError as error:
        raise QueueError(f"maildir:{rest}: {error.strerror}") from error


def _discard(rest: str, home: str, reactor: IReactorFDSet) -> IQueue:
    from mvmtr.queue.discard import DiscardQueue

    if rest:
        raise QueueError("discard: wants nothing behind it")
    return DiscardQueue()


_KINDS: dict[str, Callable[[str, str, IReactorFDSet], IQueue]] = {
    "qmail": _qmail,
    "maildir": _maildir,
    "discard": _discard,
}


def queue_from_string(description: str, home: str, reactor: IReactorFDSet) -> IQueue:
    """
    Make a queue.

    @param description: C{qmail}, C{qmail:/path/to/program}, C{maildir:/path} or
        C{discard:}.
    @param home: the qmail home, in which a qmail-queue program runs.
    @raise QueueError: when the description is none of these, or the folder can't be used.
    """
    kind, _colon, rest = description.partition(":")
    if kind not in _KINDS:
        known = ", ".join(sorted(_KINDS))
        raise QueueError(f"{description!r} is no queue; there are {known}")
    return _KINDS[kind](rest, home, reactor)
