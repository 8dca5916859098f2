"""
What the language needs from outside.

The language knows nothing of SMTP: it asks a host. L{Host} is one made of plain values,
for tests and for trying a file; a server makes its own.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from zope.interface import Attribute, Interface, implementer

from mvmtr.mfl.errors import Place

T = TypeVar("T")
Answer: TypeAlias = T | Awaitable[T]


class IMessageSource(Interface):
    """The message as it was received, before any edit."""

    header: bytes = Attribute("The header: lines end in LF, without the empty line after it.")
    size: int = Attribute("Length of the whole message as it was sent, with CRLF.")

    def body() -> bytes:
        """The body; lines end in LF."""


class IHost(Interface):
    """
    A session as code sees it. All strings are bytes; what is not known is empty.

    Methods that look something up return a value or an awaitable of it. What they raise
    ends the hook, and is told with the place in the file.
    """

    remote_ip: bytes = Attribute("Address of the client.")
    remote_host: bytes = Attribute("Its name by reverse DNS.")
    remote_info: bytes = Attribute("What its ident server said.")
    local_ip: bytes = Attribute("Own address.")
    local_host: bytes = Attribute("Own name.")
    helo: bytes = Attribute("The name given with HELO or EHLO.")
    tls: bool = Attribute("Whether the connection is encrypted.")
    auth_user: bytes = Attribute("The authenticated user.")
    relaying: bool = Attribute("Whether the client may send anywhere. Can be set.")
    sender: bytes = Attribute("Sender of the envelope, without brackets.")
    recipients: Sequence[bytes] = Attribute("Recipients of the envelope so far.")
    variables: Mapping[bytes, bytes] = Attribute("The environment of the connection.")
    notes: MutableMapping[bytes, bytes] = Attribute("Notes of the transaction.")
    message: IMessageSource | None = Attribute("The message, once it is there.")

    def control(name: bytes) -> bytes | None:
        """The value of a control as text; C{None} when there is no such control."""

    def environment(item: bytes) -> bytes | None:
        """An item of RFC 5183, such as C{remote-ip}."""

    def sieve_setting(name: bytes) -> bytes | None:
        """A setting of a Sieve extension, such as where spamtest finds its header."""

    def log(text: bytes, place: Place) -> None:
        """Write a line to the log."""

    def now() -> float:
        """Seconds since 1970."""

    def dns(kind: str, name: bytes) -> Answer[Sequence[bytes]]:
        """
        Look up in the DNS.

        @param kind: C{a} (addresses of both families), C{mx} (names, the preferred one
            first), C{txt}, or C{ptr} (C{name} is an address).
        @return: what was found; empty when there is nothing.
        """

    def dnsbl(zone: bytes) -> Answer[bytes]:
        """What a DNS list answers about the client: C{127.0.0.2}; empty: not listed."""

    def cdb(file: bytes, key: bytes) -> Answer[bytes | None]:
        """The value of a key in a cdb; C{None} when it has no such key."""

    def file_has(file: bytes, line: bytes) -> Answer[bool]:
        """Whether a text file has a line."""

    def assess(topic: bytes) -> Answer[bytes]:
        """What the assessment server says."""

    def authentication(kind: str) -> Answer[bytes]:
        """The result of C{spf}, C{dkim} or C{dmarc}: C{pass}, C{fail}, …"""


@implementer(IMessageSource)
@dataclass
class MessageSource:
    """A message held in memory."""

    header: bytes
    text: bytes = b""
    size: int = 0

    def body(self) -> bytes:
        return self.text


def message_source(data: bytes) -> MessageSource:
    """A message from the bytes of a file, lines ending in LF or CRLF."""
    data = data.replace(b"\r\n", b"\n")
    if data.startswith(b"\n"):
        header, body = b"", data[1:]
    else:
        header, _, body = data.partition(b"\n\n")
        header = header.removesuffix(b"\n") + b"\n" if header else b""
    return MessageSource(header, body, len(data) + data.count(b"\n"))


@implementer(IHost)
@dataclass
class Host:
    """
    A host of plain values.

    @ivar controls: text of the controls.
    @ivar items: of the environment of RFC 5183; some are made of the other attributes.
    @ivar found: answers of look-ups by their arguments: C{("a", name)}, C{("dnsbl", zone)},
        C{("cdb", file, key)}, C{("file", file, line)}, C{("assess", topic)}, C{("spf",)}.
        An answer may be an awaitable, or an exception, which is raised.
    @ivar logged: what was logged.
    """

    remote_ip: bytes = b""
    remote_host: bytes = b""
    remote_info: bytes = b""
    local_ip: bytes = b""
    local_host: bytes = b""
    helo: bytes = b""
    tls: bool = False
    auth_user: bytes = b""
    relaying: bool = False
    sender: bytes = b""
    recipients: Sequence[bytes] = ()
    variables: Mapping[bytes, bytes] = field(default_factory=dict)
    notes: MutableMapping[bytes, bytes] = field(default_factory=dict)
    message: MessageSource | None = None
    controls: Mapping[bytes, bytes] = field(default_factory=dict)
    items: dict[bytes, bytes] = field(default_factory=dict)
    settings: dict[bytes, bytes] = field(default_factory=dict)
    found: Mapping[tuple[Any, ...], Any] = field(default_factory=dict)
    logged: list[tuple[bytes, Place]] = field(default_factory=list)
    time: float | None = None

    def control(self, name: bytes) -> bytes | None:
        return self.controls.get(name)

    def environment(self, item: bytes) -> bytes | None:
        known = {
            b"name": b"mvmtr",
            b"location": b"MTA",
            b"phase": b"pre",
            b"remote-ip": self.remote_ip,
            b"remote-host": self.remote_host,
            b"host": self.local_host,
            b"domain": self.local_host.partition(b".")[2],
        }
        return self.items.get(item, known.get(item))

    def sieve_setting(self, name: bytes) -> bytes | None:
        return self.settings.get(name)

    def log(self, text: bytes, place: Place) -> None:
        self.logged.append((text, place))

    def now(self) -> float:
        return time.time() if self.time is None else self.time

    def _find(self, *key: Any, default: Any) -> Any:
        answer = self.found.get(key, default)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def dns(self, kind: str, name: bytes) -> Any:
        return self._find(kind, name, default=())

    def dnsbl(self, zone: bytes) -> Any:
        return self._find("dnsbl", zone, default=b"")

    def cdb(self, file: bytes, key: bytes) -> Any:
        return self._find("cdb", file, key, default=None)

    def file_has(self, file: bytes, line: bytes) -> Any:
        return self._find("file", file, line, default=False)

    def assess(self, topic: bytes) -> Any:
        return self._find("assess", topic, default=b"")

    def authentication(self, kind: str) -> Any:
        return self._find(kind, default=b"none")
