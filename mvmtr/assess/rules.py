# -*- test-case-name: mvmtr.test.test_assess_rules -*-
"""What the postmaster has said about clients, senders and recipients. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_network

from mvmtr.assess.hint import Hint
from mvmtr.assess.opinion import NONE, Opinion
from mvmtr.assess.question import Question, address_of, network_of
from mvmtr.assess.records import Record, Records, key_of

ACTIONS = ("block", "allow", "relay", "trap")

NETWORK_LENGTHS = {4: range(32, 7, -1), 6: (128, 64, 56, 48, 44, 40, 36, 32, 29, 24, 20, 19)}
"""Lengths of networks that there may be rules for, by version, the longest first."""

LABELS_MAX = 10
"""Labels of a domain that are looked at, from its end."""

_DOMAIN = re.compile(r"[^\s/@.\[\]:]+(\.[^\s/@.\[\]:]+)*")
_ADDRESS = re.compile(r"[^\s@]+@[^\s/@.]+(\.[^\s/@.]+)*")


class BadSubject(ValueError):
    """There can be no such rule; the text says why."""


def subject_of(text: str, action: str) -> str:
    """
    The key of a rule from what a postmaster writes: an address, a network, a domain
    (C{example.org} for itself and all below), a sender (C{joe@example.org}); for traps the
    address of a recipient.

    @raise BadSubject: for anything else, and for what an action can't be said of.
    """
    text = text.strip().lower().removesuffix(".")
    if action == "trap":
        if not _ADDRESS.fullmatch(text):
            raise BadSubject(f"{text!r} is no address of a recipient")
        return _key("recipient", text)
    if _ADDRESS.fullmatch(text):
        if action == "relay":
            raise BadSubject(f"{text}: anybody can claim to be a sender; name a client instead")
        return _key("sender", text)
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        if not _DOMAIN.fullmatch(text) or text.rpartition(".")[2].isdigit():
            raise BadSubject(f"{text!r} is no address, network, domain or sender") from None
        return _key("domain", text)
    if network.prefixlen not in NETWORK_LENGTHS[network.version]:
        known = ", ".join(map(str, sorted(NETWORK_LENGTHS[network.version])))
        raise BadSubject(f"{text}: networks have one of these lengths: {known}")
    bits = network.prefixlen
    return _key("network", network_of(str(network.network_address).encode(), bits, bits).decode())


def _key(kind: str, text: str) -> str:
    return key_of(f"rule {kind}", text.encode())


def trap_of(recipient: bytes) -> str:
    """The key of the rule that makes a recipient a trap."""
    return key_of("rule recipient", recipient.lower())


def rule(action: str, reason: str, until: float = 0.0) -> Record:
    """
    A rule as it is remembered.

    @param until: when it ends, in seconds since 1970; 0 is never.
    @raise BadSubject: for an action that there is not.
    """
    if action not in ACTIONS:
        raise BadSubject(f"{action!r} is none of {', '.join(ACTIONS)}")
    return Record({"action": action, "reason": reason}, until)


@lru_cache(maxsize=4096)
def _networks(client: bytes) -> tuple[str, ...]:
    address = address_of(client)
    if address is None:
        return ()
    return tuple(
        key_of("rule network", network_of(client, bits, bits))
        for bits in NETWORK_LENGTHS[address.version]
    )


def _domains(name: bytes) -> list[str]:
    """A domain and all above it."""
    labels = name.lower().strip(b".").split(b".")
    keys = [key_of("rule domain", name)]
    for start in range(max(1, len(labels) - LABELS_MAX), len(labels)):
        keys.append(key_of("rule domain", b".".join(labels[start:])))
    return keys


class Rules:
    """An assessor; see L{mvmtr.assess.engine}."""

    name = "rules"

    def keys(self, question: Question) -> list[str]:
        """From the most special to the most general."""
        keys = [key_of("rule sender", question.sender.lower())] if question.sender else []
        keys += _networks(question.client)
        for name in dict.fromkeys((question.client_name, question.sender_domain)):
            if name:
                keys += _domains(name)
        return keys

    def assess(self, question: Question, records: Records, now: float) -> Opinion:
        """The most special rule holds."""
        if not any(key.startswith("rule ") for key in records):
            return NONE
        confirmed = set(_domains(question.client_name)) if question.client_name else set()
        for key in self.keys(question):
            if key not in records:
                continue
            record = records[key]
            # Anybody can claim to be a sender, so nobody may relay for being one.
            is_sure = key.startswith("rule network ") or key in confirmed
            if record.values["action"] != "relay" or is_sure:
                return _opinion(question, key, record)
        return NONE


def _opinion(question: Question, key: str, record: Record) -> Opinion:
    said = str(record.values.get("reason") or "the postmaster said so")
    reason = f"{key.removeprefix('rule ')}: {said}"
    action = record.values["action"]
    if action == "block":
        return Opinion(Hint("reject", 554, f"5.7.1 blocked: {said}", reason), is_last=True)
    if action == "relay":
        # A questioner that knows no parameters takes mail for everywhere when told OK.
        hint = Hint("dunno" if question.extended else "ok", 0, "", reason, {"relay": "yes"})
        return Opinion(hint, is_last=True)
    # Not OK: that would let a client relay.
    return Opinion(Hint(reason=reason), is_last=True)
