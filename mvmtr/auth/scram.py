# -*- test-case-name: mvmtr.test.test_scram_file -*-
"""
A file with what SCRAM stores instead of passwords (RFC 5803), one user to a line:

    USER:SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY

Salt and keys are in base64. Nobody can log in with what is in the file; but who has it can
try passwords at leisure.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from dataclasses import dataclass
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from zope.interface import implementer

from mvmtr.auth.sasl import (
    ITERATIONS_OF_PASSWORDS,
    IScramCredentials,
    Malformed,
    decoded,
    encoded,
)

log = Logger()

ITERATIONS = 100_000
"""How much work it is to try one password, for new lines."""

ITERATIONS_MAX = 10_000_000
SALT_MIN = 12
SALT_SIZE = 16
KEY_SIZE = hashlib.sha256().digest_size

_MARK = b":SCRAM-SHA-256$"
_REST = re.compile(rb"([1-9][0-9]{3,7}):([^$:]+)\$([^$:]+):([^$:]+)")


class ScramFileError(ValueError):
    """A file that can't be read, or a line in it that is none; the message says which."""


@dataclass(frozen=True)
class Verifier:
    """What is stored for one user."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return "<Verifier>"

    def accepts(self, password: bytes) -> bool:
        """Whether it was made of that password; takes its time."""
        made = keys_of(password, self.iterations, self.salt)
        return made is not None and hmac.compare_digest(made[0], self.stored_key)


def keys_of(password: bytes, iterations: int, salt: bytes) -> tuple[bytes, bytes] | None:
    """Stored key and server key; C{None} for what can't be a password (RFC 4013)."""
    from scramp import ScramMechanism

    try:
        _salt, stored_key, server_key, _iterations = ScramMechanism("SCRAM-SHA-256").make_auth_info(
            password.decode("utf-8"), iterations, salt
        )
    except Exception:
        return None
    return stored_key, server_key


def prepared(user: bytes) -> bytes | None:
    """A user's name in its one right form (RFC 4013); C{None} when it has none."""
    from scramp.utils import saslprep

    try:
        name: str = saslprep(user.decode("utf-8"))
    except Exception:
        return None
    return name.encode("utf-8")


def line_for(user: bytes, password: bytes, iterations: int = ITERATIONS) -> bytes:
    """
    The line for a user, without its end.

    @raise ValueError: for what can't be a user or a password.
    """
    name = prepared(user)
    if not name or not password or name.startswith(b"#") or name != name.strip():
        raise ValueError("neither user nor password can be empty, or hold control characters")
    salt = os.urandom(SALT_SIZE)
    keys = keys_of(password, iterations, salt)
    if keys is None:
        raise ValueError("the password holds what no password can hold (RFC 4013)")
    shown = b"%s$%s:%s" % (encoded(salt), encoded(keys[0]), encoded(keys[1]))
    return b"%s%s%d:%s" % (name, _MARK, iterations, shown)


def parse(content: bytes) -> dict[bytes, Verifier]:
    """
    The users in a file. Blank lines and those that begin with C{#} are skipped. Pure.

    @raise ScramFileError: with the number of a line that can't be used.
    """
    users: dict[bytes, Verifier] = {}
    for number, raw in enumerate(content.split(b"\n"), 1):
        line = raw.strip()
        if not line or line.startswith(b"#"):
            continue
        user, _mark, rest = line.partition(_MARK)
        match = _REST.fullmatch(rest)
        verifier = match and _verifier(*match.groups())
        if not user or verifier is None or user in users:
            why = "is there twice" if user in users else "is no USER:SCRAM-SHA-256$..."
            raise ScramFileError(f"line {number} {why}")
        users[user] = verifier
    return users


def _verifier(count: bytes, salt: bytes, stored_key: bytes, server_key: bytes) -> Verifier | None:
    try:
        found = Verifier(int(count), decoded(salt), decoded(stored_key), decoded(server_key))
    except Malformed:
        return None
    fits = (
        ITERATIONS_OF_PASSWORDS <= found.iterations <= ITERATIONS_MAX
        and len(found.salt) >= SALT_MIN
        and len(found.stored_key) == len(found.server_key) == KEY_SIZE
    )
    return found if fits else None


@implementer(ICredentialsChecker)
class ScramFile:
    """
    Checks SCRAM proofs, and passwords in clear, against a file. It is read again when it was
    edited; one that can't be used leaves things as they were, and is logged.

    @raise ScramFileError: when it can't be read at first.
    """

    credentialInterfaces = (IScramCredentials, IUsernamePassword)

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        self._users: dict[bytes, Verifier] = {}
        self._secret = b""
        self._stamp: object = None
        self._read()

    def _read(self) -> None:
        try:
            with open(self._path, "rb") as file:
                status = os.fstat(file.fileno())
                content = file.read()
        except OSError as error:
            raise ScramFileError(f"{self._path}: {error.strerror}") from None
        self._stamp = _stamp(status)
        try:
            self._users = parse(content)
        except ScramFileError as error:
            raise ScramFileError(f"{self._path}: {error}") from None
        # The same from one process to the next, and after most edits; and not to be computed
        # by the first user either.
        first = next(iter(self._users.values()), None)
        self._secret = first.server_key + _machine() if first else os.urandom(KEY_SIZE)

    def _refresh(self) -> None:
        try:
            if _stamp(os.stat(self._path)) != self._stamp:
                self._read()
        except OSError as error:
            log.error("{path}: {error}", path=self._path, error=error.strerror)
        except ScramFileError as error:
            log.error("{error}; the last good one stays in force", error=error)

    def _verifier_of(self, user: bytes) -> tuple[bytes, Verifier]:
        """The user's, or one that looks like it, and that nobody can use."""
        self._refresh()
        name = prepared(user) or b""
        found = self._users.get(name)
        if found is not None:
            return name, found
        return b"", self._made_up(name)

    def _made_up(self, name: bytes) -> Verifier:
        made = hashlib.shake_256(self._secret + b"nobody:" + name)
        known = list(self._users.values()) or [Verifier(ITERATIONS, bytes(SALT_SIZE), b"", b"")]
        model = known[int.from_bytes(made.digest(8), "big") % len(known)]
        salt = made.digest(8 + len(model.salt))[8:]
        return Verifier(model.iterations, salt, os.urandom(KEY_SIZE), os.urandom(KEY_SIZE))

    def salt_of(self, user: bytes) -> tuple[bytes, int]:
        """Salt and number of iterations for a user; made up, but always the same, for nobody."""
        _name, verifier = self._verifier_of(user)
        return verifier.salt, verifier.iterations

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """See L{ICredentialsChecker}."""
        name, verifier = self._verifier_of(credentials.username)

        def decided(is_right: bool) -> bytes | tuple[()]:
            if not (is_right and name):
                raise UnauthorizedLogin
            return name

        if IScramCredentials.providedBy(credentials):
            is_right = credentials.check_keys(verifier.stored_key, verifier.server_key)
            return succeed(name) if is_right and name else fail(UnauthorizedLogin())
        # In a thread, for this is meant to take long.
        return deferToThread(verifier.accepts, credentials.password).addCallback(decided)


def _machine() -> bytes:
    try:
        with open("/etc/machine-id", "rb") as file:
            return file.read(100)
    except OSError:
        return b""


def _stamp(status: os.stat_result) -> object:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
