"""Tests for L{mvmtr.protocol.remotehost}, with a real DNS server on loopback."""

from __future__ import annotations

import smtplib
import subprocess

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.names import dns, server
from twisted.names.authority import FileAuthority
from twisted.trial.unittest import TestCase

from mvmtr.protocol.remotehost import RemoteHost
from mvmtr.tap import Options, makeService
from mvmtr.test.names_server import resolver_of
from mvmtr.test.support import control_folder, folder


class Zones(FileAuthority):
    """Names and addresses for the tests."""

    soa = (b"arpa", dns.Record_SOA())

    def __init__(self, records):
        super().__init__(None)
        self.records = records

    def loadFile(self, filename):
        """There is no file."""


RECORDS = {
    b"1.0.0.127.in-addr.arpa": [dns.Record_PTR(b"client.example.test")],
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
        self.resolver = resolver_of(self, port.getHost())

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


class ListenerTests(TestCase):
    """A listening server that looks names up before it looks at the rules."""

    async def test_the_name_of_a_client_finds_its_rule(self):
        factory = server.DNSServerFactory(authorities=[Zones(RECORDS)])
        dns_port = reactor.listenUDP(0, dns.DNSDatagramProtocol(factory), interface="127.0.0.1")
        self.addCleanup(dns_port.stopListening)
        home = folder(self)
        control = control_folder(home, {"rcpthosts": "local.example"})
        subprocess.run(
            ["tcprules", str(home / "rules.cdb"), str(home / "tmp")],
            input=b'=.example.test:allow,RELAYCLIENT=""\n:deny\n',
            check=True,
        )
        options = Options()
        options.parseOptions(
            [
                f"--control-dir={control}", f"--tcp-rules={home}/rules.cdb", "--queue=discard:",
                "--listen=tcp:0:interface=127.0.0.1", "--remote-host=ptr",
                f"--set=smtp_server_dns=127.0.0.1:{dns_port.getHost().port}",
            ]
        )  # fmt: skip
        listener = makeService(options)
        listener.startService()
        self.addCleanup(listener.stopService)

        def rcpt():
            with smtplib.SMTP("127.0.0.1", listener.ports[0].getHost().port) as smtp:
                smtp.ehlo("c.example")
                smtp.mail("s@remote.example")
                return smtp.rcpt("r@elsewhere.example")[0]

        self.assertEqual(await deferToThread(rcpt), 250)
