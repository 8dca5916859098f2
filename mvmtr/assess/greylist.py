# -*- test-case-name: mvmtr.test.test_assess_greylist -*-
"""
Greylisting: mail of unknown origin is put off once. Pure.

Known is who came back after a while with the same network, sender and recipient. What
users of greylisting learned: networks, not addresses; a confirmed domain in the place of
the network where a sender has many of them; one origin that came back often is not put
off any more; senders that change with every message (VERP) are folded into one.
"""

from __future__ import annotations

import re

from mvmtr.assess.hint import Hint
from mvmtr.assess.question import Question, State, network_of
from mvmtr.assess.records import Changes, Record, Records, key_of
from mvmtr.assess.settings import AssessSettings

_DIGITS = re.compile(rb"[0-9]+")
_HEX = re.compile(rb"(?<![0-9a-z])(?=[0-9a-f]*[0-9])[0-9a-f]{8,}(?![0-9a-z])")
_DETAIL = re.compile(rb"[+=].*")


def folded(sender: bytes) -> bytes:
    """
    A sender without what changes from message to message: details behind C{+} and C{=},
    long hexadecimal words, numbers.
    """
    local, at, domain = sender.lower().rpartition(b"@")
    local = _DETAIL.sub(b"", local)
    return _DIGITS.sub(b"#", _HEX.sub(b"#", local)) + at + domain


class Greylist:
    """An assessor; see L{mvmtr.assess.engine}."""

    name = "greylist"

    def __init__(self, settings: AssessSettings) -> None:
        self._settings = settings

    def _origin(self, question: Question) -> bytes:
        """What the client is known by: a domain that vouches for it, else its network."""
        if question.spf_domain:
            return question.spf_domain
        parent = question.client_name.partition(b".")[2]
        if b"." in parent:
            return parent
        return network_of(
            question.client, self._settings.greylist_network4, self._settings.greylist_network6
        )

    def keys(self, question: Question) -> list[str]:
        """The origin, and the three that make a try."""
        if question.state is not State.RCPT or question.relay or not question.recipient:
            return []
        origin = self._origin(question)
        triple = (origin, folded(question.sender), question.recipient.lower())
        return [key_of("known", origin), key_of("grey", *triple)]

    def assess(
        self, question: Question, records: Records, now: float
    ) -> tuple[Hint | None, Changes]:
        """Put off what was not seen before, or too short a time ago."""
        keys = self.keys(question)
        if not keys:
            return None, {}
        origin, triple = keys
        settings = self._settings
        times = int(records[origin].values["times"]) if origin in records else 0
        if settings.greylist_auto and times >= settings.greylist_auto:
            return None, {origin: _known(times, now + settings.greylist_keep)}
        seen = records.get(triple)
        if seen is None:
            first = Record({"first": now}, now + settings.greylist_window)
            return self._put_off(settings.greylist_delay, "first seen now"), {triple: first}
        age = now - float(seen.values["first"])
        if not seen.values.get("passed") and age < settings.greylist_delay:
            return self._put_off(settings.greylist_delay - age, f"seen {age:.0f} s ago"), {}
        kept = now + settings.greylist_keep
        passed = Record({"first": seen.values["first"], "passed": 1}, kept)
        more = 0 if seen.values.get("passed") else 1
        return None, {triple: passed, origin: _known(times + more, kept)}

    def _put_off(self, left: float, seen: str) -> Hint:
        reason = f"greylisted for {left:.0f} s, {seen}"
        return Hint("defer", 450, f"4.7.1 {reason}, try again later", reason)


def _known(times: int, until: float) -> Record:
    return Record({"times": times}, until)
