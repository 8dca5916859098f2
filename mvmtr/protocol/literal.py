# -*- test-case-name: mvmtr.test.test_literal -*-
"""
Address literals of this machine: C{user@[192.0.2.1]} becomes C{user@name}
(compatibility document, localiphost; RFC 5321, section 4.1.3).
"""

from __future__ import annotations

import re
from collections.abc import Container
from ipaddress import IPv4Address, IPv6Address

_LITERAL = re.compile(
    rb"@\[(?:(\d{1,20})\.(\d{1,20})\.(\d{1,20})\.(\d{1,20})|IPv6:([0-9a-fA-F:.]{2,45}))\]\Z",
    re.IGNORECASE,
)


def literal_of(address: bytes) -> str | None:
    """
    The IP address that the domain of an address consists of, in its usual form.

    Numbers are decimal, with any leading zeros, and none is over 255.
    """
    match = _LITERAL.search(address)
    if match is None:
        return None
    try:
        if match[5]:
            found = IPv6Address(match[5].decode())
            return str(found.ipv4_mapped or found)
        return str(IPv4Address(".".join(str(int(number)) for number in match.groups()[:4])))
    except ValueError:
        return None


def localize(address: bytes, name: bytes, own: Container[str] | None = None) -> bytes:
    """
    Put a name in the place of an address literal that is this machine's own.

    @param name: what to put there; may be empty.
    @param own: the machine's IP addresses; asked of the system when not given.
    """
    literal = literal_of(address)
    if literal is None or literal not in (own_addresses() if own is None else own):
        return address
    return address[: address.rindex(b"@") + 1] + name


def own_addresses() -> set[str]:
    """The IP addresses of this machine's network interfaces, as they are now."""
    # Few sessions ever meet an address literal, so that the others needn't load it.
    import ifaddr

    return {
        str(entry.ip if entry.is_IPv4 else entry.ip[0])
        for adapter in ifaddr.get_adapters()
        for entry in adapter.ips
    }
