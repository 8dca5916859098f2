# -*- test-case-name: mvmtr.test.test_domains -*-
"""What is a domain name, and how it is asked about in the DNS. Pure: bytes in, values out."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

NAME_MAX = 253
"""Longest name in bytes, without a dot at its end (RFC 1035, section 2.3.4)."""

_LABEL = re.compile(rb"[0-9A-Za-z_-]{1,63}\Z")
_LITERAL = re.compile(rb"\[(?:(\d{1,3}(?:\.\d{1,3}){3})|IPv6:([0-9a-fA-F:.]{2,45}))\]\Z", re.I)


def is_literal(domain: bytes) -> bool:
    """Whether it is an IP address in brackets (RFC 5321, section 4.1.3)."""
    match = _LITERAL.match(domain)
    if match is None:
        return False
    try:
        ip_address((match[1] or match[2]).decode())
    except ValueError:
        return False
    return True


def dns_name(domain: bytes) -> bytes | None:
    """
    A domain as the DNS has it: in lower case, without a dot at its end, what is not ASCII
    as A-labels (RFC 5890); C{None} for what can't be a name of a host or a mail domain.
    """
    domain = domain.removesuffix(b".")
    if len(domain) > NAME_MAX:
        return None
    if not domain.isascii():
        # Few sessions ever meet such a name, so that the others needn't load it.
        import idna

        try:
            domain = idna.encode(domain.decode(), uts46=True)
        except UnicodeError:
            return None
    if len(domain) > NAME_MAX or not all(map(_LABEL.match, domain.split(b"."))):
        return None
    return domain.lower()


def is_full(domain: bytes) -> bool:
    """Whether it is a domain name of more than one label, and no address without brackets."""
    name = dns_name(domain)
    return name is not None and b"." in name and not name.rpartition(b".")[2].isdigit()


def address_of(ip: bytes) -> IPv4Address | IPv6Address | None:
    """
    The address of a client, an IPv4 client of an IPv6 port in its IPv4 form; C{None} when
    it is none.
    """
    try:
        address = ip_address(ip.decode("ascii").partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def listed_name(address: IPv4Address | IPv6Address) -> str:
    """What stands before the zone of a list for an address (RFC 5782, sections 2.1 and 2.4)."""
    return address.reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")
