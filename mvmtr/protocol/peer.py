# -*- test-case-name: mvmtr.test.test_peer -*-
"""Who is at the other end of a transport."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from mvmtr.session import Connection
from mvmtr.values import Network

_MAPPED = "::ffff:"


def plain_ip(host: str) -> str:
    """An IP address; that of an IPv4 client of an IPv6 port in its IPv4 form."""
    if host.lower().startswith(_MAPPED) and "." in host:
        return host[len(_MAPPED) :]
    return host


def ip_of(address: Any) -> bytes | None:
    """
    The IP address of a transport's end, if it has one; that of an IPv4 client of an IPv6
    port in its IPv4 form.
    """
    host = getattr(address, "host", None)
    return _bytes_of(host) if isinstance(host, str) else None


@lru_cache(maxsize=1024)
def _bytes_of(host: str) -> bytes:
    return plain_ip(host).encode("ascii", "replace")


def connection_over(transport: Any) -> Connection:
    """What a transport itself tells of its ends."""
    return Connection(
        remote_ip=ip_of(transport.getPeer()),
        local_ip=ip_of(transport.getHost()),
    )


def is_within(ip: bytes | None, networks: Iterable[Network]) -> bool:
    """
    Whether an address lies in one of some networks. One that is not known lies in none.

    @param ip: as in a L{Connection}, with or without the zone of a link-local address.
    """
    if not networks or ip is None:
        return False
    try:
        address: IPv4Address | IPv6Address = ip_address(ip.decode("ascii").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)
