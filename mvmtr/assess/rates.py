# -*- test-case-name: mvmtr.test.test_assess_rates -*-
"""How many connections, recipients and messages a client has in a time. Pure."""

from __future__ import annotations

from mvmtr.assess.hint import Hint
from mvmtr.assess.opinion import NONE, Opinion
from mvmtr.assess.question import Question, State, client_of
from mvmtr.assess.records import Record, Records, key_of
from mvmtr.assess.settings import AssessSettings

# Messages before they are sent, so that one too many costs nobody anything.
_COUNTED = {
    State.CONNECT: "connections",
    State.RCPT: "recipients",
    State.DATA: "messages",
}


class Rates:
    """
    An assessor; see L{mvmtr.assess.engine}.

    A time begins with the first that is counted, so that what is said of it is exact: in
    each such time at most the limit gets through.
    """

    name = "rates"

    def __init__(self, settings: AssessSettings) -> None:
        self._settings = settings

    def _limit(self, question: Question) -> int:
        counted = _COUNTED.get(question.state)
        if counted is None or question.relay or not question.client:
            return 0
        return int(getattr(self._settings, f"rate_{counted}"))

    def keys(self, question: Question) -> list[str]:
        """One, where there is a limit."""
        if not self._limit(question):
            return []
        return [key_of(_COUNTED[question.state], client_of(question.client))]

    def assess(self, question: Question, records: Records, now: float) -> Opinion:
        """Count, and put off what is too much. What was put off counts as well."""
        limit = self._limit(question)
        if not limit:
            return NONE
        (key,) = self.keys(question)
        time = self._settings.rate_time
        record = records.get(key)
        # After a clock was set back, the end may be far away.
        if record is None or record.expires > now + time:
            record = Record({"count": 0}, now + time)
        count = int(record.values["count"]) + 1
        changes = {key: Record({"count": count}, record.expires)}
        if count <= limit:
            return Opinion(changes=changes)
        reason = f"{count} {_COUNTED[question.state]} in {time} s"
        text = f"4.7.1 {reason} are too many, try again later"
        return Opinion(Hint("defer", 450, text, reason), changes)
