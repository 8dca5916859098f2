"""STARTTLS with C{--stdio}: a child of the real tcpserver, with real clients."""

from __future__ import annotations

import os
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.certificates import Authority, Client
from mvmtr.test.support import Recorder, control_folder, folder, twistd
from mvmtr.test.test_stdio import plain_environment

ENVELOPE = (b"EHLO c", b"MAIL FROM:<s@client.example>", b"RCPT TO:<r@ours.example>", b"DATA")


class TcpserverTests(SynchronousTestCase):
    """tcpserver gives its child a socket, which is all that TLS needs."""

    def setUp(self):
        self.home = folder(self)
        self.authority = Authority(self.home)
        self.tls = self.authority.client()
        self.control = control_folder(
            self.home,
            {
                "me": "mx.example",
                "rcpthosts": "ours.example",
                "servercert.pem": self.authority.text("mx.example"),
            },
        )
        self.recorder = Recorder(self.home)

    def start(self, **variables):
        record = os.fsdecode(self.recorder.environment[b"RECORD_DIR"])
        child = twistd("mvmtr", "--stdio", f"--control-dir={self.control}")
        self.log = self.home / "log"
        with open(self.log, "wb") as log:
            self.server = subprocess.Popen(
                ["tcpserver", "-v1RHl0", "127.0.0.1", "0", *child],
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder(self),
                env=plain_environment(RECORD_DIR=record, **variables),
            )
        self.addCleanup(self.server.wait)
        self.addCleanup(self.server.terminate)
        with self.server.stdout as output:
            self.port = int(output.readline())

    def test_starttls_on_the_adopted_socket(self):
        self.start()
        with Client(self.port) as client:
            client.starttls(self.tls)
            self.assertEqual(client.say(*ENVELOPE, b".", b"QUIT"), [250, 250, 250, 354, 250, 221])
            self.assertEqual(client.rest(), b"")
        self.assertIn(b" with ESMTPS; ", self.recorder.recorded("message"))

    def test_swaks_by_starttls_and_from_the_first_byte(self):
        for option, variables in (("-tls", {}), ("--tls-on-connect", {"SMTPS": "1"})):
            self.start(**variables)
            done = subprocess.run(
                ["swaks", "--server", "127.0.0.1", "--port", str(self.port), option,
                 "--from", "s@client.example", "--to", "r@ours.example"],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
            )  # fmt: skip
            self.assertEqual(done.returncode, 0, done.stdout.decode())
        self.assertEqual(self.recorder.runs, 2)

    def test_a_broken_certificate_is_454_and_a_line_in_the_log(self):
        (self.control / "servercert.pem").write_text("garbage")
        self.start()
        with Client(self.port) as client:
            client.reply()
            self.assertEqual(
                client.say(b"EHLO c", b"STARTTLS", *ENVELOPE[1:]), [250, 454, 250, 250, 354]
            )
            self.assertEqual(client.say(b".", b"QUIT"), [250, 221])
        self.assertIn("servercert.pem: there is no certificate in it", self.log.read_text())

    def test_commands_in_clear_behind_it_are_501(self):
        self.start()
        with Client(self.port) as client:
            client.reply()
            client.connection.sendall(b"STARTTLS\r\n" + b"\r\n".join(ENVELOPE) + b"\r\n.\r\n")
            self.assertTrue(client.rest().startswith(b"501 5.5.2 "))
        self.assertEqual(self.recorder.runs, 0)

    def test_tls_from_the_first_byte_over_pipes_is_no_session(self):
        done = subprocess.run(
            twistd("mvmtr", "--stdio", f"--control-dir={self.control}"),
            input=b"EHLO c\r\n",
            capture_output=True,
            env=plain_environment(SMTPS="1"),
            timeout=60,
            check=False,
        )
        self.assertEqual((done.stdout, done.returncode), (b"", 1))
        self.assertEqual(done.stderr, b"mvmtr: SMTPS is set, but descriptor 0 is no TCP socket\n")

    def test_tls_from_the_first_byte_without_a_certificate_is_no_session(self):
        (self.control / "servercert.pem").unlink()
        self.start(SMTPS="1")
        with Client(self.port) as client:
            self.assertEqual(client.rest(), b"")
        self.assertIn("mvmtr: SMTPS is set, but there is no certificate\n", self.log.read_text())
