"""Tests for L{mvmtr.protocol.stdio}, in real processes: one session on descriptors 0 and 1."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol.stdio import tcp_family
from mvmtr.test.support import Recorder, control_folder, environment, folder, twistd

SESSION = (
    b"EHLO client.example\r\nMAIL FROM:<s@client.example>\r\nRCPT TO:<r@ours.example>\r\n"
    b"DATA\r\nSubject: x\r\n\r\nhello\r\n.\r\n"
)
CODES = [220, 250, 250, 250, 354, 250]
TCP = {
    "TCPREMOTEIP": "203.0.113.7",
    "TCPREMOTEHOST": "client.example",
    "TCPLOCALIP": "198.51.100.1",
    "TCPLOCALHOST": "mx.example",
    "PROTO": "TCP",
}


def codes(said):
    """The codes of the replies; nothing but replies may be there."""
    lines = said.split(b"\r\n")
    assert lines.pop() == b"", said
    assert all(line[:3].isdigit() and line[3:4] in b" -" for line in lines), said
    return [int(line[:3]) for line in lines if line[3:4] == b" "]


def plain_environment(**variables):
    """The environment without anything that a parent may have said about a connection."""
    names = ("TCP", "PROTO", "RELAYCLIENT", "DATABYTES", "QMAILQUEUE")
    inherited = environment(**variables)
    return {
        name: value
        for name, value in inherited.items()
        if name in variables or not name.startswith(names)
    }


class StdioTests(SynchronousTestCase):
    """C{twistd mvmtr --stdio} with a client on pipes, on a socket pair, and on a TCP socket."""

    def setUp(self):
        self.home = folder(self)
        self.current = folder(self)
        self.control = control_folder(self.home, {"me": "mx.example", "rcpthosts": "ours.example"})
        self.recorder = Recorder(self.home)

    def start(self, stdin, stdout, *arguments, **variables):
        record = os.fsdecode(self.recorder.environment[b"RECORD_DIR"])
        process = subprocess.Popen(
            twistd("mvmtr", "--stdio", f"--control-dir={self.control}", *arguments),
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            cwd=self.current,
            env=plain_environment(RECORD_DIR=record, **variables),
        )
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_a_client_that_stops_reading_does_not_hold_the_process(self):
        process = self.start(subprocess.PIPE, subprocess.PIPE)
        self.addCleanup(process.stdin.close)
        self.assertEqual(process.stdout.readline()[:4], b"220 ")
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            # It may have noticed by itself, and be gone.
            os.write(process.stdin.fileno(), b"NOOP\r\n")
        self.assertEqual(process.wait(20), 1)

    def test_a_queue_that_hangs_does_not_hold_a_process_that_is_told_to_stop(self):
        self.recorder.program.write_text("#!/bin/sh\necho > $RECORD_DIR/began; exec sleep 40\n")
        process = self.start(subprocess.PIPE, subprocess.PIPE, "--set=smtp_server_stop_timeout=1")
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.stdout.close)
        process.stdin.write(SESSION)
        process.stdin.flush()
        while not (self.recorder.records / "began").exists():
            time.sleep(0.05)
        process.terminate()
        self.assertNotEqual(process.wait(20), 0)

    def test_without_descriptor_2_the_client_is_served_all_the_same(self):
        done = subprocess.run(
            ["sh", "-c", 'exec "$@" 2>&-', "sh", *twistd("mvmtr", "--stdio",
             f"--control-dir={self.control}")],
            input=b"QUIT\r\n", stdout=subprocess.PIPE, env=plain_environment(), check=True,
        )  # fmt: skip
        self.assertEqual(codes(done.stdout), [220, 221])

    def over_pipes(self, data, *arguments, **variables):
        """Send all, close, and take what comes: replies, log, exit status."""
        process = self.start(subprocess.PIPE, subprocess.PIPE, *arguments, **variables)
        said, logged = process.communicate(data, 60)
        self.assertEqual(os.listdir(self.current), [])
        return said, logged.decode(), process.returncode

    def over_socket(self, ours, theirs, data, **variables):
        """The same over both ends of a socket."""
        process = self.start(theirs, theirs, **variables)
        theirs.close()
        ours.settimeout(60)
        ours.sendall(data)
        said = b""
        while piece := ours.recv(65536):
            said += piece
        ours.close()
        _nothing, logged = process.communicate(timeout=60)
        self.assertEqual(os.listdir(self.current), [])
        return said, logged.decode(), process.returncode

    def tcp_pair(self, host="127.0.0.1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, 0), family=family) as server:
            ours = socket.create_connection(server.getsockname()[:2], 10)
            theirs, _peer = server.accept()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        return ours, theirs

    def assert_received(self, run, client):
        """What stands in the Received field of a message that was recorded."""
        received = self.recorder.recorded("message", run).split(b"\n  by ")[0]
        self.assertEqual(received, b"Received: from " + client)
        self.assertEqual(
            self.recorder.recorded("envelope", run), b"Fs@client.example\0Tr@ours.example\0\0"
        )

    def test_a_session_over_pipes_ends_with_0_after_quit(self):
        said, logged, status = self.over_pipes(SESSION + b"QUIT\r\n", **TCP)
        self.assertEqual((codes(said), status), ([*CODES, 221], 0))
        self.assert_received(0, b"client.example (203.0.113.7)")
        for line in logged.splitlines():
            self.assertTrue(line.startswith("mvmtr: "), logged)
        self.assertIn("event=message ", logged)
        self.assertIn("event=connection ", logged)
        self.assertIn(" client=203.0.113.7 ", logged)
        self.assertNotIn("Traceback", logged)

    def test_a_session_over_pipes_ends_with_1_without_quit(self):
        said, logged, status = self.over_pipes(SESSION)
        self.assertEqual((codes(said), status), (CODES, 1))
        self.assertNotIn("Traceback", logged)
        self.assert_received(0, b"unknown (HELO client.example) (unknown)")

    def test_a_client_that_says_nothing_is_no_error(self):
        said, logged, status = self.over_pipes(b"")
        self.assertEqual((codes(said), status), ([220], 1))
        self.assertNotIn("Traceback", logged)

    def test_a_session_over_a_socket_pair(self):
        for data, status in ((SESSION + b"QUIT\r\n", 0), (SESSION + b"DATA\n\nQUIT x\r\n", 0)):
            ours, theirs = socket.socketpair()
            said, logged, ended = self.over_socket(ours, theirs, data, **TCP)
            self.assertEqual((codes(said)[:6], ended), (CODES, status))
            self.assertEqual(codes(said)[-1], 221)
            self.assertNotIn("Traceback", logged)
        self.assert_received(1, b"client.example (203.0.113.7)")

    def test_a_tcp_socket_tells_who_the_client_is_when_the_environment_does_not(self):
        for run, host in enumerate(("127.0.0.1", "::1")):
            ours, theirs = self.tcp_pair(host)
            said, logged, status = self.over_socket(ours, theirs, SESSION + b"QUIT\r\n")
            self.assertEqual((codes(said), status), ([*CODES, 221], 0))
            self.assert_received(run, b"unknown (HELO client.example) (%s)" % host.encode())
            self.assertIn(f" client={host} ", logged)

    def test_the_environment_is_believed_before_the_socket(self):
        ours, theirs = self.tcp_pair()
        said, _logged, status = self.over_socket(ours, theirs, SESSION + b"QUIT\r\n", **TCP)
        self.assertEqual((codes(said), status), ([*CODES, 221], 0))
        self.assert_received(0, b"client.example (203.0.113.7)")

    def test_a_client_on_tcp_that_goes_away_is_status_1(self):
        ours, theirs = self.tcp_pair()
        process = self.start(theirs, theirs)
        theirs.close()
        ours.settimeout(60)
        self.assertTrue(ours.recv(100).startswith(b"220 "))
        ours.close()
        _nothing, logged = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"event=connection ", logged)
        self.assertNotIn(b"Traceback", logged)

    def test_a_client_that_was_gone_before_is_status_1(self):
        ours, theirs = self.tcp_pair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        ours.close()
        process = self.start(theirs, theirs)
        theirs.close()
        _nothing, logged = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1)
        self.assertNotIn(b"Traceback", logged)

    def test_a_session_that_times_out_closes_the_connection_and_is_status_1(self):
        (self.control / "timeoutsmtpd").write_text("1\n")
        ours, theirs = self.tcp_pair()
        said, _logged, status = self.over_socket(ours, theirs, b"EHLO client.example\r\nMAI")
        self.assertEqual((codes(said), status), ([220, 250, 451], 1))

    def test_a_control_that_can_not_be_read_is_421_for_the_client_and_a_line_in_the_log(self):
        (self.control / "timeoutsmtpd").mkdir()
        said, logged, status = self.over_pipes(SESSION)
        self.assertEqual(said, b"421 4.3.0 unable to read controls (#4.3.0)\r\n")
        self.assertEqual(status, 1)
        path = self.control / "timeoutsmtpd"
        self.assertEqual(logged, f"mvmtr: {path}: Is a directory\n")

    def test_a_control_folder_that_is_not_there_is_421_as_well(self):
        said, logged, status = self.over_pipes(SESSION, f"--control-dir={self.home}/none")
        self.assertEqual((codes(said), status), ([421], 1))
        self.assertEqual(logged, f"mvmtr: {self.home}/none: No such file or directory\n")

    def test_relayclient_and_databytes_hold_for_the_session(self):
        data = (
            b"EHLO c\r\nMAIL FROM:<s@c>\r\nRCPT TO:<r@elsewhere.example>\r\n"
            b"DATA\r\n" + b"x" * 100 + b"\r\n.\r\nQUIT\r\n"
        )
        said, _logged, _status = self.over_pipes(data, RELAYCLIENT="@suffix", DATABYTES="50")
        self.assertEqual(codes(said), [220, 250, 250, 250, 354, 552, 221])
        self.assertRegex(said, rb"\r\n250[- ]SIZE 50\r\n")
        self.assertEqual(self.recorder.runs, 0)

    def test_a_terminated_session_tells_its_client(self):
        ours, theirs = self.tcp_pair()
        process = self.start(theirs, theirs)
        theirs.close()
        ours.settimeout(60)
        said = ours.recv(100)
        process.send_signal(signal.SIGTERM)
        while piece := ours.recv(100):
            said += piece
        _nothing, logged = process.communicate(timeout=60)
        self.assertEqual(codes(said), [220, 421])
        self.assertNotEqual(process.returncode, 0)
        self.assertNotIn(b"Traceback", logged)


class DescriptorTests(SynchronousTestCase):
    """What a descriptor is."""

    def test_only_tcp_sockets_have_a_family(self):
        reading, writing = os.pipe()
        with (
            socket.socket() as tcp,
            socket.socket(socket.AF_INET6) as tcp6,
            socket.socket(type=socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_UNIX) as unix,
        ):
            for descriptor, family in (
                (tcp.fileno(), socket.AF_INET),
                (tcp6.fileno(), socket.AF_INET6),
                (udp.fileno(), None),
                (unix.fileno(), None),
                (reading, None),
            ):
                self.assertEqual(tcp_family(descriptor), family)
        os.close(reading)
        os.close(writing)
