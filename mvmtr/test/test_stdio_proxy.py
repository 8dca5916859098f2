"""C{twistd mvmtr --stdio} behind a proxy, and with a client that speaks for others."""

from __future__ import annotations

import os
import re
import socket
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.compat.tcpserver import forget_client
from mvmtr.test.headers import V1, V2
from mvmtr.test.support import Recorder, control_folder, environment, folder, twistd

PROXY = {
    "PROTO": "TCP",
    "TCPREMOTEIP": "192.0.2.1",
    "TCPREMOTEHOST": "proxy.example",
    "TCPREMOTEINFO": "proxy",
    "TCPLOCALIP": "192.0.2.250",
    "TCPLOCALHOST": "mx.example",
    "RELAYCLIENT": "",
}
TRUSTED = "--set=smtp_server_proxy_networks=192.0.2.0/28"
MESSAGE = (
    b"EHLO c.example\r\nMAIL FROM:<s@c.example>\r\nRCPT TO:<r@elsewhere.example>\r\n"
    b"RCPT TO:<r@ours.example>\r\nDATA\r\nSubject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n"
)
RELAYED = [220, 250, 250, 250, 250, 354, 250, 221]
TAKEN = [220, 250, 250, 553, 250, 354, 250, 221]


class EnvironmentTests(SynchronousTestCase):
    """What holds of tcpserver's environment when the client is another one."""

    def test_nothing_that_says_who_the_client_is_or_what_it_may(self):
        variables = {name.encode(): value.encode() for name, value in PROXY.items()}
        six = {name.replace(b"TCP", b"TCP6"): value for name, value in variables.items()}
        kept = {b"DATABYTES": b"10", b"QMAILQUEUE": b"bin/x", b"PATH": b"/bin", b"TCP": b""}
        variables.update({**six, **kept})
        forget_client(variables)
        self.assertEqual(variables, kept)


class StdioTests(SynchronousTestCase):
    """Real processes, on a socket and on pipes."""

    def setUp(self):
        self.home = folder(self)
        self.control = control_folder(self.home, {"me": "mx.example", "rcpthosts": "ours.example"})
        self.recorder = Recorder(self.home)

    def start(self, stdin, stdout, *options, **variables):
        inherited = environment(
            RECORD_DIR=str(self.recorder.records), PYTHONDONTWRITEBYTECODE="1", **variables
        )
        process = subprocess.Popen(
            twistd("mvmtr", "--stdio", f"--control-dir={self.control}", *options),
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            cwd=self.home,
            env=inherited,
        )
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def over_pipes(self, data, *options, **variables):
        process = self.start(subprocess.PIPE, subprocess.PIPE, *options, **variables)
        said, logged = process.communicate(data, 60)
        return self.codes(said), logged.decode(), process.returncode

    def over_socket(self, pieces, *options, **variables):
        with socket.create_server(("127.0.0.1", 0)) as server:
            ours = socket.create_connection(server.getsockname(), 60)
            theirs, _peer = server.accept()
        process = self.start(theirs, theirs, *options, **variables)
        theirs.close()
        said = b""
        with ours:
            for piece in pieces:
                ours.sendall(piece)
            while piece := ours.recv(65536):
                said += piece
        _nothing, logged = process.communicate(timeout=60)
        return self.codes(said), logged.decode(), process.returncode

    def codes(self, said):
        return [int(code) for code in re.findall(rb"^(\d\d\d) ", said, re.MULTILINE)]

    def assert_recorded(self, run, client, environ):
        """Who sent a message, as its header and the environment of the queue have it."""
        message = self.recorder.recorded("message", run)
        first = f"Received: from {client}\n  by mx.example with ESMTP; ".encode()
        self.assertEqual(message[: len(first)], first)
        recorded = self.recorder.recorded("environment", run).split(b"\0")
        variables = dict(pair.split(b"=", 1) for pair in recorded if b"=" in pair)
        found = {
            name: value
            for name, value in variables.items()
            if name.startswith((b"TCP", b"PROTO", b"RELAY"))
        }
        self.assertEqual(found, environ)

    def test_the_session_is_that_of_the_client_behind_the_proxy(self):
        environ = {
            b"TCPREMOTEIP": b"203.0.113.9",
            b"TCPLOCALIP": b"198.51.100.2",
            b"TCPLOCALHOST": b"mx.example",
        }
        client = "unknown (HELO c.example) (203.0.113.9)"
        for run, header in enumerate((V1, V2)):
            cut = [header[:9], header[9:], MESSAGE]
            codes, log, status = self.over_socket(cut, TRUSTED, **PROXY)
            self.assertEqual((codes, status), (TAKEN, 0), log)
            self.assertIn("client=203.0.113.9 via=192.0.2.1 ", log)
            self.assert_recorded(2 * run, client, environ)
            codes, log, status = self.over_pipes(header + MESSAGE, TRUSTED, **PROXY)
            self.assertEqual((codes, status), (TAKEN, 0), log)
            self.assert_recorded(2 * run + 1, client, environ)

    def test_the_address_of_the_socket_counts_where_tcpserver_says_nothing(self):
        loopback = "--set=smtp_server_proxy_networks=127.0.0.1"
        codes, log, status = self.over_socket([V1 + MESSAGE], loopback)
        self.assertEqual((codes, status), (TAKEN, 0), log)
        self.assertIn("client=203.0.113.9 via=127.0.0.1 ", log)

    def test_a_proxy_that_speaks_for_itself_is_the_client(self):
        codes, log, status = self.over_pipes(b"PROXY UNKNOWN\r\n" + MESSAGE, TRUSTED, **PROXY)
        self.assertEqual((codes, status), (RELAYED, 0), log)
        variables = {name.encode(): value.encode() for name, value in PROXY.items()}
        self.assert_recorded(0, "proxy.example (HELO c.example) (proxy@192.0.2.1)", variables)

    def test_a_client_that_is_no_proxy_can_not_say_so(self):
        variables = {**PROXY, "TCPREMOTEIP": "203.0.113.1"}
        codes, log, _status = self.over_pipes(V1 + b"QUIT\r\n", TRUSTED, **variables)
        self.assertEqual(codes, [220, 502, 221])
        self.assertNotIn("via=", log)

    def test_a_connection_without_a_good_header_ends_with_1(self):
        for data, codes in ((MESSAGE, [421]), (b"", []), (V2[:20], [])):
            for run in (
                self.over_pipes,
                lambda data, *rest, **more: self.over_socket([data], *rest, **more),
            ):
                if run == self.over_pipes or data == MESSAGE:
                    found, log, status = run(data, TRUSTED, **PROXY)
                    self.assertEqual((found, status), (codes, 1), log)
        self.assertEqual(os.listdir(self.recorder.records), ["plan"])

    def test_a_process_that_waits_for_a_header_can_be_stopped(self):
        process = self.start(subprocess.PIPE, subprocess.PIPE, TRUSTED, **PROXY)
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.stdout.close)
        process.stdin.write(V1[:20])
        process.stdin.flush()
        process.send_signal(15)
        self.assertNotEqual(process.wait(60), 0)

    def test_a_client_that_is_trusted_speaks_for_another(self):
        command = b"XCLIENT ADDR=IPV6:2001:db8::9 NAME=c.example\r\n"
        trusted = "--set=smtp_server_xclient_networks=192.0.2.1"
        codes, log, status = self.over_pipes(command + MESSAGE, trusted, **PROXY)
        self.assertEqual((codes, status), ([220, *TAKEN], 0), log)
        self.assert_recorded(
            0,
            "c.example (2001:db8::9)",
            {
                b"TCPREMOTEIP": b"2001:db8::9",
                b"TCPREMOTEHOST": b"c.example",
                b"TCPLOCALIP": b"192.0.2.250",
                b"TCPLOCALHOST": b"mx.example",
            },
        )
