"""Tests for L{mvmtr.resolver}, with real DNS servers on loopback."""

from __future__ import annotations

import os
import socket

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, gatherResults
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IResolver
from twisted.internet.task import Clock, deferLater
from twisted.names import dns, server
from twisted.names.authority import FileAuthority
from twisted.names.error import DNSNameError, DNSQueryRefusedError, DNSServerError
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from mvmtr import resolver
from mvmtr.assemble import ConfigurationError
from mvmtr.resolver import Cache, Resolver, resolver_for, trouble
from mvmtr.test.names_server import NamesServer, resolver_of
from mvmtr.test.support import assemble, folder

FAST = (0.2, 0.4)


def addresses(answer):
    return [one.payload.dottedQuad() for one in answer[0] if one.type == dns.A]


def sockets():
    """The sockets of this process."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            continue
    return {name for name in found if name.startswith("socket:")}


class AskingTests(TestCase):
    """What tests of resolvers share."""

    def serve(self, *zone, address="127.0.0.1"):
        self.names = NamesServer(zone, address)
        self.addCleanup(self.names.stop)
        return resolver_of(self, self.names)


class ResolverTests(AskingTests):
    """Questions and answers."""

    async def test_it_is_a_resolver_as_twisted_knows_them(self):
        self.assertTrue(verifyObject(IResolver, self.serve()))

    async def test_an_answer_has_the_records(self):
        ours = self.serve("a.example A 192.0.2.1", "a.example A 192.0.2.2")
        self.assertEqual(
            addresses(await ours.lookupAddress(b"A.example")), ["192.0.2.1", "192.0.2.2"]
        )

    async def test_a_server_is_asked_by_ipv6(self):
        ours = self.serve("a.example A 192.0.2.1", address="::1")
        self.assertEqual(addresses(await ours.lookupAddress(b"a.example")), ["192.0.2.1"])

    async def test_an_alias_is_followed_by_the_server(self):
        ours = self.serve("a.example CNAME b.example", "b.example A 192.0.2.1")
        self.assertEqual(addresses(await ours.lookupAddress(b"a.example")), ["192.0.2.1"])

    async def test_a_name_that_does_not_exist_is_an_error_and_one_without_records_is_not(self):
        ours = self.serve("a.example A 192.0.2.1")
        await self.assertFailure(ours.lookupAddress(b"b.example"), DNSNameError)
        self.assertEqual((await ours.lookupMailExchange(b"a.example"))[0], [])

    async def test_a_truncated_answer_is_fetched_by_tcp(self):
        many = [f"a.example A 192.0.2.{number}" for number in range(1, 200)]
        ours = self.serve("a.example LARGE", *many)
        self.assertEqual(len(addresses(await ours.lookupAddress(b"a.example"))), 199)
        self.assertEqual(self.names.by_tcp["a.example"], 1)
        while ours.connections:
            await deferLater(reactor, 0.01)

    async def test_an_answer_from_elsewhere_is_never_seen(self):
        """The server stays silent, and somebody who knows the question answers in its place."""
        deaf = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for one in (deaf, other):
            one.bind(("127.0.0.1", 0))
            self.addCleanup(one.close)
        asking = Resolver(servers=[deaf.getsockname()]).lookupAddress(b"a.example", FAST)
        data, client = deaf.recvfrom(512)
        question = dns.Message()
        question.fromStr(data)
        forged = dns.Message(question.id, answer=1)
        forged.queries = question.queries
        forged.answers = [dns.RRHeader(b"a.example", dns.A, payload=dns.Record_A("192.0.2.66"))]
        other.sendto(forged.toStr(), ("127.0.0.1", client[1]))
        await self.assertFailure(asking, DeferredTimeout)

    async def test_a_silent_server_is_asked_again(self):
        ours = self.serve("a.example SILENCE")
        await self.assertFailure(ours.lookupAddress(b"a.example", FAST), DeferredTimeout)
        self.assertEqual(self.names.asked["a.example A"], len(FAST))

    async def test_trouble_is_an_error_that_can_be_told(self):
        ours = self.serve("a.example SERVFAIL", "b.example REFUSED", "c.example SILENCE")
        for name, kind, told in (
            (b"a.example", DNSServerError, "SERVFAIL"),
            (b"b.example", DNSQueryRefusedError, "REFUSED"),
            (b"c.example", DeferredTimeout, "no answer"),
        ):
            error = await self.assertFailure(ours.lookupAddress(name, FAST), kind)
            self.assertEqual(trouble(error), told)
        self.assertEqual(trouble(OSError(24, "x")), "OSError")

    async def test_the_servers_are_those_of_resolv_conf(self):
        path = folder(self) / "resolv.conf"
        path.write_text("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
        self.patch(resolver, "RESOLV_CONF", str(path))
        found = resolver_for("", Clock()).dynServers
        self.assertEqual([address for address, _port in found], ["192.0.2.1", "192.0.2.2"])

    async def test_a_resolv_conf_that_makes_no_sense_is_an_error_of_the_configuration(self):
        path = folder(self) / "resolv.conf"
        path.write_text("nameserver\n")
        self.patch(resolver, "RESOLV_CONF", str(path))
        error = self.assertRaises(
            ConfigurationError, assemble, clock=Clock(), smtp_server_sender_domain="on"
        )
        self.assertIn(str(path), str(error))

    async def test_a_server_that_was_not_written_by_us_answers_as_well(self):
        class Zone(FileAuthority):
            soa = b"example", dns.Record_SOA()
            records = {
                b"a.example": [dns.Record_A("192.0.2.1", 60), dns.Record_MX(5, b"m.example")],
            }

            def __init__(self):
                super().__init__(None)

            def loadFile(self, filename):
                """There is no file."""

        factory = server.DNSServerFactory(authorities=[Zone()])
        port = reactor.listenUDP(0, dns.DNSDatagramProtocol(factory), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.names = port.getHost()
        ours = resolver_of(self, self.names)
        self.assertEqual(addresses(await ours.lookupAddress(b"a.example")), ["192.0.2.1"])
        exchange = (await ours.lookupMailExchange(b"a.example"))[0][0]
        self.assertEqual(exchange.payload.name.name, b"m.example")
        await self.assertFailure(ours.lookupAddress(b"b.example"), DNSNameError)


class SharingTests(AskingTests):
    """Many who ask."""

    async def test_the_same_question_is_sent_once_and_all_get_the_answer(self):
        ours = self.serve("a.example A 192.0.2.1")
        asking = [ours.lookupAddress(name) for name in (b"a.example", b"A.Example") * 5]
        for found in await gatherResults(asking):
            self.assertEqual(addresses(found), ["192.0.2.1"])
        self.assertEqual(self.names.asked["a.example A"], 1)

    async def test_all_get_the_same_trouble(self):
        ours = self.serve("a.example SERVFAIL")
        for one in [ours.lookupAddress(b"a.example") for _ in range(3)]:
            await self.assertFailure(one, DNSServerError)
        self.assertEqual(self.names.asked["a.example A"], 1)

    async def test_one_that_gives_up_takes_nothing_from_the_others(self):
        ours = self.serve("a.example A 192.0.2.1")
        first, second = (ours.lookupAddress(b"a.example") for _ in range(2))
        first.cancel()
        await self.assertFailure(first, CancelledError)
        self.assertEqual(addresses(await second), ["192.0.2.1"])

    async def test_questions_beyond_the_limit_wait_for_their_turn(self):
        self.patch(resolver, "QUESTIONS_MAX", 2)
        ours = self.serve(*(f"n{number}.example A 192.0.2.1" for number in range(20)))
        before = sockets()
        asking = [ours.lookupAddress(f"n{number}.example") for number in range(20)]
        self.assertEqual(len(sockets() - before), 2)
        self.assertEqual(len(await gatherResults(asking)), 20)

    async def test_an_answer_is_kept(self):
        ours = self.serve("a.example A 192.0.2.1")
        for name in (b"a.example", b"a.example", b"A.EXAMPLE"):
            self.assertEqual(addresses(await ours.lookupAddress(name)), ["192.0.2.1"])
        self.assertEqual(self.names.asked["a.example A"], 1)

    async def test_trouble_is_not_kept(self):
        ours = self.serve("a.example SERVFAIL")
        await self.assertFailure(ours.lookupAddress(b"a.example"), DNSServerError)
        del self.names.special["a.example"]
        self.names.add("a.example A 192.0.2.1")
        self.assertEqual(addresses(await ours.lookupAddress(b"a.example")), ["192.0.2.1"])

    def test_all_who_ask_the_same_server_share_a_resolver(self):
        clock = Clock()
        self.assertIs(resolver_for("192.0.2.1", clock), resolver_for("192.0.2.1", clock))
        self.assertIsNot(resolver_for("192.0.2.1", clock), resolver_for("192.0.2.1:5", clock))


class CacheTests(SynchronousTestCase):
    """What is kept, and for how long."""

    def setUp(self):
        self.clock = Clock()
        self.cache = Cache(reactor=self.clock)

    def keep(self, name=b"a.example", ttl=60, count=1):
        records = [
            dns.RRHeader(name, dns.A, ttl=ttl, payload=dns.Record_A("192.0.2.1"))
            for _ in range(count)
        ]
        query = dns.Query(name)
        self.cache.cacheResult(query, (records, [], []))
        return query

    def test_an_answer_is_kept_for_its_time(self):
        query = self.keep(ttl=60)
        self.clock.advance(59)
        self.assertIn(query, self.cache.cache)
        self.clock.advance(1)
        self.assertEqual((self.cache.cache, self.cache.cancel), ({}, {}))

    def test_nothing_and_large_answers_are_not_kept(self):
        self.assertNotIn(self.keep(count=0), self.cache.cache)
        self.assertNotIn(self.keep(count=21), self.cache.cache)

    def test_no_more_than_so_many_are_kept(self):
        self.patch(resolver, "ANSWERS_MAX", 10)
        for number in range(1000):
            last = self.keep(b"n%d.example" % number, ttl=2**31)
        self.assertEqual((len(self.cache.cache), len(self.cache.cancel)), (10, 10))
        self.assertEqual(len(self.clock.getDelayedCalls()), 10)
        self.assertIn(last, self.cache.cache)
