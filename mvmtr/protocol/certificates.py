# -*- test-case-name: mvmtr.test.test_tls -*-
"""
Certificates as OpenSSL wants them: read from PEM files, chosen by name, and those of clients.

Import this module only where there is TLS: it loads OpenSSL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtensionOID, NameOID
from OpenSSL import SSL, crypto
from twisted.internet.ssl import CertificateOptions

from mvmtr.protocol.tls import CertificateError, Files

_PRIVATE_KEY = re.compile(rb"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
# Not in every pyOpenSSL that will do; the number is OpenSSL's (ssl.h).
_NO_RENEGOTIATION = getattr(SSL, "OP_NO_RENEGOTIATION", 0x40000000)

SESSION_CONTEXT = b"mvmtr"


@dataclass(frozen=True)
class Pair:
    """A certificate with its chain and its key."""

    path: str
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key: Any

    @property
    def names(self) -> tuple[str, ...]:
        """The host names that it is for, in lower case; C{*.name} for all below name."""
        return names_in(self.certificate)

    @property
    def expires(self) -> datetime:
        """When it is good no more; so is the chain, if that is earlier."""
        return min(one.not_valid_after_utc for one in (self.certificate, *self.chain))

    @property
    def begins(self) -> datetime:
        """When it is good from."""
        return max(one.not_valid_before_utc for one in (self.certificate, *self.chain))

    def serves(self, name: str) -> bool:
        """Whether it is for a host name."""
        return name in self.names or "*." + name.partition(".")[2] in self.names


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise CertificateError(f"{path}: {error.strerror}") from error


def read_pair(certificate: str, key: str) -> Pair:
    """
    Read a certificate and its key.

    @param certificate: path of a PEM file: the certificate, then its chain, if any.
    @param key: path of a PEM file with the key; may be the same.
    @raise CertificateError: when that can't be done, or they don't belong together.
    """
    text = _read(certificate)
    try:
        found = x509.load_pem_x509_certificates(text)
    except ValueError as error:
        raise CertificateError(f"{certificate}: there is no certificate in it") from error
    pair = Pair(certificate, found[0], tuple(found[1:]), _key_in(key))
    if _public(pair.key.public_key()) != _public(pair.certificate.public_key()):
        raise CertificateError(
            f"{certificate}: the key in {key} does not belong to the first certificate"
        )
    return pair


def _key_in(path: str) -> Any:
    match = _PRIVATE_KEY.search(_read(path))
    if match is None:
        raise CertificateError(f"{path}: there is no private key in it")
    try:
        return serialization.load_pem_private_key(match[0] + b"\n", None)
    except TypeError as error:
        raise CertificateError(f"{path}: the private key has a password") from error
    except Exception as error:
        raise CertificateError(f"{path}: the private key can't be read") from error


def _public(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def names_in(certificate: x509.Certificate) -> tuple[str, ...]:
    """The host names in a certificate; without alternative names, the common name."""
    try:
        extension = certificate.extensions.get_extension_for_oid(
            ExtensionOID.SUBJECT_ALTERNATIVE_NAME
        )
    except (x509.ExtensionNotFound, ValueError):
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return tuple(str(name.value).lower() for name in common)
    assert isinstance(extension.value, x509.SubjectAlternativeName)
    return tuple(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))


def addresses_in(certificate: x509.Certificate) -> tuple[bytes, ...]:
    """The mail addresses in a client certificate, in lower case."""
    found = certificate.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)
    addresses = [str(attribute.value) for attribute in found]
    try:
        extension = certificate.extensions.get_extension_for_oid(
            ExtensionOID.SUBJECT_ALTERNATIVE_NAME
        )
    except x509.ExtensionNotFound:
        pass
    else:
        assert isinstance(extension.value, x509.SubjectAlternativeName)
        addresses += extension.value.get_values_for_type(x509.RFC822Name)
    return tuple(address.lower().encode("utf-8") for address in addresses)


class Peer:
    """
    What is found out about the other end of one connection.

    @param contexts: kept alive for as long as the connection, for OpenSSL calls into them.
    """

    def __init__(self, contexts: Contexts) -> None:
        self._contexts = contexts
        self._verified = False
        self._doubts = False

    def note(self, depth: int, good: bool) -> None:
        """OpenSSL has looked at one certificate of the client's chain."""
        if not good:
            self._doubts = True
        elif depth == 0:
            self._verified = True

    def holder(self, connection: SSL.Connection) -> bytes | None:
        """An address in the client's certificate; C{None} when that is not to be trusted."""
        if self._doubts or not self._verified:
            return None
        certificate = connection.get_peer_certificate()
        if certificate is None:
            return None
        try:
            addresses = addresses_in(certificate.to_cryptography())
        except Exception:
            # However it is malformed, it grants nothing.
            return None
        known = [one for one in addresses if one in self._contexts.clients]
        return next(iter(known or addresses), None)


_peers: WeakKeyDictionary[SSL.Connection, Peer] = WeakKeyDictionary()
"""Not the data that OpenSSL holds for a connection: those are Twisted's."""


def _note(
    connection: SSL.Connection, _certificate: Any, _error: int, depth: int, good: int
) -> bool:
    """A bad certificate ends no handshake; it just grants nothing."""
    peer = _peers.get(connection)
    if peer is not None:
        peer.note(depth, bool(good))
    return True


def holder_at(connection: SSL.Connection) -> bytes | None:
    """Who holds the client certificate of a connection, if there is a good one."""
    peer = _peers.get(connection)
    return None if peer is None else peer.holder(connection)


class Contexts:
    """
    One OpenSSL context for each certificate; which one serves is for the client to say.

    @ivar pairs: the certificates; the first one is for clients that ask for no known name.
    @ivar clients: the addresses in client certificates that mean something.
    @raise CertificateError: when a file can't be used.
    """

    def __init__(self, files: Files) -> None:
        self.clients = frozenset(files.clients)
        self.pairs = tuple(read_pair(*paths) for paths in files.pairs)
        contexts = [_context_of(pair, files) for pair in self.pairs]
        self._default = contexts[0]
        self._by_name: dict[str, SSL.Context] = {}
        for pair, context in zip(self.pairs, contexts, strict=True):
            for name in pair.names:
                self._by_name.setdefault(name, context)
        self._default.set_tlsext_servername_callback(self._choose)

    def connection(self) -> SSL.Connection:
        """A connection whose handshake is still to come."""
        connection = SSL.Connection(self._default, None)
        _peers[connection] = Peer(self)
        return connection

    def _choose(self, connection: SSL.Connection) -> None:
        name = (connection.get_servername() or b"").decode("ascii", "replace").lower()
        context = self.context_for(name.removesuffix("."))
        if context is not self._default:
            connection.set_context(context)

    def context_for(self, name: str) -> SSL.Context:
        """The context with a certificate for a host name, or the default."""
        exact = self._by_name.get(name)
        if exact is not None:
            return exact
        return self._by_name.get("*." + name.partition(".")[2], self._default)


def _context_of(pair: Pair, files: Files) -> SSL.Context:
    options = CertificateOptions(
        privateKey=crypto.PKey.from_cryptography_key(pair.key),
        certificate=crypto.X509.from_cryptography(pair.certificate),
        extraCertChain=[crypto.X509.from_cryptography(one) for one in pair.chain],
    )
    try:
        context = options.getContext()
    except SSL.Error as error:
        raise CertificateError(f"{pair.path}: OpenSSL does not take it: {_words(error)}") from error
    context.set_options(_NO_RENEGOTIATION)
    context.set_session_id(SESSION_CONTEXT)
    if files.client_ca:
        _ask_for_certificates(context, files)
    return context


def _ask_for_certificates(context: SSL.Context, files: Files) -> None:
    """Ask clients for certificates, take any, and note what is good."""
    try:
        authorities = x509.load_pem_x509_certificates(_read(files.client_ca))
    except ValueError as error:
        raise CertificateError(f"{files.client_ca}: there is no certificate in it") from error
    store = context.get_cert_store()
    assert store is not None
    for authority in authorities:
        store.add_cert(crypto.X509.from_cryptography(authority))
        context.add_client_ca(crypto.X509.from_cryptography(authority))
    if files.client_crl:
        for found in _revocations(files.client_crl):
            store.add_crl(found)
        store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL)
    context.set_verify(SSL.VERIFY_PEER, _note)


_CRL = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


def _revocations(path: str) -> list[x509.CertificateRevocationList]:
    try:
        found = [x509.load_pem_x509_crl(text + b"\n") for text in _CRL.findall(_read(path))]
    except ValueError as error:
        raise CertificateError(f"{path}: a revocation list in it can't be read") from error
    if not found:
        raise CertificateError(f"{path}: there is no revocation list in it")
    return found


def _words(error: SSL.Error) -> str:
    return "; ".join(entry[-1] for entry in error.args[0]) if error.args else str(error)
