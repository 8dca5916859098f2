# -*- test-case-name: mvmtr.test.test_assess_rules -*-
"""What the postmaster has said about clients and senders. Pure."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from mvmtr.assess.hint import Hint
from mvmtr.assess.question import Question
from mvmtr.assess.records import Changes, Record, Records, key_of

ACTIONS = ("block", "allow", "relay")

_LENGTHS = {4: range(32, 7, -1), 6: (128, 64, 56, 48, 44, 40, 36, 32, 29, 24, 20, 19)}
"""Lengths of networks that there may be rules for, the longest first."""


class BadSubject(ValueError):
    """A subject that there can be no rule for; the text says why."""


def subject_of(text: str) -> str:
    """
    The key of a rule from what a postmaster writes: an address, a network, a domain
    (C{example.org} for itself and all below), a sender (C{joe@example.org}).

    @raise BadSubject: for anything else.
    """
    text = text.strip().lower()
    if "@" in text and " " not in text:
        return key_of("rule sender", text.encode())
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        if not text or " " in text or "/" in text or text.startswith("."):
            raise BadSubject(f"{text!r} is no address, network, domain or sender") from None
        return key_of("rule domain", text.encode())
    if network.prefixlen not in _LENGTHS[network.version]:
        known = ", ".join(map(str, sorted(_LENGTHS[network.version])))
        raise BadSubject(f"{text}: networks have one of these lengths: {known}")
    return key_of("rule network", str(network).encode())


def rule(action: str, reason: str, until: float = 0.0) -> Record:
    """
    A rule as it is remembered.

    @param until: when it ends, in seconds since 1970; 0 is never.
    """
    if action not in ACTIONS:
        raise BadSubject(f"{action!r} is none of {', '.join(ACTIONS)}")
    return Record({"action": action, "reason": reason}, until)


def _domains(name: bytes) -> list[str]:
    """A domain and all above it but the top."""
    labels = name.lower().strip(b".").split(b".")
    return [
        key_of("rule domain", b".".join(labels[start:])) for start in range(min(len(labels), 10))
    ]


class Rules:
    """An assessor; see L{mvmtr.assess.engine}."""

    name = "rules"

    def keys(self, question: Question) -> list[str]:
        """From the most special to the most general."""
        keys = []
        if question.sender:
            keys.append(key_of("rule sender", question.sender.lower()))
        keys += _networks(question.client)
        for name in (question.client_name, question.sender_domain):
            if name:
                keys += _domains(name)
        return keys

    def assess(
        self, question: Question, records: Records, now: float
    ) -> tuple[Hint | None, Changes]:
        """The most special rule holds."""
        for key in self.keys(question):
            if key in records:
                return _hint(key, records[key]), {}
        return None, {}


def _networks(client: bytes) -> list[str]:
    try:
        address = ip_address(client.decode("ascii").partition("%")[0])
    except ValueError:
        return []
    address = getattr(address, "ipv4_mapped", None) or address
    return [
        key_of("rule network", str(ip_network((address, bits), strict=False)).encode())
        for bits in _LENGTHS[address.version]
    ]


def _hint(key: str, record: Record) -> Hint:
    said = str(record.values.get("reason") or "the postmaster said so")
    reason = f"{key.removeprefix('rule ')}: {said}"
    action = record.values["action"]
    if action == "block":
        return Hint("reject", 554, f"5.7.1 blocked: {said}", reason)
    parameters = {"relay": "yes"} if action == "relay" else {}
    return Hint("ok", 0, "", reason, parameters)
