# -*- test-case-name: mvmtr.test.test_assess_reputation -*-
"""
What clients did, as points that halve with time. Pure.

Points go to the client, and a part of them to its network, the name that it gives, and
the domain that it sends for, so that one who changes one of these is still known. Since
others may share these, or be named by a liar, they alone never make more than a slow
reply, unless C{reputation_shared_max} says so.
"""

from __future__ import annotations

from math import ceil, log2

from mvmtr.assess.hint import Hint
from mvmtr.assess.opinion import NONE, Opinion
from mvmtr.assess.question import Event, Feedback, Question, State, client_of, network_of
from mvmtr.assess.records import Changes, Record, Records, key_of
from mvmtr.assess.rules import trap_of
from mvmtr.assess.settings import AssessSettings

SHARES = {"client": 1.0, "network": 0.2, "helo": 0.2, "domain": 0.2}
"""The part of the points of an event that each gets."""

_FORGOTTEN = 0.05
"""Points that are not worth remembering."""


def _keys(who: Question | Feedback) -> dict[str, str]:
    if not who.client:
        return {}
    parts = {
        "client": client_of(who.client),
        "network": network_of(who.client, 24, 48),
        "helo": who.helo,
        "domain": who.sender_domain,
    }
    return {share: key_of(share, part) for share, part in parts.items() if part}


class Reputation:
    """An assessor; see L{mvmtr.assess.engine}."""

    name = "reputation"

    def __init__(self, settings: AssessSettings) -> None:
        self._settings = settings

    def keys(self, question: Question) -> list[str]:
        """All that has points; who may relay has none."""
        if question.relay:
            return []
        keys = list(_keys(question).values())
        if self._may_be_trap(question):
            keys.append(trap_of(question.recipient))
        return keys

    @staticmethod
    def _may_be_trap(question: Question) -> bool:
        return question.state is State.RCPT and bool(question.recipient)

    def points(self, record: Record, now: float) -> float:
        """What is left of a record's points."""
        age = max(0.0, now - float(record.values["at"]))
        halvings = age / self._settings.reputation_half_life
        return float(record.values["points"] * 0.5**halvings)

    def assess(self, question: Question, records: Records, now: float) -> Opinion:
        """Refuse, put off, or slow down. Mail to a trap counts at once."""
        if question.relay:
            return NONE
        keys = _keys(question)
        changes: Changes = {}
        if self._may_be_trap(question) and trap_of(question.recipient) in records:
            changes = self._add(keys, Event.SPAM_TRAP, 1, records, now)
        own, shared = self._sums(keys, {**records, **changes}, now)
        return Opinion(self._hint(own, shared), changes)

    def _sums(
        self, keys: dict[str, str], records: dict[str, Record | None], now: float
    ) -> tuple[float, float]:
        """The points of the client, and those of all that it shares."""
        by_share = {
            share: self.points(record, now)
            for share, key in keys.items()
            if (record := records.get(key)) is not None
        }
        return by_share.pop("client", 0.0), sum(by_share.values())

    def _hint(self, own: float, shared: float) -> Hint | None:
        settings = self._settings
        points = own + min(shared, settings.reputation_shared_max)
        reason = f"{points:.0f} points for what this client did"
        if 0 < settings.reputation_reject <= points:
            left = self._time_left(own, shared, settings.reputation_reject)
            text = f"5.7.1 refused for a time: {reason}"
            return Hint("reject", 554, text, f"{reason}, refused for {left} s")
        if 0 < settings.reputation_defer <= points:
            left = self._time_left(own, shared, settings.reputation_defer)
            text = f"4.7.1 put off for a time: {reason}"
            return Hint("defer", 450, text, f"{reason}, put off for {left} s")
        if 0 < settings.reputation_tarpit <= points:
            slow = {"tarpit": str(settings.reputation_tarpit_seconds)}
            return Hint(reason=reason, parameters=slow)
        return None

    def _time_left(self, own: float, shared: float, threshold: int) -> int:
        """Seconds until there are fewer points than that."""
        limit = self._settings.reputation_shared_max
        halvings = log2(max(1.0, (own + shared) / threshold))
        if limit < threshold and shared * 0.5**halvings > limit:
            # Of what is shared there will still be more than counts.
            halvings = log2(max(1.0, own / (threshold - limit)))
        return ceil(halvings * self._settings.reputation_half_life) + 1

    def feedback_keys(self, feedback: Feedback) -> list[str]:
        """All that gets points."""
        return [] if feedback.relay else list(_keys(feedback).values())

    def learn(self, feedback: Feedback, records: Records, now: float) -> Changes:
        """Add points, or take some off for good mail. Of who may relay nothing is learned."""
        if feedback.relay:
            return {}
        return self._add(_keys(feedback), feedback.event, feedback.count, records, now)

    def _add(
        self, keys: dict[str, str], event: Event, count: int, records: Records, now: float
    ) -> Changes:
        settings = self._settings
        worth = float(getattr(settings, f"points_{event}")) * count
        if event is Event.GOOD_MAIL:
            worth = -worth
        changes: dict[str, Record | None] = {}
        for share, key in keys.items():
            before = self.points(records[key], now) if key in records else 0.0
            after = before + worth * SHARES[share]
            after = max(after, -settings.points_saved_max * SHARES[share])
            changes[key] = self._record(min(after, settings.points_max), now)
        # What was nothing and stays nothing need not be written.
        return {key: change for key, change in changes.items() if change or key in records}

    def _record(self, points: float, now: float) -> Record | None:
        if abs(points) < _FORGOTTEN:
            return None
        lasts = log2(abs(points) / _FORGOTTEN) * self._settings.reputation_half_life
        return Record({"points": round(points, 3), "at": now}, now + lasts)
