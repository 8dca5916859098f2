# -*- test-case-name: mvmtr.test.test_hooks_lookups -*-
"""What hooks look up outside of the session: DNS, constant databases, text files."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from socket import AF_INET6, inet_ntop
from typing import Any

from mvmtr.compat.cdb import Cdb
from mvmtr.domains import address_of, listed_name

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
    @param resolver: gives what asks the DNS.
    """

    def __init__(self, folder: str, resolver: Callable[[], Any]) -> None:
        self._folder = os.fsencode(folder)
        self._resolver = resolver
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
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        known = self._files.pop(path, None)
        if known is None or known[0] != stamp:
            known = stamp, read(path)
        self._files[path] = known
        if len(self._files) > OPEN_MAX:
            self._files.popitem(last=False)
        return known[1]

    async def dns(self, kind: str, name: bytes) -> Sequence[bytes]:
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
        return await self._ask(_KINDS[kind], name)

    async def dnsbl(self, zone: bytes, ip: bytes) -> bytes:
        """
        What a list says about an address; empty when it is not on it.

        @raise LookupFailed: when the DNS does not say.
        """
        address = address_of(ip)
        if address is None:
            return b""
        found = await self._ask(
            ("lookupAddress",), b"%s.%s" % (listed_name(address).encode(), zone)
        )
        return found[0] if found else b""

    async def _ask(self, methods: Sequence[str], name: bytes) -> Sequence[bytes]:
        from twisted.names.error import DNSNameError

        found: list[bytes] = []
        for method in methods:
            try:
                answers, _, _ = await getattr(self._resolver(), method)(name)
            except DNSNameError:
                return ()
            except Exception as error:
                raise LookupFailed(f"the DNS does not answer about {name!r}: {error}") from error
            found += _texts(answers)
        return found


def _texts(answers: Sequence[Any]) -> list[bytes]:
    from twisted.names import dns

    payloads: list[Any] = [record.payload for record in answers]
    exchanges = [each for each in payloads if isinstance(each, dns.Record_MX)]
    exchanges.sort(key=lambda each: each.preference)
    texts = [each.name.name for each in exchanges]
    for each in payloads:
        if isinstance(each, dns.Record_A):
            texts.append(each.dottedQuad().encode())
        elif isinstance(each, dns.Record_AAAA):
            texts.append(inet_ntop(AF_INET6, each.address).encode())
        elif isinstance(each, dns.Record_TXT):
            texts.append(b"".join(each.data))
        elif isinstance(each, dns.Record_PTR):
            texts.append(each.name.name)
    return texts


def _lines(path: bytes) -> frozenset[bytes]:
    with open(path, "rb") as file:
        return frozenset(line.rstrip(b"\r\n") for line in file)
