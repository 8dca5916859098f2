"""Tests for L{mvmtr.assess.server} over sockets."""

from __future__ import annotations

import socket

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from mvmtr.assess.engine import Engine
from mvmtr.assess.server import PolicyFactory
from mvmtr.assess.service import Assessment
from mvmtr.assess.settings import AssessSettings
from mvmtr.assess.stores.memory import MemoryStore
from mvmtr.assess.wire import AttributeReader
from mvmtr.test.policy import request
from mvmtr.test.support import in_thread


class SocketTests(TestCase):
    """Over real sockets."""

    async def setUp(self):
        settings = AssessSettings().with_({"greylist": True}, {})
        self.assessment = Assessment(Engine(settings), MemoryStore(reactor), reactor)
        self.factory = PolicyFactory(self.assessment, reactor)
        port = reactor.listenTCP(0, self.factory, interface="127.0.0.1")
        self.addCleanup(self.factory.stop)
        self.addCleanup(port.stopListening)
        self.address = ("127.0.0.1", port.getHost().port)

    def talk(self, data, end=True):
        """Send data, tell that it is all, and read until the server closes."""
        with socket.create_connection(self.address, 20) as client:
            client.sendall(data)
            if end:
                client.shutdown(socket.SHUT_WR)
            return client.makefile("rb").read()

    async def test_a_client_that_closes_its_half_gets_all_replies(self):
        data = await in_thread(self.talk, request() * 50)
        self.assertEqual(len(AttributeReader().feed(data)), 50)

    async def test_a_client_that_never_reads_stops_the_server_from_reading(self):
        def flood():
            with socket.create_connection(self.address, 20) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.settimeout(1)
                sent = 0
                try:
                    while sent < 100_000_000:
                        sent += client.send(request() * 100)
                except TimeoutError:
                    return sent

        sent = await in_thread(flood)
        self.assertIsNotNone(sent)
        self.assertLess(self.assessment.answered, sent)

    async def test_a_connection_is_forgotten_when_the_client_goes(self):
        await in_thread(self.talk, request())
        while self.factory.connections:
            waiting = Deferred()
            reactor.callLater(0.01, waiting.callback, None)
            await waiting
