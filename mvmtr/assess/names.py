# -*- test-case-name: mvmtr.test.test_assess_names -*-
"""Which names of clients the DNS confirms."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mvmtr.domains import address_of
from mvmtr.session import Session

log = Logger()

PATIENCE = 5
"""Seconds that the DNS has; a name that takes longer is not confirmed."""


class ConfirmedNames:
    """
    Names whose addresses are, by the DNS, those of the clients that have them. Whoever has
    an address can have the DNS say any name for it, but not the other way round.

    @param resolver: gives an L{IResolver<twisted.internet.interfaces.IResolver>}; called when
        there is a name.
    """

    def __init__(self, resolver: Callable[[], Any], reactor: Any) -> None:
        self._resolver = resolver
        self._reactor = reactor
        self._found: WeakKeyDictionary[Session, bytes] = WeakKeyDictionary()

    async def name_of(self, session: Session) -> bytes:
        """The confirmed name of a session's client, looked up once; empty when there is none."""
        if session not in self._found:
            name, ip = session.connection.remote_host, session.connection.remote_ip
            address = address_of(ip or b"")
            is_its = bool(name) and address is not None and await self._has(name, address)
            self._found[session] = (name or b"") if is_its else b""
        return self._found[session]

    def known(self, session: Session) -> bytes:
        """The same as far as it was looked up already."""
        return self._found.get(session, b"")

    async def _has(self, name: bytes | None, address: Any) -> bool:
        try:
            resolver = self._resolver()
            lookup = resolver.lookupAddress
            if address.version == 6:
                lookup = resolver.lookupIPV6Address
            asked: Deferred[Any] = lookup(name)
            answers, _, _ = await asked.addTimeout(PATIENCE, self._reactor)
            return any(address == _address_in(one.payload) for one in answers)
        except Exception as error:
            log.debug("{name} is not confirmed: {error!r}", name=name, error=error)
            return False


def _address_in(record: Any) -> Any:
    """The address in an answer; C{None} in one that is an alias, say."""
    if hasattr(record, "dottedQuad"):
        return ip_address(record.dottedQuad())
    return ip_address(record.address) if hasattr(record, "address") else None
