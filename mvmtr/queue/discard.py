"""A queue that takes everything and keeps nothing, for tests and benchmarks."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from zope.interface import implementer

from mvmtr.interfaces import IQueue
from mvmtr.session import Accept, Session, Verdict, process_id, taken

log = Logger()


@implementer(IQueue)
class DiscardQueue:
    """Throws mail away, and says so when it is made."""

    name = "discard:"
    carries = frozenset({"SMTPUTF8", "BINARYMIME"})

    def __init__(self) -> None:
        log.warn("the queue is discard: ALL MAIL IS THROWN AWAY after it has been accepted")

    def put(self, session: Session) -> Deferred[Verdict]:
        """Forget the message."""
        return succeed(Accept(text=taken(process_id())))
