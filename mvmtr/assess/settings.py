# -*- test-case-name: mvmtr.test.test_assess_settings -*-
"""The controls of the assessment."""

from __future__ import annotations

from dataclasses import dataclass

from mvmtr.table import Table, control
from mvmtr.values import number, positive, switch


@dataclass(frozen=True)
class AssessSettings(Table):
    """The table of controls of mvmcas, and of C{--assess=local}."""

    greylist: bool = control(switch, False, "on/off", "put off mail of unknown origin")
    greylist_delay: int = control(
        positive, 300, "seconds", "from the first try until mail is taken"
    )
    greylist_window: int = control(
        positive, 172800, "seconds", "from the first try in which a second one must come"
    )
    greylist_keep: int = control(
        positive, 3024000, "seconds", "that it is remembered that mail was taken"
    )
    greylist_auto: int = control(
        number, 5, "messages", "after which a client or a domain is not put off; 0: never"
    )
    greylist_network4: int = control(number, 24, "bits", "that IPv4 clients are known by")
    greylist_network6: int = control(number, 64, "bits", "that IPv6 clients are known by")
    reputation: bool = control(switch, False, "on/off", "treat clients by what they did")
    reputation_half_life: int = control(
        positive, 86400, "seconds", "after which what was done counts half"
    )
    reputation_tarpit: int = control(positive, 10, "points", "from which on replies are slow")
    reputation_tarpit_seconds: int = control(positive, 5, "seconds", "that a slow reply takes")
    reputation_defer: int = control(positive, 20, "points", "from which on a client gets 450")
    reputation_reject: int = control(positive, 40, "points", "from which on a client gets 554")
    points_unknown_recipient: int = control(number, 2, "points", "for an unknown recipient")
    points_spam_trap: int = control(number, 20, "points", "for mail to a spam trap")
    points_rejected_content: int = control(number, 5, "points", "for a message that was refused")
    points_relay_denied: int = control(number, 3, "points", "for an attempt to relay")
    points_protocol_error: int = control(number, 1, "points", "for an error in the protocol")
    points_early_talker: int = control(number, 5, "points", "for talking before the greeting")
    points_auth_failed: int = control(number, 3, "points", "for a wrong password")
    points_good_mail: int = control(number, 1, "points", "taken off for a message that was taken")
    points_saved_max: int = control(number, 20, "points", "that good mail can save up, at most")
    rate_time: int = control(positive, 60, "seconds", "the time in which rates are counted")
    rate_connections: int = control(number, 0, "connections", "of one client in it; 0: no limit")
    rate_recipients: int = control(number, 0, "recipients", "of one client in it; 0: no limit")
    rate_messages: int = control(number, 0, "messages", "of one client in it; 0: no limit")
