"""What the tests of AUTH share: checkers, sessions with them, and the client's side."""

from __future__ import annotations

import hmac
import os
import sys
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from scramp import ScramClient
from twisted.cred.checkers import FilePasswordDB

from mvmtr.auth.chain import Chain
from mvmtr.auth.scram import ScramFile, line_for
from mvmtr.protocol.delivery import anonymous_portal
from mvmtr.protocol.server import ReceiverFactory
from mvmtr.test import support
from mvmtr.test.support import CLIENT, Talk

USER, PASSWORD = b"ann", b"open sesame"
ITERATIONS = 4096

ACCEPTS_ANN = f"""#!{sys.executable} -IS
import os, sys
fields = os.read(3, 512).split(b"\\0")
if fields[1:2] == [b"kaputt"]:
    sys.exit(111)
if fields[:2] != [b"ann", b"open sesame"]:
    sys.exit(1)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""A program with the checkpassword interface."""


def base64(data: bytes) -> bytes:
    """In one line."""
    return b64encode(data)


def plain(user: bytes = USER, password: bytes = PASSWORD, other: bytes = b"") -> bytes:
    """The message of PLAIN."""
    return base64(b"\0".join((other, user, password)))


def cram(reply: bytes, user: bytes = USER, password: bytes = PASSWORD) -> bytes:
    """The answer of CRAM-MD5 to a reply with a challenge."""
    digest = hmac.new(password, b64decode(reply[4:]), "md5").hexdigest()
    return base64(user + b" " + digest.encode())


def scram_client(user: bytes = USER, password: bytes = PASSWORD) -> ScramClient:
    """The other side of SCRAM-SHA-256, by scramp."""
    return ScramClient(["SCRAM-SHA-256"], user.decode(), password.decode())


def password_file(home: Path, user: bytes = USER, password: bytes = PASSWORD) -> FilePasswordDB:
    """A file with a password in clear."""
    path = home / "passwords"
    path.write_bytes(user + b":" + password + b"\n")
    return FilePasswordDB(str(path))


def scram_path(home: Path, *users: tuple[bytes, bytes]) -> Path:
    """A file of keys."""
    path = home / "keys"
    lines = [line_for(*user, ITERATIONS) for user in users or ((USER, PASSWORD),)]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def scram_file(home: Path, *users: tuple[bytes, bytes]) -> ScramFile:
    """A checker with a file of keys."""
    return ScramFile(str(scram_path(home, *users)))


def program(home: Path, text: str = ACCEPTS_ANN, name: str = "checkpassword") -> str:
    """A program in a folder."""
    path = home / name
    path.write_text(text)
    os.chmod(path, 0o755)
    return str(path)


def factory_with(assembly: Any, *checkers: Any, connection: Any = CLIENT) -> ReceiverFactory:
    """A factory of sessions that can authenticate."""
    portal = anonymous_portal()
    if checkers:
        portal.registerChecker(Chain(checkers))
    return ReceiverFactory(assembly.for_connection, portal, lambda _raw: connection)


class AuthTalk(Talk):
    """
    A session that can authenticate, over a transport in memory.

    @param checkers: of passwords.
    @param factory: makes the session, instead of the checkers.
    """

    def __init__(
        self, *checkers: Any, checks: Any = (), connection: Any = CLIENT, **overrides: str
    ) -> None:
        overrides = {"smtp_server_auth_insecure": "on", **overrides}
        self.assembly = support.assemble(checks=checks, **overrides)
        self.factory = factory_with(self.assembly, *checkers, connection=connection)
        self.connect()

    def connect(self) -> None:
        """Begin another session with the same server."""
        self.clock = support.Clock()
        self.transport = support.StringTransport()
        self.receiver = self.factory.buildProtocol(None)
        self.receiver.callLater = self.clock.callLater
        self.receiver.seconds = self.clock.seconds
        self.receiver.makeConnection(self.transport)
        self.hear(b"EHLO client.example")

    def hear(self, line: bytes) -> bytes:
        """Send a line; what the server says to that."""
        self.transport.clear()
        self.receiver.dataReceived(line + b"\r\n")
        return self.said

    def failing(self, line: bytes) -> bytes:
        """Send a line that fails; what the server says when its time has come."""
        heard = self.hear(line)
        self.clock.advance(self.receiver.session.settings.smtp_server_auth_delay)
        return heard + self.said

    def scram(self, client: ScramClient, last: bytes = b"") -> bytes:
        """A whole exchange of SCRAM; the reply to its last line."""
        first = base64(client.get_client_first().encode())
        heard = self.hear(b"AUTH SCRAM-SHA-256 " + first)
        client.set_server_first(b64decode(heard[4:]).decode())
        heard = self.failing(base64(client.get_client_final().encode()))
        if not heard.startswith(b"334"):
            return heard
        client.set_server_final(b64decode(heard[4:]).decode())
        return self.hear(last)
