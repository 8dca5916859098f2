"""
What Twisted's own wrapper for the PROXY protocol does wrong, and L{mvmtr.protocol.door.Door}
does not.

Each test holds assertions about connections in a function. They must fail with the wrapper
around mvmtr's own factory, and hold for the door.
"""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol.door import Door
from mvmtr.test.headers import V1, V2, StillFactory
from mvmtr.test.stand_ins import Says
from mvmtr.test.support import assemble

PROXY = "192.0.2.1"


class StockTests(SynchronousTestCase):
    """Row 29 of the architecture page."""

    def factories(self):
        """That of Twisted and ours; what a check saw at the connect stage is in C{seen}."""
        self.seen = []
        check = Says(connect=lambda: None)
        check.check = lambda session, _stage, _argument: self.seen.append(session.connection)
        assembly = assemble(checks=(check,), smtp_server_proxy_networks=PROXY)

        door = Door(StillFactory(assembly), lambda: assembly.configuration.settings)
        return HAProxyWrappingFactory(StillFactory(assembly)), door

    def connect(self, factory, *pieces, host=PROXY):
        """A connection that gets these pieces; what was said, and who was seen."""
        self.seen.clear()
        transport = StringTransport(
            IPv4Address("TCP", "192.0.2.250", 25), IPv4Address("TCP", host, 40000)
        )
        protocol = factory.buildProtocol(transport.getPeer())
        protocol.callLater = Clock().callLater
        transport.protocol = protocol
        protocol.makeConnection(transport)
        for piece in pieces:
            transport.protocol.dataReceived(piece)
        return transport.value(), [connection.remote_ip for connection in self.seen]

    def differ(self, assertions):
        """The assertions fail for Twisted's wrapper and hold for the door."""
        stock, ours = self.factories()
        with self.assertRaises(AssertionError):
            assertions(stock)
        self.flushLoggedErrors()
        assertions(ours)

    def test_29_a_header_in_small_pieces_is_a_header(self):
        def assertions(factory):
            for header in (V1, V2):
                said, _seen = self.connect(factory, header[:5], header[5:], b"QUIT\r\n")
                self.assertEqual([line[:3] for line in said.splitlines()], [b"220", b"221"])

        self.differ(assertions)

    def test_29_nobody_is_greeted_before_the_header(self):
        def assertions(factory):
            self.assertEqual(self.connect(factory), (b"", []))

        self.differ(assertions)

    def test_29_checks_see_the_client_from_the_beginning(self):
        def assertions(factory):
            self.assertEqual(self.connect(factory, V1)[1], [b"203.0.113.9"])

        self.differ(assertions)

    def test_29_only_trusted_proxies_are_believed(self):
        def assertions(factory):
            said, seen = self.connect(factory, V1, host="203.0.113.66")
            self.assertEqual([line[:3] for line in said.splitlines()], [b"220", b"502"])
            self.assertEqual(seen, [b"203.0.113.66"])

        self.differ(assertions)
