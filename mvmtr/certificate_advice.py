# -*- test-case-name: mvmtr.test.test_tls_program -*-
"""What C{mvmtr check} has to say about certificates."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from mvmtr.protocol.certificates import Contexts, Pair
from mvmtr.protocol.tls import Certificates
from mvmtr.settings import Settings

SOON = timedelta(days=21)
"""Certificates that expire within that time are worth a warning."""


def described(contexts: Contexts) -> Iterator[str]:
    """Each certificate: names, and until when it is good."""
    for pair in contexts.pairs:
        names = " ".join(pair.names) or "no name"
        yield f"{pair.path}: {names}; good until {pair.expires:%Y-%m-%d %H:%M} UTC"


def warnings(certificates: Certificates, settings: Settings) -> Iterator[str]:
    """
    What is wrong with certificates that can be used.

    @raise CertificateError: when they can't be used.
    """
    contexts = certificates.load()
    now = datetime.now(UTC)
    for pair in contexts.pairs:
        yield from _about_time(pair, now)
        if not pair.names:
            yield f"{pair.path}: the certificate has no host name"
    name = settings.usehostname.decode("ascii", "replace").lower()
    if name and not any(pair.serves(name) for pair in contexts.pairs):
        yield f"{contexts.pairs[0].path}: no certificate is for {name}, the name of this server"
    for _certificate, key in certificates.files.pairs:
        if os.stat(key).st_mode & stat.S_IRWXO:
            yield f"{key}: everybody on this machine may use the private key"
    if settings.smtp_server_tls_clients and not certificates.files.client_ca:
        yield "client certificates are to grant relaying, but there is no clientca.pem"


def _about_time(pair: Pair, now: datetime) -> Iterator[str]:
    if pair.expires <= now:
        yield f"{pair.path}: the certificate expired on {pair.expires:%Y-%m-%d}"
    elif pair.expires <= now + SOON:
        days = (pair.expires - now).days
        yield f"{pair.path}: the certificate expires in {days} days"
    if pair.begins > now:
        yield f"{pair.path}: the certificate is good from {pair.begins:%Y-%m-%d} on only"
