"""The real tcpserver with each launcher, and real clients."""

from __future__ import annotations

import re
import smtplib
import socket
import subprocess

from mvmtr.test.certificates import Authority, Client
from mvmtr.test.launchers import (
    SORRY,
    Handed,
    rest,
    until,
    with_each_launcher,
)
from mvmtr.test.test_stdio import plain_environment

MESSAGE = b"Subject: x\r\n\r\nhello\r\n.dot\r\n"


class TcpserverTests(Handed):
    """The real tcpserver starts the launcher for each connection."""

    def start(self, *options, resident=(), launcher=(), **variables):
        """Start both; tcpserver on a port that the system chooses."""
        self.resident(*resident)
        command = [self.launcher, *launcher, self.home / "socket"]
        self.tcpserver = subprocess.Popen(
            ["tcpserver", "-v1RHl0", *options, "127.0.0.1", "0", *command],
            stdout=subprocess.PIPE,
            stderr=open(self.home / "tcpserver.log", "wb"),
            env=plain_environment(RECORD_DIR=self.record, **variables),
        )
        self.addCleanup(self.tcpserver.wait)
        self.addCleanup(self.tcpserver.terminate)
        with self.tcpserver.stdout:
            self.port = int(self.tcpserver.stdout.readline())

    def statuses(self, count):
        """The exit statuses of the first children, once as many have ended."""

        def ends():
            log = (self.home / "tcpserver.log").read_text()
            found = re.findall(r"^tcpserver: end \d+ status (\d+)$", log, re.MULTILINE)
            return found if len(found) >= count else None

        return until(ends, "the launchers to end")

    def client(self):
        client = smtplib.SMTP("127.0.0.1", self.port, "client.example", timeout=60)
        self.addCleanup(client.close)
        return client

    def swaks(self, recipient, *options):
        server = ("--server", "127.0.0.1", "--port", str(self.port), "--helo", "client.example")
        envelope = ("--from", "s@client.example", "--to", recipient)
        return subprocess.run(
            ["swaks", *server, *envelope, "--body", "hello", *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
        )  # fmt: skip

    def rules(self, text):
        path = self.home / "rules.cdb"
        subprocess.run(["tcprules", path, self.home / "rules.tmp"], input=text.encode(), check=True)
        return str(path)

    def test_a_message_by_smtplib_reaches_the_queue_and_tcpserver_hears_how_it_ended(self):
        self.start("-R")
        client = self.client()
        client.sendmail("s@client.example", ["r@ours.example", "q@ours.example"], MESSAGE)
        client.quit()
        with socket.create_connection(("127.0.0.1", self.port), 60) as hangs_up:
            self.assertTrue(hangs_up.recv(100).startswith(b"220 mx.example "))
        self.assertEqual(self.statuses(2), ["0", "256"])
        head, _line, text = self.recorder.recorded("message").partition(b"\n")
        self.assertEqual(head, b"Received: from unknown (HELO client.example) (127.0.0.1)")
        self.assertTrue(text.startswith(b"  by 0 with ESMTP; "), text)
        self.assertTrue(text.endswith(b"\nSubject: x\n\nhello\n.dot\n"), text)
        self.assertEqual(
            self.recorder.recorded("envelope"),
            b"Fs@client.example\0Tr@ours.example\0Tq@ours.example\0\0",
        )

    def test_nobody_may_relay_without_relayclient(self):
        self.start("-x", self.rules(":allow\n"))
        done = self.swaks("r@elsewhere.example")
        self.assertEqual(done.returncode, 24, done.stdout.decode())
        self.assertIn(b"\n<** 553 5.7.1 sorry, that domain isn't in my list", done.stdout)
        self.assertEqual(self.recorder.runs, 0)

    def test_rules_say_who_may_relay(self):
        self.start("-x", self.rules('127.0.0.1:allow,RELAYCLIENT="",DATABYTES="2000"\n:deny\n'))
        done = self.swaks("r@elsewhere.example")
        self.assertEqual(done.returncode, 0, done.stdout.decode())
        self.assertIn(b"SIZE 2000", done.stdout)
        self.assertEqual(
            self.recorder.recorded("envelope"), b"Fs@client.example\0Tr@elsewhere.example\0\0"
        )

    def test_the_limit_of_tcpserver_holds(self):
        self.start("-c1")
        with socket.create_connection(("127.0.0.1", self.port), 60) as first:
            self.assertEqual(first.recv(100)[:4], b"220 ")
            with socket.create_connection(("127.0.0.1", self.port), 60) as second:
                second.settimeout(0.5)
                self.assertRaises(TimeoutError, second.recv, 100)
                second.settimeout(60)
                first.sendall(b"QUIT\r\n")
                self.assertEqual(second.recv(100)[:4], b"220 ")

    def test_without_the_resident_it_is_421(self):
        self.start()
        self.server.end()
        with socket.create_connection(("127.0.0.1", self.port), 60) as connection:
            self.assertEqual(rest(connection), SORRY)
        self.assertEqual(self.statuses(1), ["256"])

    def test_starttls_and_tls_from_the_first_byte(self):
        authority = Authority(self.home)
        (self.control / "servercert.pem").write_text(authority.text("mx.example"))
        self.start()
        with Client(self.port) as client:
            client.starttls(authority.client())
            envelope = (b"EHLO c", b"MAIL FROM:<s@client.example>", b"RCPT TO:<r@ours.example>")
            self.assertEqual(
                client.say(*envelope, b"DATA", b".", b"QUIT"), [250, 250, 250, 354, 250, 221]
            )
        self.assertIn(b" with ESMTPS; ", self.recorder.recorded("message"))
        done = self.swaks("r@ours.example", "-tls")
        self.assertEqual(done.returncode, 0, done.stdout.decode())
        self.server.end()
        self.start(SMTPS="1")
        done = self.swaks("r@ours.example", "--tls-on-connect")
        self.assertEqual(done.returncode, 0, done.stdout.decode())
        self.assertEqual(self.recorder.runs, 3)


globals().update(with_each_launcher(TcpserverTests))
del TcpserverTests
