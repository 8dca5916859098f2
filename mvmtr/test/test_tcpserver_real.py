"""Tests of C{twistd mvmtr --stdio} as a child of the real tcpserver, with real clients."""

from __future__ import annotations

import os
import smtplib
import socket
import subprocess
import threading

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.support import Recorder, control_folder, folder, twistd
from mvmtr.test.test_stdio import plain_environment

MESSAGE = b"Subject: x\r\n\r\nhello\r\n.dot\r\n"


class TcpserverTests(SynchronousTestCase):
    """tcpserver starts mvmtr for each connection, as it starts qmail-smtpd."""

    def setUp(self):
        self.home = folder(self)
        self.control = control_folder(self.home, {"me": "mx.example", "rcpthosts": "ours.example"})
        self.recorder = Recorder(self.home)

    def start(self, *options):
        """Start tcpserver on a port that the system chooses, and collect what it logs."""
        record = os.fsdecode(self.recorder.environment[b"RECORD_DIR"])
        child = twistd("mvmtr", "--stdio", f"--control-dir={self.control}", "mx.example", "/bin/x")
        self.tcpserver = subprocess.Popen(
            ["tcpserver", "-v1RHl0", "-p", *options, "127.0.0.1", "0", *child],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder(self),
            env=plain_environment(RECORD_DIR=record),
        )
        self.log = []
        self._ended = threading.Condition()
        reader = threading.Thread(target=self._read_log)
        reader.start()
        self.addCleanup(reader.join)
        self.addCleanup(self.tcpserver.wait)
        self.addCleanup(self.tcpserver.terminate)
        with self.tcpserver.stdout:
            self.port = int(self.tcpserver.stdout.readline())

    def _read_log(self):
        with self.tcpserver.stderr:
            for line in self.tcpserver.stderr:
                with self._ended:
                    self.log.append(line.decode())
                    self._ended.notify_all()

    def statuses(self, count):
        """The exit statuses of the first children, once as many have ended."""

        def ends():
            return [line.split()[-1] for line in self.log if line.startswith("tcpserver: end ")]

        with self._ended:
            self.assertTrue(self._ended.wait_for(lambda: len(ends()) >= count, 60), self.log)
            return ends()

    def client(self):
        client = smtplib.SMTP("127.0.0.1", self.port, "client.example", timeout=60)
        self.addCleanup(client.close)
        return client

    def swaks(self, recipient):
        server = ("--server", "127.0.0.1", "--port", str(self.port), "--helo", "client.example")
        envelope = ("--from", "s@client.example", "--to", recipient)
        return subprocess.run(
            ["swaks", *server, *envelope, "--body", "hello"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
        )

    def rules(self, text):
        """A rules file made by tcprules."""
        path = self.home / "rules.cdb"
        subprocess.run(
            ["tcprules", str(path), str(self.home / "rules.tmp")], input=text.encode(), check=True
        )
        return str(path)

    def test_a_message_by_smtplib_reaches_the_queue_and_the_child_ends(self):
        self.start()
        client = self.client()
        client.sendmail("s@client.example", ["r@ours.example", "q@ours.example"], MESSAGE)
        client.quit()
        self.assertEqual(self.statuses(1), ["0"])
        message = self.recorder.recorded("message")
        head, _line, rest = message.partition(b"\n")
        self.assertEqual(head, b"Received: from unknown (HELO client.example) (127.0.0.1)")
        self.assertTrue(rest.startswith(b"  by 0 with ESMTP; "), rest)
        self.assertTrue(rest.endswith(b"\nSubject: x\n\nhello\n.dot\n"), rest)
        self.assertEqual(
            self.recorder.recorded("envelope"),
            b"Fs@client.example\0Tr@ours.example\0Tq@ours.example\0\0",
        )
        events = [line for line in self.log if line.startswith("mvmtr: event=")]
        self.assertEqual(
            [line.split()[1] for line in events], ["event=message", "event=connection"]
        )
        self.assertTrue(all(" client=127.0.0.1 " in line for line in events), events)

    def test_a_message_by_swaks_reaches_the_queue(self):
        self.start()
        done = self.swaks("r@ours.example")
        self.assertEqual(done.returncode, 0, done.stdout.decode())
        self.assertEqual(self.statuses(1), ["0"])
        self.assertIn(b"\nTo: r@ours.example\n", self.recorder.recorded("message"))

    def test_nobody_may_relay_without_relayclient(self):
        self.start()
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

    def test_rules_turn_clients_away_before_there_is_a_child(self):
        self.start("-x", self.rules(":deny\n"))
        with socket.create_connection(("127.0.0.1", self.port), 60) as connection:
            try:
                said = connection.recv(100)
            except ConnectionResetError:
                said = b""
        self.assertEqual(said, b"")

    def test_a_child_ends_when_its_client_goes_away(self):
        self.start()
        with socket.create_connection(("127.0.0.1", self.port), 60) as connection:
            self.assertTrue(connection.recv(100).startswith(b"220 mx.example "))
        self.assertEqual(self.statuses(1), ["256"])

    def test_sessions_beside_each_other_have_a_child_each(self):
        self.start()
        clients = [self.client(), self.client()]
        for client in clients:
            client.sendmail("s@client.example", ["r@ours.example"], MESSAGE)
        for client in clients:
            client.quit()
        self.assertEqual(self.statuses(2), ["0", "0"])
        self.assertEqual(self.recorder.runs, 2)

    def test_controls_are_read_anew_for_each_session(self):
        self.start()
        with self.assertRaises(smtplib.SMTPRecipientsRefused):
            self.client().sendmail("s@client.example", ["r@new.example"], MESSAGE)
        (self.control / "rcpthosts").write_text("new.example\n")
        self.client().sendmail("s@client.example", ["r@new.example"], MESSAGE)
        self.assertEqual(self.recorder.runs, 1)
