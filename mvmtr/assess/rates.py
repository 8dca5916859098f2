# -*- test-case-name: mvmtr.test.test_assess_rates -*-
"""How many connections, recipients and messages a client has in a time. Pure."""

from __future__ import annotations

from mvmtr.assess.hint import Hint
from mvmtr.assess.question import Question, State
from mvmtr.assess.records import Changes, Record, Records, key_of
from mvmtr.assess.settings import AssessSettings

_COUNTED = {
    State.CONNECT: "connections",
    State.RCPT: "recipients",
    State.MESSAGE: "messages",
}


class Rates:
    """An assessor; see L{mvmtr.assess.engine}."""

    name = "rates"

    def __init__(self, settings: AssessSettings) -> None:
        self._settings = settings

    def _limit(self, question: Question) -> int:
        counted = _COUNTED.get(question.state)
        if counted is None or question.relay:
            return 0
        return int(getattr(self._settings, f"rate_{counted}"))

    def keys(self, question: Question) -> list[str]:
        """One, where there is a limit."""
        if not self._limit(question):
            return []
        return [key_of(_COUNTED[question.state], question.client)]

    def assess(
        self, question: Question, records: Records, now: float
    ) -> tuple[Hint | None, Changes]:
        """Count, and put off what is too much. What was put off counts as well."""
        limit = self._limit(question)
        if not limit:
            return None, {}
        (key,) = self.keys(question)
        record = records.get(key)
        count = 1 if record is None else int(record.values["count"]) + 1
        until = now + self._settings.rate_time if record is None else record.expires
        changes: Changes = {key: Record({"count": count}, until)}
        if count <= limit:
            return None, changes
        reason = f"{count} {_COUNTED[question.state]} in {self._settings.rate_time} s"
        return Hint("defer", 450, f"4.7.1 {reason} are too many", reason), changes
