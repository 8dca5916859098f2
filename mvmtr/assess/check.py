# -*- test-case-name: mvmtr.test.test_assess_check -*-
"""Asks for a hint at each stage of a session, and follows it."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from mvmtr.assess.client import PolicyClient, Unavailable
from mvmtr.assess.hint import BadAction, Hint, hint_of
from mvmtr.assess.question import State, feedback_of, question_of
from mvmtr.assess.service import Assessment
from mvmtr.assess.stores import StoreError
from mvmtr.assess.wire import Attributes
from mvmtr.interfaces import ICheck
from mvmtr.policy import Policy
from mvmtr.session import Accept, Defer, Discard, Reject, Session, Stage, Verdict
from mvmtr.values import SettingError

log = Logger()

STATES = {
    Stage.CONNECT: State.CONNECT,
    Stage.HELO: State.HELO,
    Stage.MAIL: State.MAIL,
    Stage.RCPT: State.RCPT,
    Stage.DATA: State.DATA,
    Stage.MESSAGE: State.MESSAGE,
}

AWAY = Defer(451, "4.3.5 the assessment server does not answer, try again later")
TOO_EARLY = Reject(554, "5.5.1 you spoke before the greeting")


class Assessor(Protocol):
    """Whoever knows hints: a server, or an engine in this process."""

    name: str

    async def hint(self, attributes: Attributes) -> Hint:
        """Raises L{Unavailable}, L{StoreError} or L{BadAction} when there is none."""

    async def tell(self, attributes: Attributes) -> None:
        """Feedback; the same errors."""


class RemoteAssessor:
    """A policy server."""

    def __init__(self, client: PolicyClient) -> None:
        self.name = client.name
        self._client = client

    async def hint(self, attributes: Attributes) -> Hint:
        """See L{Assessor}."""
        return hint_of(await self._client.ask(attributes))

    async def tell(self, attributes: Attributes) -> None:
        """See L{Assessor}."""
        await self._client.ask(attributes)


class LocalAssessor:
    """An engine in this process."""

    def __init__(self, assessment: Assessment) -> None:
        self.name = f"local, {assessment.store.name}"
        self._assessment = assessment

    async def hint(self, attributes: Attributes) -> Hint:
        """See L{Assessor}."""
        return await self._assessment.ask(question_of(attributes))

    async def tell(self, attributes: Attributes) -> None:
        """See L{Assessor}."""
        await self._assessment.tell(feedback_of(attributes))


def attributes_of(session: Session, stage: Stage, argument: bytes) -> Attributes:
    """
    A question as Postfix would ask it (SMTPD_POLICY_README), and what mvmcas wants
    besides.
    """
    connection, transaction = session.connection, session.transaction
    name = connection.remote_host or b"unknown"
    attributes = {
        b"request": b"smtpd_access_policy",
        b"protocol_state": STATES[stage].encode(),
        b"protocol_name": b"ESMTP" if session.esmtp else b"SMTP",
        b"client_address": connection.remote_ip or b"unknown",
        b"client_name": name,
        b"reverse_client_name": name,
        b"helo_name": argument if stage is Stage.HELO else session.helo or b"",
        b"sender": argument if stage is Stage.MAIL else b"",
        b"recipient": argument if stage is Stage.RCPT else b"",
        b"instance": session.id.encode(),
        b"sasl_username": session.user or b"",
        b"server_address": connection.local_ip or b"unknown",
        b"mvmcas_version": b"1",
        b"mvmcas_relay": b"yes" if session.relay else b"no",
    }
    if transaction is not None:
        attributes[b"sender"] = transaction.reverse_path
        size = transaction.size or transaction.parameters.get(b"SIZE") or 0
        attributes[b"size"] = size if isinstance(size, bytes) else b"%d" % size
        if stage in (Stage.DATA, Stage.MESSAGE):
            attributes[b"recipient_count"] = b"%d" % len(transaction.recipients)
    if session.encryption is not None:
        attributes[b"encryption_protocol"] = session.encryption.protocol.encode()
        attributes[b"encryption_cipher"] = session.encryption.cipher.encode()
    return attributes


@implementer(ICheck)
class Assess:
    """
    The check.

    @param required: whether a client is put off while there is no answer.
    @ivar rest: the checks that come after this one; set when they are known.
    @ivar unanswered: how many questions had no answer.
    """

    name = "mvmcas"
    stages = frozenset(STATES)
    rest: Policy

    def __init__(self, assessor: Assessor, reactor: Any, required: bool) -> None:
        self.unanswered = 0
        self._assessor = assessor
        self._reactor = reactor
        self._required = required

    async def check(self, session: Session, stage: Stage, argument: bytes) -> Verdict | None:
        """See L{ICheck}."""
        try:
            hint = await self._assessor.hint(attributes_of(session, stage, argument))
        except (Unavailable, StoreError, BadAction) as error:
            return self._no_answer(error)
        if hint.parameters:
            verdict = await self._follow_parameters(session, stage, hint)
            if verdict is not None:
                return verdict
        return await self._follow(session, stage, argument, hint)

    def _no_answer(self, error: Exception) -> Verdict | None:
        self.unanswered += 1
        log.error(
            "no hint from {name} ({number} so far): {error}",
            name=self._assessor.name,
            number=self.unanswered,
            error=error,
        )
        return AWAY.because(str(error)) if self._required else None

    async def _follow_parameters(
        self, session: Session, stage: Stage, hint: Hint
    ) -> Verdict | None:
        parameters = hint.parameters
        if parameters.get("relay") == "yes" and not session.relay:
            session.relay = hint.reason or "mvmcas says so"
        changed = {
            f"smtp_server_{name}": parameters[name]
            for name in ("timeout", "msgsize_max")
            if name in parameters
        }
        try:
            values = {name: session.settings.parse(name, text) for name, text in changed.items()}
            session.settings = session.settings.with_(values, dict.fromkeys(values, self.name))
        except SettingError as error:
            log.error("a hint from {name}: {error}", name=self._assessor.name, error=error)
        await self._wait(parameters.get("tarpit"))
        if stage is Stage.CONNECT and "greet_delay" in parameters:
            await self._wait(parameters["greet_delay"])
            if session.has_spoken():
                return TOO_EARLY.because(hint.reason)
        return None

    async def _wait(self, seconds: str | None) -> None:
        longest = 60
        if seconds is not None and seconds.isdigit():
            await deferLater(self._reactor, min(int(seconds), longest))

    async def _follow(
        self, session: Session, stage: Stage, argument: bytes, hint: Hint
    ) -> Verdict | None:
        reason = hint.reason
        if hint.action == "ok":
            return Accept(reason=reason)
        if hint.action == "reject":
            return Reject(hint.code, hint.text or "5.7.1 refused", reason)
        if hint.action == "defer":
            return Defer(hint.code, hint.text or "4.7.1 try again later", reason)
        if hint.action == "discard":
            return Discard(reason=reason)
        if hint.action in ("defer_if_permit", "defer_if_reject"):
            verdict = await _now(self.rest.decide(session, stage, argument))
            kind = Accept if hint.action == "defer_if_permit" else Reject
            if isinstance(verdict, kind):
                return Defer(hint.code, hint.text or "4.7.1 try again later", reason)
            return verdict
        if hint.action == "prepend" and session.transaction is not None:
            session.transaction.prepend(hint.text.encode("utf-8", "replace") + b"\n")
        if hint.action == "warn":
            log.warn("{session}: {text}", session=session.id, text=hint.text)
        return None


async def _now(answer: Any) -> Verdict | None:
    return await answer if isinstance(answer, Deferred) else answer
