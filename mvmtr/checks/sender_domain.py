# -*- test-case-name: mvmtr.test.test_sender_domain -*-
"""The domain of the sender must be in the DNS, and be one that can get mail back."""

from __future__ import annotations

from typing import Any

from twisted.names import dns
from twisted.names.error import DNSNameError
from zope.interface import implementer

from mvmtr.addresses import domain_of
from mvmtr.domains import dns_name, is_literal
from mvmtr.interfaces import ICheck
from mvmtr.resolver import trouble
from mvmtr.session import Defer, Reject, Session, Stage, Verdict

UNKNOWN = Reject(553, "5.1.8 the sender's domain does not exist (#5.1.8)", at_rcpt=True)
NO_MAIL = Reject(
    550, "5.7.27 the sender's domain takes no mail, so it sends none (#5.7.27)", at_rcpt=True
)
TROUBLE = Defer(451, "4.4.3 the sender's domain can't be looked up now (#4.4.3)")


@implementer(ICheck)
class SenderDomain:
    """
    Refuses senders whose domain has no MX, A or AAAA record, or has the MX record that says
    that it takes no mail (RFC 7505). Clients that may relay are left alone.

    @param resolver: an L{IResolver<twisted.internet.interfaces.IResolver>}.
    """

    name = "sender_domain"
    stages = frozenset({Stage.MAIL})

    def __init__(self, resolver: Any) -> None:
        self._resolver = resolver

    async def check(self, session: Session, stage: Stage, argument: bytes) -> Verdict | None:
        """See L{ICheck}."""
        domain = domain_of(argument)
        if not domain or is_literal(domain) or session.relay or session.user is not None:
            return None
        name = dns_name(domain)
        if name is None:
            return UNKNOWN.because("not a domain name")
        resolver = self._resolver
        try:
            exchanges = await _found(resolver.lookupMailExchange, name, dns.MX)
            if exchanges:
                refused = all(not record.name.name.strip(b".") for record in exchanges)
                return NO_MAIL.because(f"null MX of {_text(name)}") if refused else None
            for lookup, kind in (
                (resolver.lookupAddress, dns.A),
                (resolver.lookupIPV6Address, dns.AAAA),
            ):
                if await _found(lookup, name, kind):
                    return None
        except DNSNameError:
            return UNKNOWN.because(f"the DNS has no {_text(name)}")
        except Exception as error:
            return TROUBLE.because(f"{trouble(error)} for {_text(name)}")
        return UNKNOWN.because(f"the DNS has no MX, A or AAAA of {_text(name)}")


async def _found(lookup: Any, name: bytes, kind: int) -> list[Any]:
    answers, _authority, _additional = await lookup(name)
    return [record.payload for record in answers if record.type == kind]


def _text(name: bytes) -> str:
    return name.decode("ascii")
