# -*- test-case-name: mvmtr.test.test_server -*-
"""Who is at the other end of a transport."""

from __future__ import annotations

from typing import Any

from mvmtr.session import Connection

_MAPPED = "::ffff:"


def ip_of(address: Any) -> bytes | None:
    """
    The IP address of a transport's end, if it has one; that of an IPv4 client of an IPv6
    port in its IPv4 form.
    """
    host = getattr(address, "host", None)
    if not isinstance(host, str):
        return None
    if host.lower().startswith(_MAPPED) and "." in host:
        host = host[len(_MAPPED) :]
    return host.encode("ascii", "replace")


def connection_over(transport: Any) -> Connection:
    """What a transport itself tells of its ends."""
    return Connection(
        remote_ip=ip_of(transport.getPeer()),
        local_ip=ip_of(transport.getHost()),
    )
