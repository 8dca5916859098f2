# -*- test-case-name: mvmtr.test.test_policy -*-
"""Asks the checks, in their order. The first verdict wins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from inspect import iscoroutine
from typing import Any, Union

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mvmtr.interfaces import ICheck
from mvmtr.session import Accept, Defer, Session, Stage, Verdict

Answer = Union[Verdict, None, "Deferred[Verdict | None]"]

log = Logger()


@lru_cache(maxsize=256)
def _is_kind_of_deferred(kind: Any) -> bool:
    return issubclass(kind, Deferred)


def is_deferred(value: object) -> bool:
    """What C{isinstance} says, which is slow for a class as abstract as Deferred is."""
    return _is_kind_of_deferred(type(value))  # type: ignore[arg-type]


def settled(value: Any) -> Any:
    """The value that a Deferred has already; anything else as it is."""
    if is_deferred(value) and value.called and not value.paused:
        result = value.result
        if not (is_deferred(result) or isinstance(result, Failure)):
            return result
    return value


def then(value: Any, function: Callable[[Any], Any]) -> Any:
    """Call C{function} with the value: at once, or when the Deferred has it."""
    value = settled(value)
    if is_deferred(value):
        return value.addCallback(function)
    return function(value)


def accepted(checks: Iterable[ICheck], session: Session, stage: Stage, argument: bytes) -> bool:
    """Whether one of some checks, all of which answer at once, says yes."""
    return any(isinstance(check.check(session, stage, argument), Accept) for check in checks)


class Policy:
    """
    An ordered list of checks.

    @param checks: the checks; those that stand first decide first.
    @param clock: keeps the time limit of checks that wait.
    """

    def __init__(self, checks: Iterable[ICheck], clock: IReactorTime) -> None:
        self.checks = tuple(checks)
        self._clock = clock
        self._by_stage = {
            stage: tuple(check for check in self.checks if stage in check.stages) for stage in Stage
        }

    def decide(self, session: Session, stage: Stage, argument: bytes = b"") -> Answer:
        """
        Ask the checks of one stage until one of them decides.

        @param argument: see L{ICheck.check}.
        @return: the verdict with the name of its check, or C{None} when none of them
            decided; at once where no check had to wait, otherwise as a Deferred that
            does not fail.
        """
        checks = self._by_stage[stage]
        return self._decide(iter(checks), session, stage, argument) if checks else None

    def _decide(
        self, checks: Iterator[ICheck], session: Session, stage: Stage, argument: bytes
    ) -> Answer:
        for check in checks:
            try:
                answer: Any = check.check(session, stage, argument)
                if answer is None and session.witness is None:
                    continue
                answer = self._answer(answer, check, session, stage)
            except Exception:
                answer = _failed(Failure(), check, session, stage)
            if is_deferred(answer):

                def go_on(verdict: Verdict | None) -> Answer:
                    if verdict is not None:
                        return verdict
                    return self._decide(checks, session, stage, argument)

                decided: Answer = answer.addCallback(go_on)
                return decided
            if answer is not None:
                verdict: Verdict = answer
                return verdict
        return None

    def _answer(self, answer: Any, check: ICheck, session: Session, stage: Stage) -> Answer:
        if iscoroutine(answer):
            answer = Deferred.fromCoroutine(answer)
        if not is_deferred(answer):
            return _answered(answer, check, session, stage)
        limit = session.settings.smtp_server_check_timeout
        answer.addTimeout(limit, self._clock)
        answer.addCallback(_answered, check, session, stage)
        answer.addErrback(_failed, check, session, stage)
        decided: Answer = answer
        return decided


def _answered(verdict: object, check: ICheck, session: Session, stage: Stage) -> Verdict | None:
    if verdict is not None:
        if not isinstance(verdict, Verdict):
            raise TypeError(f"a check answers a Verdict or None, not {verdict!r}")
        verdict = verdict.by(check.name)
    if session.witness is not None:
        session.witness(check.name, stage, verdict)
    return verdict


def _failed(failure: Failure, check: ICheck, session: Session, stage: Stage) -> Verdict:
    log.failure("check {check} failed at {stage}", failure, check=check.name, stage=stage)
    verdict = Defer(
        451,
        "4.3.0 local error in processing",
        reason=f"the check failed: {failure.getErrorMessage()}",
        check=check.name,
    )
    if session.witness is not None:
        session.witness(check.name, stage, verdict)
    return verdict
