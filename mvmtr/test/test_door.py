"""Tests for L{mvmtr.protocol.door}: what stands before a session."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.protocol import connectionDone
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from mvmtr.interfaces import ICheck
from mvmtr.protocol.door import HEADER_TIMEOUT, Door
from mvmtr.protocol.smtp import Receiver
from mvmtr.session import Reject, Stage
from mvmtr.test.headers import V1, V2, StillFactory, addresses, binary, line
from mvmtr.test.support import assemble

PROXY = "192.0.2.1"
OTHER = "192.0.2.2"
REFUSED = b"421 4.3.0 there is no good PROXY header (#4.3.0)\r\n"


@implementer(ICheck)
class Visitors:
    """Notes who comes, and turns one away."""

    name = "visitors"
    stages = frozenset({Stage.CONNECT})

    def __init__(self):
        self.came = []

    def check(self, session, stage, argument):
        self.came.append(session.connection)
        if session.connection.remote_ip == b"203.0.113.66":
            return Reject(554, "5.7.1 not you")
        return None


class DoorTests(SynchronousTestCase):
    """A door with connections in memory."""

    def setUp(self):
        self.visitors = Visitors()
        self.open()

    def open(self, **controls):
        """A door with other settings."""
        controls = {"smtp_server_proxy_networks": f"{PROXY}, 2001:db8::/64", **controls}
        self.assembly = assemble(checks=(self.visitors,), **controls)

        def settings():
            return self.assembly.configuration.settings

        factory = StillFactory(self.assembly)
        self.clock = factory.clock
        self.door = Door(factory, settings)
        self.passed = []
        self.door.passed = self.passed.append

    def connect(self, host=PROXY, header=b""):
        """A connection; its transport, to which data is to be given."""
        family = IPv6Address if ":" in host else IPv4Address
        transport = StringTransport(
            IPv4Address("TCP", "192.0.2.250", 25), family("TCP", host, 40000)
        )
        protocol = self.door.buildProtocol(transport.getPeer())
        protocol.callLater = self.clock.callLater
        transport.protocol = protocol
        protocol.makeConnection(transport)
        if header:
            transport.protocol.dataReceived(header)
        return transport

    def lose(self, transport):
        transport.protocol.connectionLost(connectionDone)

    def said(self, transport):
        data = transport.value()
        transport.clear()
        return data

    def assert_greeted(self, transport, remote, local, via):
        """A session began, and checks saw who is there."""
        self.assertEqual(self.said(transport)[:4], b"220 ")
        connection = self.visitors.came.pop()
        self.assertEqual(self.visitors.came, [])
        self.assertEqual(
            (connection.remote_ip, connection.local_ip, connection.forwarded_by),
            (remote, local, via),
        )
        self.assertEqual(self.door.waiting, set())

    def test_who_is_no_proxy_is_greeted_at_once(self):
        self.assert_greeted(self.connect(OTHER), OTHER.encode(), b"192.0.2.250", None)

    def test_who_is_no_proxy_can_not_say_for_whom_it_speaks(self):
        transport = self.connect(OTHER, V1)
        self.assertEqual([said[:3] for said in self.said(transport).splitlines()], [b"220", b"502"])
        self.assertEqual(self.visitors.came[0].remote_ip, OTHER.encode())

    def test_nothing_is_said_to_a_proxy_before_its_header(self):
        transport = self.connect()
        self.assertEqual(self.said(transport), b"")
        self.assertEqual(self.visitors.came, [])
        self.assertEqual(len(self.door.waiting), 1)

    def test_the_session_is_that_of_the_client_behind_the_proxy(self):
        for header in (V1, V2):
            transport = self.connect(header=header)
            self.assert_greeted(transport, b"203.0.113.9", b"198.51.100.2", PROXY.encode())

    def test_a_proxy_may_speak_ipv6(self):
        header = line("2001:db8:1::9", "2001:db8:1::2", "TCP6")
        transport = self.connect("2001:db8::1", header)
        self.assert_greeted(transport, b"2001:db8:1::9", b"2001:db8:1::2", b"2001:db8::1")

    def test_a_header_may_be_cut_anywhere(self):
        for header in (V1, V2):
            transport = self.connect()
            for place in range(len(header) - 1):
                transport.protocol.dataReceived(header[place : place + 1])
            self.assertEqual(self.said(transport), b"")
            transport.protocol.dataReceived(header[-1:])
            self.assert_greeted(transport, b"203.0.113.9", b"198.51.100.2", PROXY.encode())

    def test_what_comes_with_the_header_is_the_beginning_of_the_session(self):
        transport = self.connect(header=V1 + b"EHLO x\r\nQUIT\r\n")
        codes = [reply[:3] for reply in self.said(transport).splitlines() if reply[3:4] == b" "]
        self.assertEqual(codes, [b"220", b"250", b"221"])

    def test_a_second_header_is_a_command_that_there_is_not(self):
        transport = self.connect(header=V1 + line("203.0.113.10", "198.51.100.2"))
        self.assertEqual([said[:3] for said in self.said(transport).splitlines()], [b"220", b"502"])
        self.assertEqual([one.remote_ip for one in self.visitors.came], [b"203.0.113.9"])

    def test_the_client_behind_the_proxy_is_turned_away_as_any_other(self):
        transport = self.connect(header=line("203.0.113.66", "198.51.100.2"))
        self.assertEqual(self.said(transport), b"554 5.7.1 not you\r\n")
        self.assertTrue(transport.disconnecting)

    def test_a_proxy_that_speaks_for_itself_is_the_client(self):
        for header in (
            binary(b"", command=0x20, family=0),
            binary(addresses("203.0.113.9", "198.51.100.2"), command=0x20),
            binary(b"", family=0),
            binary(bytes(216), family=0x31),
            b"PROXY UNKNOWN\r\n",
            b"PROXY UNKNOWN 203.0.113.9 198.51.100.2 1 2\r\n",
        ):
            transport = self.connect(header=header)
            self.assert_greeted(transport, PROXY.encode(), b"192.0.2.250", None)

    def test_what_is_no_header_is_refused(self):
        with capturedLogs() as events:
            transport = self.connect(header=b"EHLO x\r\n")
        self.assertEqual(self.said(transport), REFUSED)
        self.assertTrue(transport.disconnecting)
        self.assertEqual(self.visitors.came, [])
        (record,) = [event["record"] for event in events]
        self.assertEqual(
            str(record),
            "event=refused client=192.0.2.1 command=connect verdict=defer code=421 "
            'text="4.3.0 there is no good PROXY header (#4.3.0)" check=proxy '
            'reason="what came first is no PROXY header"',
        )
        transport.protocol.dataReceived(V1)
        self.lose(transport)
        self.assertEqual((self.said(transport), self.visitors.came), (b"", []))
        self.assertEqual(self.door.waiting, set())

    def test_a_header_has_its_time_as_a_whole(self):
        transport = self.connect()
        with capturedLogs() as events:
            for place in range(HEADER_TIMEOUT):
                self.clock.advance(1)
                if not transport.disconnecting:
                    transport.protocol.dataReceived(V1[place : place + 1])
        self.assertEqual(self.said(transport), REFUSED)
        self.assertTrue(transport.disconnecting)
        self.assertIn("did not come within 10 seconds", str(events[0]["record"]))

    def test_no_clock_is_left_running(self):
        self.connect(header=b"nonsense")
        self.lose(self.connect())
        self.lose(self.connect(header=V1[:9]))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_proxy_that_only_looks_whether_somebody_is_there_is_not_in_the_log(self):
        with capturedLogs() as events:
            self.lose(self.connect())
        self.assertEqual(events, [])
        self.assertEqual(self.door.waiting, set())

    def test_a_connection_that_ends_in_its_header_is_in_the_log(self):
        with capturedLogs() as events:
            self.lose(self.connect(header=V2[:20]))
        self.assertIn("it ended within its header", str(events[0]["record"]))

    def test_who_starts_the_door_is_told_what_passes(self):
        self.connect(header=V1)
        self.connect(OTHER)
        self.assertEqual([type(one) for one in self.passed], [Receiver, Receiver])
        self.lose(self.connect())
        self.lose(self.connect(header=b"nonsense"))
        self.assertEqual(self.passed[2:], [None, None])

    def test_limits_count_the_clients_behind_the_proxy(self):
        self.open(smtp_server_connections_per_address="1")
        first = self.connect(header=V1)
        self.assertEqual(self.said(first)[:4], b"220 ")
        self.assertEqual(self.said(self.connect(header=V2))[:4], b"421 ")
        other = self.connect(header=line("203.0.113.10", "198.51.100.2"))
        self.assertEqual(self.said(other)[:4], b"220 ")
        self.lose(first)
        self.assertEqual(self.said(self.connect(header=V1))[:4], b"220 ")

    def test_as_many_may_wait_for_a_header_as_there_may_be_sessions(self):
        self.open(smtp_server_connections_max="2")
        waiting = [self.connect(), self.connect()]
        with capturedLogs() as events:
            third = self.connect()
        self.assertEqual(self.said(third)[:4], b"421 ")
        self.assertTrue(third.disconnecting)
        self.assertIn("too many without a header", str(events[0]["record"]))
        self.lose(waiting[0])
        self.assertEqual(self.said(self.connect()), b"")

    def test_nobody_waits_any_more_when_the_port_is_closed(self):
        transport = self.connect()
        self.door.stopFactory()
        self.assertTrue(transport.disconnecting)

    def test_without_networks_everybody_is_a_client(self):
        self.open(smtp_server_proxy_networks="")
        self.assert_greeted(self.connect(), PROXY.encode(), b"192.0.2.250", None)
