"""Tests for L{mvmtr.protocol.transport}, on real sockets."""

from __future__ import annotations

import socket
import struct

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from mvmtr.protocol.transport import PromptServer, make_prompt

LARGE = bytes(range(256)) * 20000


@implementer(IHalfCloseableProtocol)
class Server(Protocol):
    """
    Does what a test says, and notes how often its connection was lost.

    @ivar gone: fires when it is lost for the first time.
    """

    def __init__(self, act):
        self.act = act
        self.losses = []
        self.gone = Deferred()

    def dataReceived(self, data):
        self.act(self, data)

    def readConnectionLost(self):
        self.transport.loseConnection()

    def writeConnectionLost(self):
        pass

    def connectionLost(self, reason):
        self.losses.append(reason)
        if not self.gone.called:
            self.gone.callback(None)


class PromptServerTests(TestCase):
    """What is written arrives whole and in order, and the connection ends once."""

    def serve(self, act):
        """A connected client, and the server whose C{dataReceived} is C{act}."""
        made = Deferred()

        class OneFactory(Factory):
            noisy = False

            def buildProtocol(self, addr):
                protocol = Server(act)
                reactor.callLater(0, made.callback, protocol)
                return protocol

        port = reactor.listenTCP(0, OneFactory(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        make_prompt(port)
        client = socket.create_connection(("127.0.0.1", port.getHost().port), 20)
        self.addCleanup(client.close)
        return client, made

    async def talk(self, act, data=b"x"):
        """Send data, and read to the end; all that came, and the server."""
        client, made = self.serve(act)
        server = await made
        self.assertIsInstance(server.transport, PromptServer)

        def speak():
            client.sendall(data)
            return b"".join(iter(lambda: client.recv(65536), b""))

        answer = await deferToThread(speak)
        await server.gone
        self.assertEqual(len(server.losses), 1)
        return answer, server

    async def test_what_fits_is_written_at_once_and_the_connection_closed(self):
        states = []

        def act(server, data):
            server.transport.write(b"bye")
            states.append(server.transport.dataBuffer)
            server.transport.loseConnection()
            states.append(server.transport.closes_now)

        answer, _server = await self.talk(act)
        self.assertEqual(answer, b"bye")
        self.assertEqual(states, [b"", True])

    async def test_what_does_not_fit_comes_whole_and_in_order_before_the_end(self):
        def act(server, data):
            server.transport.write(LARGE)
            server.transport.write(b"next")
            server.transport.writeSequence([b"and", b"last"])
            server.transport.loseConnection()
            self.assertFalse(server.transport.closes_now)

        answer, _server = await self.talk(act)
        self.assertEqual(answer, LARGE + b"nextandlast")

    async def test_a_connection_that_is_aborted_and_closed_is_lost_once(self):
        def act(server, data):
            server.transport.abortConnection()
            server.transport.loseConnection()

        client, made = self.serve(act)
        server = await made
        client.sendall(b"x")
        await server.gone
        await self.a_turn()
        self.assertEqual(len(server.losses), 1)

    async def a_turn(self):
        turn = Deferred()
        reactor.callLater(0, turn.callback, None)
        await turn

    async def test_closing_twice_and_writing_after_it_do_no_harm(self):
        def act(server, data):
            server.transport.write(b"bye")
            server.transport.loseConnection()
            server.transport.loseConnection()
            server.transport.write(b"too late")

        answer, _server = await self.talk(act)
        self.assertTrue(answer.startswith(b"bye"))

    async def test_one_half_is_closed_before_the_other(self):
        def act(server, data):
            server.transport.write(b"bye")
            server.transport.loseWriteConnection()

        client, made = self.serve(act)
        server = await made

        def speak():
            client.sendall(b"x")
            answer = b"".join(iter(lambda: client.recv(100), b""))
            client.shutdown(socket.SHUT_WR)
            return answer

        self.assertEqual(await deferToThread(speak), b"bye")
        await server.gone
        self.assertEqual(len(server.losses), 1)

    async def test_a_producer_is_asked_before_the_end(self):
        class Producer:
            """Writes twice."""

            left = [b"one", b"two"]

            def resumeProducing(self):
                if self.left:
                    self.transport.write(self.left.pop(0))
                else:
                    self.transport.unregisterProducer()

            def stopProducing(self):
                self.left.append(b"stopped")

        producer = Producer()

        def act(server, data):
            producer.transport = server.transport
            server.transport.registerProducer(producer, False)
            server.transport.loseConnection()

        answer, _server = await self.talk(act)
        self.assertEqual(answer, b"onetwo")
        self.assertEqual(producer.left, [])

    async def test_a_client_that_resets_is_noticed(self):
        def act(server, data):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            for _ in range(3):
                server.transport.write(b"x")

        client, made = self.serve(act)
        server = await made
        client.sendall(b"x")
        await server.gone
        await self.a_turn()
        self.assertEqual(len(server.losses), 1)
