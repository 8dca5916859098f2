# -*- test-case-name: mvmtr.test.test_assess_about -*-
"""Which records are about something that a postmaster names. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from mvmtr.assess.entries import KINDS
from mvmtr.assess.question import Question, State, address_of, client_of, network_of
from mvmtr.assess.records import key_of
from mvmtr.assess.reputation import Reputation
from mvmtr.assess.rules import Rules, subject_of, trap_of
from mvmtr.assess.settings import AssessSettings

GREY = "grey"
"""The kind whose keys begin with an origin and go on."""


@dataclass(frozen=True)
class About:
    """
    @ivar rules: keys of rules about the subject itself.
    @ivar keys: those of all else about the subject itself.
    @ivar prefixes: beginnings of further keys about it.
    @ivar others: keys of what holds for it too, being about something wider.
    @ivar other_prefixes: beginnings of such.
    """

    rules: tuple[str, ...]
    keys: tuple[str, ...]
    prefixes: tuple[str, ...]
    others: tuple[str, ...] = ()
    other_prefixes: tuple[str, ...] = ()


def about(text: str, settings: AssessSettings) -> About:
    """
    Everything that there may be about an address, a network, a domain, or the address of a
    sender or recipient.

    @raise BadSubject: when it is none of these.
    """
    rule = subject_of(text, "block")
    subject = rule.split(" ", 2)[2].encode()
    if rule.startswith("rule sender "):
        domain = subject.rpartition(b"@")[2]
        wider = [*Rules().keys(Question(State.MAIL, b"", sender=subject)), key_of("domain", domain)]
        return About((rule, trap_of(subject)), (), (), _without(wider, {rule}))
    named = [key_of(kind, subject) for kind in KINDS if kind != GREY]
    prefixes = (_grey(subject),)
    if address_of(subject) is None:
        domain_rules = Rules().keys(Question(State.HELO, b"", client_name=subject))
        others = _without(domain_rules, {rule}) if "domain" in rule else ()
        return About((rule,), tuple(named), prefixes, others)
    client = client_of(subject)
    named += [key_of(kind, client) for kind in KINDS if kind in _OF_CLIENTS and client != subject]
    origin = network_of(subject, settings.greylist_network4, settings.greylist_network6)
    wider = [
        *Rules().keys(Question(State.CONNECT, subject)),
        *Reputation(settings).keys(Question(State.CONNECT, subject)),
        key_of("known", origin),
    ]
    others = _without(wider, {rule, *named})
    return About((rule,), tuple(named), prefixes, others, _without([_grey(origin)], set(prefixes)))


_OF_CLIENTS = ("client", "connections", "recipients", "messages")


def _grey(origin: bytes) -> str:
    return key_of(GREY, origin) + " "


def _without(keys: list[str], some: set[str]) -> tuple[str, ...]:
    return tuple(key for key in dict.fromkeys(keys) if key not in some)
