"""Tests for L{mvmtr.checks.sender_domain}, with a real DNS server on loopback."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from mvmtr import resolver
from mvmtr.checks.sender_domain import SenderDomain
from mvmtr.interfaces import ICheck
from mvmtr.policy import Policy
from mvmtr.session import Connection, Session, Stage
from mvmtr.settings import Settings
from mvmtr.test.names_server import NamesServer, resolver_of

ZONE = (
    "mx.example MX 10 mail.mx.example",
    "a.example A 192.0.2.1",
    "six.example AAAA 2001:db8::1",
    "text.example TXT nothing but text",
    "null.example MX 0 .",
    "null.example A 192.0.2.1",
    "odd.example MX 0 .",
    "odd.example MX 10 mail.odd.example",
    "alias.example CNAME mx.example",
    "astray.example CNAME nowhere.example",
    "broken.example SERVFAIL",
    "refused.example REFUSED",
    "silent.example SILENCE",
    "xn--bcher-kva.example MX 10 mail.example",
)


class SenderDomainTests(TestCase):
    """Whose mail is taken."""

    def setUp(self):
        self.names = NamesServer(ZONE)
        self.addCleanup(self.names.stop)
        self.patch(resolver, "TIMEOUTS", (0.2,))
        self.check = SenderDomain(resolver_of(self, self.names))

    async def ask(self, sender, **attributes):
        session = Session(Connection(), Settings())
        for name, value in attributes.items():
            setattr(session, name, value)
        verdict = Policy([self.check], reactor).decide(session, Stage.MAIL, sender)
        return await verdict if isinstance(verdict, Deferred) else verdict

    async def test_it_is_a_check(self):
        self.assertTrue(verifyObject(ICheck, self.check))

    async def test_a_domain_with_an_mx_or_an_address_will_do(self):
        for domain in (b"mx", b"MX", b"a", b"six", b"alias"):
            self.assertIsNone(await self.ask(b"joe@" + domain + b".example"), domain)
        self.assertIsNone(await self.ask(b"joe@mx.example."))

    async def test_a_domain_that_is_not_there_is_refused_at_each_recipient(self):
        verdict = await self.ask(b"joe@nowhere.example")
        self.assertEqual((verdict.code, verdict.at_rcpt), (553, True))
        self.assertEqual(verdict.text, "5.1.8 the sender's domain does not exist (#5.1.8)")
        self.assertEqual(verdict.reason, "the DNS has no nowhere.example")

    async def test_a_domain_that_leads_nowhere_is_refused(self):
        for domain in ("text", "astray"):
            verdict = await self.ask(f"joe@{domain}.example".encode())
            self.assertEqual(verdict.code, 553, domain)
        self.assertIn("no MX, A or AAAA", (await self.ask(b"joe@text.example")).reason)

    async def test_a_null_mx_is_refused_even_with_an_address(self):
        verdict = await self.ask(b"joe@null.example")
        self.assertEqual((verdict.code, verdict.at_rcpt), (550, True))
        self.assertTrue(verdict.text.startswith("5.7.27 "))

    async def test_a_null_mx_among_others_is_none(self):
        self.assertIsNone(await self.ask(b"joe@odd.example"))

    async def test_trouble_with_the_dns_is_a_451(self):
        for domain, why in (
            ("broken", "SERVFAIL"),
            ("refused", "REFUSED"),
            ("silent", "no answer"),
        ):
            verdict = await self.ask(f"joe@{domain}.example".encode())
            self.assertEqual((verdict.code, verdict.check), (451, "sender_domain"))
            self.assertEqual(verdict.reason, f"{why} for {domain}.example")

    async def test_a_domain_that_is_not_ascii_is_looked_up_by_its_a_labels(self):
        self.assertIsNone(await self.ask("joe@b\xfccher.example".encode()))
        self.assertEqual((await self.ask("joe@b\xfcche.example".encode())).code, 553)

    async def test_what_can_be_no_domain_is_refused_without_a_question(self):
        for domain in (b"a..b", b"x" * 64 + b".example", b"\xff.example", b"a b", b"[nonsense]"):
            self.assertEqual((await self.ask(b"joe@" + domain)).code, 553, domain)
        self.assertEqual(self.names.asked, {})

    async def test_senders_without_a_domain_are_not_looked_up(self):
        for sender in (b"", b"joe", b"joe@", b"joe@[192.0.2.1]", b"joe@[IPv6:2001:db8::1]"):
            self.assertIsNone(await self.ask(sender))

    async def test_clients_that_may_relay_are_left_alone(self):
        for attributes in ({"relay": "RELAYCLIENT is set"}, {"user": b"joe"}):
            self.assertIsNone(await self.ask(b"joe@nowhere.example", **attributes))
        self.assertEqual(self.names.asked, {})
