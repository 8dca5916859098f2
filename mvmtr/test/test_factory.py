"""Tests for L{mvmtr.protocol.server.ReceiverFactory}: who becomes a session, and who does not."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol import server
from mvmtr.protocol.delivery import anonymous_portal
from mvmtr.protocol.descriptors import SPARE
from mvmtr.protocol.server import BUSY_MAX, BUSY_TIMEOUT, DESCRIPTORS, Busy, ReceiverFactory
from mvmtr.session import Connection
from mvmtr.test.support import assemble


class Stubborn(StringTransport):
    """Closes only when it is forced to, as TLS does before its handshake."""

    aborted = False

    def abortConnection(self):
        self.aborted = True


class FactoryTestCase(SynchronousTestCase):
    """What the tests below share."""

    def factory(self, **overrides):
        assembly = assemble(**overrides)
        return ReceiverFactory(
            assembly.for_connection,
            anonymous_portal(),
            lambda connection: connection,
            lambda: assembly.configuration.settings,
        )

    def connect(self, factory, host="192.0.2.1", transport=None, known=None):
        """A connection, as the reactor makes it: the protocol, with its transport."""
        protocol = factory.buildProtocol(IPv4Address("TCP", host, 1000), known)
        protocol.clock = Clock()
        protocol.callLater = protocol.clock.callLater
        protocol.makeConnection(transport or StringTransport())
        return protocol


class PlaceTests(FactoryTestCase):
    """Places are taken and given back."""

    def test_a_place_is_free_again_when_its_session_has_finished(self):
        factory = self.factory(smtp_server_connections_max="1")
        first = self.connect(factory)
        self.assertIsInstance(self.connect(factory), Busy)
        first.connectionLost(connectionDone)
        self.assertNotIsInstance(self.connect(factory), Busy)

    def test_those_who_are_turned_away_take_no_place(self):
        factory = self.factory(smtp_server_connections_max="1")
        first = self.connect(factory)
        busy = [self.connect(factory) for _ in range(3)]
        first.connectionLost(connectionDone)
        self.assertNotIsInstance(self.connect(factory), Busy)
        for one in busy:
            one.connectionLost(connectionDone)
        self.assertEqual(factory.load.places.taken, 1)

    def test_behind_a_proxy_the_real_client_counts(self):
        factory = self.factory(smtp_server_connections_per_address="1")
        for host in (b"198.51.100.1", b"198.51.100.2"):
            known = Connection(remote_ip=host, forwarded_by=b"192.0.2.1")
            self.assertNotIsInstance(self.connect(factory, known=known), Busy)
        self.assertIsInstance(self.connect(factory, "198.51.100.2"), Busy)

    def test_a_session_can_move_to_another_client(self):
        factory = self.factory(smtp_server_connections_per_address="1")
        session, _other = self.connect(factory), self.connect(factory, "192.0.2.2")
        self.assertEqual(factory.move(session, b"192.0.2.2").code, 421)
        self.assertIsNone(factory.move(session, b"192.0.2.3"))
        self.assertNotIsInstance(self.connect(factory, "192.0.2.1"), Busy)
        self.assertIsInstance(self.connect(factory, "192.0.2.3"), Busy)
        session.connectionLost(connectionDone)
        self.assertNotIsInstance(self.connect(factory, "192.0.2.3"), Busy)

    def test_new_limits_hold_for_new_connections(self):
        assembly = assemble(smtp_server_connections_max="1")
        factory = self.factory()
        factory._settings = lambda: assembly.configuration.settings
        self.connect(factory)
        self.assertIsInstance(self.connect(factory), Busy)
        assembly = assemble(smtp_server_connections_max="5")
        self.assertNotIsInstance(self.connect(factory), Busy)


class BusyTests(FactoryTestCase):
    """Those who are turned away are told so, and can't stay."""

    def crowd(self, count):
        factory = self.factory(smtp_server_connections_max="1")
        self.connect(factory)
        return [self.connect(factory, transport=Stubborn()) for _ in range(count)]

    def test_one_is_told_and_closed(self):
        (busy,) = self.crowd(1)
        self.assertEqual(busy.transport.value()[:10], b"421 4.7.0 ")
        self.assertTrue(busy.transport.disconnecting)

    def test_one_that_does_not_go_is_cut_off(self):
        (busy,) = self.crowd(1)
        busy.clock.advance(BUSY_TIMEOUT - 1)
        self.assertFalse(busy.transport.aborted)
        busy.clock.advance(1)
        self.assertTrue(busy.transport.aborted)

    def test_one_that_has_gone_is_not_waited_for(self):
        (busy,) = self.crowd(1)
        busy.connectionLost(connectionDone)
        self.assertEqual(busy.clock.getDelayedCalls(), [])

    def test_when_there_are_many_at_a_time_they_are_cut_off_at_once(self):
        *told, last = self.crowd(BUSY_MAX + 1)
        self.assertEqual({one.transport.aborted for one in told}, {False})
        self.assertEqual((last.transport.value(), last.transport.aborted), (b"", True))


class DescriptorTests(FactoryTestCase):
    """Some descriptors are kept for the sessions that there are."""

    def test_a_client_is_turned_away_while_few_are_left(self):
        factory = self.factory()
        # A limit so high that nobody looks makes nobody wait.
        self.patch(server, "room", lambda _limit: SPARE - 1)
        self.assertNotIsInstance(self.connect(factory), Busy)
        self.patch(factory, "_descriptors", SPARE + DESCRIPTORS)
        with capturedLogs() as captured:
            self.assertIsInstance(self.connect(factory), Busy)
        (record,) = [event["record"] for event in captured if "record" in event]
        self.assertRegex(record["reason"], r"^\d+ descriptors are the limit$")
        self.patch(server, "room", lambda _limit: SPARE)
        self.assertNotIsInstance(self.connect(factory), Busy)

    def warnings(self, limit, **overrides):
        self.patch(server, "raise_limit", lambda: limit)
        with capturedLogs() as captured:
            self.factory(**overrides).prepare()
        return [event for event in captured if "descriptors" in event["log_format"]]

    def test_too_low_a_limit_is_told_at_the_start(self):
        connections = {"smtp_server_connections_max": "500"}
        self.assertEqual(self.warnings(500 + SPARE, **connections), [])
        (warning,) = self.warnings(499 + SPARE, **connections)
        self.assertEqual((warning["sessions"], warning["limit"]), (500, 499 + SPARE))

    def test_a_server_of_one_connection_counts_nothing(self):
        factory = ReceiverFactory(assemble().for_connection, anonymous_portal(), lambda one: one)
        self.patch(server, "room", lambda _limit: 0)
        factory.prepare()
        self.assertNotIsInstance(self.connect(factory), Busy)
