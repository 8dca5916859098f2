"""The client of policy servers: connections, questions under way, servers that are away."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mvmtr.assess import client as client_module
from mvmtr.assess.client import IDLE_MAX, SILENT_MAX, PolicyClient, PolicyConnection, Unavailable
from mvmtr.assess.wire import AttributeReader, written
from mvmtr.test.support import folder


class Server(Protocol):
    """Answers with the value of C{say}, which the factory keeps, and the number of the question."""

    def connectionMade(self):
        self.factory.connections.append(self)
        self.reader = AttributeReader()

    def dataReceived(self, data):
        for question in self.reader.feed(data):
            self.factory.asked.append(question)
            self.factory.answer(self, question)


class ServerTests(TestCase):
    """With a server on loopback."""

    def setUp(self):
        self.factory = Factory.forProtocol(Server)
        self.factory.noisy = False
        self.factory.connections, self.factory.asked = [], []
        self.factory.answer = self.echo
        self.port = reactor.listenTCP(0, self.factory, interface="127.0.0.1")
        self.addCleanup(self.end)
        self.client = PolicyClient(f"tcp:127.0.0.1:{self.port.getHost().port}", reactor)

    async def end(self):
        self.client.close()
        for connection in self.factory.connections:
            connection.transport.abortConnection()
        await self.port.stopListening()
        await deferLater(reactor, 0.05)

    def echo(self, server, question):
        server.transport.write(written({b"action": b"WARN " + question[b"n"]}))

    def ask(self, number, timeout=30):
        return self.client.ask({b"n": b"%d" % number}, timeout)

    async def test_questions_one_after_the_other_share_a_connection(self):
        for number in range(5):
            reply = await self.ask(number)
            self.assertEqual(reply, {b"action": b"WARN %d" % number})
        self.assertEqual(len(self.factory.connections), 1)

    async def test_many_at_a_time_wait_for_a_connection_and_each_gets_its_own_reply(self):
        self.client.connections_max = 3
        replies = await gatherResults([self.ask(number) for number in range(50)])
        self.assertEqual(
            [reply[b"action"] for reply in replies], [b"WARN %d" % number for number in range(50)]
        )
        self.assertLessEqual(len(self.factory.connections), 3)

    async def test_too_many_fail_at_once(self):
        self.patch(client_module, "WAITING_MAX", 2)
        self.client.connections_max = 1
        self.factory.answer = lambda server, question: None
        asking = [self.ask(number) for number in range(3)]
        with self.assertRaisesRegex(Unavailable, "2 questions wait already"):
            await self.ask(4)
        for one in asking:
            one.cancel()
            await one.addErrback(lambda _failure: None)

    async def test_no_reply_in_time(self):
        self.factory.answer = lambda server, question: None
        with self.assertRaisesRegex(Unavailable, "no reply within 0.2 s"):
            await self.ask(1, 0.2)
        self.factory.answer = self.echo
        # A late reply is nobody else's.
        self.assertEqual(await self.ask(2), {b"action": b"WARN 2"})
        self.assertEqual(len(self.factory.connections), 2)

    async def test_what_waits_for_a_connection_gets_one_when_another_gave_up(self):
        self.client.connections_max = 1
        self.factory.answer = lambda server, question: None
        first = self.ask(1, 0.2)
        second = self.ask(2)
        self.factory.answer = lambda server, question: (
            self.echo(server, question) if question[b"n"] == b"2" else None
        )
        with self.assertRaises(Unavailable):
            await first
        self.assertEqual(await second, {b"action": b"WARN 2"})

    async def test_a_connection_that_was_closed_meanwhile_is_replaced(self):
        await self.ask(1)
        self.factory.connections[0].transport.abortConnection()
        # The end of it and the question cross each other.
        self.assertEqual(await self.ask(2), {b"action": b"WARN 2"})
        self.assertEqual(len(self.factory.connections), 2)

    async def test_a_server_that_closes_instead_of_answering(self):
        self.factory.answer = lambda server, question: server.transport.loseConnection()
        with self.assertRaisesRegex(Unavailable, "closed the connection"):
            await self.ask(1)
        self.assertEqual(len(self.factory.asked), 1)

    async def test_a_used_connection_that_ends_with_the_question_is_tried_anew_once(self):
        await self.ask(1)
        self.factory.answer = lambda server, question: server.transport.loseConnection()
        with self.assertRaisesRegex(Unavailable, "closed the connection"):
            await self.ask(2)
        self.assertEqual([question[b"n"] for question in self.factory.asked], [b"1", b"2", b"2"])

    async def test_what_is_no_reply(self):
        self.factory.answer = lambda server, question: server.transport.write(b"220 hello\r\n\r\n")
        with self.assertRaisesRegex(Unavailable, "no reply of the policy protocol"):
            await self.ask(1)

    async def test_two_replies_to_one_question_end_the_connection(self):
        def twice(server, question):
            server.transport.write(written({b"action": b"DUNNO"}) * 2)

        self.factory.answer = twice
        await self.ask(1)
        self.factory.answer = self.echo
        self.assertEqual(await self.ask(2), {b"action": b"WARN 2"})
        self.assertEqual(len(self.factory.connections), 2)

    async def test_nobody_there(self):
        client = PolicyClient("tcp:127.0.0.1:1", reactor)
        with self.assertRaisesRegex(Unavailable, "unable to connect"):
            await client.ask({b"n": b"1"}, 30)
        with self.assertRaisesRegex(Unavailable, "not tried again for 1 s"):
            await client.ask({b"n": b"1"}, 30)

    async def test_unix_sockets(self):
        path = str(folder(self) / "policy")
        port = reactor.listenUNIX(path, self.factory)
        self.addCleanup(port.stopListening)
        client = PolicyClient(f"unix:{path}", reactor)
        self.addCleanup(client.close)
        self.assertEqual(await client.ask({b"n": b"7"}, 30), {b"action": b"WARN 7"})

    async def test_what_is_under_way_when_it_is_closed_is_answered(self):
        asking = self.ask(1)
        self.client.close()
        self.assertEqual(await asking, {b"action": b"WARN 1"})


class ClockTests(SynchronousTestCase):
    """With a clock that stands still, and connections in memory."""

    def setUp(self):
        self.reactor = MemoryReactorClock()
        self.client = PolicyClient("tcp:192.0.2.1:8891", self.reactor)

    def ask(self, timeout=10):
        return self.client.ask({b"n": b"1"}, timeout)

    def connected(self):
        """The last try to connect succeeds."""
        *_where, factory, _timeout, _bind = self.reactor.tcpClients[-1]
        protocol = factory.buildProtocol(None)
        transport = StringTransport()
        transport.abortConnection = transport.loseConnection
        protocol.makeConnection(transport)
        return protocol

    def failed(self, asking):
        return str(self.failureResultOf(asking, Unavailable).value)

    def test_a_server_that_does_not_answer_is_left_alone_for_a_while_and_longer(self):
        for _number in range(SILENT_MAX):
            asking = self.ask()
            self.connected()
            self.reactor.advance(10)
            self.assertIn("no reply within 10 s", self.failed(asking))
        pauses = []
        for _number in range(8):
            text = self.failed(self.ask())
            pauses.append(int(text.removeprefix("not tried again for ").removesuffix(" s")))
            self.reactor.advance(pauses[-1])
            asking = self.ask()
            self.connected()
            self.reactor.advance(10)
            self.failed(asking)
        self.assertEqual(pauses, [1, 2, 4, 8, 16, 32, 60, 60])

    def test_an_answer_makes_up_for_all(self):
        for _number in range(SILENT_MAX):
            asking = self.ask()
            self.connected()
            self.reactor.advance(10)
            self.failed(asking)
        self.reactor.advance(1)
        asking = self.ask()
        self.connected().dataReceived(b"action=DUNNO\n\n")
        self.assertEqual(self.successResultOf(asking), {b"action": b"DUNNO"})
        self.assertEqual((self.client._silent, self.client._pause), (0, 0.0))

    def test_a_connection_that_was_idle_for_long_is_not_used(self):
        asking = self.ask()
        first = self.connected()
        first.dataReceived(b"action=DUNNO\n\n")
        self.successResultOf(asking)
        self.reactor.advance(IDLE_MAX + 1)
        self.ask()
        self.assertTrue(first.transport.disconnecting)
        self.assertEqual(len(self.reactor.tcpClients), 2)

    def test_many_that_fail_at_once_count_once(self):
        asking = [self.ask() for _number in range(10)]
        for *_where, factory, _timeout, _bind in self.reactor.tcpClients:
            factory.clientConnectionFailed(None, failure_of(ConnectionRefusedError("no")))
        for one in asking:
            self.assertIn("unable to connect", self.failed(one))
        self.assertEqual(self.client._pause, 1)

    @given(st.integers(1, 30), st.data())
    @settings(deadline=None, max_examples=50)
    def test_a_reply_may_come_in_any_pieces(self, size, data):
        text = written({b"action": b"DUNNO", b"x": b"y" * size})
        cut = data.draw(st.integers(0, len(text)))
        connection = PolicyConnection()
        connection.makeConnection(StringTransport())
        answer = connection.ask({b"n": b"1"})
        connection.dataReceived(text[:cut])
        if cut < len(text):
            self.assertNoResult(answer)
            connection.dataReceived(text[cut:])
        self.assertEqual(self.successResultOf(answer)[b"action"], b"DUNNO")
        self.assertFalse(connection.lost)


def failure_of(error):
    found = []
    Deferred.fromCoroutine(_raise(error)).addErrback(found.append)
    return found[0]


async def _raise(error):
    raise error
