# -*- test-case-name: mvmtr.test.test_remotehost -*-
"""The name of a client by the DNS, as tcpserver finds it (its options -h, -H and -p)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from twisted.logger import Logger
from twisted.names import dns

log = Logger()

TIMEOUTS = (1, 3, 5)
"""Seconds for each try of a question."""


class RemoteHost:
    """
    Looks up names of clients.

    @param paranoid: believe a name only if it has the client's address.
    @param resolver: an L{IResolver<twisted.internet.interfaces.IResolver>}.
    """

    def __init__(self, paranoid: bool, resolver: Any) -> None:
        self._paranoid = paranoid
        self._resolver = resolver

    async def name_of(self, ip: bytes) -> bytes | None:
        """
        The name of an IP address, in lower case and without a dot at its end; C{None} when
        it has none, or it can't be found out.
        """
        try:
            address = ip_address(ip.decode("ascii").partition("%")[0])
            answers, _, _ = await self._resolver.lookupPointer(address.reverse_pointer, TIMEOUTS)
            name = next(r.payload.name.name for r in answers if r.type == dns.PTR)
            if self._paranoid and address not in await self._addresses(name, address.version):
                return None
        except Exception as error:
            # With a name or without: the DNS decides, in whatever way it fails.
            log.debug("no name for {ip}: {error!r}", ip=ip, error=error)
            return None
        found: bytes = name.lower().rstrip(b".")
        return found

    async def _addresses(self, name: bytes, version: int) -> set[Any]:
        lookup = self._resolver.lookupAddress
        if version == 6:
            lookup = self._resolver.lookupIPV6Address
        answers, _, _ = await lookup(name, TIMEOUTS)
        return {
            ip_address(r.payload.dottedQuad() if r.type == dns.A else r.payload.address)
            for r in answers
            if r.type in (dns.A, dns.AAAA)
        }
