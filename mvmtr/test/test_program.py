"""Tests of the program as it is started: twistd in front and in the background, and mvmtr."""

from __future__ import annotations

import contextlib
import os
import signal
import smtplib
import socket
import subprocess
import sys
import time

from twisted.trial.unittest import SynchronousTestCase

from mvmtr import __version__
from mvmtr.test.support import (
    control_folder,
    folder,
    free_port,
    twistd,
    wait_for_port,
)
from mvmtr.test.test_stdio import plain_environment

WAYS = {
    "in front": twistd("-n", "mvmtr"),
    "in the background": twistd("mvmtr"),
    "as mvmtr": [sys.executable, "-m", "mvmtr"],
}


class ProgramTestCase(SynchronousTestCase):
    """Runs the program in an empty folder."""

    def setUp(self):
        self.home = folder(self)
        self.current = folder(self)
        self.control = control_folder(self.home, {"me": "mx.example", "rcpthosts": "ours.example"})
        self.port = free_port()
        self.listen = f"--listen=tcp:{self.port}:interface=127.0.0.1"

    def run_to_end(self, command, *arguments, **variables):
        """Run a program that ends by itself."""
        return subprocess.run(
            [*command, *arguments],
            capture_output=True,
            cwd=self.current,
            env=plain_environment(**variables),
            timeout=120,
        )

    def start(self, command, *arguments, **variables):
        """Start a server in front; it logs into a file."""
        self.log = self.current / "log"
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [*command, self.listen, "--queue=discard:", *arguments],
                stdout=log,
                stderr=log,
                cwd=self.current,
                env=plain_environment(**variables),
            )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        wait_for_port(self.port, process)
        return process

    def client(self):
        client = smtplib.SMTP("127.0.0.1", self.port, "client.example", timeout=60)
        self.addCleanup(client.close)
        return client


class WordTests(ProgramTestCase):
    """What it says about itself."""

    def test_version_is_the_version(self):
        for way, command in WAYS.items():
            done = self.run_to_end(command, "--version")
            self.assertEqual(
                (done.stdout, done.stderr, done.returncode),
                (f"mvmtr {__version__}\n".encode(), b"", 0),
                way,
            )

    def test_help_is_help_with_examples(self):
        for way, command in WAYS.items():
            done = self.run_to_end(command, "--help")
            self.assertEqual((done.stderr, done.returncode), (b"", 0), way)
            for word in (
                b"\nExamples:\n",
                b"tcpserver -x",
                b"--queue=maildir:./Maildir",
                b"tcp6:25",
            ):
                self.assertIn(word, done.stdout, way)


class ErrorTests(ProgramTestCase):
    """What can't be is one line on standard error, and exit status 1."""

    def assert_one_line(self, text, *arguments):
        for way, command in WAYS.items():
            done = self.run_to_end(command, *arguments)
            told = (way, done.stderr.decode())
            self.assertEqual(done.returncode, 1, told)
            self.assertEqual(done.stdout, b"", told)
            self.assertEqual(len(done.stderr.splitlines()), 1, told)
            self.assertTrue(done.stderr.startswith(b"mvmtr: "), told)
            self.assertIn(text.encode(), done.stderr, told)
            self.assertEqual(os.listdir(self.current), [], told)

    def test_an_option_that_does_not_exist(self):
        self.assert_one_line("nonsense", "--nonsense")

    def test_an_argument_without_compatibility(self):
        self.assert_one_line("mx.example", "--no-qmail", "mx.example")

    def test_a_control_folder_that_does_not_exist(self):
        self.assert_one_line(f"{self.home}/none", f"--control-dir={self.home}/none", self.listen)

    def test_a_control_that_can_not_be_read(self):
        (self.control / "badmailfrom").mkdir()
        self.assert_one_line(
            f"{self.control}/badmailfrom", f"--control-dir={self.control}", self.listen
        )

    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", self.port)):
            self.assert_one_line("already in use", "--no-qmail", self.listen, "--queue=discard:")

    def test_an_endpoint_that_makes_no_sense(self):
        self.assert_one_line("nonsense:1", "--no-qmail", "--listen=nonsense:1", "--queue=discard:")

    def test_a_queue_that_does_not_exist(self):
        self.assert_one_line("nonsense", "--no-qmail", self.listen, "--queue=nonsense")

    def test_a_control_with_a_wrong_value(self):
        self.assert_one_line("no_such_control", "--no-qmail", "--set", "no_such_control=1")

    def test_a_check_that_does_not_exist(self):
        self.assert_one_line("no.such.check", "--no-qmail", "--check", "no.such.check")


class RunningTests(ProgramTestCase):
    """A server at work."""

    def in_front(self, *arguments, **variables):
        control = f"--control-dir={self.control}"
        return self.start(WAYS["in front"], control, *arguments, **variables)

    def wait_gone(self, pid):
        """Wait until there is no process of that number."""
        for _attempt in range(600):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.1)
        self.fail(f"{pid} is still there")

    def test_sigterm_ends_it_and_its_sessions(self):
        for command in (WAYS["in front"], WAYS["as mvmtr"]):
            process = self.start(command, "--no-qmail")
            client = self.client()
            client.ehlo()
            process.send_signal(signal.SIGTERM)
            self.assertEqual(client.getreply()[0], 421)
            self.assertIn(process.wait(60), (0, -signal.SIGTERM))
            with self.assertRaises(OSError):
                socket.create_connection(("127.0.0.1", self.port), 5)
            self.assertNotIn("Traceback", self.log.read_text())
            self.assertEqual(os.listdir(self.current), ["log"])

    def test_in_the_background_it_keeps_a_pid_file_and_a_log(self):
        done = self.run_to_end(
            WAYS["in the background"], "--no-qmail", self.listen, "--queue=discard:"
        )
        pid = int((self.current / "twistd.pid").read_text())
        self.addCleanup(_kill, pid)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        with self.client() as client:
            self.assertEqual(client.ehlo()[0], 250)
        os.kill(pid, signal.SIGTERM)
        self.wait_gone(pid)
        log = (self.current / "twistd.log").read_text()
        self.assertIn("event=connection ", log)
        self.assertIn("ALL MAIL IS THROWN AWAY", log)
        self.assertNotIn("Traceback", log)
        self.assertEqual(os.listdir(self.current), ["twistd.log"])

    def test_an_open_relay_is_warned_of_at_the_start(self):
        warning = f"OPEN RELAY: there is no {self.control}/rcpthosts"
        process = self.in_front()
        self.assertNotIn(warning, self.log.read_text())
        process.terminate()
        process.wait()
        (self.control / "rcpthosts").unlink()
        self.in_front()
        self.assertIn(warning, self.log.read_text())

    def test_relayclient_in_the_environment_of_a_listener_opens_nothing(self):
        self.in_front(RELAYCLIENT="")
        client = self.client()
        client.mail("s@client.example")
        self.assertEqual(client.rcpt("r@elsewhere.example")[0], 553)
        self.assertEqual(client.rcpt("r@ours.example")[0], 250)
        self.assertIn("RELAYCLIENT", self.log.read_text())

    def test_databytes_in_the_environment_of_a_listener_is_obeyed(self):
        (self.control / "databytes").write_text("1000\n")
        self.in_front(DATABYTES="77")
        client = self.client()
        client.ehlo()
        self.assertEqual(client.esmtp_features["size"], "77")

    def test_rights_are_dropped_after_the_ports_are_open(self):
        root = os.getuid() == 0
        user, group = (65534, 65533) if root else (os.getuid(), os.getgid())
        private = self.home / "private"
        private.mkdir(mode=0o700)
        path = private / "socket"
        process = self.start(
            twistd("-n", f"--uid={user}", f"--gid={group}", "--pidfile=", "mvmtr"),
            f"--listen=unix:{path}",
            "--no-qmail",
        )
        with self.client() as client:
            self.assertEqual(client.ehlo()[0], 250)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(path))
            self.assertTrue(connection.recv(100).startswith(b"220 "))
        with open(f"/proc/{process.pid}/status") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        self.assertEqual(status["Uid"].split(), [str(user)] * 4)
        self.assertEqual(status["Gid"].split(), [str(group)] * 4)


def _kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
