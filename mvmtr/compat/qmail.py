# -*- test-case-name: mvmtr.test.test_qmail -*-
"""
A qmail control folder: what its files set, and the checks that they make.

Each control of the compatibility document has a function or a module of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mvmtr.compat.badmailfrom import read_badmailfrom
from mvmtr.compat.controlfile import ControlError, Line, leading_number, read_lines
from mvmtr.compat.rcpthosts import read_rcpthosts
from mvmtr.interfaces import ICheck


@dataclass
class Controls:
    """
    What was read from a control folder.

    @ivar values: controls that were set, as in L{mvmtr.settings.Settings}.
    @ivar origins: for each of them, file and line.
    @ivar checks: the qmail checks, to stand last in the policy.
    @ivar warnings: what the postmaster should know, one line each.
    @ivar open_relay: there is no rcpthosts, and everybody may send to everybody.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    checks: list[ICheck] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    open_relay: bool = False


# What may stand in no reply, header or envelope.
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")

_Setter = Callable[[Controls, str, list[Line]], None]


def _set(controls: Controls, name: str, value: Any, path: str, line: Line | None) -> None:
    controls.values[name] = value
    controls.origins[name] = f"{path}:{line.number if line else 1}"


def _first(lines: list[Line]) -> Line | None:
    return lines[0] if lines else None


def _host(controls: Controls, name: str, path: str, lines: list[Line]) -> None:
    line = _first(lines)
    value = line.text if line else b""
    if line is not None and any(byte < 0x21 or byte > 0x7E for byte in value):
        controls.warnings.append(f"{path}:{line.number}: {value!r} is no host name")
        value = _CONTROL.sub(b"?", value)
    _set(controls, name, value, path, line)


def me(controls: Controls, path: str, lines: list[Line]) -> None:
    """The name of this host."""
    _host(controls, "usehostname", path, lines)


def localiphost(controls: Controls, path: str, lines: list[Line]) -> None:
    """The name that stands in for this host's address literals; an empty file is an empty name."""
    _host(controls, "smtp_server_localip_host", path, lines)


def smtpgreeting(controls: Controls, path: str, lines: list[Line]) -> None:
    """Text for the greeting, any number of lines; what can't be sent becomes C{?}."""
    text = tuple(_CONTROL.sub(b"?", line.text) for line in lines)
    _set(controls, "smtp_server_greeting", text, path, _first(lines))


def timeoutsmtpd(controls: Controls, path: str, lines: list[Line]) -> None:
    """Seconds to wait for data; 0 is taken for 1, as by qmail-smtpd."""
    _number(controls, "smtp_server_timeout", path, lines, least=1)


def databytes(controls: Controls, path: str, lines: list[Line]) -> None:
    """Largest message in bytes; 0 for no limit."""
    _number(controls, "smtp_server_msgsize_max", path, lines, least=0)


def tlsclients(controls: Controls, path: str, lines: list[Line]) -> None:
    """Mail addresses in client certificates whose holders may relay, one to a line."""
    clients = tuple(line.text for line in lines)
    _set(controls, "smtp_server_tls_clients", clients, path, _first(lines))


def _number(controls: Controls, name: str, path: str, lines: list[Line], least: int) -> None:
    """The leading digits of the first line; without any, the default stays (control.c)."""
    line = _first(lines)
    number = leading_number(line.text) if line else None
    if line is not None and not line.text.isdigit():
        read = "ignored" if number is None else f"taken for {number}"
        controls.warnings.append(f"{path}:{line.number}: {line.text!r} is no number; {read}")
    if number is not None:
        _set(controls, name, max(number, least), path, line)


FILES: dict[str, _Setter] = {
    "me": me,
    "localiphost": localiphost,
    "smtpgreeting": smtpgreeting,
    "timeoutsmtpd": timeoutsmtpd,
    "databytes": databytes,
    "tlsclients": tlsclients,
}


def control_paths(directory: str) -> tuple[str, ...]:
    """The files of a control folder that L{read_controls} looks at, there or not."""
    names = (*FILES, "badmailfrom", "rcpthosts", "morercpthosts.cdb")
    return tuple(os.path.join(directory, name) for name in names)


def databytes_of(environment: bytes) -> int:
    """What DATABYTES in the environment means: without digits, no limit."""
    return leading_number(environment) or 0


def read_controls(directory: str) -> Controls:
    """
    Read all that a control folder holds for a receiver.

    @raise ControlError: when the folder or a file in it is there and can't be read.
    """
    try:
        os.listdir(directory)
    except OSError as error:
        raise ControlError(f"{directory}: {error.strerror}") from error
    controls = Controls()
    problems = []
    for read in (*map(_reader, FILES), _bad_senders, _hosts):
        try:
            read(controls, directory)
        except ControlError as error:
            problems.append(str(error))
    if problems:
        raise ControlError("; ".join(problems))
    return controls


def _reader(name: str) -> Callable[[Controls, str], None]:
    def read(controls: Controls, directory: str) -> None:
        path = os.path.join(directory, name)
        lines = read_lines(path)
        if lines is not None:
            FILES[name](controls, path, lines)

    return read


def _bad_senders(controls: Controls, directory: str) -> None:
    check = read_badmailfrom(directory)
    if check is not None:
        controls.checks.append(check)


def _hosts(controls: Controls, directory: str) -> None:
    check = read_rcpthosts(directory)
    if check.hosts is None:
        controls.open_relay = True
        controls.warnings.append(
            f"OPEN RELAY: there is no {check.path}, so that anybody may send to anybody"
        )
    controls.checks.append(check)
