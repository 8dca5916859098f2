# -*- test-case-name: mvmtr.test.test_received -*-
"""
The Received field that is put in front of a message, in the form of qmail's received.c.
Pure.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache

from mvmtr.session import Session

_UNSAFE = re.compile(rb"[^-.@%+/=:0-9A-Za-z]")
_MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_UNKNOWN = b"unknown"

HELO_MAX = 255
"""A name given with HELO goes into the field up to this many bytes."""


@lru_cache(maxsize=1024)
def _safe(value: bytes) -> bytes:
    return _UNSAFE.sub(b"?", value)


def received_field(session: Session, now: float) -> bytes:
    """
    The two lines of the field, each ending in LF.

    @param now: seconds since the epoch.
    """
    peer = session.connection
    remote_host = _UNKNOWN if peer.remote_host is None else peer.remote_host
    helo = b""
    if session.helo is not None and session.helo.lower() != remote_host.lower():
        helo = b" (HELO " + _safe(session.helo[:HELO_MAX]) + b")"
    info = b"" if peer.remote_info is None else _safe(peer.remote_info) + b"@"
    local = next((name for name in (peer.local_host, peer.local_ip) if name is not None), _UNKNOWN)
    return b"Received: from %s%s (%s%s)\n  by %s with %s; %s\n" % (
        _safe(remote_host),
        helo,
        info,
        _safe(_UNKNOWN if peer.remote_ip is None else peer.remote_ip),
        _safe(local),
        protocol_of(session),
        date(int(now)),
    )


def protocol_of(session: Session) -> bytes:
    """How the message came (RFC 3848, and RFC 6531, section 4.3)."""
    if not session.esmtp:
        return b"SMTP"
    transaction = session.transaction
    utf8 = transaction is not None and b"SMTPUTF8" in transaction.parameters
    return b"%s%s%s" % (
        b"UTF8SMTP" if utf8 else b"ESMTP",
        b"" if session.encryption is None else b"S",
        b"" if session.user is None else b"A",
    )


@lru_cache(maxsize=2)
def date(now: int) -> bytes:
    """Date and time as qmail writes them: UTC, the day not padded."""
    when = time.gmtime(now)
    return b"%d %s %d %02d:%02d:%02d -0000" % (
        when.tm_mday,
        _MONTHS[when.tm_mon - 1],
        when.tm_year,
        when.tm_hour,
        when.tm_min,
        when.tm_sec,
    )
