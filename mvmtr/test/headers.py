"""Headers of the PROXY protocol, as proxies send them, and sessions behind a door."""

from __future__ import annotations

import socket
import struct
from typing import Any

from twisted.internet.task import Clock

from mvmtr.protocol.delivery import anonymous_portal
from mvmtr.protocol.server import ReceiverFactory

SIGNATURE = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"


def line(source: str, destination: str, family: str = "TCP4", ports: str = "50000 25") -> bytes:
    """A header of version 1."""
    return f"PROXY {family} {source} {destination} {ports}\r\n".encode()


def binary(payload: bytes, command: int = 0x21, family: int = 0x11, size: int = -1) -> bytes:
    """A header of version 2; its size is told as it is, unless another one is given."""
    told = len(payload) if size < 0 else size
    return SIGNATURE + struct.pack("!BBH", command, family, told) + payload


def addresses(source: str, destination: str, source_port: int = 50000) -> bytes:
    """The addresses of a header of version 2."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    packed = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
    return packed + struct.pack("!HH", source_port, 25)


def extension(kind: int, value: bytes) -> bytes:
    """What may stand behind the addresses (TLV)."""
    return struct.pack("!BH", kind, len(value)) + value


V1 = line("203.0.113.9", "198.51.100.2")
V2 = binary(addresses("203.0.113.9", "198.51.100.2"))


class StillFactory(ReceiverFactory):
    """
    A factory of sessions whose clock stands still.

    @ivar clock: the clock.
    """

    def __init__(self, assembly: Any, limited: bool = True) -> None:
        self.clock = Clock()
        super().__init__(
            assembly.for_connection,
            anonymous_portal(),
            lambda raw: raw,
            (lambda: assembly.configuration.settings) if limited else None,
        )

    def buildProtocol(self, addr: Any, known: Any = None, describe: Any = None) -> Any:
        protocol: Any = super().buildProtocol(addr, known, describe)
        protocol.callLater = self.clock.callLater
        protocol.seconds = self.clock.seconds
        return protocol
