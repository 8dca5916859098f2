# -*- test-case-name: mvmtr.test.test_session -*-
"""
The words that all else is written in: connection, session, transaction, verdict.

Values from the wire are bytes here as well; text is made of them at the edges.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import IO, ClassVar, TypeVar

from mvmtr.settings import Settings


class Stage(StrEnum):
    """The points of a session at which checks are asked, in their order."""

    CONNECT = "connect"
    HELO = "helo"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    MESSAGE = "message"
    DISCONNECT = "disconnect"


T = TypeVar("T")
V = TypeVar("V", bound="Verdict")


def altered(value: T, **changes: object) -> T:
    """
    What C{dataclasses.replace} gives, in a fifth of the time: the new values, which must be good
    ones, are not looked at.
    """
    copy = object.__new__(type(value))
    copy.__dict__.update(value.__dict__, **changes)
    return copy


_ENHANCED = re.compile(r"([245])\.\d{1,3}\.\d{1,3}(?= |$)")
_FIELD = re.compile(rb"[!-9;-~]+:[^\x00\r\n]{0,998}")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")

PREPENDED_MAX = 50
"""Header fields that checks may put in front of a message."""

REPLY_TEXT_MAX = 480
"""Longest text of a reply in bytes; with code and line end it stays below the 512 of
RFC 5321, section 4.5.3.1.5."""


@dataclass(frozen=True)
class Verdict:
    """
    What a check, or the queue, decided.

    Use one of the subclasses: they tell accepted from refused, and permanent from
    temporary, as types.

    @ivar code: the SMTP reply code; the subclass says in which hundred it must lie.
    @ivar text: the text of the reply. An enhanced status code in front (RFC 2034) is
        kept, a missing one is added. What is not printable ASCII becomes a blank.
    @ivar reason: why, for the log and for explanations: a control file and its line.
    @ivar check: the name of the check that decided; the policy fills it in.

    @raise ValueError: when code and class, or code and enhanced status code, disagree.
    """

    code: int
    text: str
    reason: str = ""
    check: str = ""

    hundred: ClassVar[int] = 2
    status: ClassVar[str] = "2.0.0"

    def __post_init__(self) -> None:
        if not self.hundred * 100 <= self.code < self.hundred * 100 + 100:
            raise ValueError(f"{type(self).__name__} with reply code {self.code}")
        text = _UNPRINTABLE.sub(" ", self.text).strip()
        enhanced = _ENHANCED.match(text)
        if enhanced is None:
            text = f"{self.status} {text}"
        elif int(enhanced[1]) != self.hundred:
            raise ValueError(f"reply code {self.code} with enhanced status code {enhanced[0]}")
        object.__setattr__(self, "text", text[:REPLY_TEXT_MAX].rstrip())

    @property
    def name(self) -> str:
        """The kind of verdict, as the log calls it: C{accept}, C{reject}, …"""
        return type(self).__name__.lower()

    def by(self: V, check: str) -> V:
        """The same verdict, given by the check of that name."""
        return self if self.check else altered(self, check=check)

    def because(self: V, reason: str) -> V:
        """The same verdict with a reason."""
        return altered(self, reason=reason)


@dataclass(frozen=True)
class Accept(Verdict):
    """Yes; the checks after this one are not asked at this stage."""

    code: int = 250
    text: str = "ok"


YES = Accept()
"""To be given a reason, for those who say yes often."""


@dataclass(frozen=True)
class Discard(Verdict):
    """
    Say yes to the client and throw away: the recipient at RCPT, the whole message
    elsewhere.
    """

    code: int = 250
    text: str = "ok"


@dataclass(frozen=True)
class Reject(Verdict):
    """
    No, for good (5xx).

    @ivar at_rcpt: given at MAIL, it is held back: MAIL is answered 250 and every RCPT
        of the transaction gets this verdict, as qmail-smtpd does with badmailfrom.
    """

    code: int = 554
    text: str = "refused"
    at_rcpt: bool = False

    hundred: ClassVar[int] = 5
    status: ClassVar[str] = "5.7.1"


@dataclass(frozen=True)
class Defer(Verdict):
    """
    Not now (4xx). The code 421 ends the session as well (RFC 5321, section 3.8).
    """

    code: int = 451
    text: str = "try again later"

    hundred: ClassVar[int] = 4
    status: ClassVar[str] = "4.7.1"


@dataclass(frozen=True)
class Connection:
    """
    Who talks to whom: from tcpserver's environment or from the socket, all the same to
    those who look at it. C{None} is "not known".

    @ivar forwarded_by: the address of the proxy or client that speaks for this one.
    @ivar environment: the variables that hold for this connection (RELAYCLIENT,
        DATABYTES, QMAILQUEUE and whatever else was set for it).
    @ivar denied: why the connection is refused; empty when it is not.
    @ivar complete: whether C{environment} is all that programs get that are run on behalf of
        this connection. Otherwise it comes on top of what this process itself has.
    """

    remote_ip: bytes | None = None
    remote_host: bytes | None = None
    remote_info: bytes | None = None
    local_ip: bytes | None = None
    local_host: bytes | None = None
    forwarded_by: bytes | None = None
    environment: Mapping[bytes, bytes] = field(default_factory=dict)
    denied: str = ""
    complete: bool = False

    def as_environment(self) -> dict[bytes, bytes]:
        """
        The variables that tcpserver would have set, for programs that are run on behalf
        of this connection and expect them.
        """
        named = {
            b"TCPREMOTEIP": self.remote_ip,
            b"TCPREMOTEHOST": self.remote_host,
            b"TCPREMOTEINFO": self.remote_info,
            b"TCPLOCALIP": self.local_ip,
            b"TCPLOCALHOST": self.local_host,
        }
        known = {name: value for name, value in named.items() if value is not None}
        return {**known, **self.environment}


@dataclass(frozen=True)
class Encryption:
    """
    The TLS under a session.

    @ivar protocol: its version, as C{TLSv1.3}.
    @ivar cipher: the name of the cipher suite.
    @ivar server_name: the name that the client asked for (SNI).
    @ivar client: who holds the client certificate, if there is a good one.
    """

    protocol: str
    cipher: str
    server_name: bytes | None = None
    client: bytes | None = None


class Transaction:
    """
    One message and its envelope, from MAIL to the end of data (RFC 5321, section 3.3).

    @ivar reverse_path: the sender, quotes off; empty for the null sender.
    @ivar parameters: the ESMTP parameters of MAIL, keywords in capitals.
    @ivar recipients: the accepted recipients, in order, as often as they were given.
    @ivar recipient_parameters: for each of them, the ESMTP parameters of RCPT.
    @ivar discarded: recipients that were accepted and dropped.
    @ivar held: a refusal at MAIL that every RCPT gets.
    @ivar discard: set when the message is to be thrown away.
    @ivar notes: what the startup file notes for itself; C{None} before the first note.
    @ivar prepended: header fields that checks put in front, see L{prepend}.
    @ivar header: what the server puts in front of the message.
    @ivar body: the message as it is stored, lines ending in LF, at its beginning; from
        the end of data on.
    @ivar size: the length of C{body} in bytes.
    """

    def __init__(
        self, reverse_path: bytes, parameters: Mapping[bytes, bytes | None] | None = None
    ) -> None:
        self.reverse_path = reverse_path
        self.parameters = parameters or {}
        self.recipients: list[bytes] = []
        self.recipient_parameters: list[Mapping[bytes, bytes | None]] = []
        self.discarded: list[bytes] = []
        self.held: Reject | None = None
        self.discard: Discard | None = None
        self.notes: dict[bytes, bytes] | None = None
        self.prepended: list[bytes] = []
        self.header = b""
        self.body: IO[bytes] | None = None
        self.size = 0

    def prepend(self, field: bytes) -> None:
        """
        Put a header field in front of the message, above the Received field of this server.
        The same field is put there once, and no more than L{PREPENDED_MAX} of them.

        @param field: C{Name: value}, without an end of line.
        @raise ValueError: when it is no header field of one line.
        """
        if not _FIELD.fullmatch(field):
            raise ValueError(f"{field[:60]!r} is no header field of one line")
        if field not in self.prepended and len(self.prepended) < PREPENDED_MAX:
            self.prepended.append(field)
            if self.header:
                self.header = field + b"\n" + self.header


@lru_cache(maxsize=1)
def process_id() -> int:
    """That of this process, which otherwise is a system call for each message."""
    return os.getpid()


os.register_at_fork(after_in_child=process_id.cache_clear)


def taken(process: int) -> str:
    """The text of the reply to a message that was taken; readers of logs know this form."""
    return f"2.0.0 ok {int(time.time())} qp {process}"


_counter = itertools.count(1)

Witness = Callable[[str, Stage, "Verdict | None"], None]


def not_to_be_told() -> None:
    """What C{has_spoken} of a session is where nobody can tell, and after the connect stage."""


class Session:
    """
    One connection from greeting to end, as checks see it.

    @ivar id: a short name for it, unique on this machine.
    @ivar helo: the name given with HELO or EHLO, or C{None}.
    @ivar esmtp: whether the last greeting command was EHLO.
    @ivar encryption: the TLS under the session, or C{None}.
    @ivar user: the authenticated user, or C{None}.
    @ivar relay: why this client may send anywhere; empty when it may not.
    @ivar notes: those of the startup file before MAIL; a transaction begins with them.
    @ivar remark: what a check has to say that has no verdict; for explanations.
    @ivar witness: told of every check that is asked and what it answered.
    @ivar has_spoken: tells at the connect stage whether the client has sent something before
        it was greeted; C{None} where that can't be told.
    """

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self.id = f"{int(time.time()):x}.{process_id()}.{next(_counter)}"
        self.connection = connection
        self.settings = settings
        self.helo: bytes | None = None
        self.esmtp = False
        self.encryption: Encryption | None = None
        self.user: bytes | None = None
        self.relay = ""
        self.transaction: Transaction | None = None
        self.notes: dict[bytes, bytes] = {}
        self.remark = ""
        self.witness: Witness | None = None
        self.has_spoken: Callable[[], bool | None] = not_to_be_told
        self.forget()

    def forget(self) -> None:
        """All that the client said is void, as after a TLS handshake (RFC 3207, section 4.2)."""
        self.helo = self.user = self.transaction = None
        self.esmtp = False
        granted = b"RELAYCLIENT" in self.connection.environment
        self.relay = "RELAYCLIENT is set" if granted else ""

    def encrypted(self, encryption: Encryption | None) -> None:
        """There is TLS under the session; the holder of some client certificates may relay."""
        self.encryption = encryption
        holder = None if encryption is None else encryption.client
        if holder is not None and not self.relay:
            listed = {client.lower() for client in self.settings.smtp_server_tls_clients}
            if holder.lower() in listed:
                named = holder.decode("utf-8", "backslashreplace")
                self.relay = f"client certificate of {named}"

    def as_environment(self) -> dict[bytes, bytes]:
        """
        The variables for programs that are run on behalf of this session: those of its
        connection, and what has been found out since.
        """
        variables = self.connection.as_environment()
        if self.user is not None:
            variables[b"SMTPAUTHUSER"] = self.user
            variables[b"TCPREMOTEINFO"] = self.user
        if self.relay:
            variables.setdefault(b"RELAYCLIENT", b"")
        return variables
