# -*- test-case-name: mvmtr.test.test_chosen -*-
"""mvmtr's own checks. Each provides L{ICheck<mvmtr.interfaces.ICheck>}."""

from __future__ import annotations

from typing import Any

from mvmtr.interfaces import ICheck
from mvmtr.settings import Settings


def chosen(settings: Settings, reactor: Any) -> list[ICheck]:
    """
    The checks that the controls switch on, in the order in which they are asked: what
    costs nothing stands before what waits. Only what is used is loaded.

    @raise SettingError: when controls contradict each other.
    """
    checks: list[ICheck] = []
    if settings.smtp_server_require_tls:
        from mvmtr.checks.require_tls import RequireTls

        checks.append(RequireTls())
    if settings.smtp_server_require_helo:
        from mvmtr.checks.require_helo import RequireHelo

        checks.append(RequireHelo())
    if settings.smtp_server_require_fqdn:
        from mvmtr.checks.require_fqdn import RequireFqdn

        checks.append(RequireFqdn(settings.smtp_server_require_fqdn))
    if settings.smtp_server_dnsbl or settings.smtp_server_rhsbl:
        from mvmtr.checks.dns_lists import DnsLists
        from mvmtr.resolver import resolver_for

        checks.append(DnsLists(settings, resolver_for(settings.smtp_server_dns, reactor), reactor))
    if settings.smtp_server_greet_delay:
        # After the lists, which are asked meanwhile.
        from mvmtr.checks.greet_delay import GreetDelay

        checks.append(GreetDelay(settings, reactor))
    if settings.smtp_server_sender_domain:
        from mvmtr.checks.sender_domain import SenderDomain
        from mvmtr.resolver import resolver_for

        checks.append(SenderDomain(resolver_for(settings.smtp_server_dns, reactor)))
    return checks
