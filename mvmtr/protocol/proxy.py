# -*- test-case-name: mvmtr.test.test_proxy -*-
"""
The header with which a proxy says for whom it speaks: versions 1 and 2 of the PROXY
protocol (proxy-protocol.txt of HAProxy). Pure.
"""

from __future__ import annotations

import re
import socket
import struct
from dataclasses import dataclass

from mvmtr.protocol.peer import plain_ip

LINE_MAX = 107
"""The longest header of version 1 with its line end, in bytes."""

_LINE_START = b"PROXY "
_LINE = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|(?P<family>TCP[46]) (?P<source>[0-9A-Fa-f:.]+) "
    rb"(?P<destination>[0-9A-Fa-f:.]+) (?P<ports>(?:0|[1-9]\d{0,4}) (?:0|[1-9]\d{0,4})))\r\n"
)
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = struct.Struct("!12sBBH")
_LOCAL, _PROXIED = 0x20, 0x21
_FAMILIES = {b"TCP4": socket.AF_INET, b"TCP6": socket.AF_INET6}
_IP = {0x11: (socket.AF_INET, 4), 0x21: (socket.AF_INET6, 16)}
_UNSPECIFIED, _UNIX, _UNIX_SIZE = 0x00, 0x31, 216


class BadHeader(ValueError):
    """What came is no such header; the message says why."""


@dataclass(frozen=True)
class Origin:
    """
    What a header tells; both are C{None} when the proxy speaks for itself, or for somebody
    who has no IP address. They have the form that sockets have for addresses.

    @ivar source: the IP address of the client.
    @ivar destination: the IP address that the client called.
    """

    source: bytes | None = None
    destination: bytes | None = None


class HeaderReader:
    """
    Reads one header, however it is cut. No more is kept of it than its addresses take.

    @ivar begun: whether any of it has come.
    @ivar origin: what it tells, once all of it has come.
    @ivar rest: what came behind it.
    """

    def __init__(self) -> None:
        self.begun = False
        self.origin: Origin | None = None
        self.rest = b""
        self._pending = b""
        self._skip: int | None = None
        self._told = Origin()

    def feed(self, data: bytes) -> bool:
        """
        Take what has come.

        @return: whether the header is complete; after that nothing more is to be fed.
        @raise BadHeader: as soon as it can't become a header any more.
        """
        self.begun = self.begun or bool(data)
        self._pending += data
        if self._skip is None:
            self._begin()
        if self._skip is None:
            return False
        skipped = min(self._skip, len(self._pending))
        self._skip -= skipped
        self._pending = self._pending[skipped:]
        if self._skip:
            return False
        self.origin, self.rest, self._pending = self._told, self._pending, b""
        return True

    def _begin(self) -> None:
        """Find out what there is, and how much of it may be skipped."""
        if _SIGNATURE.startswith(self._pending[: len(_SIGNATURE)]):
            self._binary()
        elif _LINE_START.startswith(self._pending[: len(_LINE_START)]):
            self._line()
        else:
            raise BadHeader("what came first is no PROXY header")

    def _line(self) -> None:
        """Version 1."""
        end = self._pending.find(b"\n", 0, LINE_MAX) + 1
        if not end:
            if len(self._pending) >= LINE_MAX:
                raise BadHeader("the line of the PROXY header is too long")
            return
        self._told = parse_line(self._pending[:end])
        self._skip = end

    def _binary(self) -> None:
        """Version 2; extensions behind the addresses are skipped."""
        if len(self._pending) < _FIXED.size:
            return
        _signature, command, family, size = _FIXED.unpack_from(self._pending)
        wanted = addresses_size(command, family)
        if size < wanted:
            raise BadHeader(f"{size} bytes are too few for family 0x{family:02x}")
        if len(self._pending) >= _FIXED.size + wanted:
            self._told = parse_addresses(family, self._pending[_FIXED.size : _FIXED.size + wanted])
            self._skip = _FIXED.size + size


def parse_line(line: bytes) -> Origin:
    """
    A header of version 1, with its line end.

    @raise BadHeader: when it is none.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise BadHeader("the line is no PROXY header")
    if match["family"] is None:
        return Origin()
    if any(int(port) > 65535 for port in match["ports"].split()):
        raise BadHeader("there is no such port")
    family = _FAMILIES[match["family"]]
    try:
        source, destination = (
            socket.inet_pton(family, match[name].decode("ascii"))
            for name in ("source", "destination")
        )
    except OSError:
        raise BadHeader(f"no address of {match['family'].decode()}") from None
    return _origin(family, source, destination)


def addresses_size(command: int, family: int) -> int:
    """
    How many bytes the addresses of a header of version 2 take; none, when they don't matter.

    @raise BadHeader: for what is not a version, a command or a family of streams.
    """
    if command == _LOCAL:
        return 0
    if command != _PROXIED:
        raise BadHeader(f"unknown version and command 0x{command:02x}")
    if family in _IP:
        return 2 * (_IP[family][1] + 2)
    if family == _UNIX:
        return _UNIX_SIZE
    if family != _UNSPECIFIED:
        raise BadHeader(f"family 0x{family:02x} is not that of a stream")
    return 0


def parse_addresses(family: int, data: bytes) -> Origin:
    """The addresses of a header of version 2; there are none where there is no data."""
    if family not in _IP or not data:
        return Origin()
    number, size = _IP[family]
    return _origin(number, data[:size], data[size : 2 * size])


def _origin(family: int, source: bytes, destination: bytes) -> Origin:
    return Origin(
        *(
            plain_ip(socket.inet_ntop(family, packed)).encode("ascii")
            for packed in (source, destination)
        )
    )
