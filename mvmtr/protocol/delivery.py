# -*- test-case-name: mvmtr.test.test_delivery -*-
"""
The realm: who logs in gets a delivery, which asks the policy about envelopes and gives
messages to the queue.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from twisted.cred.checkers import ANONYMOUS, AllowAnonymousAccess
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.mail.interfaces import IMessageDelivery, IMessageSMTP
from twisted.python.failure import Failure
from zope.interface import implementer

from mvmtr.configuration import Configuration
from mvmtr.policy import is_deferred, then
from mvmtr.protocol.load import Load
from mvmtr.protocol.received import received_field
from mvmtr.protocol.reply import LOCAL_ERROR, LOOPING, NO_STORAGE, NOT_ALLOWED, TOO_LARGE
from mvmtr.protocol.spool import Spool
from mvmtr.protocol.stock import SMTPServerError
from mvmtr.session import (
    Accept,
    Defer,
    Discard,
    Reject,
    Session,
    Stage,
    Transaction,
    Verdict,
    process_id,
    taken,
)

log = Logger()


class Refused(SMTPServerError):
    """
    A sender or a recipient is not accepted.

    @ivar verdict: why.
    """

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.code, verdict.text)
        self.verdict = verdict


@implementer(IMessageDelivery)
class Delivery:
    """
    What a client may do in a session.

    Addresses are bytes here, as they came over the wire with their quotes off: those of
    C{twisted.mail.smtp} refuse much that qmail takes.

    @ivar user: whose it is; C{None} for those who have not said who they are.
    """

    def __init__(
        self, session: Session, configuration: Configuration, user: bytes | None = None
    ) -> None:
        self.user = user
        self._session = session
        self._configuration = configuration
        self._message: IncomingMessage | None = None

    def validateFrom(self, helo: Any, origin: bytes) -> Any:
        """
        Ask the policy about the sender of the session's transaction.

        @return: the sender, at once or as a Deferred.
        @raise Refused: when it may not send; the Deferred fails with the same.
        """
        transaction = _transaction_of(self._session)
        self._message = IncomingMessage(self._session, self._configuration)

        def decided(verdict: Verdict | None) -> bytes:
            if isinstance(verdict, Reject) and verdict.at_rcpt:
                transaction.held = verdict
            elif isinstance(verdict, (Reject, Defer)):
                raise Refused(verdict)
            elif isinstance(verdict, Discard):
                transaction.discard = verdict
            return origin

        policy = self._configuration.policy
        return then(policy.decide(self._session, Stage.MAIL, origin), decided)

    def validateTo(
        self, user: bytes, parameters: Mapping[bytes, bytes | None] = MappingProxyType({})
    ) -> Any:
        """
        Ask the policy about a recipient. Without a yes the answer is no.

        @param parameters: the ESMTP parameters of RCPT.

        @return: something to call for the message, the same for all recipients; or a
            Deferred of that.
        @raise Refused: when it is not accepted; the Deferred fails with the same.
        """
        transaction = _transaction_of(self._session)
        if transaction.held is not None:
            raise Refused(transaction.held)

        def decided(verdict: Verdict | None) -> Any:
            if isinstance(verdict, Accept):
                transaction.recipients.append(user)
                transaction.recipient_parameters.append(parameters)
            elif isinstance(verdict, Discard):
                transaction.discarded.append(user)
            else:
                raise Refused(verdict or NOT_ALLOWED.by("default"))
            return lambda: self._message

        return then(self._configuration.policy.decide(self._session, Stage.RCPT, user), decided)

    def receivedHeader(self, helo: Any, origin: Any, recipients: Any) -> bytes:
        """The Received field of the message that comes now."""
        return received_field(self._session, time.time())


@implementer(IMessageSMTP)
class IncomingMessage:
    """
    The one message of a transaction, for all its recipients.

    Up to the body cache it is held in memory, then in a file without a name. It is whole
    before anybody is asked to take it.

    @ivar hops: how often it was received before, as far as it has come.
    """

    def __init__(self, session: Session, configuration: Configuration) -> None:
        self.hops = 0
        self._session = session
        self._configuration = configuration
        self._transaction = _transaction_of(session)
        self._failure: Verdict | None = None

    def begin(self, header: bytes, load: Load) -> None:
        """Put a header in front, and expect the text."""
        prepended = self._transaction.prepended
        self._transaction.header = b"".join(field + b"\n" for field in prepended) + header
        self._transaction.body = Spool(load, self._session.settings)

    def write(self, text: bytes) -> None:
        """Append decoded text, unless the message is too large already."""
        transaction = self._transaction
        limit = self._session.settings.smtp_server_msgsize_max
        transaction.size += len(text)
        if self._failure is not None:
            return
        if limit and transaction.size > limit:
            self._fail(TOO_LARGE)
            return
        try:
            assert transaction.body is not None
            transaction.body.write(text)
        except OSError as error:
            log.error("unable to hold a message: {error}", error=error)
            self._fail(NO_STORAGE)

    @property
    def refusal(self) -> Verdict | None:
        """Why the message can't be taken, as far as it has come; C{None} if it can."""
        if self.hops >= self._session.settings.smtp_server_hops_max:
            return LOOPING.by("hops")
        if self._failure is not None:
            return self._failure.by("size" if self._failure is TOO_LARGE else "storage")
        return None

    def _fail(self, verdict: Verdict) -> None:
        self._failure = verdict
        self.connectionLost()

    def lineReceived(self, line: bytes) -> None:
        """Append one line; for protocols that work by lines."""
        self.write(line + b"\n")

    def eomReceived(self) -> Deferred[Verdict] | Verdict:
        """
        The message is complete: ask the policy, then the queue.

        @return: what to tell the client, at once or as a Deferred that does not fail.
        """
        self._rewind()
        refusal = self.refusal
        if refusal is not None:
            return refusal
        policy = self._configuration.policy
        answer: Deferred[Verdict] | Verdict = then(
            policy.decide(self._session, Stage.MESSAGE), self._decided
        )
        return answer

    def _rewind(self) -> None:
        """Go to the beginning of the text; what waited in a buffer is written now."""
        if self._failure is not None:
            return
        assert self._transaction.body is not None
        try:
            self._transaction.body.seek(0)
        except OSError as error:
            log.error("unable to hold a message: {error}", error=error)
            self._fail(NO_STORAGE)

    def _decided(self, verdict: Verdict | None) -> Deferred[Verdict] | Verdict:
        transaction = self._transaction
        if isinstance(verdict, (Reject, Defer)):
            return verdict
        if isinstance(verdict, Discard):
            transaction.discard = verdict
        if transaction.discard is None and not transaction.recipients:
            transaction.discard = Discard(reason="every recipient was discarded", check="rcpt")
        if transaction.discard is not None:
            return replace(transaction.discard, text=taken(process_id()))
        assert transaction.body is not None
        try:
            transaction.body.seek(0)
            put: Any = self._configuration.queue.put(self._session)
            if not is_deferred(put):
                put = Deferred.fromCoroutine(_awaited(put))
            answer: Any = then(put, self._queued)
        except Exception:
            return self._queue_failed(Failure())
        if is_deferred(answer):
            answer.addErrback(self._queue_failed)
        told: Deferred[Verdict] | Verdict = answer
        return told

    def _queued(self, verdict: object) -> Verdict:
        if not isinstance(verdict, Verdict):
            raise TypeError(f"a queue answers a Verdict, not {verdict!r}")
        return verdict.by(self._configuration.queue.name)

    def _queue_failed(self, failure: Failure) -> Verdict:
        queue = self._configuration.queue.name
        log.failure("queue {queue} failed", failure, queue=queue)
        return LOCAL_ERROR.by(queue)

    def connectionLost(self) -> None:
        """Nothing will come of this message: let go of what is held."""
        if self._transaction.body is not None:
            try:
                self._transaction.body.close()
            except OSError as error:
                # On a full disk closing fails as well, for it tries to write once more.
                log.debug("unable to close a message: {error}", error=error)


async def _awaited(answer: Any) -> Any:
    return await answer


def _transaction_of(session: Session) -> Transaction:
    assert session.transaction is not None
    return session.transaction


def _log_out() -> None:
    """There is nothing to do."""


@implementer(IRealm)
class Realm:
    """
    Gives a L{Delivery} to whoever logs in.

    The I{mind} of a login is the pair of session and configuration that it is for.
    """

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
        """See L{IRealm}."""
        if IMessageDelivery not in interfaces:
            raise NotImplementedError("there are only IMessageDelivery avatars here")
        session, configuration = mind
        user = None if avatarId is ANONYMOUS else avatarId
        return IMessageDelivery, Delivery(session, configuration, user), _log_out


def anonymous_portal() -> Portal:
    """Lets everybody in, under no name."""
    return Portal(Realm(), [AllowAnonymousAccess()])
