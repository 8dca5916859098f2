"""Tests for L{mvmtr.protocol.transport}, over real sockets."""

from __future__ import annotations

import socket
import struct

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from mvmtr.protocol.transport import PromptServer, make_prompt
from mvmtr.test.support import folder, in_thread

LARGE = b"x" * 3_000_000


class Server(Protocol):
    """Does what its factory says with each piece that it gets."""

    def connectionMade(self):
        self.factory.made.append(self)
        self.ends = 0

    def dataReceived(self, data):
        self.factory.act(self.transport, data)

    def connectionLost(self, reason):
        self.ends += 1
        if not self.factory.lost.called:
            self.factory.lost.callback(None)


class PromptServerTests(TestCase):
    """Nothing is lost and nothing changes places, however much is written."""

    def listen(self, act, interface="127.0.0.1"):
        self.factory = Factory.forProtocol(Server)
        self.factory.made = []
        self.factory.lost = Deferred()
        self.factory.act = act
        port = reactor.listenTCP(0, self.factory, interface=interface)
        self.addCleanup(port.stopListening)
        make_prompt(port)
        self.address = "127.0.0.1", port.getHost().port

    def client(self):
        client = socket.create_connection(self.address, 20)
        self.addCleanup(client.close)
        return client

    async def talk(self, words=b"a"):
        """Say something, and read to the end."""

        def run():
            client = self.client()
            client.sendall(words)
            with client.makefile("rb") as replies:
                return replies.read()

        heard = await in_thread(run)
        await self.factory.lost
        self.assertEqual([one.ends for one in self.factory.made], [1])
        return heard

    async def test_what_was_written_arrives_before_the_end(self):
        def act(transport, data):
            self.assertIsInstance(transport, PromptServer)
            transport.write(b"1 " + data)
            transport.write(b" 2")
            transport.loseConnection()

        self.listen(act)
        self.assertEqual(await self.talk(), b"1 a 2")

    async def test_nothing_is_written_after_the_end(self):
        def act(transport, data):
            transport.write(b"1")
            transport.loseConnection()
            transport.loseConnection()

        self.listen(act)
        self.assertEqual(await self.talk(), b"1")

    async def test_a_connection_without_a_reply_is_closed(self):
        self.listen(lambda transport, data: transport.loseConnection())
        self.assertEqual(await self.talk(), b"")

    async def test_more_than_the_socket_takes_arrives_in_order(self):
        def act(transport, data):
            transport.write(b"begin")
            transport.write(LARGE)
            reactor.callLater(0.01, transport.write, b"end")
            reactor.callLater(0.02, transport.loseConnection)

        self.listen(act)
        self.assertEqual(await self.talk(), b"begin" + LARGE + b"end")

    async def test_a_sequence_keeps_its_place(self):
        def act(transport, data):
            transport.write(b"1")
            transport.writeSequence([b"2", b"3"])
            transport.write(b"4")
            transport.loseConnection()

        self.listen(act)
        self.assertEqual(await self.talk(), b"1234")

    async def test_a_side_that_is_closed_for_writing_still_reads(self):
        heard = []

        def act(transport, data):
            heard.append(data)
            if len(heard) == 1:
                transport.write(b"1")
                transport.loseWriteConnection()
            else:
                transport.loseConnection()

        def run():
            client = self.client()
            client.sendall(b"a")
            with client.makefile("rb") as replies:
                said = replies.read()
            client.sendall(b"b")
            return said

        self.listen(act)
        self.assertEqual(await in_thread(run), b"1")
        await self.factory.lost
        self.assertEqual(heard, [b"a", b"b"])

    async def test_a_connection_that_is_aborted_ends_once(self):
        def act(transport, data):
            transport.write(b"1")
            transport.abortConnection()
            transport.loseConnection()

        def run():
            client = self.client()
            client.sendall(b"a")
            try:
                return client.recv(10)
            except ConnectionResetError:
                return b""

        self.listen(act)
        self.assertEqual(await in_thread(run), b"")
        await self.factory.lost
        self.assertEqual(self.factory.made[0].ends, 1)

    async def test_a_client_that_has_gone_ends_it_once(self):
        def act(transport, data):
            for _ in range(5):
                transport.write(LARGE)

        def run():
            client = self.client()
            client.sendall(b"a")
            client.recv(10)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

        self.listen(act)
        await in_thread(run)
        await self.factory.lost
        self.assertEqual(self.factory.made[0].ends, 1)

    async def test_its_own_address_is_that_of_the_connection(self):
        for interface in ("127.0.0.1", "0.0.0.0"):
            hosts = []

            def act(transport, data, hosts=hosts):
                hosts.append(transport.getHost())
                transport.loseConnection()

            self.listen(act, interface)
            await self.talk()
            self.assertEqual((hosts[0].host, hosts[0].port), self.address)

    async def test_a_port_of_unix_sockets_is_left_alone(self):
        port = reactor.listenUNIX(str(folder(self) / "socket"), Factory.forProtocol(Server))
        self.addCleanup(port.stopListening)
        before = port.transport
        make_prompt(port)
        self.assertIs(port.transport, before)
