"""Tests for L{mvmtr.protocol.server}: the listening side."""

from __future__ import annotations

import gc
import socket
from dataclasses import replace

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.stdio import PipeAddress
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mvmtr.protocol.delivery import anonymous_portal
from mvmtr.protocol.server import CannotListen, Listener, ReceiverFactory, ip_of
from mvmtr.session import Accept
from mvmtr.test.stand_ins import MAIL, RCPT, TEXT, Takes
from mvmtr.test.support import assemble, factory_of, folder


class AddressTests(SynchronousTestCase):
    """The IP address of one end of a transport."""

    def test_the_addresses_of_sockets_are_bytes(self):
        for address, ip in (
            (IPv4Address("TCP", "192.0.2.1", 25), b"192.0.2.1"),
            (IPv6Address("TCP", "2001:db8::1", 25), b"2001:db8::1"),
            (IPv6Address("TCP", "::ffff:192.0.2.1", 25), b"192.0.2.1"),
            (IPv6Address("TCP", "::FFFF:192.0.2.1", 25), b"192.0.2.1"),
            (IPv6Address("TCP", "::ffff:1", 25), b"::ffff:1"),
            (UNIXAddress("/socket"), None),
            (PipeAddress(), None),
            (None, None),
        ):
            self.assertEqual(ip_of(address), ip, address)


class Client(Protocol):
    """Sends lines, and waits for replies."""

    def __init__(self):
        self.said = b""
        self.lost = Deferred()
        self._waiting = None

    def dataReceived(self, data):
        self.said += data
        self._look()

    def connectionLost(self, reason):
        self.lost.callback(self.said)

    def has(self, text):
        """Fires when the server has said this."""
        done = Deferred()
        self._waiting = (text, done)
        self._look()
        return done

    def _look(self):
        if self._waiting is not None and self._waiting[0] in self.said:
            (_text, done), self._waiting = self._waiting, None
            done.callback(None)


async def connect(port, host="127.0.0.1"):
    """A client of a listening port."""
    description = f"tcp:{host.replace(':', chr(92) + ':')}:{port}"
    endpoint = clientFromString(reactor, description)
    return await endpoint.connect(Factory.forProtocol(Client))


class ListenerTests(TestCase):
    """Ports are opened, and closed with the sessions behind them."""

    def listener(self, *endpoints, queue=None, stop_timeout=30):
        assembly = assemble(smtp_server_rcpt_domains="mvmtr.example")
        if queue is not None:
            assembly.configuration = replace(assembly.configuration, queue=queue)

        self.factory = ReceiverFactory(
            assembly.for_connection, anonymous_portal(), lambda connection: connection
        )
        listener = Listener(reactor, endpoints, self.factory, stop_timeout)
        self.addCleanup(listener.stopService)
        return listener

    async def test_it_listens_on_all_its_endpoints(self):
        path = folder(self) / "socket"
        listener = self.listener(
            "tcp:0:interface=127.0.0.1", r"tcp6:0:interface=\:\:1", f"unix:{path}"
        )
        listener.startService()
        clients = [
            await connect(listener.ports[0].getHost().port),
            await connect(listener.ports[1].getHost().port, "::1"),
            await clientFromString(reactor, f"unix:{path}").connect(Factory.forProtocol(Client)),
        ]
        for client in clients:
            await client.has(b"220 ")
        seen = {session.session.connection.remote_ip for session in self.factory.sessions}
        self.assertEqual(seen, {b"127.0.0.1", b"::1", None})
        await listener.stopService()
        for client in clients:
            self.assertIn(b"421 ", await client.lost)
        self.assertFalse(self.factory.sessions)

    async def test_ports_can_be_opened_before_the_service_starts_and_are_opened_once(self):
        listener = self.listener("tcp:0:interface=127.0.0.1")
        listener.bind()
        (port,) = listener.ports
        listener.privilegedStartService()
        listener.startService()
        self.assertEqual(listener.ports, [port])

    def test_a_bad_endpoint_is_one_line(self):
        path = folder(self) / "none" / "socket"
        for endpoint in (
            "nonsense:1",
            "tcp:port",
            "tcp",
            "",
            "tcp:0:interface=192.0.2.1",
            f"unix:{path}",
        ):
            with self.assertRaises(CannotListen) as caught:
                self.listener(endpoint).bind()
            text = str(caught.exception)
            self.assertIn(repr(endpoint), text)
            self.assertEqual(len(text.splitlines()), 1, text)

    def test_a_port_in_use_is_one_line(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            endpoint = f"tcp:{other.getsockname()[1]}:interface=127.0.0.1"
            with self.assertRaises(CannotListen) as caught:
                self.listener(endpoint).bind()
        self.assertEqual(
            str(caught.exception), f"cannot listen on {endpoint!r}: Address already in use"
        )

    async def test_a_session_at_work_is_waited_for(self):
        answer = Deferred()
        asked = Deferred()

        def put():
            reactor.callLater(0, asked.callback, None)
            return answer

        listener = self.listener("tcp:0:interface=127.0.0.1", queue=Takes(put))
        listener.startService()
        port = listener.ports[0].getHost().port
        idle, working = await connect(port), await connect(port)
        working.transport.write(b"\r\n".join((b"EHLO c", MAIL, RCPT, b"DATA", TEXT)))
        await asked
        stopped = listener.stopService()
        self.assertIn(b"421 ", await idle.lost)
        self.assertNoResult(stopped)
        with self.assertRaises(OSError):
            socket.create_connection(("127.0.0.1", port), 5)
        answer.callback(Accept(text="2.0.0 in the queue"))
        await stopped
        said = await working.lost
        self.assertIn(b"250 2.0.0 in the queue\r\n421 ", said)

    async def test_a_session_that_works_too_long_is_not_waited_for(self):
        answer = Deferred()
        asked = Deferred()
        queue = Takes(lambda: (reactor.callLater(0, asked.callback, None), answer)[1])
        listener = self.listener("tcp:0:interface=127.0.0.1", queue=queue, stop_timeout=1)
        listener.startService()
        client = await connect(listener.ports[0].getHost().port)
        client.transport.write(b"\r\n".join((b"EHLO c", MAIL, RCPT, b"DATA", TEXT)))
        await asked
        with capturedLogs() as captured:
            await listener.stopService()
        formats = [event.get("log_format") for event in captured]
        self.assertIn("sessions were cut off by the stop", formats)
        answer.callback(Accept())
        await client.lost
        # An error that nobody has taken care of is logged when its Deferred goes away.
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])


class FactoryTests(TestCase):
    """A factory knows its sessions until they are finished."""

    def test_stopping_without_sessions_is_done_at_once(self):
        self.assertEqual(self.successResultOf(factory_of(assemble()).stop()), [])

    def test_a_session_is_known_until_it_has_finished(self):
        factory = factory_of(assemble())
        receiver = factory.buildProtocol(None)
        self.assertEqual(set(factory.sessions), {receiver})
        receiver.finished.callback(None)
        self.assertFalse(factory.sessions)
