"""The seams: what a check and what a queue must provide."""

from __future__ import annotations

from collections.abc import Awaitable

from zope.interface import Attribute, Interface

from mvmtr.session import Session, Stage, Verdict


class ICheck(Interface):
    """
    Something that decides.

    Checks stand in a list, and the first verdict wins. A check must never block: one
    that has to wait returns a Deferred, or is an C{async def}.
    """

    name: str = Attribute("A short name, as it stands in the log: C{rcpthosts}.")
    stages: frozenset[Stage] = Attribute("The stages at which it wants to be asked.")

    def check(
        session: Session, stage: Stage, argument: bytes
    ) -> Verdict | Awaitable[Verdict | None] | None:
        """
        Look at a session and decide, or leave it to the checks that come after.

        @param argument: what the client gave at this stage: the name at HELO, the user
            at AUTH, the sender at MAIL, the recipient at RCPT; otherwise empty.
        @return: a verdict; or C{None} for "not mine to say"; or a Deferred of either.
            A check that raises, fails or takes too long counts as
            L{Defer<mvmtr.session.Defer>}, never as a yes.
        """


class IQueue(Interface):
    """
    Something that takes responsibility for a message.

    It may have an attribute C{carries}, a C{frozenset} of what it can carry besides plain
    messages; what it does not name is not offered to clients:

      - C{"SMTPUTF8"}: addresses and header fields in UTF-8 (RFC 6531).
      - C{"BINARYMIME"}: bodies that are not lines (RFC 3030).
      - C{"DSN"}: C{RET} and C{ENVID} in C{transaction.parameters}, C{NOTIFY} and C{ORCPT}
        in C{transaction.recipient_parameters} (RFC 3461).

    It may have an attribute C{folder}, where it keeps messages, or C{None}: while there is too
    little room, the server refuses senders.
    """

    name: str = Attribute("What it is, for the log: C{maildir:/var/mail/in}.")

    def put(session: Session) -> Awaitable[Verdict]:
        """
        Take the message of C{session.transaction}: header and body, for all recipients.

        @return: a Deferred of L{Accept<mvmtr.session.Accept>}, once the message is safe
            against a crash and not before, or of a refusal. The text of the verdict goes
            to the client.
        """


def carried_by(queue: IQueue) -> frozenset[str]:
    """What a queue says that it can carry besides plain messages."""
    carries: frozenset[str] = getattr(queue, "carries", frozenset())
    return carries
