"""Certificates for tests, and clients that know TLS."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "mx.example"


class Authority:
    """
    Who signs certificates, in a folder.

    @ivar path: its own certificate.
    """

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.path = folder / f"{name}.pem"
        self.ca.cert_pem.write_to_path(str(self.path))

    def text(
        self, *names: str, not_after: datetime | None = None, common: str | None = None
    ) -> str:
        """Key and certificate for host names or mail addresses, as one PEM text."""
        issued = self.ca.issue_cert(*names, not_after=not_after, common_name=common)
        chain = b"".join(part.bytes() for part in issued.cert_chain_pems)
        return (issued.private_key_pem.bytes() + chain).decode()

    def write(self, path: Path | str, *names: str, **options: object) -> Path:
        """The same as a file; a name without a folder goes into this folder."""
        path = self.folder / path
        path.write_text(self.text(*names, **options))
        return path

    def self_signed(self, common: str) -> x509.Certificate:
        """An old-fashioned certificate: a common name and nothing else."""
        now = datetime.now(UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
        key = ec.generate_private_key(ec.SECP256R1())
        return (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=1))
            .sign(key, hashes.SHA256())
        )

    def revocation_of(self, path: Path) -> bytes:
        """A list of revoked certificates with one on it."""
        now = datetime.now(UTC)
        certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
        revoked = (
            x509.RevokedCertificateBuilder()
            .serial_number(certificate.serial_number)
            .revocation_date(now - timedelta(days=1))
            .build()
        )
        key = serialization.load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        listed = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(certificate.issuer)
            .last_update(now - timedelta(days=1))
            .next_update(now + timedelta(days=1))
            .add_revoked_certificate(revoked)
            .sign(key, hashes.SHA256())
        )
        return listed.public_bytes(serialization.Encoding.PEM)

    def client(self, certificate: Path | None = None, verify: bool = True) -> ssl.SSLContext:
        """The TLS of a client that trusts this authority."""
        context = ssl.create_default_context(cafile=str(self.path))
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if certificate is not None:
            context.load_cert_chain(str(certificate))
        return context


def read_all(client: socket.socket) -> bytes:
    """What comes until the server closes the connection, however it does."""
    said = b""
    try:
        while piece := client.recv(65536):
            said += piece
    except (ConnectionError, ssl.SSLError):
        pass
    return said


class Client:
    """
    A client on a real socket, line by line.

    @ivar connection: its socket.
    """

    def __init__(self, port: int, context: ssl.SSLContext | None = None, name: str = HOST) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port), 30)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._name = name
        if context is not None:
            self.encrypt(context)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_failure: object) -> None:
        self.connection.close()

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Do a handshake."""
        self.connection = context.wrap_socket(self.connection, server_hostname=self._name)

    def reply(self) -> bytes:
        """The next reply, all of its lines; what there is when the server closes."""
        said = b""
        while True:
            byte = self.connection.recv(1)
            said += byte
            last = said.rpartition(b"\r\n")[0].rpartition(b"\r\n")[2] + b"\r\n"
            if not byte or (said.endswith(b"\r\n") and last[3:4] == b" "):
                return said

    def say(self, *lines: bytes) -> list[int]:
        """Say lines, one after the other's reply; the codes of the replies."""
        codes = []
        for line in lines:
            self.connection.sendall(line + b"\r\n")
            codes.append(int(self.reply()[:3]))
        return codes

    def starttls(self, context: ssl.SSLContext) -> None:
        """Greet, and get TLS by STARTTLS."""
        assert self.reply().startswith(b"220"), "no greeting"
        assert self.say(b"EHLO c", b"STARTTLS") == [250, 220]
        self.encrypt(context)

    @property
    def certificate(self) -> tuple[str, ...]:
        """The host names in the certificate of the server."""
        assert isinstance(self.connection, ssl.SSLSocket)
        found = self.connection.getpeercert()
        assert found is not None
        return tuple(value for kind, value in found["subjectAltName"] if kind == "DNS")

    def rest(self) -> bytes:
        """What comes until the server closes."""
        return read_all(self.connection)
