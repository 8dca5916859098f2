"""Sessions that are handed over, by each launcher, to a mvmtr that runs already."""

from __future__ import annotations

import os
import signal
import socket
import subprocess

from mvmtr.test.headers import V1
from mvmtr.test.launchers import (
    Handed,
    rest,
    until,
    with_each_launcher,
)
from mvmtr.test.support import Recorder, folder
from mvmtr.test.test_stdio import CODES, SESSION, TCP, codes

ELSEWHERE = SESSION.replace(b"r@ours.example", b"r@elsewhere.example")


class SessionTests(Handed):
    """A session is as with C{--stdio}."""

    def test_a_message_reaches_the_queue_and_quit_is_status_0(self):
        self.resident()
        said, status, complaint = self.session(SESSION + b"QUIT\r\n")
        self.assertEqual((codes(said), status, complaint), ([*CODES, 221], 0, ""))
        message = self.recorder.recorded("message")
        self.assertTrue(
            message.startswith(
                b"Received: from client.example (203.0.113.7)\n  by mx.example with ESMTP; "
            ),
            message,
        )
        self.assertIn(" client=203.0.113.7 ", self.server.logged)

    def test_the_end_without_quit_is_status_1(self):
        self.resident()
        ours, process = self.connect()
        self.assertEqual(ours.recv(100)[:4], b"220 ")
        ours.close()
        self.assertEqual(process.wait(60), 1)

    def test_the_client_sees_the_end_although_the_launcher_has_its_socket_too(self):
        self.resident()
        ours, process = self.connect()
        self.assertEqual(ours.recv(100)[:4], b"220 ")
        process.send_signal(signal.SIGSTOP)
        ours.sendall(b"QUIT\r\n")
        self.assertEqual(codes(rest(ours)), [221])
        process.send_signal(signal.SIGCONT)
        self.assertEqual(process.wait(60), 0)

    def test_programs_have_the_environment_of_the_launcher_and_nothing_else(self):
        self.resident(RELAYCLIENT="", SECRET="resident", TCPREMOTEHOST="resident", PROTO="TCP6")
        _said, status, _complaint = self.session(SESSION + b"QUIT\r\n", MINE="launcher")
        self.assertEqual(status, 0)
        recorded = self.recorder.recorded("environment").split(b"\0")
        found = dict(pair.split(b"=", 1) for pair in recorded if b"=" in pair)
        # For qmail-queue, by Python, and by the shell that starts the script.
        for added in (b"ERROR_FD", b"LC_CTYPE", b"PWD"):
            found.pop(added, None)
        wanted = {"RECORD_DIR": self.record, "PATH": os.environ["PATH"], **TCP, "MINE": "launcher"}
        self.maxDiff = None
        self.assertEqual(found, {name.encode(): value.encode() for name, value in wanted.items()})

    def test_what_the_environment_of_the_resident_allows_does_not_hold_for_a_session(self):
        self.resident(RELAYCLIENT="", QMAILQUEUE="/bin/false", RCPTCHECK="/bin/false",
                      DATABYTES="1")  # fmt: skip
        said, _status, _complaint = self.session(ELSEWHERE)
        self.assertEqual(codes(said)[:5], [220, 250, 250, 553, 503])
        said, _status, _complaint = self.session(SESSION)
        self.assertEqual(codes(said), CODES)
        self.assertEqual(self.recorder.runs, 1)

    def test_what_one_session_may_no_other_one_may(self):
        self.resident()
        said, _status, _complaint = self.session(ELSEWHERE, RELAYCLIENT="")
        self.assertEqual(codes(said), CODES)
        for _again in range(2):
            said, _status, _complaint = self.session(ELSEWHERE)
            self.assertEqual(codes(said)[:5], [220, 250, 250, 553, 503])

    def test_each_connection_brings_its_limit_and_its_programs(self):
        refuses = self.home / "refuses"
        refuses.write_text("#!/bin/sh\nexit 100\n")
        refuses.chmod(0o755)
        other = Recorder(folder(self))
        self.resident()
        said, _status, _complaint = self.session(b"EHLO c\r\nQUIT\r\n", DATABYTES="77")
        self.assertIn(b"250-SIZE 77\r\n", said.replace(b"250 SIZE", b"250-SIZE"))
        said, _status, _complaint = self.session(SESSION, RCPTCHECK=str(refuses))
        self.assertEqual(codes(said)[:4], [220, 250, 250, 550])
        said, _status, _complaint = self.session(
            SESSION, QMAILQUEUE=str(other.program), RECORD_DIR=str(other.records)
        )
        self.assertEqual(codes(said), CODES)
        self.assertEqual((self.recorder.runs, other.runs), (0, 1))

    def test_rules_of_the_resident_are_for_those_who_connect_to_it(self):
        rules = self.home / "rules.cdb"
        subprocess.run(
            ["tcprules", rules, self.home / "rules.tmp"], input=b':allow,RELAYCLIENT=""\n',
            check=True,
        )  # fmt: skip
        self.resident(f"--tcp-rules={rules}")
        said, _status, _complaint = self.session(ELSEWHERE)
        self.assertEqual(codes(said)[:5], [220, 250, 250, 553, 503])

    def test_a_program_that_checks_passwords_has_that_environment_too(self):
        program = self.home / "checks"
        program.write_text(f'#!/bin/sh\n/usr/bin/env > {self.home}/seen\nexec "$@"\n')
        program.chmod(0o755)
        self.resident(f"--auth=checkpassword:{program}", "--set=smtp_server_auth_insecure=on",
                      SECRET="resident")  # fmt: skip
        said, _status, _complaint = self.session(
            b"EHLO c\r\nAUTH PLAIN AGFubgBzZXNhbWU=\r\n" + ELSEWHERE
        )
        self.assertEqual(codes(said), [220, 250, 235, *CODES[1:]])
        seen = (self.home / "seen").read_text()
        self.assertIn("TCPREMOTEIP=203.0.113.7\n", seen)
        self.assertNotIn("SECRET", seen)

    def test_an_edit_acts_on_the_next_connection(self):
        self.resident()
        self.assertEqual(codes(self.session(ELSEWHERE)[0])[3], 553)
        (self.control / "rcpthosts").write_text("elsewhere.example\n")
        self.assertEqual(codes(self.session(ELSEWHERE)[0])[3], 250)

    def test_behind_a_proxy_the_client_is_not_what_the_environment_says(self):
        self.resident("--set=smtp_server_proxy_networks=192.0.2.0/28")
        proxy = {**TCP, "TCPREMOTEIP": "192.0.2.1", "RELAYCLIENT": ""}
        said, status, _complaint = self.session(V1 + ELSEWHERE + b"QUIT\r\n", variables=proxy)
        self.assertEqual(codes(said)[:4], [220, 250, 250, 553])
        self.assertEqual(status, 0)
        self.assertIn("client=203.0.113.9 via=192.0.2.1 ", self.server.logged)

    def test_a_client_that_another_one_speaks_for_has_not_its_rights(self):
        self.resident("--set=smtp_server_xclient_networks=203.0.113.7")
        said, _status, _complaint = self.session(
            b"EHLO c\r\nXCLIENT ADDR=198.51.100.77\r\n" + ELSEWHERE, RELAYCLIENT=""
        )
        self.assertEqual(codes(said)[:6], [220, 250, 220, 250, 250, 553])

    def test_a_socket_that_is_not_tcp_is_served_too(self):
        self.resident()
        said, status, _complaint = self.session(SESSION + b"QUIT\r\n", pair=socket.socketpair)
        self.assertEqual((codes(said), status), ([*CODES, 221], 0))

    def test_without_variables_the_socket_tells_who_the_client_is(self):
        self.resident()
        self.session(b"QUIT\r\n", variables={})
        self.assertIn(" client=127.0.0.1 ", self.server.logged)

    def test_clients_count_by_their_address_in_the_environment(self):
        self.resident("--set=smtp_server_connections_per_address=1")
        first, _process = self.connect()
        self.assertEqual(first.recv(100)[:4], b"220 ")
        said, status, complaint = self.session(b"")
        self.assertEqual((said[:10], status, complaint), (b"421 4.7.0 ", 1, ""))
        other, _process = self.connect(variables={**TCP, "TCPREMOTEIP": "203.0.113.8"})
        self.assertEqual(other.recv(100)[:4], b"220 ")
        first.sendall(b"QUIT\r\n")
        rest(first)
        until(lambda: "event=connection " in self.server.logged, "the end")
        self.assertEqual(codes(self.session(b"QUIT\r\n")[0]), [220, 221])


globals().update(with_each_launcher(SessionTests))
del SessionTests
