# -*- test-case-name: mvmtr.test.test_hooks_startfile -*-
"""The startup file: what it sets, and its hooks as one check."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from mvmtr.hooks.controls import specs, values_of
from mvmtr.hooks.host import Assess, SessionHost, StartHost
from mvmtr.hooks.lookups import Lookups
from mvmtr.hooks.message import put_header
from mvmtr.interfaces import ICheck
from mvmtr.log import Record
from mvmtr.mfl.errors import Place, RunError
from mvmtr.mfl.program import Limits, Outcome, read
from mvmtr.mfl.sieve.result import Result
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

log = Logger()

_KINDS: dict[str, Callable[..., Verdict]] = {
    "accept": Accept,
    "reject": Reject,
    "defer": Defer,
    "discard": Discard,
}

_WITH_ARGUMENT = frozenset({Stage.HELO, Stage.AUTH, Stage.MAIL, Stage.RCPT})


@implementer(ICheck)
class StartFile:
    """
    A startup file, and the check that its hooks are.

    @param path: the file.
    @param settings: those that hold before it is read.
    @ivar assess: tells what the assessment server says, given a session, a stage, its
        argument and a topic; C{None} when there is no such server.
    @ivar values: the controls that it sets.
    @ivar origins: for each of them, file and line.
    @ivar paths: all files that were read.
    @raise MflErrors: with everything that is wrong in it.
    """

    name = "mfl"

    def __init__(self, path: str, settings: Settings, reactor: Any) -> None:
        self._program = read(
            path, controls=specs(), host=StartHost(settings), limits=limits_of(settings)
        )
        self._lookups = Lookups(os.path.dirname(os.path.abspath(path)), reactor)
        self._reactor = reactor
        self.assess: Assess | None = None
        self._globals: WeakKeyDictionary[Session, list[Any]] = WeakKeyDictionary()
        self.stages = frozenset(Stage(hook) for hook in self._program.hooks)
        self.values, self.origins = values_of(self._program.controls)
        self.paths = self._program.files

    def check(self, session: Session, stage: Stage, argument: bytes) -> Any:
        """See L{ICheck}."""
        host = SessionHost(session, stage, argument, self._lookups, self.assess)
        values = self._globals.setdefault(session, self._program.globals())
        arguments = [argument] if stage in _WITH_ARGUMENT else []
        limits = limits_of(session.settings)
        try:
            outcome = self._program.call(stage, arguments, host, limits, values)
        except RunError as error:
            return _failed(session, error)
        if isinstance(outcome, Outcome):
            return _done(session, host, outcome)
        return self._later(session, host, outcome, limits.seconds)

    async def _later(
        self, session: Session, host: SessionHost, outcome: Awaitable[Outcome], seconds: float
    ) -> Verdict | None:
        answer = Deferred.fromCoroutine(_awaited(outcome)).addTimeout(seconds, self._reactor)
        try:
            return _done(session, host, await answer)
        except RunError as error:
            return _failed(session, error)


async def _awaited(outcome: Awaitable[Outcome]) -> Outcome:
    return await outcome


def _done(session: Session, host: SessionHost, outcome: Outcome) -> Verdict | None:
    verdict = _verdict_of(outcome)
    transaction = session.transaction
    if transaction is None or isinstance(verdict, (Reject, Defer, Discard)):
        return verdict
    if outcome.result is not None:
        discard = outcome.result.discarded
        if discard is not None and host.stage is Stage.RCPT:
            # The recipient is dropped, not those who were taken before.
            verdict = Discard(reason=_line(discard.place))
        elif discard is not None:
            transaction.discarded += transaction.recipients
            transaction.recipients, transaction.recipient_parameters = [], []
        _redirect(transaction, outcome.result)
    stored = host.message
    if stored is not None and outcome.message is not None:
        header = outcome.message.header()
        if header != stored.header:
            put_header(transaction, stored, header, session.settings)
    return verdict


def _redirect(transaction: Transaction, result: Result) -> None:
    """Add to the recipients those who do not get the message yet."""
    for recipient in result.redirects:
        if recipient not in transaction.recipients:
            transaction.recipients.append(recipient)
            transaction.recipient_parameters.append({})


def limits_of(settings: Settings) -> Limits:
    """What one hook may use up."""
    return Limits(
        steps=settings.smtp_server_mfl_steps,
        depth=settings.smtp_server_mfl_depth,
        memory=settings.smtp_server_mfl_memory,
        seconds=settings.smtp_server_mfl_seconds,
    )


def _verdict_of(outcome: Outcome) -> Verdict | None:
    said = outcome.verdict
    if said is None:
        return None
    kind = _KINDS[said.kind]
    reason = _line(said.place)
    if not said.text:
        return kind(said.code, reason=reason)
    return kind(said.code, said.text.decode("utf-8", "replace"), reason)


def _line(place: Place) -> str:
    return f"{place.file}:{place.line}"


def _failed(session: Session, error: RunError) -> Verdict:
    record = Record(
        event="mfl",
        session=session.id,
        client=session.connection.remote_ip or b"unknown",
        place=str(error.place),
        error=error.message,
    )
    log.error("{record}", record=record)
    return Defer(451, "4.3.0 local error in processing", reason=str(error))
