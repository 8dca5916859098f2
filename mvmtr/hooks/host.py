# -*- test-case-name: mvmtr.test.test_hooks_sessions -*-
"""A session as code in MFL sees it."""

from __future__ import annotations

import socket
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from twisted.logger import Logger
from zope.interface import implementer

from mvmtr import __version__
from mvmtr.hooks.lookups import Lookups
from mvmtr.hooks.message import StoredMessage
from mvmtr.log import Record
from mvmtr.mfl.errors import Place
from mvmtr.mfl.host import Host, IHost
from mvmtr.session import Session, Stage
from mvmtr.settings import Settings

log = Logger()

Assess = Callable[[Session, Stage, bytes, str], Awaitable[str]]


@implementer(IHost)
class SessionHost:
    """
    One session, for one hook.

    @param stage: the stage at which code runs.
    @param argument: what the client gave at it.
    @param lookups: answers what is not in the session.
    @param assess: tells what the assessment server says.
    """

    def __init__(
        self,
        session: Session,
        stage: Stage,
        argument: bytes,
        lookups: Lookups,
        assess: Assess | None = None,
    ) -> None:
        self._session = session
        self.stage = stage
        self._argument = argument
        self._lookups = lookups
        self._assess = assess
        self._message: StoredMessage | None = None

    remote_ip = property(lambda self: self._session.connection.remote_ip or b"")
    remote_host = property(lambda self: self._session.connection.remote_host or b"")
    remote_info = property(lambda self: self._session.connection.remote_info or b"")
    local_ip = property(lambda self: self._session.connection.local_ip or b"")
    helo = property(lambda self: self._session.helo or b"")
    tls = property(lambda self: self._session.encryption is not None)
    auth_user = property(lambda self: self._session.user or b"")
    variables: Any = property(lambda self: self._session.connection.environment)

    @property
    def local_host(self) -> bytes:
        """What the machine is called, where nobody says anything else."""
        known = self._session.connection.local_host or self._session.settings.usehostname
        return known or socket.gethostname().encode("ascii", "replace")

    @property
    def relaying(self) -> bool:
        """Whether the client may send anywhere."""
        return bool(self._session.relay)

    @relaying.setter
    def relaying(self, value: bool) -> None:
        self._session.relay = "the startup file says so" if value else ""

    @property
    def sender(self) -> bytes:
        """The reverse-path."""
        transaction = self._session.transaction
        return b"" if transaction is None else transaction.reverse_path

    @property
    def recipients(self) -> Sequence[bytes]:
        """The recipients that were accepted."""
        transaction = self._session.transaction
        return () if transaction is None else transaction.recipients

    @property
    def notes(self) -> MutableMapping[bytes, bytes]:
        """Notes of the transaction, which begins with those of the session before it."""
        transaction = self._session.transaction
        if transaction is None:
            return self._session.notes
        if transaction.notes is None:
            transaction.notes = dict(self._session.notes)
        return transaction.notes

    @property
    def message(self) -> StoredMessage | None:
        """The message, once it is whole."""
        transaction = self._session.transaction
        if self._message is None and self.stage is Stage.MESSAGE and transaction is not None:
            limit = self._session.settings.smtp_server_mfl_memory
            self._message = StoredMessage(transaction, limit)
        return self._message

    def control(self, name: bytes) -> bytes | None:
        """The value of a control as text, as in the table of controls."""
        return control_text(self._session.settings, name.decode("ascii", "replace"))

    def environment(self, item: bytes) -> bytes | None:
        """RFC 5183, section 4."""
        items: Mapping[bytes, bytes] = {
            b"domain": self.local_host.partition(b".")[2],
            b"host": self.local_host,
            b"location": b"MTA",
            b"name": b"mvmtr",
            b"phase": b"pre",
            b"remote-host": self.remote_host or b"[" + self.remote_ip + b"]",
            b"remote-ip": self.remote_ip,
            b"version": __version__.encode(),
        }
        return items.get(item)

    def sieve_setting(self, name: bytes) -> bytes | None:
        """A line of the control for such settings; the last one holds."""
        for line in reversed(self._session.settings.smtp_server_mfl_sieve):
            known, _equals, value = line.partition(b"=")
            if known == name:
                return value
        return None

    def log(self, text: bytes, place: Place) -> None:
        """One line, with the session and the line of the file."""
        record = Record(
            event="mfl",
            session=self._session.id,
            client=self._session.connection.remote_ip or b"unknown",
            place=str(place),
            text=text,
        )
        log.info("{record}", record=record)

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def dns(self, kind: str, name: bytes) -> Any:
        """See L{Lookups.dns}."""
        return self._lookups.dns(self._session.settings, kind, name)

    def dnsbl(self, zone: bytes) -> Any:
        """See L{Lookups.dnsbl}."""
        return self._lookups.dnsbl(self._session.settings, zone, self.remote_ip)

    def cdb(self, file: bytes, key: bytes) -> Any:
        """See L{Lookups.cdb}."""
        return self._lookups.cdb(file, key)

    def file_has(self, file: bytes, line: bytes) -> Any:
        """See L{Lookups.file_has}."""
        return self._lookups.file_has(file, line)

    async def assess(self, topic: bytes) -> bytes:
        """What the assessment server says; empty where there is none."""
        if self._assess is None:
            return b""
        name = topic.decode("utf-8", "replace")
        found = await self._assess(self._session, self.stage, self._argument, name)
        return found.encode("utf-8", "replace")

    def authentication(self, kind: str) -> bytes:
        """SPF, DKIM and DMARC are not looked at."""
        return b"none"


class StartHost(Host):
    """What stands outside of functions runs before there is any session."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def control(self, name: bytes) -> bytes | None:
        """The value of a control as text, before this file."""
        return control_text(self._settings, name.decode("ascii", "replace"))

    def log(self, text: bytes, place: Place) -> None:
        """One line, with the line of the file."""
        log.info("{record}", record=Record(event="mfl", place=str(place), text=text))


def control_text(settings: Settings, name: str) -> bytes | None:
    """The value of a control as it could be written; C{None} when there is no such control."""
    if not hasattr(settings, name) or name.startswith("_"):
        return None
    value = getattr(settings, name)
    if isinstance(value, tuple):
        return b"\n".join(_bytes_of(part) for part in value)
    return _bytes_of(value)


def _bytes_of(value: object) -> bytes:
    if value is None:
        return b""
    if isinstance(value, bool):
        return b"on" if value else b"off"
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
