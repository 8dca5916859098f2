# -*- test-case-name: mvmtr.test.test_assess_engine -*-
"""
Puts the assessors together: what is remembered and a question in, a hint and what is to
be remembered out. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from mvmtr.assess.greylist import Greylist
from mvmtr.assess.hint import DUNNO, Hint
from mvmtr.assess.opinion import Opinion
from mvmtr.assess.question import Feedback, Question
from mvmtr.assess.rates import Rates
from mvmtr.assess.records import Changes, Record, Records
from mvmtr.assess.reputation import Reputation
from mvmtr.assess.rules import Rules
from mvmtr.assess.settings import AssessSettings


class Assessor(Protocol):
    """
    One way to look at a client.

    The assessors are asked in order. The first hint with an action other than C{dunno}, or
    an opinion that is to be the last, decides; parameters of those before it are kept.
    """

    name: str

    def keys(self, question: Question) -> list[str]:
        """The records that are looked at for a question."""

    def assess(self, question: Question, records: Records, now: float) -> Opinion:
        """
        @param records: of L{keys} and maybe others those that there are and whose time is
            not over.
        @param now: seconds since 1970.
        """


class Engine:
    """
    The assessors that the settings switch on.

    @param more_rules: gives rules from elsewhere than the store, by key.
    @ivar settings: the controls.
    """

    def __init__(self, settings: AssessSettings, more_rules: Callable[[], Records] = dict) -> None:
        self.settings = settings
        self._more = more_rules
        self._reputation = Reputation(settings) if settings.reputation else None
        assessors: list[Assessor] = [Rules(), Rates(settings)]
        if self._reputation is not None:
            assessors.append(self._reputation)
        if settings.greylist:
            assessors.append(Greylist(settings))
        self.assessors: Sequence[Assessor] = assessors

    def keys(self, question: Question) -> list[str]:
        """The records that L{assess} has to be given."""
        found = (key for assessor in self.assessors for key in assessor.keys(question))
        return list(dict.fromkeys(found))

    def assess(self, question: Question, records: Records, now: float) -> tuple[Hint, Changes]:
        """
        How to treat a client.

        @param records: those of L{keys} that there are, and L{more_rules} in their place.
        @return: the hint, its reason led by the name of the assessor, and what is to be
            remembered.
        """
        hint = DUNNO
        changes: dict[str, Record | None] = {}
        for assessor in self.assessors:
            opinion = assessor.assess(question, records, now)
            changes.update(opinion.changes)
            if opinion.hint is not None:
                said = opinion.hint
                parameters = {**hint.parameters, **said.parameters}
                reason = f"{assessor.name}: {said.reason}"
                hint = replace(said, reason=reason, parameters=parameters)
            if opinion.is_last or hint.action != "dunno":
                break
        return hint, changes

    def more_rules(self, question: Question, now: float) -> Records:
        """
        Rules for a question from elsewhere than the store. Unlike the rest this may read
        files.
        """
        more = self._more()
        if not more:
            return {}
        found = {key: more[key] for key in self.keys(question) if key in more}
        return {key: record for key, record in found.items() if not record.is_over(now)}

    def feedback_keys(self, feedback: Feedback) -> list[str]:
        """The records that L{learn} has to be given."""
        return [] if self._reputation is None else self._reputation.feedback_keys(feedback)

    def learn(self, feedback: Feedback, records: Records, now: float) -> Changes:
        """What is to be remembered of what a client did."""
        if self._reputation is None:
            return {}
        return self._reputation.learn(feedback, records, now)
