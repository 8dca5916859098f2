# -*- test-case-name: mvmtr.test.test_addresses -*-
"""What every part of mvmtr knows of addresses. They are bytes, quotes off. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

_ATOM = rb"[-!#$%&'*+/=?^_`{|}~0-9A-Za-z]+"
_DOT_ATOM = re.compile(_ATOM + rb"(?:\." + _ATOM + rb")*\Z")
_NEEDS_ESCAPE = re.compile(rb'(["\\])')


class UnsafeAddress(ValueError):
    """An address that would be read as something else by whoever comes next."""


def safe(address: bytes) -> bytes:
    """
    The same address.

    @raise UnsafeAddress: when it holds a NUL, CR or LF.
    """
    if any(byte in address for byte in (b"\0", b"\r", b"\n")):
        raise UnsafeAddress(repr(address[:80]))
    return address


def domain_of(address: bytes) -> bytes | None:
    """What follows the last C{@}, in lower case; C{None} when there is no C{@}."""
    _local, at, domain = address.rpartition(b"@")
    return domain.lower() if at else None


def entries_for(domain: bytes) -> Iterator[bytes]:
    """
    The entries that cover a domain, in the order in which qmail's rcpthosts.c tries them:
    the domain itself, then what is left from each dot on.

    @param domain: in lower case. Nothing covers the empty one.
    """
    if not domain:
        return
    yield domain
    dot = domain.find(b".", 1)
    while dot >= 0:
        yield domain[dot:]
        dot = domain.find(b".", dot + 1)


def quote(address: bytes) -> bytes:
    """
    An address as it is written in a header field, its local part quoted where that is
    needed (RFC 5322, section 3.4.1).
    """
    local, at, domain = address.rpartition(b"@")
    if not at:
        local, domain = domain, b""
    if (local or at) and not _DOT_ATOM.match(local):
        local = b'"' + _NEEDS_ESCAPE.sub(rb"\\\1", local) + b'"'
    return local + at + domain
