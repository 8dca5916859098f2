"""Names of clients that the DNS confirms."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mvmtr.assess.names import PATIENCE, ConfirmedNames
from mvmtr.session import Session
from mvmtr.settings import Settings
from mvmtr.test.names_server import NamesServer, resolver_of
from mvmtr.test.support import CLIENT

ZONE = (
    "client.example A 192.0.2.1",
    "client.example A 203.0.113.7",
    "six.example AAAA 2001:db8::7",
    "liar.example A 198.51.100.9",
    "alias.example CNAME client.example",
    "broken.example SERVFAIL -",
)


def session(host, ip=b"203.0.113.7"):
    return Session(replace(CLIENT, remote_host=host, remote_ip=ip), Settings())


class ServerTests(TestCase):
    def setUp(self):
        self.server = NamesServer(ZONE)
        self.addCleanup(self.server.stop)
        resolver = resolver_of(self, self.server)
        self.names = ConfirmedNames(lambda: resolver, reactor)

    async def test_names(self):
        for host, ip, expected in (
            (b"client.example", b"203.0.113.7", b"client.example"),
            (b"six.example", b"2001:db8::7", b"six.example"),
            (b"alias.example", b"203.0.113.7", b"alias.example"),
            (b"liar.example", b"203.0.113.7", b""),
            (b"none.example", b"203.0.113.7", b""),
            (b"broken.example", b"203.0.113.7", b""),
            (b"client.example", b"not an address", b""),
            (b"x" * 300, b"203.0.113.7", b""),
            (None, b"203.0.113.7", b""),
            (b"client.example", None, b""),
        ):
            found = await self.names.name_of(session(host, ip))
            self.assertEqual(found, expected, host)

    async def test_once_for_a_session(self):
        one = session(b"client.example")
        self.assertEqual(self.names.known(one), b"")
        for _time in range(3):
            await self.names.name_of(one)
        self.assertEqual(self.names.known(one), b"client.example")
        self.assertEqual(self.server.asked["client.example A"], 1)


class Silent:
    def lookupAddress(self, name):
        return Deferred()


class PatienceTests(SynchronousTestCase):
    def test_a_dns_that_does_not_answer(self):
        clock = Clock()
        found = Deferred.fromCoroutine(
            ConfirmedNames(Silent, clock).name_of(session(b"client.example"))
        )
        self.assertNoResult(found)
        clock.advance(PATIENCE)
        self.assertEqual(self.successResultOf(found), b"")

    def test_without_a_name_nobody_is_asked(self):
        names = ConfirmedNames(self.fail, Clock())
        found = Deferred.fromCoroutine(names.name_of(session(None)))
        self.assertEqual(self.successResultOf(found), b"")
