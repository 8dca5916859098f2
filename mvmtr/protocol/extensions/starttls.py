# -*- test-case-name: mvmtr.test.test_starttls -*-
"""RFC 3207: from now on under TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import ITCPTransport
from twisted.logger import Logger

from mvmtr.protocol import reply
from mvmtr.protocol.extensions import Extension
from mvmtr.protocol.tls import CertificateError

if TYPE_CHECKING:
    from mvmtr.protocol.smtp import Receiver

log = Logger()


def _can(receiver: Receiver) -> bool:
    """Whether there is somebody to do TLS, and a connection that can have it."""
    if receiver.ucspi is not None:
        return True
    return receiver.configuration.tls is not None and ITCPTransport.providedBy(receiver.transport)


def _starttls(receiver: Receiver, argument: bytes) -> None:
    """RFC 3207, section 4."""
    if receiver.session.encryption is not None:
        receiver.refuse("starttls", reply.ENCRYPTED_ALREADY)
    elif not _can(receiver):
        receiver.refuse("starttls", reply.UNIMPLEMENTED)
    elif argument:
        receiver.refuse("starttls", reply.NO_ARGUMENTS, argument)
    elif receiver.ucspi is not None:
        _start(receiver, None)
    else:
        _with_certificates(receiver)


def _with_certificates(receiver: Receiver) -> None:
    certificates = receiver.configuration.tls
    try:
        certificates.load()
    except CertificateError as error:
        log.error("no TLS: {error}", error=error)
        receiver.refuse("starttls", reply.NO_TLS.because(str(error)))
    else:
        _start(receiver, certificates)


def _start(receiver: Receiver, creator: Any) -> None:
    receiver.handshakes_max = receiver.session.settings.smtp_server_tls_handshakes_max
    if not receiver.start_tls(creator, reply.reply_of(reply.START_TLS)):
        receiver.refuse("starttls", reply.TOO_MANY_HANDSHAKES.by("handshakes"))


class StartTls(Extension):
    """A session without TLS may get it. All that was said before is forgotten then."""

    keyword = b"STARTTLS"
    commands = {b"STARTTLS": _starttls}

    def offered(self, receiver: Receiver) -> bool:
        """Where there are certificates, or a parent that has some."""
        return receiver.session.encryption is None and _can(receiver)


EXTENSION = StartTls()
