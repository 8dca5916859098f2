"""Tests for L{mvmtr.checks.greet_delay}, with real sockets and with a clock that stands still."""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from mvmtr.assemble import ConfigurationError
from mvmtr.checks.greet_delay import EARLY, GreetDelay
from mvmtr.interfaces import ICheck
from mvmtr.policy import Policy
from mvmtr.session import Connection, Encryption, Session, Stage
from mvmtr.settings import Settings
from mvmtr.test.support import (
    CLIENT,
    LoopbackServer,
    assemble,
    control_folder,
    environment,
    factory_of,
    folder,
    in_thread,
    twistd,
)

EHLO = b"EHLO client.example\r\n"


class CheckTests(SynchronousTestCase):
    """Who has to wait."""

    def setUp(self):
        self.clock = Clock()
        self.spoken = False

    def ask(self, connection=CLIENT, spoken=True, **attributes):
        """Ask the check; C{spoken} is whether it can be told at all."""
        networks = Settings.parse("smtp_server_xclient_networks", "192.0.2.0/24")
        settings = Settings(smtp_server_greet_delay=5, smtp_server_xclient_networks=networks)
        session = Session(connection, settings)
        for name, value in attributes.items():
            setattr(session, name, value)
        if spoken:
            session.has_spoken = lambda: self.spoken
        check = GreetDelay(settings, self.clock)
        return Policy([check], self.clock).decide(session, Stage.CONNECT)

    def test_it_is_a_check(self):
        settings = Settings(smtp_server_greet_delay=5)
        self.assertTrue(verifyObject(ICheck, GreetDelay(settings, self.clock)))

    def test_who_is_silent_is_greeted_after_the_delay(self):
        answer = self.ask()
        self.clock.advance(4.9)
        self.assertNoResult(answer)
        self.clock.advance(0.1)
        self.assertIsNone(self.successResultOf(answer))

    def test_who_speaks_at_any_time_before_that_is_refused_then(self):
        answer = self.ask()
        self.clock.advance(4)
        self.spoken = True
        self.assertNoResult(answer)
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(answer), EARLY.by("greet_delay"))
        self.assertEqual((EARLY.code, EARLY.text[:5]), (554, "5.5.1"))

    def test_some_need_not_wait(self):
        self.spoken = True
        tls = Encryption("TLSv1.3", "X")
        front = Connection(remote_ip=b"192.0.2.9")
        for attributes in (
            {"relay": "RELAYCLIENT is set"},
            {"encryption": tls},
            {"connection": front},
            {"spoken": False},
        ):
            answer = self.ask(**attributes)
            if isinstance(answer, Deferred):
                answer = self.successResultOf(answer)
            self.assertIsNone(answer, attributes)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_client_without_an_address_waits(self):
        for ip in (None, b"unknown"):
            self.assertNoResult(self.ask(Connection(remote_ip=ip)))

    def test_a_delay_that_no_check_may_take_is_an_error(self):
        for delay, limit in (("60", "60"), ("5", "4")):
            error = self.assertRaises(
                ConfigurationError,
                assemble,
                smtp_server_greet_delay=delay,
                smtp_server_check_timeout=limit,
            )
            self.assertIn("smtp_server_greet_delay", str(error))
        assemble(smtp_server_greet_delay="59")


def hear(port, early, patient=b""):
    """All that a server says to a client that first says one thing, and another when greeted."""
    with socket.create_connection(("127.0.0.1", port), 60) as peer:
        peer.sendall(early)
        said = peer.recv(4096)
        peer.sendall(patient)
        while data := peer.recv(4096):
            said += data
    return said


class SocketTests(TestCase):
    """Clients on real sockets."""

    def serve(self, connection=CLIENT, **overrides):
        assembly = assemble(smtp_server_greet_delay="1", **overrides)
        server = LoopbackServer(factory_of(assembly, connection))
        self.addCleanup(lambda: Deferred.fromCoroutine(server.stop()))
        return server.port

    async def test_an_early_talker_reads_why_it_is_refused(self):
        said = await in_thread(hear, self.serve(), EHLO)
        self.assertEqual(said, b"554 5.5.1 you spoke before the greeting (#5.5.1)\r\n")

    async def test_one_that_sends_more_than_we_ever_read_is_refused_as_well(self):
        def flood(port):
            with socket.create_connection(("127.0.0.1", port), 60) as peer:
                peer.setblocking(False)
                try:
                    for _ in range(1000):
                        peer.send(EHLO * 1000)
                except BlockingIOError:
                    pass
                peer.settimeout(60)
                return peer.recv(4096)

        self.assertTrue((await in_thread(flood, self.serve())).startswith(b"554 "))

    async def test_who_waits_is_greeted_and_served(self):
        said = await in_thread(hear, self.serve(), b"", EHLO + b"QUIT\r\n")
        self.assertTrue(said.startswith(b"220 "))
        self.assertIn(b"\r\n221 ", said)

    async def test_a_relay_client_may_speak_early(self):
        connection = replace(CLIENT, environment={b"RELAYCLIENT": b""})
        said = await in_thread(hear, self.serve(connection), EHLO + b"QUIT\r\n")
        self.assertTrue(said.startswith(b"220 "))

    async def test_without_the_delay_nobody_is_refused(self):
        server = LoopbackServer(factory_of(assemble()))
        self.addCleanup(lambda: Deferred.fromCoroutine(server.stop()))
        said = await in_thread(hear, server.port, EHLO + b"QUIT\r\n")
        self.assertTrue(said.startswith(b"220 "))

    async def test_one_that_leaves_while_it_waits_leaves_nothing(self):
        server = LoopbackServer(factory_of(assemble(smtp_server_greet_delay="1")))
        self.addCleanup(lambda: Deferred.fromCoroutine(server.stop()))

        def leave():
            socket.create_connection(("127.0.0.1", server.port), 60).close()

        await in_thread(leave)
        await in_thread(hear, server.port, EHLO)
        for session in list(server.factory.sessions):
            await session.finished
        self.assertFalse(server.factory.sessions)


class StdioTests(SynchronousTestCase):
    """C{twistd mvmtr --stdio} with a client on a socket, and on pipes."""

    def play(self, stdin, stdout, *arguments):
        control = control_folder(folder(self), {"me": "mx.example"})
        return subprocess.Popen(
            [
                *twistd("mvmtr"), "--stdio", f"--control-dir={control}", "--queue=discard:",
                "--set=smtp_server_greet_delay=1", *arguments,
            ],
            stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL,
            env=environment(TCPREMOTEIP="203.0.113.7"),
        )  # fmt: skip

    def end(self, process):
        process.wait(60)
        self.assertEqual(process.returncode, 1)

    def test_an_early_talker_on_a_socket(self):
        with socket.create_server(("127.0.0.1", 0)) as port:
            peer = socket.create_connection(port.getsockname())
            accepted, _address = port.accept()
        with peer, accepted:
            peer.sendall(EHLO)
            process = self.play(accepted, accepted)
            accepted.close()
            peer.settimeout(60)
            self.assertTrue(peer.recv(4096).startswith(b"554 5.5.1 "))
        self.end(process)

    def test_an_early_talker_on_pipes(self):
        reading, writing = os.pipe()
        with os.fdopen(writing, "wb", 0) as client:
            client.write(EHLO)
            process = self.play(reading, subprocess.PIPE)
            os.close(reading)
            with process.stdout:
                self.assertTrue(process.stdout.readline().startswith(b"554 5.5.1 "))
                self.end(process)
