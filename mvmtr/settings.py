# -*- test-case-name: mvmtr.test.test_settings -*-
"""
The table of controls: name, type, default, unit, meaning. Nothing else holds a default.

L{Settings} is an immutable value. It remembers where each control came from.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


class SettingError(ValueError):
    """A control that does not exist, or a value that it can't take."""


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise SettingError(f"{text[:40]!r} is not a whole number of up to 20 digits")
    return int(text)


def _positive(text: str) -> int:
    number = _number(text)
    if number == 0:
        raise SettingError("must be at least 1")
    return number


def _folder(text: str) -> str:
    return os.path.abspath(text) if text else ""


def _switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise SettingError(f"{text!r} is neither on nor off")
    return text == "on"


def _name(text: str) -> bytes:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise SettingError(f"{text!r} is not a host name")
    return text.encode("ascii")


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise SettingError(f"{text!r} is not UTF-8") from None


def _words(text: str) -> tuple[bytes, ...]:
    return tuple(_encoded(word) for word in text.replace(",", " ").split())


def _lines(text: str) -> tuple[bytes, ...]:
    return tuple(_encoded(line) for line in text.splitlines())


def _control(parse: Callable[[str], Any], default: Any, unit: str, meaning: str) -> Any:
    return field(default=default, metadata={"parse": parse, "unit": unit, "meaning": meaning})


@dataclass(frozen=True)
class Control:
    """One row of the table; C{parse} makes a value of text or raises L{SettingError}."""

    name: str
    default: Any
    unit: str
    meaning: str
    parse: Callable[[str], Any]


@dataclass(frozen=True)
class Settings:
    """The value of every control, and in C{origins} where those came from that were set."""

    usehostname: bytes = _control(
        _name, b"", "name", "own name in greeting and replies; empty: what the machine is called"
    )
    smtp_server_greeting: tuple[bytes, ...] = _control(
        _lines, (), "lines", "text after the first line of the greeting"
    )
    smtp_server_localip_host: bytes | None = _control(
        _name, None, "name", "stands in for own address literals; unset: usehostname if that is set"
    )
    smtp_server_timeout: int = _control(
        _positive, 300, "seconds", "longest wait for data from the client"
    )
    smtp_server_timeout_helo: int | None = _control(
        _positive, None, "seconds", "the same before the first HELO; unset: smtp_server_timeout"
    )
    smtp_server_timeout_data: int | None = _control(
        _positive, None, "seconds", "the same within a message; unset: smtp_server_timeout"
    )
    smtp_server_msgsize_max: int = _control(
        _number, 0, "bytes", "largest message, as stored; 0: no limit"
    )
    smtp_server_bodycache: int = _control(
        _number, 131072, "bytes", "part of a message held in memory; the rest goes to a file"
    )
    smtp_server_spool: str = _control(
        _folder, "", "folder", "for messages beyond the body cache; empty: the system's choice"
    )
    smtp_server_command_max: int = _control(_positive, 65536, "bytes", "longest command line")
    smtp_server_recipients_max: int = _control(
        _positive, 10000, "recipients", "of one message; further ones are put off with 452"
    )
    smtp_server_hops_max: int = _control(
        _positive, 100, "fields", "Received and Delivered-To fields at which a message loops"
    )
    smtp_server_check_timeout: int = _control(
        _positive, 60, "seconds", "longest wait for one check; then the client gets 451"
    )
    smtp_server_stop_timeout: int = _control(
        _positive, 30, "seconds", "how long a stopping server waits for sessions to end"
    )
    smtp_server_connections_max: int = _control(
        _positive, 40, "sessions", "at a time on a listening server; more are told 421"
    )
    smtp_server_connections_per_address: int = _control(
        _number, 0, "sessions", "the same from one client address; 0: no limit"
    )
    smtp_server_rcpt_domains: tuple[bytes, ...] = _control(
        _words, (), "domains", "taken mail for, as well as rcpthosts; .name: all below name"
    )
    smtp_server_validrcptto: str = _control(
        str, "", "file", "cdb or text file of the recipients that exist, in the control folder"
    )
    smtp_server_rcpt_users: bool = _control(
        _switch,
        False,
        "on/off",
        "refuse recipients with neither a user nor a .qmail file",
    )
    smtp_server_rcptcheck: str = _control(
        str, "", "program", "asked about every recipient; RCPTCHECK of a connection comes first"
    )
    origins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @staticmethod
    def controls() -> Iterator[Control]:
        """The rows of the table."""
        for row in dataclasses.fields(Settings):
            if row.metadata:
                yield Control(name=row.name, default=row.default, **row.metadata)

    def with_(self, values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
        """
        A copy with other values.

        @param values: control names and their new values.
        @param origins: for the same names, where the values come from.
        @raise SettingError: for a name that is no control.
        """
        unknown = set(values) - {control.name for control in self.controls()}
        if unknown:
            raise SettingError(f"there is no control {min(unknown)!r}")
        merged = MappingProxyType({**self.origins, **origins})
        return dataclasses.replace(self, **values, origins=merged)

    def origin(self, name: str) -> str:
        """Where the value of a control came from: C{control/me:1}, C{default}."""
        return self.origins.get(name, "default")


def parse(name: str, text: str) -> Any:
    """
    The value of a control from text, as on the command line.

    @raise SettingError: when there is no such control, or the text is no value for it.
    """
    for control in Settings.controls():
        if control.name == name:
            try:
                return control.parse(text)
            except SettingError as error:
                raise SettingError(f"{name}: {error}") from None
    raise SettingError(f"there is no control {name!r}")
