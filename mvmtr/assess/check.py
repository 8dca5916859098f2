# -*- test-case-name: mvmtr.test.test_assess_check -*-
"""Asks for a hint at each stage of a session, and follows it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from mvmtr.assess.attributes import STATES, question_about
from mvmtr.assess.hint import DUNNO, Hint
from mvmtr.assess.link import Link, NoAnswer
from mvmtr.assess.names import ConfirmedNames
from mvmtr.assess.question import Event
from mvmtr.interfaces import ICheck
from mvmtr.log import Record
from mvmtr.policy import Answer, Policy
from mvmtr.session import (
    Accept,
    Defer,
    Discard,
    Reject,
    Session,
    Stage,
    Transaction,
    Verdict,
)
from mvmtr.settings import Settings
from mvmtr.values import SettingError

log = Logger()

NAME = "mvmcas"

AWAY = Defer(451, "4.3.5 the assessment server does not answer, try again later")
TOO_EARLY = Reject(554, "5.5.1 you spoke before the greeting (#5.5.1)")

REFUSED = "5.7.1 refused"
PUT_OFF = "4.7.1 try again later"

_EARLIER = (Stage.CONNECT, Stage.HELO, Stage.MAIL)
_IF = ("defer_if_permit", "defer_if_reject")


@implementer(ICheck)
class Assess:
    """
    The check.

    What is to be put off under a condition before RCPT, is put off at RCPT, as Postfix has
    it: only then it is known what becomes of the client otherwise.

    @param link: the way to the assessor.
    @param names: knows which names are confirmed.
    @param rest: the checks that come after this one.
    @param essential: those of them that are asked about a client for which the hint is "ok".
    @param otherwise: what holds for a recipient when no check has a verdict.
    @param early: called with a session whose client did not wait for the greeting.
    """

    name = NAME
    stages = frozenset(STATES)

    def __init__(
        self,
        link: Link,
        names: ConfirmedNames,
        rest: Policy,
        essential: Policy,
        otherwise: Verdict,
        reactor: Any,
        early: Callable[[Session, Event], None],
    ) -> None:
        self._link = link
        self._names = names
        self._rest = rest
        self._essential = essential
        self._otherwise = otherwise
        self._reactor = reactor
        self._early = early
        self._put_off: WeakKeyDictionary[Session, dict[Stage, Hint]] = WeakKeyDictionary()
        self._asked: WeakKeyDictionary[Session, tuple[Stage, bytes, Hint]] = WeakKeyDictionary()
        self._numbers: WeakKeyDictionary[Transaction, int] = WeakKeyDictionary()
        self._counter = itertools.count(1)

    async def check(self, session: Session, stage: Stage, argument: bytes) -> Verdict | None:
        """See L{ICheck}."""
        try:
            hint = await self.hint(session, stage, argument)
        except NoAnswer as error:
            session.remark = f"no answer: {error}"
            required = session.settings.smtp_server_assess_required
            return AWAY.because(session.remark) if required else None
        if hint != DUNNO:
            self._note(session, stage, argument, hint)
        verdict = await self._follow_parameters(session, stage, hint)
        if stage in _EARLIER:
            self._put_off.setdefault(session, {})[stage] = hint
        if verdict is None and not (stage in _EARLIER and hint.action in _IF):
            verdict = await self._follow(session, stage, argument, hint)
        session.remark = hint.reason
        return verdict

    async def about(self, session: Session, stage: Stage, argument: bytes, topic: str) -> str:
        """
        A part of the hint at a stage, for a check before this one. The question is asked
        once, however often this is called, and whether or not this check is asked as well.

        @param topic: C{action}, C{code}, C{text}, C{reason} or the name of a parameter.
        @return: empty where the hint has nothing of that, or there is no hint.
        """
        try:
            hint = await self.hint(session, stage, argument)
        except NoAnswer:
            return ""
        self._asked[session] = stage, argument, hint
        if topic in ("action", "text", "reason"):
            return str(getattr(hint, topic))
        if topic == "code":
            return str(hint.code or "")
        return hint.parameters.get(topic, "")

    async def hint(self, session: Session, stage: Stage, argument: bytes) -> Hint:
        """
        What the assessor says at a stage.

        @raise NoAnswer: when it says nothing.
        """
        *asked, known = self._asked.pop(session, (None, None, DUNNO))
        if asked == [stage, argument]:
            return known
        if not self._is_wanted(session, stage):
            return DUNNO
        name = await self._names.name_of(session)
        instance = session.id.encode()
        if session.transaction is not None:
            if session.transaction not in self._numbers:
                self._numbers[session.transaction] = next(self._counter)
            instance += b".%d" % self._numbers[session.transaction]
        attributes = question_about(session, stage, argument, name, instance)
        hint = await self._link.hint(attributes, self._patience(session))
        # The first answer tells who answers.
        return hint if self._is_wanted(session, stage) else DUNNO

    def _is_wanted(self, session: Session, stage: Stage) -> bool:
        """Servers other than mvmcas expect one question, with a recipient."""
        stages = session.settings.smtp_server_assess_stages
        if stages:
            return str(stage) in stages
        return self._link.is_mvmcas is not False or stage is Stage.RCPT

    def _patience(self, session: Session) -> float:
        """Less than a check may take in all."""
        settings = session.settings
        return min(settings.smtp_server_assess_timeout, settings.smtp_server_check_timeout / 3)

    def _note(self, session: Session, stage: Stage, argument: bytes, hint: Hint) -> None:
        record = Record(
            event="hint",
            session=session.id,
            client=session.connection.remote_ip or b"unknown",
            stage=str(stage),
            argument=argument or None,
            action=hint.action,
            code=hint.code or None,
            reason=hint.reason or None,
            **hint.parameters,
        )
        (log.warn if hint.action == "warn" else log.info)("{record}", record=record)

    # Parameters

    async def _follow_parameters(
        self, session: Session, stage: Stage, hint: Hint
    ) -> Verdict | None:
        parameters = hint.parameters
        if parameters.get("relay") == "yes" and not session.relay:
            session.relay = hint.reason or f"{self.name} says so"
        self._set(session, hint)
        # As much as leaves time for the question, and for the checks after this one.
        longest = session.settings.smtp_server_check_timeout / 3
        if "tarpit" in parameters:
            await deferLater(self._reactor, min(int(parameters["tarpit"]), longest))
        if stage is Stage.CONNECT and "greet_delay" in parameters:
            if session.relay or session.encryption is not None or session.has_spoken() is None:
                return None
            await deferLater(self._reactor, min(int(parameters["greet_delay"]), longest))
            if session.has_spoken():
                self._early(session, Event.EARLY_TALKER)
                return TOO_EARLY.because(hint.reason)
        return None

    def _set(self, session: Session, hint: Hint) -> None:
        for name in ("timeout", "msgsize_max"):
            if name in hint.parameters:
                control = f"smtp_server_{name}"
                try:
                    value = Settings.parse(control, hint.parameters[name])
                except SettingError as error:
                    log.error("a hint from {name}: {error}", name=self._link.name, error=error)
                    continue
                session.settings = session.settings.with_({control: value}, {control: self.name})

    # Actions

    async def _follow(
        self, session: Session, stage: Stage, argument: bytes, hint: Hint
    ) -> Verdict | None:
        reason = hint.reason
        if hint.action == "reject":
            return Reject(hint.code, hint.text or REFUSED, reason)
        if hint.action == "defer":
            return Defer(hint.code, hint.text or PUT_OFF, reason)
        if hint.action == "discard":
            return self._discard(session, Discard(reason=reason, check=self.name))
        if hint.action == "prepend":
            self._prepend(session, hint)
        conditions = self._conditions(session, stage, hint)
        if hint.action != "ok" and not conditions:
            return None
        policy = self._essential if hint.action == "ok" else self._rest
        verdict = await _awaited(policy.decide(session, stage, argument))
        if verdict is None:
            verdict = self._otherwise if stage is Stage.RCPT else Accept(reason=reason)
        for condition in conditions:
            kind = Accept if condition.action == "defer_if_permit" else Reject
            if isinstance(verdict, kind):
                return Defer(condition.code, condition.text or PUT_OFF, condition.reason)
        return verdict

    def _conditions(self, session: Session, stage: Stage, hint: Hint) -> list[Hint]:
        """The hints to put off under a condition, this one or earlier ones."""
        found = [hint]
        if stage is Stage.RCPT:
            earlier = self._put_off.get(session, {})
            found += [earlier[before] for before in _EARLIER if before in earlier]
        return [one for one in found if one.action in _IF]

    def _discard(self, session: Session, verdict: Discard) -> Verdict:
        """The whole message, as Postfix does."""
        if session.transaction is not None:
            session.transaction.discard = verdict
        return verdict

    def _prepend(self, session: Session, hint: Hint) -> None:
        """A field in front of a message; before there is one, it has no place to go."""
        if session.transaction is not None:
            session.transaction.prepend(hint.text.encode("ascii", "replace"))


async def _awaited(answer: Answer) -> Verdict | None:
    if isinstance(answer, Deferred):
        verdict: Verdict | None = await answer
        return verdict
    return answer
