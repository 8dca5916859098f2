"""Tests for L{mvmtr.assess.server}: what is said to whom, without sockets."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assess.engine import Engine
from mvmtr.assess.rules import rule, subject_of
from mvmtr.assess.server import (
    ANSWER_TIMEOUT,
    IDLE_TIMEOUT,
    QUIET,
    TARPIT_MAX,
    PolicyFactory,
)
from mvmtr.assess.service import Assessment
from mvmtr.assess.settings import AssessSettings
from mvmtr.assess.stores import StoreError
from mvmtr.assess.stores.memory import MemoryStore
from mvmtr.assess.wire import AttributeReader
from mvmtr.test.policy import request

DUNNO = {b"action": b"DUNNO"}


class Store(MemoryStore):
    """A memory that may fail, or wait until it is told to go on."""

    def __init__(self):
        super().__init__(reactor)
        self.error = None
        self.waiting = None
        self.asked = 0

    async def transact(self, keys, step):
        self.asked += 1
        if self.error is not None:
            raise self.error
        if self.waiting is not None:
            gate = Deferred()
            self.waiting.append(gate)
            await gate
        return await super().transact(keys, step)


class Transport(StringTransport):
    """Remembers whether it was aborted."""

    aborted = False

    def abortConnection(self):
        self.aborted = True


def rules(*lines):
    """Rules of the postmaster: action and subject, as in C{block 192.0.2.1}."""
    pairs = [line.split(" ", 1) for line in lines]
    found = {subject_of(subject, action): rule(action, "as told") for action, subject in pairs}
    return lambda: found


class ServerTestCase(SynchronousTestCase):
    """What the tests below share: a server without sockets, with a clock that stands still."""

    def setUp(self):
        self.clock = Clock()
        self.store = Store()
        self.serve(greylist=True, reputation=True)

    def serve(self, *lines, admin=None, **values):
        settings = AssessSettings().with_(values, {})
        self.assessment = Assessment(Engine(settings, rules(*lines)), self.store, self.clock)
        self.factory = PolicyFactory(self.assessment, self.clock, admin, connections_max=3)

    def connect(self, address=None):
        server = self.factory.buildProtocol(address or UNIXAddress(None))
        server.callLater = self.clock.callLater
        transport = Transport()
        server.makeConnection(transport)
        return server, transport

    def replies(self, transport):
        """What was written since it was last asked."""
        data = transport.value()
        transport.clear()
        return AttributeReader().feed(data)

    def actions(self, transport):
        return [reply[b"action"] for reply in self.replies(transport)]

    def ask(self, *requests):
        server, transport = self.connect()
        server.dataReceived(b"".join(requests))
        server.connectionLost()
        return self.replies(transport)


class AnswerTests(ServerTestCase):
    """What is answered."""

    def test_a_first_try_is_greylisted(self):
        (reply,) = self.ask(request())
        self.assertEqual(list(reply), [b"action"])
        self.assertRegex(reply[b"action"], rb"\ADEFER_IF_PERMIT 4\.7\.1 .*greylisted for 300 s")

    def test_who_speaks_our_protocol_gets_the_reason_as_well(self):
        (reply,) = self.ask(request(mvmcas_version="1"))
        self.assertRegex(reply[b"mvmcas_reason"], rb"\Agreylist: greylisted for 300 s")

    def test_parameters_are_for_those_who_understand_them(self):
        self.serve("relay 192.0.2.1")
        (plain, extended) = self.ask(request(), request(mvmcas_version="1"))
        self.assertEqual(plain, {b"action": b"OK"})
        self.assertEqual(extended[b"action"], b"DUNNO")
        self.assertEqual(extended[b"mvmcas_relay"], b"yes")

    def test_feedback_changes_what_is_answered_next(self):
        feedback = request(request="mvmcas_feedback", mvmcas_event="spam_trap", mvmcas_count="3")
        question = request(protocol_state="CONNECT")
        replies = self.ask(question, feedback, question)
        self.assertEqual(replies[:2], [DUNNO, DUNNO])
        self.assertEqual(replies[2][b"action"][:10], b"554 5.7.1 ")

    def test_hints_are_logged_and_their_absence_is_not(self):
        self.serve("block 192.0.2.9")
        with capturedLogs() as captured:
            self.ask(request(), request(client_address="192.0.2.9"))
        (event,) = captured
        self.assertRegex(
            formatEvent(event),
            r"\Aevent=hint client=192.0.2.9 state=RCPT sender=s@client.example "
            r"recipient=r@ours.example action=reject code=554 reason=.*as told",
        )

    def test_replies_come_in_the_order_of_the_requests(self):
        self.serve("block 192.0.2.9")
        clients = ["192.0.2.9", "192.0.2.8"] * 500
        replies = self.ask(*(request(client_address=client) for client in clients))
        self.assertEqual([reply[b"action"][:3] for reply in replies], [b"554", b"DUN"] * 500)

    def test_what_makes_no_sense_is_answered_and_logged(self):
        for nonsense in (
            {"request": "junk_mail"},
            {"request": ""},
            {"protocol_state": "DREAM"},
            {"request": "mvmcas_feedback", "mvmcas_event": "smiled"},
            {"request": "mvmcas_admin"},
        ):
            self.clock.advance(QUIET)
            with capturedLogs() as captured:
                self.assertEqual(self.ask(request(**nonsense)), [DUNNO], nonsense)
                (reply,) = self.ask(request(**nonsense, mvmcas_version="1"))
            self.assertEqual(list(reply), [b"action", b"mvmcas_version", b"mvmcas_error"])
            self.assertEqual(len(captured), 1)
            self.assertIn("event=no_hint client=192.0.2.1 reason=", formatEvent(captured[0]))

    def test_the_administrator_is_answered_where_there_is_one(self):
        class Admin:
            async def answer(self, request):
                return {b"action": b"DUNNO", b"heard": request[b"mvmcas_command"]}

        self.serve(admin=Admin())
        (reply,) = self.ask(request(request="mvmcas_admin", mvmcas_command="list"))
        self.assertEqual(reply[b"heard"], b"list")
        (reply,) = self.ask(request(request="mvmcas_admin"))
        self.assertIn(b"mvmcas_error", reply)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)


class FailureTests(ServerTestCase):
    """A store that does not work."""

    def test_a_store_that_fails_harms_nobody(self):
        self.store.error = StoreError("sqlite:/x: disk full")
        with capturedLogs() as captured:
            replies = self.ask(request(), request(mvmcas_version="1"))
        self.assertEqual(replies[0], DUNNO)
        self.assertEqual(replies[1][b"mvmcas_error"], b"sqlite:/x: disk full")
        (event,) = captured
        self.assertIn('"sqlite:/x: disk full" so_far=1', formatEvent(event))

    def test_complaints_are_counted_and_not_all_of_them_logged(self):
        self.store.error = StoreError("disk full")
        with capturedLogs() as captured:
            self.ask(*[request()] * 100)
            self.clock.advance(QUIET)
            self.ask(request())
        self.assertEqual(len(captured), 2)
        self.assertIn("so_far=101", formatEvent(captured[1]))

    def test_an_error_in_the_program_is_logged_with_its_place(self):
        self.store.error = KeyError("x")
        self.assertEqual(self.ask(request()), [DUNNO])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_a_store_that_hangs_is_not_waited_for_long(self):
        self.store.waiting = []
        server, transport = self.connect()
        server.dataReceived(request(mvmcas_version="1") + request())
        self.clock.advance(ANSWER_TIMEOUT - 1)
        self.assertEqual(transport.value(), b"")
        self.clock.advance(1)
        (reply,) = self.replies(transport)
        self.assertIn(b"does not answer", reply[b"mvmcas_error"])
        self.assertEqual(len(self.store.waiting), 2)
        self.store.waiting[1].callback(None)
        self.assertRegex(self.actions(transport)[0], b"greylisted")


class ConnectionTests(ServerTestCase):
    """One connection."""

    def test_one_question_is_under_way_at_a_time_and_nothing_is_read_meanwhile(self):
        self.store.waiting = []
        server, transport = self.connect()
        server.dataReceived(request() * 3)
        self.assertEqual(transport.producerState, "paused")
        for number in range(3):
            self.assertEqual((len(self.store.waiting), transport.value()), (number + 1, b""))
            self.store.waiting[number].callback(None)
            self.assertEqual(len(self.replies(transport)), 1)
        self.assertEqual(transport.producerState, "producing")

    def test_nothing_is_done_for_a_questioner_that_does_not_read(self):
        server, transport = self.connect()
        server.pauseProducing()
        server.dataReceived(request() * 2)
        self.assertEqual((self.store.asked, transport.producerState), (0, "paused"))
        server.resumeProducing()
        self.assertEqual((self.store.asked, transport.producerState), (2, "producing"))

    def test_a_questioner_that_stops_to_read_gets_the_reply_at_hand_and_no_more(self):
        self.store.waiting = []
        server, transport = self.connect()
        server.dataReceived(request() * 2)
        server.pauseProducing()
        self.store.waiting[0].callback(None)
        self.assertEqual((self.store.asked, len(self.replies(transport))), (1, 1))
        self.assertEqual(transport.producerState, "paused")
        server.resumeProducing()
        self.assertEqual(self.store.asked, 2)

    def test_a_silent_questioner_is_cut_off(self):
        server, transport = self.connect()
        self.clock.advance(IDLE_TIMEOUT - 1)
        server.dataReceived(request())
        self.clock.advance(IDLE_TIMEOUT - 1)
        self.assertFalse(transport.aborted)
        self.clock.advance(1)
        self.assertTrue(transport.aborted)

    def test_garbage_ends_the_connection(self):
        server, transport = self.connect()
        with capturedLogs() as captured:
            server.dataReceived(b"GET / HTTP/1.0\r\n\r\n")
            server.dataReceived(request())
        self.assertTrue(transport.aborted)
        self.assertEqual((self.store.asked, len(captured)), (0, 1))
        self.assertIn("is not name=value", formatEvent(captured[0]))

    def test_a_questioner_that_has_asked_all_gets_its_replies(self):
        self.store.waiting = []
        server, transport = self.connect()
        server.dataReceived(request() * 2)
        server.readConnectionLost()
        self.assertFalse(transport.disconnecting)
        self.store.waiting[0].callback(None)
        self.store.waiting[1].callback(None)
        self.assertEqual((len(self.replies(transport)), transport.disconnecting), (2, True))
        server, transport = self.connect()
        server.readConnectionLost()
        self.assertTrue(transport.disconnecting)

    def test_a_lost_connection_keeps_its_place_until_its_question_is_answered(self):
        self.store.waiting = []
        server, transport = self.connect()
        server.dataReceived(request() * 2)
        server.connectionLost()
        self.assertEqual(len(self.factory.connections), 1)
        self.store.waiting[0].callback(None)
        self.assertEqual((len(self.factory.connections), transport.value()), (0, b""))
        self.assertEqual((self.store.asked, self.clock.getDelayedCalls()), (1, []))

    def test_a_tarpit_holds_back_the_replies_to_postfix_alone(self):
        self.serve(
            reputation=True,
            points_spam_trap=8,
            reputation_tarpit=10,
            reputation_tarpit_seconds=7,
        )
        self.ask(request(request="mvmcas_feedback", mvmcas_event="spam_trap"))
        (reply,) = self.ask(request(mvmcas_version="1"))
        self.assertEqual(reply[b"mvmcas_tarpit"], b"7")
        server, transport = self.connect()
        server.dataReceived(request())
        self.clock.advance(6)
        self.assertEqual(transport.value(), b"")
        self.clock.advance(1)
        self.assertEqual(self.replies(transport), [DUNNO])

    def test_no_tarpit_is_longer_than_postfix_waits(self):
        self.serve(reputation=True, points_spam_trap=8, reputation_tarpit_seconds=10**6)
        self.ask(request(request="mvmcas_feedback", mvmcas_event="spam_trap"))
        server, transport = self.connect()
        server.dataReceived(request())
        self.clock.advance(TARPIT_MAX)
        self.assertEqual(self.replies(transport), [DUNNO])


class FactoryTests(ServerTestCase):
    """Who may connect, and how it ends."""

    def built(self, address):
        with capturedLogs() as captured:
            built = self.factory.buildProtocol(address)
        self.assertEqual(built is None, bool(captured))
        return built is not None

    def test_only_receivers_may_ask(self):
        networks = [ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")]
        self.factory = PolicyFactory(self.assessment, self.clock, receivers=networks)
        for host in ("192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1%eth0"):
            kind = IPv6Address if ":" in host else IPv4Address
            self.assertTrue(self.built(kind("TCP", host, 1)), host)
        for host in ("198.51.100.7", "::ffff:198.51.100.7", "2001:db9::1"):
            kind = IPv6Address if ":" in host else IPv4Address
            self.assertFalse(self.built(kind("TCP", host, 1)), host)
        self.assertTrue(self.built(UNIXAddress(None)))

    def test_there_are_no_more_connections_than_the_limit(self):
        connections = [self.connect()[0] for _ in range(3)]
        self.assertFalse(self.built(UNIXAddress(None)))
        connections[1].connectionLost()
        self.assertTrue(self.built(UNIXAddress(None)))

    def test_at_the_end_questions_at_hand_are_answered_and_no_others(self):
        self.store.waiting = []
        idle, idle_transport = self.connect()
        busy, transport = self.connect()
        busy.dataReceived(request() * 2)
        stopped = self.factory.stop()
        self.assertTrue(idle_transport.disconnecting)
        idle.connectionLost()
        self.store.waiting[0].callback(None)
        self.assertEqual((len(self.replies(transport)), transport.disconnecting), (1, True))
        self.assertNoResult(stopped)
        busy.connectionLost()
        self.successResultOf(stopped)
        self.successResultOf(self.factory.stop())

    def test_who_is_not_answered_in_time_is_cut_off(self):
        self.store.waiting = []
        busy, transport = self.connect()
        busy.dataReceived(request())
        stopped = self.factory.stop()
        stopped.addErrback(lambda failure: None)
        stopped.cancel()
        self.assertTrue(transport.aborted)
        busy.connectionLost()
        self.store.waiting[0].callback(None)
        self.assertEqual(self.factory.connections, set())
