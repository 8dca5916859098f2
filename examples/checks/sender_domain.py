"""A check that has to wait: it asks the DNS whether the sender's domain exists."""

from twisted.names import client
from twisted.names.error import DNSNameError
from zope.interface import implementer

from mvmtr.addresses import domain_of
from mvmtr.interfaces import ICheck
from mvmtr.session import Reject, Stage


@implementer(ICheck)
class SenderDomain:
    """Refuses senders in domains that do not exist. Any other trouble is a 451."""

    name = "sender_domain"
    stages = frozenset({Stage.MAIL})

    def __init__(self, resolver=client):
        self._resolver = resolver

    async def check(self, session, stage, argument):
        """The argument is the sender; it is empty for a bounce."""
        domain = domain_of(argument)
        if not domain or domain.startswith(b"["):
            return None
        try:
            await self._resolver.lookupMailExchange(domain, timeout=(2, 5))
        except DNSNameError:
            return Reject(553, "5.1.8 the sender's domain does not exist", at_rcpt=True)
        return None
