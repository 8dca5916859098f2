"""Tests of the checks that the page about checks shows."""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.internet.defer import fail
from twisted.names import authority, client, dns, server
from twisted.names.error import DNSServerError
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from mvmtr.interfaces import ICheck
from mvmtr.policy import Policy
from mvmtr.session import Connection, Session, Stage
from mvmtr.settings import Settings
from mvmtr.test.documentation import CHECKS


class Zone(authority.FileAuthority):
    """Knows of one domain, example.org."""

    def __init__(self):
        self.soa = b"example.org", dns.Record_SOA(b"ns.example.org", b"root.example.org")
        mail = dns.Record_MX(10, b"mx.example.org")
        self.records = {b"example.org": [self.soa[1], mail]}
        super().__init__(None)

    def loadFile(self, filename):
        """There is no file."""

    def _lookup(self, name, *arguments):
        if name == b"broken.example.org":
            return fail(RuntimeError("a server with troubles of its own"))
        return super()._lookup(name, *arguments)


class ExampleCheckTests(TestCase):
    """The checks that the page shows do what it says."""

    def setUp(self):
        self.patch(sys, "path", [str(CHECKS), *sys.path])
        zone = server.DNSServerFactory(authorities=[Zone()])
        self.port = reactor.listenUDP(0, dns.DNSDatagramProtocol(zone), interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)

    def sender_domain(self):
        from sender_domain import SenderDomain

        address = "127.0.0.1", self.port.getHost().port
        check = SenderDomain(client.Resolver(servers=[address]))
        self.assertTrue(verifyObject(ICheck, check))
        return check

    async def ask(self, sender):
        return await self.sender_domain().check(
            Session(Connection(), Settings()), Stage.MAIL, sender
        )

    async def test_a_domain_that_exists_is_not_refused(self):
        self.assertIsNone(await self.ask(b"joe@example.org"))

    async def test_a_domain_that_does_not_exist_is_refused_at_each_recipient(self):
        verdict = await self.ask(b"joe@nowhere.example.org")
        self.assertEqual((verdict.code, verdict.at_rcpt), (553, True))

    async def test_senders_without_a_domain_are_not_asked_about(self):
        for sender in (b"", b"joe", b"joe@", b"joe@[192.0.2.1]"):
            self.assertIsNone(await self.ask(sender))

    async def test_a_dns_in_trouble_is_a_451(self):
        policy = Policy([self.sender_domain()], reactor)
        session = Session(Connection(), Settings())
        verdict = await policy.decide(session, Stage.MAIL, b"joe@broken.example.org")
        self.assertEqual((verdict.code, verdict.check), (451, "sender_domain"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(len(self.flushLoggedErrors(DNSServerError)), 1)

    def test_the_own_name_is_a_check(self):
        from own_name import OwnName

        self.assertTrue(verifyObject(ICheck, OwnName()))
