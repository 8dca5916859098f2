# -*- test-case-name: mvmtr.test.test_assess_greylist -*-
"""
Greylisting: mail of unknown origin is put off once. Pure.

Known is who came back after a while with the same origin, sender and recipient. What
users of greylisting learned: networks, not addresses; a confirmed domain in the place of
the network where a sender has many of them; one origin that came back often is not put
off any more; senders that change with every message (VERP) are folded into one; a name
with the address in it is that of a connection at home, not of a pool of mail servers.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address

from mvmtr.assess.domains import registered_domain
from mvmtr.assess.hint import Hint
from mvmtr.assess.opinion import NONE, Opinion
from mvmtr.assess.question import Question, State, address_of, client_of, network_of
from mvmtr.assess.records import Changes, Record, Records, key_of
from mvmtr.assess.settings import AssessSettings

_DIGITS = re.compile(rb"[0-9]+")
_HEX = re.compile(rb"(?<![0-9a-z])(?=[0-9a-f]*[0-9])[0-9a-f]{8,}(?![0-9a-z])")
_DETAIL = re.compile(rb"[+=].*", re.DOTALL)

SLACK = 0.1
"""
The part by which things are remembered for longer than they have to be, so that not every
message need be written down.
"""


def folded(sender: bytes) -> bytes:
    """
    A sender without what changes from message to message: details behind C{+} and C{=},
    long hexadecimal words, numbers.
    """
    local, at, domain = sender.lower().rpartition(b"@")
    local = _DETAIL.sub(b"", local)
    return _DIGITS.sub(b"#", _HEX.sub(b"#", local)) + at + domain


@lru_cache(maxsize=4096)
def names_address(name: bytes, client: bytes) -> bool:
    """Whether a host name has the IPv4 address of the client in it."""
    address = address_of(client)
    if not isinstance(address, IPv4Address):
        return False
    octets = list(address.packed)
    if b"%08x" % int(address) in name or b"%03d%03d%03d%03d" % tuple(octets) in name:
        return True
    numbers = [int(digits) for digits in _DIGITS.findall(name) if len(digits) < 4]
    wanted = [octets[1:], octets[:3], octets[:0:-1], octets[2::-1]]
    return any(numbers[at : at + 3] in wanted for at in range(len(numbers) - 2))


class Greylist:
    """An assessor; see L{mvmtr.assess.engine}."""

    name = "greylist"

    def __init__(self, settings: AssessSettings) -> None:
        self._settings = settings

    def origin(self, question: Question) -> bytes:
        """What the client is known by: a domain that vouches for it, else its network."""
        settings = self._settings
        if settings.greylist_domains and question.spf_domain:
            return question.spf_domain
        if names_address(question.client_name, question.client):
            return client_of(question.client)
        if settings.greylist_domains and question.client_name:
            domain = registered_domain(question.client_name)
            if domain:
                return domain
        return network_of(question.client, settings.greylist_network4, settings.greylist_network6)

    def keys(self, question: Question) -> list[str]:
        """The origin, and the three that make a try."""
        if question.state is not State.RCPT or question.relay or not question.client:
            return []
        recipient = question.recipient.lower()
        if not recipient or recipient.partition(b"@")[0] in self._settings.greylist_spared:
            return []
        origin = self.origin(question)
        return [key_of("known", origin), key_of("grey", origin, folded(question.sender), recipient)]

    def assess(self, question: Question, records: Records, now: float) -> Opinion:
        """Put off what was not seen before, or too short a time ago."""
        keys = self.keys(question)
        if not keys:
            return NONE
        origin, triple = keys
        settings = self._settings
        known = records.get(origin)
        if known is not None and 0 < settings.greylist_auto <= int(known.values["times"]):
            return Opinion(changes=self._refreshed(origin, known, now))
        seen = records.get(triple)
        if seen is not None and seen.values.get("passed"):
            return Opinion(changes=self._refreshed(triple, seen, now))
        # One that was first seen in the future was seen before the clock was set back.
        if seen is None or float(seen.values["first"]) > now:
            first = Record({"first": now}, now + settings.greylist_window)
            return Opinion(self._put_off("not seen before"), {triple: first})
        age = now - float(seen.values["first"])
        if age < settings.greylist_delay:
            return Opinion(self._put_off(f"seen {age:.0f} s ago"))
        passed = Record({"first": seen.values["first"], "passed": 1}, self._end(now))
        return Opinion(changes={triple: passed, **self._came_back(origin, known, now)})

    def _came_back(self, origin: str, known: Record | None, now: float) -> Changes:
        """Count, but not each message of one that sends many at once."""
        settings = self._settings
        times, at = (0, 0.0) if known is None else (known.values["times"], known.values["at"])
        if times and 0 <= now - at < settings.greylist_auto_time:
            return {}
        return {origin: Record({"times": times + 1, "at": now}, self._end(now))}

    def _refreshed(self, key: str, record: Record, now: float) -> Changes:
        """Remember something for longer, if that makes a difference."""
        if record.expires >= now + self._settings.greylist_keep:
            return {}
        return {key: Record(record.values, self._end(now))}

    def _end(self, now: float) -> float:
        return now + round(self._settings.greylist_keep * (1 + SLACK))

    def _put_off(self, seen: str) -> Hint:
        reason = f"greylisted for {self._settings.greylist_delay} s, {seen}"
        # If nothing else is wrong: an unknown recipient is better told now than later.
        return Hint("defer_if_permit", 450, f"4.7.1 {reason}, try again later", reason)
