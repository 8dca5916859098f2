# -*- test-case-name: mvmtr.test.test_sasl -*-
"""
SASL mechanisms, as the server sees them. Pure: bytes in, challenges and credentials out.

No exception from here has a word of what the client sent.
"""

from __future__ import annotations

import hmac
import os
import re
import time
from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

from twisted.cred.credentials import ICredentials, IUsernameHashedPassword, IUsernamePassword
from zope.interface import Attribute, implementer

SaltOf = Callable[[bytes], tuple[bytes, int]]

ITERATIONS_OF_PASSWORDS = 4096
"""What SCRAM asks of a client when the password itself is at hand (RFC 7677, section 4)."""

USER_MAX = 255
"""Longest name of a user in bytes (RFC 4616, section 2)."""

SCRAM_FIRST_MAX = 1000
"""Longest first message of SCRAM in bytes. To prepare a name takes time (RFC 4013), and who
gives it has not failed yet."""

_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")


class Malformed(Exception):
    """A message that the mechanism does not have."""


class Forbidden(Exception):
    """The client wants to act for somebody else."""


def decoded(text: bytes) -> bytes:
    """
    What base64 stands for (RFC 4648, section 4), in its one right form.

    @raise Malformed: for anything else.
    """
    try:
        data = a2b_base64(text, strict_mode=True)
    except (Base64Error, ValueError):
        raise Malformed from None
    if encoded(data) != text:
        raise Malformed
    return data


def encoded(data: bytes) -> bytes:
    """Base64, in one line."""
    return b64encode(data)


def _user(name: bytes) -> bytes:
    """A name that can stand in a log and in a header."""
    if not 0 < len(name) <= USER_MAX or _CONTROLS.search(name):
        raise Malformed
    return name


class IScramCredentials(ICredentials):
    """A proof that can be checked with what is stored instead of a password (RFC 5802)."""

    username: bytes = Attribute("The user.")

    def check_keys(stored_key: bytes, server_key: bytes) -> bool:
        """Whether who has made the proof knows the password that the keys were made of."""


class ICramCredentials(ICredentials):
    """The answer to a challenge of CRAM-MD5, for who knows the password otherwise than as text."""

    username: bytes = Attribute("The user.")
    challenge: bytes = Attribute("What was asked.")
    response: bytes = Attribute("The answer, in hexadecimal digits.")


class Credentials:
    """
    What a client gave to say who it is.

    @ivar environment: that of a program that checks it.
    @ivar final: what the client is to hear before it is logged in, if there is such a thing.
    """

    username: bytes
    environment: Mapping[bytes, bytes] = os.environb
    final: bytes | None = None

    def __init__(self, username: bytes) -> None:
        self.username = username
        self._compared = False

    def checkPassword(self, password: bytes) -> bool:
        """Whether the password is this one."""
        self._compared = True
        return self._compare(password)

    def _compare(self, password: bytes) -> bool:
        raise NotImplementedError

    def take_time(self) -> None:
        """Work as much as for a user who exists."""
        if not self._compared:
            self.checkPassword(b"no password")


@implementer(IUsernamePassword)
class PlainCredentials(Credentials):
    """A name and a password in clear."""

    def __init__(self, username: bytes, password: bytes) -> None:
        super().__init__(_user(username))
        if not password or b"\0" in password:
            raise Malformed
        self.password = password

    def _compare(self, password: bytes) -> bool:
        return hmac.compare_digest(self.password, password)


@implementer(ICramCredentials, IUsernameHashedPassword)
class CramCredentials(Credentials):
    """The answer to a challenge (RFC 2195)."""

    def __init__(self, username: bytes, challenge: bytes, response: bytes) -> None:
        super().__init__(_user(username))
        if not re.fullmatch(rb"[0-9a-f]{32}", response):
            raise Malformed
        self.challenge = challenge
        self.response = response

    def _compare(self, password: bytes) -> bool:
        wanted = hmac.new(password, self.challenge, "md5").hexdigest()
        return hmac.compare_digest(wanted.encode("ascii"), self.response)


@implementer(IScramCredentials, IUsernameHashedPassword)
class ScramCredentials(Credentials):
    """The proof of a SCRAM exchange, for checkers with keys and for those with passwords."""

    def __init__(self, username: bytes, server: Any, proof: str, salt: bytes, count: int) -> None:
        super().__init__(username)
        self._server = server
        self._proof = proof
        self._salt = salt
        self._iterations = count

    def check_keys(self, stored_key: bytes, server_key: bytes) -> bool:
        """See L{IScramCredentials}."""
        self._compared = True
        server = copy(self._server)
        server.stored_key, server.server_key = stored_key, server_key
        try:
            server.set_client_final(self._proof)
            self.final = server.get_server_final().encode("ascii")
        except Exception:
            # The texts of these exceptions may quote the message.
            return False
        return True

    def _compare(self, password: bytes) -> bool:
        try:
            made = self._server.m.make_auth_info(
                password.decode("utf-8"), self._iterations, self._salt
            )
        except Exception:
            return False
        _salt, stored_key, server_key, _iterations = made
        return self.check_keys(stored_key, server_key)


class Mechanism:
    """
    One exchange; a subclass is one mechanism.

    @cvar name: as it stands in AUTH.
    @cvar client_first: whether the client has something to say before it is asked.
    @cvar interface: what a checker must be able to check.
    """

    name: bytes
    client_first: bool
    interface: Any

    def challenge(self) -> bytes:
        """What the server says first."""
        return b""

    def answer(self, response: bytes) -> bytes | Credentials:
        """
        The next challenge, or the credentials at the end of the exchange.

        @raise Malformed: when the mechanism has no such message.
        @raise Forbidden: when the client wants to act for somebody else.
        """
        raise NotImplementedError


class Plain(Mechanism):
    """RFC 4616."""

    name = b"PLAIN"
    client_first = True
    interface = IUsernamePassword

    def answer(self, response: bytes) -> Credentials:
        """See L{Mechanism}."""
        parts = response.split(b"\0")
        if len(parts) != 3:
            raise Malformed
        wanted, user, password = parts
        credentials = PlainCredentials(user, password)
        if wanted not in (b"", user):
            raise Forbidden
        return credentials


class Login(Mechanism):
    """What came before PLAIN; the name may come with AUTH."""

    name = b"LOGIN"
    client_first = False
    interface = IUsernamePassword

    def __init__(self) -> None:
        self._user: bytes | None = None

    def challenge(self) -> bytes:
        """See L{Mechanism}."""
        return b"Username:"

    def answer(self, response: bytes) -> bytes | Credentials:
        """See L{Mechanism}."""
        if self._user is None:
            self._user = _user(response)
            return b"Password:"
        return PlainCredentials(self._user, response)


class CramMd5(Mechanism):
    """RFC 2195. The checker must know the password."""

    name = b"CRAM-MD5"
    client_first = False
    interface = ICramCredentials

    def __init__(self, host: bytes) -> None:
        self._challenge = b"<%s.%d@%s>" % (os.urandom(12).hex().encode(), time.time(), host)

    def challenge(self) -> bytes:
        """See L{Mechanism}."""
        return self._challenge

    def answer(self, response: bytes) -> Credentials:
        """See L{Mechanism}."""
        user, _blank, digest = response.rpartition(b" ")
        return CramCredentials(user, self._challenge, digest)


class ScramSha256(Mechanism):
    """
    RFC 5802 with RFC 7677, without channel binding.

    @param salt_of: salt and number of iterations for a user, there or not.
    """

    name = b"SCRAM-SHA-256"
    client_first = True
    interface = IScramCredentials

    def __init__(self, salt_of: SaltOf) -> None:
        from scramp import ScramMechanism

        self._salt_of = salt_of
        self._begun = False
        self._server = ScramMechanism("SCRAM-SHA-256").make_server(self._look_up)

    def _look_up(self, user: str) -> tuple[bytes, bytes, bytes, int]:
        """The keys are not needed yet."""
        self._username = _user(user.encode("utf-8"))
        self._salt, self._iterations = self._salt_of(self._username)
        return self._salt, b"", b"", self._iterations

    def answer(self, response: bytes) -> bytes | Credentials:
        """See L{Mechanism}."""
        if not self._begun and len(response) > SCRAM_FIRST_MAX:
            raise Malformed
        try:
            text = response.decode("utf-8")
            if not self._begun:
                self._begun = True
                self._server.set_client_first(text)
                first: str = self._server.get_server_first()
                return first.encode("ascii")
        except Exception:
            raise Malformed from None
        return ScramCredentials(self._username, self._server, text, self._salt, self._iterations)
