"""A DNS server for tests: a thread that answers on loopback, by UDP and TCP, as it is told to."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any

from twisted.names import dns
from twisted.trial.unittest import TestCase

from mvmtr.resolver import Resolver

MISBEHAVIOUR = {"SERVFAIL": dns.ESERVER, "REFUSED": dns.EREFUSED, "FORMERR": dns.EFORMAT}

SOA = dns.Record_SOA(b"ns.example", b"root.example", minimum=60, ttl=60)


def record(kind: str, value: str, ttl: int = 300) -> dns.IRecord:
    """A record of a type, from its value as in a zone file."""
    if kind == "A":
        return dns.Record_A(value, ttl)
    if kind == "AAAA":
        return dns.Record_AAAA(value, ttl)
    if kind == "TXT":
        return dns.Record_TXT(*(part.encode() for part in value.split("|")), ttl=ttl)
    if kind == "MX":
        preference, exchange = value.split()
        return dns.Record_MX(int(preference), exchange.rstrip(".").encode(), ttl)
    if kind == "CNAME":
        return dns.Record_CNAME(value.encode(), ttl)
    return dns.Record_PTR(value.encode(), ttl)


class NamesServer:
    """
    @param zone: lines of C{NAME TYPE VALUE}. A name may have one of these in the place of a
        type: C{SERVFAIL}, C{REFUSED}, C{FORMERR}; C{SILENCE}: no answer; C{LARGE}: an answer
        that goes through TCP only.
    @ivar asked: how often each question came, as C{"NAME TYPE"}.
    """

    def __init__(self, zone: Iterable[str] = (), address: str = "127.0.0.1") -> None:
        self.records: dict[str, list[dns.IRecord]] = {}
        self.special: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self.by_tcp: Counter[str] = Counter()
        for line in zone:
            self.add(line)
        self.host = address
        self._udp, self._tcp = _same_port(address)
        self.port: int = self._udp.getsockname()[1]
        self.address = f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def add(self, line: str) -> None:
        """Add a line of the zone."""
        name, kind, *value = line.split(maxsplit=2)
        if value:
            self.records.setdefault(name.lower(), []).append(record(kind, value[0]))
        else:
            self.special[name.lower()] = kind

    def stop(self) -> None:
        """End the thread, and close the port."""
        self._wake.close()
        self._thread.join()
        for one in (self._udp, self._tcp, self._woken):
            one.close()

    def _serve(self) -> None:
        selector = selectors.DefaultSelector()
        for one in (self._udp, self._tcp, self._woken):
            selector.register(one, selectors.EVENT_READ)
        while True:
            for key, _events in selector.select():
                if key.fileobj is self._woken:
                    selector.close()
                    return
                if key.fileobj is self._udp:
                    data, client = self._udp.recvfrom(4096)
                    for answer in self._answers(data):
                        self._udp.sendto(answer, client)
                else:
                    with contextlib.suppress(OSError):
                        self._answer_stream()

    def _answer_stream(self) -> None:
        connection, _client = self._tcp.accept()
        with connection, connection.makefile("rb") as stream:
            connection.settimeout(5)
            (length,) = struct.unpack("!H", stream.read(2))
            question = dns.Message()
            question.fromStr(stream.read(length))
            self.by_tcp[question.queries[0].name.name.decode()] += 1
            whole = self._answer(question)
            whole.maxSize = 0
            answer = whole.toStr()
            connection.sendall(struct.pack("!H", len(answer)) + answer)

    def _answers(self, data: bytes) -> list[bytes]:
        """What is sent back for a datagram."""
        question = dns.Message()
        question.fromStr(data)
        (query,) = question.queries
        name = query.name.name.decode("ascii", "replace").lower()
        self.asked[f"{name} {dns.QUERY_TYPES.get(query.type, query.type)}"] += 1
        special = self.special.get(name)
        answer = self._answer(question)
        if special == "SILENCE":
            return []
        if special == "LARGE":
            short = self._answer(question)
            short.trunc, short.answers = 1, []
            return [short.toStr()]
        return [answer.toStr()]

    def _answer(self, question: dns.Message) -> dns.Message:
        (query,) = question.queries
        name = query.name.name.decode("ascii", "replace").lower()
        answer = dns.Message(question.id, answer=1)
        answer.queries = question.queries
        code = MISBEHAVIOUR.get(self.special.get(name, ""))
        if code is not None:
            answer.rCode = code
            return answer
        self._fill(answer, name, query.type)
        if not answer.answers:
            answer.authority = [dns.RRHeader(b"example", dns.SOA, ttl=60, payload=SOA)]
            if name not in self.records:
                answer.rCode = dns.ENAME
        return answer

    def _fill(self, answer: dns.Message, name: str, kind: int) -> None:
        for one in self.records.get(name, ()):
            if one.TYPE in (kind, dns.CNAME):
                header = dns.RRHeader(name.encode(), one.TYPE, ttl=one.ttl, payload=one)
                answer.answers.append(header)
            if one.TYPE == dns.CNAME != kind:
                self._fill(answer, one.name.name.decode(), kind)


def _same_port(address: str) -> tuple[socket.socket, socket.socket]:
    """Sockets for UDP and TCP with the same port, which the system chose for the first."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while True:
        udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.bind((address, 0))
        try:
            return udp, socket.create_server(udp.getsockname()[:2], family=family)
        except OSError:
            udp.close()


def resolver_of(test: TestCase, names: Any) -> Resolver:
    """A resolver that asks a server with a C{port}, and that is forgotten with the test."""
    resolver = Resolver(servers=[(getattr(names, "host", "127.0.0.1"), names.port)])

    def forget() -> None:
        for call in resolver.answers.cancel.values():
            call.cancel()

    test.addCleanup(forget)
    return resolver
