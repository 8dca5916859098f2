"""Tests for L{mvmtr.protocol.adopted}: ports that are opened already, whatever describes them."""

from __future__ import annotations

import os
import socket

from twisted.internet import reactor
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from mvmtr.protocol.adopted import ACCEPTS, Adopting
from mvmtr.test.support import folder


class AdoptingTests(TestCase):
    """Two ports on one socket: the one that was opened, and the one that was adopted."""

    async def opened(self, description):
        """A port that does not listen, and another one on the same socket that does."""
        first = await serverFromString(reactor, description).listen(Factory.forProtocol(Protocol))
        self.addCleanup(first.stopListening)
        first.stopReading()
        factory = Factory.forProtocol(Protocol)
        opener = Adopting(reactor, os.dup(first.fileno()))
        second = await serverFromString(opener, description).listen(factory)
        self.addCleanup(second.stopListening)
        return first, second

    async def test_a_tcp_port_of_either_family(self):
        for interface, family in (("127.0.0.1", socket.AF_INET), (r"\:\:1", socket.AF_INET6)):
            first, second = await self.opened(
                f"tcp:0:interface={interface}".replace(
                    "tcp:", "tcp6:" if family == socket.AF_INET6 else "tcp:"
                )
            )
            self.assertEqual(first.getHost(), second.getHost())
            self.assertEqual(second.addressFamily, family)
            second.numberAccepts += 20
            self.assertEqual(second.numberAccepts, ACCEPTS)

    async def test_the_socket_outlives_a_port(self):
        first, second = await self.opened("tcp:0:interface=127.0.0.1")
        await second.stopListening()
        with socket.create_connection(("127.0.0.1", first.getHost().port), 5):
            pass

    async def test_the_file_of_a_port_is_left_alone(self):
        path = folder(self) / "socket"
        _first, second = await self.opened(f"unix:{path}:mode=600")
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        await second.stopListening()
        client = await clientFromString(reactor, f"unix:{path}").connect(
            Factory.forProtocol(Protocol)
        )
        client.transport.loseConnection()

    async def test_programs_that_are_started_do_not_get_the_socket(self):
        _first, second = await self.opened("tcp:0:interface=127.0.0.1")
        self.assertFalse(os.get_inheritable(second.fileno()))
