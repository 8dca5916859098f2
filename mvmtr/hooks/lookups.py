# -*- test-case-name: mvmtr.test.test_hooks_sessions -*-
"""What hooks look up outside of the session: DNS, constant databases, text files."""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Sequence
from socket import AF_INET6, inet_ntop
from typing import Any

from twisted.internet.defer import CancelledError

from mvmtr.compat.cdb import Cdb
from mvmtr.domains import address_of, dns_name, listed_name
from mvmtr.settings import Settings

OPEN_MAX = 64
"""Files that are kept open or in memory."""

_KINDS = {
    "a": ("lookupAddress", "lookupIPV6Address"),
    "mx": ("lookupMailExchange",),
    "txt": ("lookupText",),
    "ptr": ("lookupPointer",),
}

Stamp = tuple[int, int, int]


class LookupFailed(Exception):
    """There is no answer, for now."""


class Lookups:
    """
    Files are kept open, or in memory, until they are edited.

    @param folder: names of files are relative to it.
    """

    def __init__(self, folder: str, reactor: Any) -> None:
        self._folder = os.fsencode(folder)
        self._reactor = reactor
        self._files: OrderedDict[bytes, tuple[Stamp, Any]] = OrderedDict()

    def cdb(self, file: bytes, key: bytes) -> bytes | None:
        """
        The value of a key.

        @raise ControlError: when the file is missing or damaged.
        """
        database: Cdb = self._current(file, lambda path: Cdb(os.fsdecode(path)))
        return database.get(key)

    def file_has(self, file: bytes, line: bytes) -> bool:
        """
        Whether a file has a line; a CR at its end does not count.

        @raise OSError: when the file can't be read.
        """
        lines: frozenset[bytes] = self._current(file, _lines)
        return line in lines

    def _current(self, file: bytes, read: Callable[[bytes], Any]) -> Any:
        path = os.path.join(self._folder, file)
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        known = self._files.pop(path, None)
        if known is None or known[0] != stamp:
            known = stamp, read(path)
        self._files[path] = known
        if len(self._files) > OPEN_MAX:
            self._files.popitem(last=False)
        return known[1]

    async def dns(self, settings: Settings, kind: str, name: bytes) -> Sequence[bytes]:
        """
        Records of a name, or the names of an address; empty when there are none.

        @param kind: C{a}, C{mx}, C{txt} or C{ptr}.
        @raise LookupFailed: when the DNS does not say.
        """
        if kind == "ptr":
            address = address_of(name)
            if address is None:
                return ()
            name = address.reverse_pointer.encode()
        return await self._ask(settings, _KINDS[kind], name)

    async def dnsbl(self, settings: Settings, zone: bytes, ip: bytes) -> bytes:
        """
        What a list says about an address; empty when it is not on it.

        @raise LookupFailed: when the DNS does not say.
        """
        address = address_of(ip)
        if address is None:
            return b""
        found = await self._ask(
            settings, ("lookupAddress",), b"%s.%s" % (listed_name(address).encode(), zone)
        )
        return found[0] if found else b""

    async def _ask(
        self, settings: Settings, methods: Sequence[str], name: bytes
    ) -> Sequence[bytes]:
        from twisted.names.error import DNSNameError

        from mvmtr.resolver import resolver_for, trouble

        found: list[bytes] = []
        asked = dns_name(name)
        if asked is None:
            # Clients give names that no server could be asked about.
            return found
        resolver = resolver_for(settings.smtp_server_dns, self._reactor)
        for method in methods:
            try:
                answers, _, _ = await getattr(resolver, method)(asked)
            except DNSNameError:
                return found
            except CancelledError:
                raise LookupFailed(f"the DNS about {name!r}: no answer in time") from None
            except Exception as error:
                raise LookupFailed(f"the DNS about {name!r}: {trouble(error)}") from error
            found += _texts(answers)
        return found


def _texts(answers: Sequence[Any]) -> list[bytes]:
    from twisted.names import dns

    texts: list[bytes] = []
    for each in sorted(answers, key=lambda each: getattr(each.payload, "preference", 0)):
        payload: Any = each.payload
        if isinstance(payload, dns.Record_A):
            texts.append(payload.dottedQuad().encode())
        elif isinstance(payload, dns.Record_AAAA):
            texts.append(inet_ntop(AF_INET6, payload.address).encode())
        elif isinstance(payload, dns.Record_TXT):
            texts.append(b"".join(payload.data))
        elif isinstance(payload, (dns.Record_MX, dns.Record_PTR)):
            texts.append(payload.name.name)  # type: ignore[union-attr]
    return texts


def _lines(path: bytes) -> frozenset[bytes]:
    with open(path, "rb") as file:
        return frozenset(line.rstrip(b"\r\n") for line in file)
