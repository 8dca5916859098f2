# -*- test-case-name: mvmtr.test.test_assess_settings -*-
"""The controls of the assessment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mvmtr.table import Table, control
from mvmtr.values import SettingError, number, positive, switch, words


def bits(most: int) -> Callable[[str], int]:
    """The length of a network, from 8 to C{most}."""

    def parse(text: str) -> int:
        value = number(text)
        if not 8 <= value <= most:
            raise SettingError(f"must be from 8 to {most}")
        return value

    return parse


@dataclass(frozen=True)
class AssessSettings(Table):
    """The table of controls of mvmcas, and of C{--assess=local}."""

    greylist: bool = control(switch, False, "on/off", "put off mail of unknown origin")
    greylist_delay: int = control(
        positive, 300, "seconds", "from the first try until mail is taken"
    )
    greylist_window: int = control(
        positive, 172800, "seconds", "from the first try in which another one must come"
    )
    greylist_keep: int = control(
        positive, 3024000, "seconds", "that it is remembered that mail was taken"
    )
    greylist_auto: int = control(
        number, 5, "times", "an origin has to come back, then it is not put off; 0: always is"
    )
    greylist_auto_time: int = control(
        number, 3600, "seconds", "in which coming back counts once, however often it happens"
    )
    greylist_network4: int = control(bits(32), 24, "bits", "that IPv4 clients are known by")
    greylist_network6: int = control(bits(128), 64, "bits", "that IPv6 clients are known by")
    greylist_domains: bool = control(
        switch, True, "on/off", "know clients by a domain instead, where SPF or the DNS confirms it"
    )
    greylist_spared: tuple[bytes, ...] = control(
        words, (b"postmaster", b"abuse"), "names", "recipients, before the @, never put off"
    )
    reputation: bool = control(switch, False, "on/off", "treat clients by what they did")
    reputation_half_life: int = control(
        positive, 86400, "seconds", "after which what was done counts half"
    )
    reputation_tarpit: int = control(
        number, 10, "points", "from which on replies are slow; 0: they never are"
    )
    reputation_tarpit_seconds: int = control(positive, 5, "seconds", "that a slow reply takes")
    reputation_defer: int = control(
        number, 20, "points", "from which on a client gets 450; 0: it never does"
    )
    reputation_reject: int = control(
        number, 40, "points", "from which on a client gets 554; 0: it never does"
    )
    reputation_shared_max: int = control(
        number, 15, "points", "of network, HELO name and sender domain together that count"
    )
    points_unknown_recipient: int = control(number, 2, "points", "for an unknown recipient")
    points_spam_trap: int = control(number, 20, "points", "for mail to a spam trap")
    points_rejected_content: int = control(number, 5, "points", "for a message that was refused")
    points_relay_denied: int = control(number, 3, "points", "for an attempt to relay")
    points_protocol_error: int = control(number, 1, "points", "for an error in the protocol")
    points_early_talker: int = control(number, 5, "points", "for talking before the greeting")
    points_auth_failed: int = control(number, 3, "points", "for a wrong password")
    points_good_mail: int = control(number, 1, "points", "taken off for a message that was taken")
    points_saved_max: int = control(number, 10, "points", "that good mail can save up, at most")
    points_max: int = control(
        positive, 100, "points", "that anyone can have; so each block has an end"
    )
    rate_time: int = control(positive, 60, "seconds", "the time in which rates are counted")
    rate_connections: int = control(number, 0, "connections", "of one client in it; 0: no limit")
    rate_recipients: int = control(number, 0, "recipients", "of one client in it; 0: no limit")
    rate_messages: int = control(number, 0, "messages", "of one client in it; 0: no limit")
    records_max: int = control(
        positive, 2000000, "records", "in memory or a file; beyond, the first to end go first"
    )
