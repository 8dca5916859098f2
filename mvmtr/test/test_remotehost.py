"""Tests for L{mvmtr.protocol.remotehost}, with a real DNS server on loopback."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.names import client, dns, server
from twisted.names.authority import FileAuthority
from twisted.trial.unittest import TestCase

from mvmtr.protocol.remotehost import RemoteHost


class Zones(FileAuthority):
    """Names and addresses for the tests."""

    soa = (b"arpa", dns.Record_SOA())

    def __init__(self, records):
        super().__init__(None)
        self.records = records

    def loadFile(self, filename):
        """There is no file."""


RECORDS = {
    b"7.113.0.203.in-addr.arpa": [dns.Record_PTR(b"Mail.Example.TEST")],
    b"8.113.0.203.in-addr.arpa": [dns.Record_PTR(b"liar.example.test")],
    b"7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa": [
        dns.Record_PTR(b"six.example.test")
    ],
    b"mail.example.test": [dns.Record_A("198.51.100.1"), dns.Record_A("203.0.113.7")],
    b"liar.example.test": [dns.Record_A("203.0.113.7")],
    b"six.example.test": [dns.Record_AAAA("2001:db8::7")],
}


class RemoteHostTests(TestCase):
    """Names by PTR, and believed or not."""

    def setUp(self):
        factory = server.DNSServerFactory(authorities=[Zones(RECORDS)])
        port = reactor.listenUDP(0, dns.DNSDatagramProtocol(factory), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.resolver = client.Resolver(servers=[("127.0.0.1", port.getHost().port)])

    def name(self, ip, paranoid=False):
        return Deferred.fromCoroutine(RemoteHost(paranoid, self.resolver).name_of(ip))

    async def test_the_name_is_that_of_the_ptr_record_in_lower_case(self):
        self.assertEqual(await self.name(b"203.0.113.7"), b"mail.example.test")

    async def test_an_address_without_a_name_has_none(self):
        self.assertIsNone(await self.name(b"203.0.113.9"))

    async def test_a_name_without_that_address_is_believed_unless_paranoid(self):
        self.assertEqual(await self.name(b"203.0.113.8"), b"liar.example.test")
        self.assertIsNone(await self.name(b"203.0.113.8", paranoid=True))

    async def test_a_paranoid_look_up_believes_a_name_with_that_address(self):
        self.assertEqual(await self.name(b"203.0.113.7", paranoid=True), b"mail.example.test")

    async def test_ipv6_clients_have_names_as_well(self):
        self.assertEqual(await self.name(b"2001:db8::7", paranoid=True), b"six.example.test")

    async def test_what_is_no_address_has_no_name(self):
        self.assertIsNone(await self.name(b"nonsense"))
