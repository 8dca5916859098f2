# -*- test-case-name: mvmtr.test.test_assess_reputation -*-
"""
What clients did, as points that halve with time. Pure.

Points go to the client, and a part of them to its network, the name that it gives, and
the domain that it sends for, so that one who changes one of these is still known.
"""

from __future__ import annotations

from mvmtr.assess.hint import Hint
from mvmtr.assess.question import Event, Feedback, Question, network_of
from mvmtr.assess.records import Changes, Record, Records, key_of
from mvmtr.assess.settings import AssessSettings

SHARES = {"client": 1.0, "network": 0.2, "helo": 0.2, "domain": 0.2}
"""The part of the points of an event that each gets."""

_FORGOTTEN = 0.05
"""Points that are not worth remembering."""


def _keys(client: bytes, helo: bytes, domain: bytes) -> dict[str, str]:
    parts = {"client": client, "network": network_of(client), "helo": helo, "domain": domain}
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
        return list(_keys(question.client, question.helo, question.sender_domain).values())

    def points(self, record: Record, now: float) -> float:
        """What is left of a record's points."""
        age = max(0.0, now - float(record.values["at"]))
        halvings = age / self._settings.reputation_half_life
        return float(record.values["points"] * 0.5**halvings)

    def assess(
        self, question: Question, records: Records, now: float
    ) -> tuple[Hint | None, Changes]:
        """Refuse, put off, or slow down."""
        points = sum(
            self.points(records[key], now) for key in self.keys(question) if key in records
        )
        settings = self._settings
        reason = f"{points:.0f} points for what this client did"
        if points >= settings.reputation_reject:
            return Hint("reject", 554, f"5.7.1 refused for a time: {reason}", reason), {}
        if points >= settings.reputation_defer:
            return Hint("defer", 450, f"4.7.1 put off for a time: {reason}", reason), {}
        if points >= settings.reputation_tarpit:
            slow = {"tarpit": str(settings.reputation_tarpit_seconds)}
            return Hint(reason=reason, parameters=slow), {}
        return None, {}

    def feedback_keys(self, feedback: Feedback) -> list[str]:
        """All that gets points."""
        return list(_keys(feedback.client, feedback.helo, feedback.sender_domain).values())

    def learn(self, feedback: Feedback, records: Records, now: float) -> Changes:
        """Add points, or take some off for good mail."""
        settings = self._settings
        if feedback.event is Event.CONNECTED:
            return {}
        worth = float(getattr(settings, f"points_{feedback.event}")) * feedback.count
        if feedback.event is Event.GOOD_MAIL:
            worth = -worth
        changes: Changes = {}
        keys = _keys(feedback.client, feedback.helo, feedback.sender_domain)
        for share, key in keys.items():
            before = self.points(records[key], now) if key in records else 0.0
            points = max(before + worth * SHARES[share], -settings.points_saved_max * SHARES[share])
            changes[key] = self._record(points, now)
        return changes

    def _record(self, points: float, now: float) -> Record | None:
        halvings = 0
        while abs(points) * 0.5**halvings >= _FORGOTTEN:
            halvings += 1
        if not halvings:
            return None
        until = now + halvings * self._settings.reputation_half_life
        return Record({"points": round(points, 3), "at": now}, until)
