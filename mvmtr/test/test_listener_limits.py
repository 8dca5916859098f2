"""A listening server as it is run, at its limits: many clients, one that wants much, few files."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import select
import shutil
import smtplib
import socket
import subprocess
import sys
import time
from pathlib import Path

from mvmtr.protocol.descriptors import SPARE
from mvmtr.test.support import free_port
from mvmtr.test.test_listener import ListenerTestCase

PATIENCE = 20
"""Seconds to wait for what takes no time on a machine that is not busy."""


def smtp_source():
    """The test client of Postfix, where .ci/unpack has put it, or where its package does."""
    folders = (str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin", "/usr/local/sbin")
    found = shutil.which("smtp-source", path=os.pathsep.join(folders))
    assert found is not None, "there is no smtp-source; .ci/debian-packages fetches it"
    return found


class LimitTestCase(ListenerTestCase):
    """What the tests below share."""

    def hello(self, source="127.0.0.1"):
        """The first line that a client hears, and its connection."""
        client = self.connect(source)
        return self.first_line(client), client

    def assert_welcome(self, *sources):
        """Each of the clients is greeted; their connections."""
        clients = []
        for source in sources:
            line, client = self.hello(source)
            self.assertEqual(line[:4], b"220 ", source)
            clients.append(client)
        return clients

    def assert_refused(self, source, reason):
        line, client = self.hello(source)
        self.assertEqual(line[:4], b"421 ", source)
        self.assertEqual(client.recv(100), b"")
        self.wait_for_log(f"client={source} command=connect verdict=defer code=421")
        self.wait_for_log(reason)

    def wait_for_log(self, text):
        end = time.monotonic() + PATIENCE
        while text not in self.log.read_text():
            self.assertLess(time.monotonic(), end, f"{text} in:\n{self.log.read_text()}")
            time.sleep(0.02)


class ConnectionTests(LimitTestCase):
    """Connections of an address and of a network."""

    def test_a_network_has_so_many_places(self):
        self.start("--set=smtp_server_connections_per_network=2")
        first, _second = self.assert_welcome("127.0.1.1", "127.0.1.2")
        self.assert_refused("127.0.1.3", "the limit for one network is 2 at a time")
        self.assert_welcome("127.0.2.1")
        first.sendall(b"QUIT\r\n")
        while first.recv(100):
            pass
        self.assert_welcome("127.0.1.3")

    def test_a_client_can_not_come_too_often(self):
        self.start("--set=smtp_server_rate_per_address=3", "--set=smtp_server_rate_time=3600")
        for client in self.assert_welcome(*["127.0.1.1"] * 3):
            client.close()
        self.assert_refused("127.0.1.1", "the limit for one client is 3 in 3600 seconds")
        self.assert_welcome("127.0.1.2")

    def test_a_network_can_not_come_too_often(self):
        self.start("--set=smtp_server_rate_per_network=2")
        self.assert_welcome("127.0.1.1", "127.0.1.2")
        self.assert_refused("127.0.1.3", "the limit for one network is 2 in 60 seconds")

    def test_networks_of_ipv6_count_as_well(self):
        self.port = free_port()
        self.start_on(
            f"tcp6:{self.port}:interface=\\:\\:1",
            f"tcp:{self.port}:interface=127.0.0.1",
            "--set=smtp_server_connections_per_network=1",
        )
        clients = [socket.create_connection(("::1", self.port), PATIENCE) for _ in range(2)]
        for client in clients:
            self.addCleanup(client.close)
        lines = [self.first_line(client)[:4] for client in clients]
        self.assertEqual(lines, [b"220 ", b"421 "])


class RoomTests(LimitTestCase):
    """Free space, as a client sees it."""

    def test_a_message_that_does_not_fit_on_the_disk_is_put_off(self):
        self.start()
        with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as client:
            client.ehlo()
            code, text = client.mail("s@client.example", [f"SIZE={10**19}"])
            self.assertEqual((code, text), (452, b"4.3.1 insufficient system storage (#4.3.1)"))
            self.assertEqual(client.mail("s@client.example", ["SIZE=100"])[0], 250)
        self.wait_for_log("bytes are free")

    def test_limits_are_announced(self):
        self.start("--set=smtp_server_messages_max=7")
        with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as client:
            client.ehlo()
            self.assertEqual(client.esmtp_features["limits"], "MAILMAX=7 RCPTMAX=10000")


class SessionTests(LimitTestCase):
    """The time of a session, by real clocks."""

    def test_a_client_that_always_says_something_has_to_go(self):
        self.start("--set=smtp_server_session_timeout=2")
        (client,) = self.assert_welcome("127.0.0.1")
        said = self.go_on(client, b"RSET\r\n")
        self.assertIn(b"250 2.0.0 flushed\r\n421 4.4.2 this session has lasted too long", said)
        self.wait_for_log("the limit is 2 seconds")

    def go_on(self, client, words):
        """Say something again and again, up to a 421; all that the server says."""
        said = b""
        while b"421 " not in said:
            time.sleep(0.1)
            with contextlib.suppress(ConnectionError):
                client.sendall(words)
            if select.select([client], [], [], 0)[0]:
                piece = client.recv(1000)
                self.assertNotEqual(piece, b"", said)
                said += piece
        return said

    def test_a_client_that_drips_a_message_has_to_go(self):
        self.start("--set=smtp_server_session_timeout=2", "--queue=discard:")
        (client,) = self.assert_welcome("127.0.0.1")
        client.sendall(b"MAIL FROM:<>\r\nRCPT TO:<r@local.example>\r\nDATA\r\n")
        said = self.go_on(client, b"x")
        self.assertIn(b"\r\n354 go ahead\r\n421 4.4.2 ", said)


class DescriptorTests(LimitTestCase):
    """A process that can have few files open."""

    LIMIT = SPARE + 60

    def few(self):
        """Start a server that can have few descriptors."""
        self.launcher = ("prlimit", f"--nofile=30:{self.LIMIT}")
        self.start("--max-connections=1000", "--set=smtp_server_bodycache=0")

    def crowd(self):
        """Connect until there is no place any more; the connections."""
        clients = []
        while True:
            line, client = self.hello()
            if line[:4] == b"421 ":
                return clients
            clients.append(client)
            self.assertLess(len(clients), self.LIMIT)

    def test_the_limit_is_raised_and_too_low_a_one_is_told(self):
        self.few()
        self.wait_for_log(
            "there are to be 1000 sessions at a time, but this process can have only "
            f"{self.LIMIT} descriptors open"
        )
        limits = resource.prlimit(self.server.pid, resource.RLIMIT_NOFILE)
        self.assertEqual(limits, (self.LIMIT, self.LIMIT))

    def test_clients_are_told_in_time_and_those_that_are_there_can_send(self):
        self.few()
        *_others, client = self.crowd()
        self.assertGreater(len(_others), 20)
        self.wait_for_log(f"{self.LIMIT} descriptors are the limit")
        client.sendall(
            b"MAIL FROM:<s@client.example>\r\nRCPT TO:<r@local.example>\r\nDATA\r\n"
            b"Subject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n"
        )
        said = b"".join(iter(lambda: client.recv(4096), b""))
        self.assertEqual(re.findall(rb"^\d+", said, re.M), [b"250", b"250", b"354", b"250", b"221"])
        self.assertEqual(self.recorder.runs, 1)
        self.assert_welcome("127.0.0.1")

    def test_a_server_without_a_single_descriptor_goes_on_when_there_are_some_again(self):
        self.few()
        self.assert_welcome(*["127.0.0.1"] * 20)
        resource.prlimit(self.server.pid, resource.RLIMIT_NOFILE, (20, self.LIMIT))
        for _ in range(5):
            self.assertEqual(self.connect().recv(100), b"")
        resource.prlimit(self.server.pid, resource.RLIMIT_NOFILE, (self.LIMIT, self.LIMIT))
        self.assert_welcome("127.0.0.1")
        # It did not try again and again, as fast as it can.
        self.assertLess(self.log.read_text().count("EMFILE"), 50)


class SmtpSourceTests(LimitTestCase):
    """The test client of Postfix: many sessions at a time, many recipients."""

    def source(self, *options):
        """Run it; what it has to complain about."""
        envelope = "-f", "s@client.example", "-t", "r@local.example"
        done = subprocess.run(
            [smtp_source(), *options, *envelope, f"127.0.0.1:{self.port}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
        )
        return done.returncode, done.stdout.decode()

    def count(self, event, **values):
        """How many lines of the log say this."""
        words = [f"event={event}", *(f"{name}={value}" for name, value in values.items())]
        lines = self.log.read_text().splitlines()
        return sum(all(word in line.split() for word in words) for line in lines)

    def test_sessions_side_by_side_with_a_connection_for_each_message(self):
        self.start("--queue=discard:")
        self.assertEqual(self.source("-s", "20", "-m", "100", "-l", "20000"), (0, ""))
        self.assertEqual(self.count("message", code=250, recipients=1), 100)
        self.assertEqual(self.count("refused"), 0)

    def test_one_connection_for_many_messages_of_many_recipients(self):
        self.start("--queue=discard:")
        options = ("-d", "-s", "4", "-m", "40", "-r", "50", "-l", "5000")
        self.assertEqual(self.source(*options), (0, ""))
        self.assertEqual(self.count("message", code=250, recipients=50), 40)

    def test_it_is_told_when_there_are_too_many_sessions(self):
        self.start("--queue=discard:", "--max-connections=3")
        status, said = self.source("-s", "20", "-m", "20")
        self.assertNotEqual(status, 0)
        self.assertIn("421 4.7.0 too many connections", said)
        self.assertGreater(self.count("refused", check="connections", code=421), 0)

    def test_it_is_told_when_there_are_too_many_recipients(self):
        self.start("--queue=discard:", "--set=smtp_server_recipients_max=5")
        status, said = self.source("-m", "1", "-r", "6")
        self.assertNotEqual(status, 0)
        self.assertIn("452 4.5.3 too many recipients", said)

    def test_it_is_told_when_there_are_too_many_messages_in_a_session(self):
        self.start("--queue=discard:", "--set=smtp_server_messages_max=5")
        status, said = self.source("-d", "-m", "6")
        self.assertNotEqual(status, 0)
        self.assertIn("421 4.7.0 too many messages", said)
        self.assertEqual(self.count("message", code=250), 5)
