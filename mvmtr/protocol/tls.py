# -*- test-case-name: mvmtr.test.test_tls -*-
"""
The certificates of this server: which files, when they are read, and what is kept of them.

OpenSSL is loaded when there is something to encrypt, and not before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

from mvmtr.session import Encryption
from mvmtr.settings import Settings
from mvmtr.stamps import Stamp, is_settled, stamp_of

if TYPE_CHECKING:
    from mvmtr.protocol.certificates import Contexts

SERVER = "servercert.pem"
"""In the control folder, certificate and key where no setting names others."""

CLIENT_CA = "clientca.pem"
"""In the control folder, who signs client certificates."""

CLIENT_CRL = "clientcrl.pem"
"""In the control folder, which client certificates are void."""


class CertificateError(Exception):
    """Certificates that can't be used; the message is one line that names the file."""


@dataclass(frozen=True)
class Files:
    """
    Where certificates are.

    @ivar pairs: certificate and key; the same path where the key is in the certificate's file.
    @ivar client_ca: who signs client certificates; empty: nobody is asked for one.
    @ivar client_crl: which of them are void; empty: none.
    @ivar clients: the addresses in client certificates that mean something.
    """

    pairs: tuple[tuple[str, str], ...]
    client_ca: str = ""
    client_crl: str = ""
    clients: tuple[bytes, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """All files."""
        named = [path for pair in self.pairs for path in pair]
        named += [path for path in (self.client_ca, self.client_crl) if path]
        return tuple(dict.fromkeys(named))


def files_of(settings: Settings, folder: str | None) -> Files | None:
    """
    The files that the settings name, or those that a control folder has.

    @param folder: the control folder, if there is one.
    @return: C{None} when there is no certificate.
    @raise CertificateError: when the settings don't fit together.
    """

    def path(name: str) -> str:
        return os.path.abspath(os.path.join(folder or "", name))

    def default(name: str) -> str:
        return path(name) if folder is not None and os.path.lexists(path(name)) else ""

    certificates = [path(name) for name in settings.smtp_server_tls_cert]
    certificates = certificates or [name for name in (default(SERVER),) if name]
    keys = [path(name) for name in settings.smtp_server_tls_key]
    if keys and len(keys) != len(certificates):
        raise CertificateError(
            f"smtp_server_tls_key has {len(keys)} files for {len(certificates)} certificates"
        )
    if not certificates:
        return None
    pairs = tuple(zip(certificates, keys or certificates, strict=True))
    if not settings.smtp_server_tls_clients:
        return Files(pairs)
    named = settings.smtp_server_tls_clientca
    authority = path(named) if named else default(CLIENT_CA)
    clients = tuple(client.lower() for client in settings.smtp_server_tls_clients)
    return Files(pairs, authority, default(CLIENT_CRL) if authority else "", clients)


def watched(settings: Settings, folder: str | None) -> tuple[str, ...]:
    """The files whose edits matter, whether or not they are there."""
    names = (SERVER, CLIENT_CA, CLIENT_CRL) if folder is not None else ()
    defaults = tuple(os.path.join(folder or "", name) for name in names)
    try:
        files = files_of(settings, folder)
    except CertificateError:
        files = None
    return defaults if files is None else tuple(dict.fromkeys((*defaults, *files.paths)))


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """
    The certificates in some files; they are read when they are first used, or by C{load}.
    """

    def __init__(self, files: Files) -> None:
        self.files = files
        self._contexts: Contexts | None = None
        self._stamp: Stamp = ()
        self._settled = False

    def load(self) -> Contexts:
        """
        What was read from the files.

        @raise CertificateError: when they can't be used.
        """
        if self._contexts is None:
            from mvmtr.protocol.certificates import Contexts

            began = time.time()
            self._stamp = stamp_of(self.files.paths)
            self._settled = is_settled(self._stamp, began)
            self._contexts = Contexts(self.files)
        return self._contexts

    def holds(self, files: Files) -> bool:
        """Whether this was read from the same files as they are now."""
        return (
            self._contexts is not None
            and self._settled
            and self.files == files
            and self._stamp == stamp_of(files.paths)
        )

    def serverConnectionForTLS(self, tlsProtocol: Any) -> Any:
        """
        See L{IOpenSSLServerConnectionCreator}.

        @raise CertificateError: when the files can't be used.
        """
        return self.load().connection()


@implementer(IOpenSSLServerConnectionCreator)
class Newest:
    """
    The certificates of now, for connections that begin with a handshake.

    @param current: gives them, or C{None} where they are gone.
    """

    def __init__(self, current: Callable[[], Certificates | None]) -> None:
        self._current = current
        self._latest: Certificates | None = None

    def serverConnectionForTLS(self, tlsProtocol: Any) -> Any:
        """See L{IOpenSSLServerConnectionCreator}."""
        self._latest = self._current() or self._latest
        if self._latest is None:
            raise CertificateError("there is no certificate")
        return self._latest.serverConnectionForTLS(tlsProtocol)


def successor(
    new: Certificates | None, old: Certificates | None, force: bool = False
) -> tuple[Certificates | None, str]:
    """
    The certificates to use from now on. Good ones are kept when their files go or get bad.

    @param new: what the files would be read into; loaded here.
    @param old: those in use.
    @param force: believe it when the files are gone.
    @return: the certificates, and what there is to complain about.
    @raise CertificateError: when the new ones can't be used and there are no old ones.
    """
    if new is None:
        if old is None or force:
            return None, ""
        return old, f"{old.files.paths[0]} is gone; {_KEPT}"
    if old is not None and old.holds(new.files):
        return old, ""
    try:
        new.load()
    except CertificateError as error:
        if old is None:
            raise
        return old, f"{error}; {_KEPT}"
    return new, ""


_KEPT = "the certificates that were read before stay in force"


def encryption_of(connection: Any) -> Encryption:
    """What was agreed upon in a handshake that is done, on an OpenSSL connection."""
    from mvmtr.protocol.certificates import holder_at

    return Encryption(
        connection.get_protocol_version_name(),
        connection.get_cipher_name() or "",
        connection.get_servername(),
        holder_at(connection),
    )


def failure_text(error: BaseException | None) -> str:
    """Why a handshake came to nothing, in a few words."""
    details = getattr(error, "args", ())
    if type(error).__module__.startswith("OpenSSL") and details and isinstance(details[0], list):
        words = [entry[-1] for entry in details[0] if entry[-1]]
        return ", ".join(dict.fromkeys(words)) or "not told by OpenSSL"
    if isinstance(error, CertificateError):
        return str(error)
    return "the client closed the connection"
