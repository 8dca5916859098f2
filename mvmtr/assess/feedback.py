# -*- test-case-name: mvmtr.test.test_assess_feedback -*-
"""Tells the assessor what clients did."""

from __future__ import annotations

from weakref import WeakKeyDictionary, WeakSet

from mvmtr.assess.attributes import feedback_about
from mvmtr.assess.link import Link, NoAnswer
from mvmtr.assess.names import ConfirmedNames
from mvmtr.assess.question import COUNT_MAX, Event
from mvmtr.assess.wire import Attributes
from mvmtr.session import Accept, Reject, Session, Verdict

PENDING_MAX = 100
"""Different things of one session that wait to be told; of further ones nothing is."""

_NO_SUCH_RECIPIENT = frozenset({"validrcptto", "users", "rcptcheck"})
_NO_RELAY = frozenset({"rcpthosts", "rcpt_domains", "relay", "default"})
_NOT_THE_CONTENT = frozenset({"size", "hops", "storage"})
_COMMANDS = frozenset({"command", "line", "helo", "mail", "rcpt", "data", "bdat"})
_OUT_OF_ORDER = 503


def event_of(command: str, verdict: Verdict) -> Event | None:
    """
    What a refused command says about the client; C{None} when that is nothing. Pure.
    """
    if not isinstance(verdict, Reject):
        return None
    if command == "connect":
        return Event.EARLY_TALKER if verdict.check == "greet_delay" else None
    if command == "auth":
        return Event.AUTH_FAILED if verdict.code == 535 else None
    if command == "rcpt" and verdict.check in _NO_SUCH_RECIPIENT:
        return Event.UNKNOWN_RECIPIENT
    if command == "rcpt" and verdict.check in _NO_RELAY:
        return Event.RELAY_DENIED
    # Who sends RCPT and DATA in one go means no harm when all recipients were refused.
    if command in _COMMANDS and not verdict.check and verdict.code != _OUT_OF_ORDER:
        return Event.PROTOCOL_ERROR
    return None


def event_of_message(verdict: Verdict, assessor: str) -> Event | None:
    """
    What became of a message, as far as that says something about the client. Pure.

    @param assessor: the name of the check that asks for hints; to tell of what that has
        said would be an echo.
    """
    if isinstance(verdict, Accept):
        return Event.GOOD_MAIL
    if not isinstance(verdict, Reject) or verdict.check == assessor:
        return None
    return None if verdict.check in _NOT_THE_CONTENT else Event.REJECTED_CONTENT


Pending = dict[tuple[bytes, ...], tuple[Attributes, int]]


class Feedback:
    """
    Follows sessions; see L{Follower<mvmtr.protocol.journal.Follower>}.

    For each session one thing at a time is told, and what happens meanwhile is added up. No
    session waits for that.

    @param link: the way to the assessor.
    @param names: knows which names are confirmed.
    @param assessor: see L{event_of_message}.
    """

    def __init__(self, link: Link, names: ConfirmedNames, assessor: str) -> None:
        self._link = link
        self._names = names
        self._assessor = assessor
        self._pending: WeakKeyDictionary[Session, Pending] = WeakKeyDictionary()
        self._telling: WeakSet[Session] = WeakSet()

    def refused(
        self, session: Session, command: str, argument: bytes | None, verdict: Verdict
    ) -> None:
        """See L{Follower<mvmtr.protocol.journal.Follower>}."""
        event = event_of(command, verdict)
        if event is not None:
            recipient = argument if command == "rcpt" else None
            self.note(session, event, recipient or b"")

    def message(self, session: Session, verdict: Verdict) -> None:
        """See L{Follower<mvmtr.protocol.journal.Follower>}."""
        event = event_of_message(verdict, self._assessor)
        if event is not None:
            self.note(session, event)

    def note(self, session: Session, event: Event, recipient: bytes = b"") -> None:
        """
        A client did something; see that it is told. Servers other than mvmcas would not
        understand.
        """
        if not self._link.is_mvmcas or session.connection.remote_ip is None:
            return
        attributes = feedback_about(session, event, recipient, self._names.known(session))
        # Where only the recipient differs, the same was done several times.
        key = tuple(value for name, value in attributes.items() if name != b"recipient")
        pending = self._pending.setdefault(session, {})
        if key in pending:
            first, count = pending[key]
            pending[key] = (first, min(COUNT_MAX, count + 1))
        elif len(pending) < PENDING_MAX:
            pending[key] = (attributes, 1)
        if session not in self._telling:
            self._telling.add(session)
            self._link.in_background(self._tell(session, pending))

    async def _tell(self, session: Session, pending: Pending) -> None:
        try:
            while pending:
                attributes, count = pending.pop(next(iter(pending)))
                attributes[b"mvmcas_count"] = b"%d" % count
                await self._link.tell(attributes, session.settings.smtp_server_assess_timeout)
        except NoAnswer:
            # The log knows. What comes later may be heard again.
            pending.clear()
        finally:
            self._telling.discard(session)
