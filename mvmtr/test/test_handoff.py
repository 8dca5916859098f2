"""
Connections that launchers hand over: with real launchers, the script and the compiled one, a
real tcpserver, and a mvmtr in a process of its own.
"""

from __future__ import annotations

import array
import contextlib
import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
import threading
from pathlib import Path

from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol import handoff
from mvmtr.protocol.server import endpoint_of
from mvmtr.test.certificates import Authority, Client
from mvmtr.test.headers import V1
from mvmtr.test.launchers import Resident, socket_pair, until, with_each_launcher
from mvmtr.test.support import Recorder, control_folder, folder, twistd
from mvmtr.test.test_stdio import CODES, SESSION, TCP, codes, plain_environment

MESSAGE = b"Subject: x\r\n\r\nhello\r\n.dot\r\n"
ELSEWHERE = SESSION.replace(b"r@ours.example", b"r@elsewhere.example")
SORRY = b"421 4.3.2 service is not available now, try again later (#4.3.2)\r\n"
NOBODY = 65534


def packed(*variables):
    """What a launcher sends."""
    data = b"".join(variable + b"\0" for variable in variables)
    return b"%d:%s," % (len(data), data)


class EnvironmentTests(SynchronousTestCase):
    """L{handoff.parse_environment}."""

    def refused(self, data):
        self.assertRaises(handoff.Refused, handoff.parse_environment, data)

    def test_variables_come_as_a_netstring(self):
        data = packed(b"A=b", b"C=", b"D=e=\nf")
        self.assertEqual(handoff.parse_environment(data), {b"A": b"b", b"C": b"", b"D": b"e=\nf"})
        self.assertEqual(handoff.parse_environment(b"0:,"), {})

    def test_what_has_no_name_or_no_value_is_left_out(self):
        self.assertEqual(handoff.parse_environment(packed(b"=x", b"y", b"", b"z=1")), {b"z": b"1"})

    def test_there_is_nothing_before_all_of_it_has_come(self):
        data = packed(b"A=b", b"C=")
        for length in range(len(data)):
            self.assertIsNone(handoff.parse_environment(data[:length]))

    def test_garbage_is_refused(self):
        for data in (b"EHLO x\r\n", b":", b"-1:,", b"4:A=b\0;", b"3:A=b,", b"4:A=b\0,x", b"x" * 9):
            self.refused(data)

    def test_too_much_is_refused_before_it_has_come(self):
        self.refused(b"131073:")
        self.refused(b"1111111")
        self.assertIsNone(handoff.parse_environment(b"131072:"))


class EndpointTests(SynchronousTestCase):
    """C{--listen=handoff:}."""

    def test_what_is_no_endpoint_is_refused(self):
        for rest in ("", ":mode=600", "/x:mode=999", "/x:mode=", "/x:user=joe", "/x:600"):
            self.assertRaises(ValueError, endpoint_of, MemoryReactor(), f"handoff:{rest}")

    def listens(self, path):
        return subprocess.run(
            twistd("-n", "--pidfile=", "mvmtr", "--no-qmail", f"--listen=handoff:{path}"),
            capture_output=True,
            env=plain_environment(),
            timeout=60,
        )

    def test_what_is_not_a_socket_stays_where_it_is(self):
        path = folder(self) / "file"
        path.write_text("precious")
        done = self.listens(path)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"there is something that is not a socket", done.stderr.splitlines()[-1])
        self.assertEqual(path.read_text(), "precious")

    def test_a_socket_where_somebody_listens_stays_his(self):
        path = folder(self) / "socket"
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            done = self.listens(path)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"another process listens there", done.stderr.splitlines()[-1])
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))

    def test_a_socket_that_was_left_behind_is_replaced_and_at_the_end_removed(self):
        home = folder(self)
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(home / "socket"))
        resident = Resident(self, "--no-qmail", home=home)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(resident.path))
        self.assertEqual(resident.end(), -signal.SIGTERM)
        self.assertFalse(resident.path.exists())

    def test_only_its_owner_can_connect_unless_a_mode_says_otherwise(self):
        for endpoint, mode in (("", 0o600), (":mode=660", 0o660)):
            resident = Resident(self, "--no-qmail", endpoint=endpoint)
            self.assertEqual(resident.path.stat().st_mode & 0o777, mode)
            resident.end()

    def test_it_is_the_socket_of_the_user_that_the_process_becomes(self):
        home = folder(self)
        os.chmod(home, 0o777)
        user = (f"--uid={NOBODY}", f"--gid={NOBODY}")
        resident = Resident(self, "--no-qmail", home=home, twisted=user)
        self.assertEqual((resident.path.stat().st_uid, resident.path.stat().st_gid), (NOBODY,) * 2)
        self.assertEqual(resident.end(), -signal.SIGTERM)
        self.assertFalse(resident.path.exists())

    def test_a_socket_that_may_not_be_removed_does_not_hold_up_the_end(self):
        home = folder(self)
        user = (f"--uid={NOBODY}", f"--gid={NOBODY}")
        os.chmod(home, 0o755)
        resident = Resident(self, "--no-qmail", home=home, twisted=user)
        self.assertEqual(resident.end(), -signal.SIGTERM)
        self.assertNotIn("Traceback", resident.logged)
        self.assertTrue(Resident(self, "--no-qmail", home=home).path.exists())


for test in (
    "test_it_is_the_socket_of_the_user_that_the_process_becomes",
    "test_a_socket_that_may_not_be_removed_does_not_hold_up_the_end",
):
    if os.geteuid():
        getattr(EndpointTests, test).skip = "only root can become another user"


class Handed(SynchronousTestCase):
    """What the tests with a launcher share."""

    launcher = None

    def setUp(self):
        self.home = folder(self)
        self.control = control_folder(self.home, {"me": "mx.example", "rcpthosts": "ours.example"})
        self.recorder = Recorder(self.home)
        self.record = os.fsdecode(self.recorder.environment[b"RECORD_DIR"])

    def resident(self, *options, **keywords):
        control = f"--control-dir={self.control}"
        self.server = Resident(self, control, *options, home=self.home, **keywords)
        return self.server

    def launch(self, stdin, *options, path=None, user=None, variables=TCP, **more):
        """Start a launcher as tcpserver does."""
        environment = {"RECORD_DIR": self.record, "PATH": os.environ["PATH"], **variables, **more}
        process = subprocess.Popen(
            [self.launcher, *options[:1], path or self.home / "socket", *options[1:]],
            stdin=stdin,
            stdout=stdin,
            stderr=subprocess.PIPE,
            env=environment,
            user=user,
        )
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        stdin.close()
        return process

    def connect(self, *options, pair=socket_pair, **keywords):
        """Connect to a launcher; our end, and the process."""
        ours, theirs = pair()
        ours.settimeout(60)
        self.addCleanup(ours.close)
        return ours, self.launch(theirs, *options, **keywords)

    def session(self, data, *options, **keywords):
        """A session as a whole: what was said, and how the launcher ended."""
        ours, process = self.connect(*options, **keywords)
        with contextlib.suppress(OSError):
            ours.sendall(data)
            ours.shutdown(socket.SHUT_WR)
        said = rest(ours)
        _nothing, complaint = process.communicate(timeout=60)
        return said, process.returncode, complaint.decode()


def rest(connection):
    """All that is said until the end."""
    said = b""
    try:
        while piece := connection.recv(65536):
            said += piece
    except ConnectionResetError:
        pass
    return said


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


class AwayTests(Handed):
    """When nobody takes the connection over, the launcher has it still."""

    def test_the_client_hears_421(self):
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(str(self.home / "left"))
        for name in ("none", "left", "x" * 200):
            said, status, complaint = self.session(b"", path=self.home / name)
            self.assertEqual((said, status), (SORRY, 1))
            self.assertRegex(complaint, rf"\Amvmtr-handoff: {self.home}/{name}: .*\n\Z")

    def test_a_client_that_expects_tls_hears_nothing_in_clear(self):
        self.assertEqual(self.session(b"", SMTPS="1")[:2], (b"", 1))

    def test_an_environment_that_is_too_large_is_not_handed_over(self):
        self.resident()
        said, status, complaint = self.session(b"", **{f"X{n}": "x" * 50000 for n in range(3)})
        self.assertEqual((said, status), (SORRY, 1))
        self.assertIn("too large" if "Compiled" in type(self).__name__ else "larger", complaint)

    def test_a_large_environment_is(self):
        self.resident()
        said, status, _complaint = self.session(
            b"QUIT\r\n", **{f"X{n}": "x" * 60000 for n in range(2)}
        )
        self.assertEqual((codes(said), status), ([220, 221], 0))

    def listen(self, backlog=10):
        """Be in the place of the resident."""
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        path = self.home / "fake"
        path.unlink(missing_ok=True)
        server.bind(str(path))
        server.listen(backlog)
        return server, path

    def answer(self, server, answer):
        """Answer one launcher so and be gone."""
        with server.accept()[0] as launcher:
            _data, ((_level, _type, rights),), *_rest = launcher.recvmsg(65536, 32)
            os.close(int.from_bytes(rights[:4], sys.byteorder))
            launcher.sendall(answer)

    def fake(self, answer):
        """Somebody in the place of the resident, who answers so and is gone."""
        server, path = self.listen()
        thread = threading.Thread(target=self.answer, args=(server, answer))
        thread.start()
        self.addCleanup(thread.join)
        return path

    def test_one_that_goes_before_it_has_begun_has_said_nothing(self):
        for answer in (b"", b"?"):
            said, status, _complaint = self.session(b"", path=self.fake(answer))
            self.assertEqual((said, status), (SORRY, 1))

    def test_one_that_goes_later_may_have_said_something(self):
        for answer, wanted in ((b"+", 1), (b"+0", 0), (b"+1", 1), (b"+x", 1)):
            fallback = ("--fallback",) if answer == b"+" else ()
            said, status, complaint = self.session(b"", *fallback, path=self.fake(answer))
            self.assertEqual((said, status, complaint), (b"", wanted, ""))

    def test_where_others_wait_before_it_it_waits_too(self):
        server, path = self.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(path))
            ours, process = self.connect(path=path)
            # Its descriptor 3, or the next, is the socket that can't connect yet.
            until(lambda: self.sockets_of(process) > 2, "the launcher")
            server.accept()[0].close()
        self.answer(server, b"+0")
        self.assertEqual((rest(ours), process.wait(60)), (b"", 0))

    def sockets_of(self, process):
        """How many sockets a process has open, or 3 when it has ended."""
        try:
            links = [os.readlink(link) for link in Path(f"/proc/{process.pid}/fd").iterdir()]
        except OSError:
            return 3 if process.poll() is not None else 0
        return sum(link.startswith("socket:") for link in links)

    def test_with_fallback_there_is_a_process_of_its_own(self):
        said, status, complaint = self.session(
            SESSION + b"QUIT\r\n", "--fallback", f"--control-dir={self.control}",
            PATH=f"{os.path.dirname(twistd()[0])}:{os.environ['PATH']}",
            PYTHONPATH=plain_environment()["PYTHONPATH"],
        )  # fmt: skip
        self.assertEqual((codes(said), status), ([*CODES, 221], 0))
        self.assertIn("mvmtr: event=connection ", complaint)

    def test_a_fallback_that_is_not_there_is_421(self):
        said, status, complaint = self.session(b"", "--fallback", PATH="/none")
        if "Compiled" in type(self).__name__ or b"421" in said:
            self.assertEqual((said, status), (SORRY, 1))
            self.assertIn("twistd: No such file", complaint.replace("[Errno 2] ", ""))

    def test_bad_options_are_explained(self):
        for options in ((), ("",), ("-x", "y"), ("a", "b"), ("--fallback",), ("--help",)):
            done = subprocess.run(
                [self.launcher, *options], capture_output=True, stdin=subprocess.DEVNULL
            )
            self.assertEqual((done.returncode, done.stdout), (1, b""))
            self.assertRegex(done.stderr, rb"\Amvmtr-handoff: usage: .*\n\Z")

    def test_a_resident_that_is_killed_says_no_more_and_nobody_else_does(self):
        self.resident()
        ours, process = self.connect("--fallback")
        self.assertEqual(ours.recv(100)[:4], b"220 ")
        self.server.end(signal.SIGKILL)
        self.assertEqual(rest(ours), b"")
        self.assertEqual(process.wait(60), 1)

    def test_a_launcher_that_is_killed_takes_its_session_along(self):
        self.resident()
        ours, process = self.connect()
        self.assertEqual(ours.recv(100)[:4], b"220 ")
        process.kill()
        self.assertEqual(rest(ours), b"421 4.3.2 service is going down (#4.3.2)\r\n")
        self.assertEqual(codes(self.session(b"QUIT\r\n")[0]), [220, 221])

    def test_a_message_that_the_queue_has_is_finished_first(self):
        slow = self.home / "slow"
        slow.write_text(
            f"#!/bin/sh\ncd {self.home}\n>begun\n"
            f"while [ ! -e go ]; do sleep 0.05; done\nexec {self.recorder.program}\n"
        )
        slow.chmod(0o755)
        self.resident()
        ours, process = self.connect(QMAILQUEUE=str(slow))
        ours.sendall(SESSION)
        until((self.home / "begun").exists, "the queue")
        process.kill()
        process.wait()
        (self.home / "go").touch()
        self.assertEqual(codes(rest(ours)), [*CODES, 421])

    def test_a_launcher_that_is_killed_before_the_header_of_a_proxy_takes_its_client_along(self):
        self.resident("--set=smtp_server_proxy_networks=203.0.113.7")
        ours, process = self.connect()
        until(lambda: self.begun(process), "the hand-over")
        process.kill()
        self.assertEqual(rest(ours), b"")

    def begun(self, process):
        """Whether a launcher has let go of its client."""
        return not os.path.exists(f"/proc/{process.pid}/fd/1")

    def test_sessions_end_when_the_resident_is_stopped(self):
        self.resident()
        ours, process = self.connect()
        self.assertEqual(ours.recv(100)[:4], b"220 ")
        self.assertEqual(self.server.end(), -signal.SIGTERM)
        self.assertEqual(rest(ours), b"421 4.3.2 service is going down (#4.3.2)\r\n")
        self.assertEqual(process.wait(60), 1)


class GuardTests(Handed):
    """Who may hand over, and what."""

    def refused(self, why, *options, **keywords):
        said, status, _complaint = self.session(b"", *options, **keywords)
        self.assertEqual((said, status), (SORRY, 1))
        line = f"a connection is not taken over: {why}\n"
        until(lambda: line in self.server.logged, line)

    def stranger(self, *options):
        os.chmod(self.home, 0o755)
        self.program_for_all()
        self.resident(*options, endpoint=":mode=666")

    def program_for_all(self):
        """A launcher that another user can run."""
        program = self.home / "launcher"
        program.write_bytes(self.launcher.read_bytes())
        program.chmod(0o755)
        self.launcher = program

    def test_another_user_is_refused(self):
        self.stranger()
        self.refused(f"the user {NOBODY} may not hand over connections", user=NOBODY)
        self.assertEqual(codes(self.session(b"QUIT\r\n")[0]), [220, 221])

    def test_another_user_that_is_named_is_not(self):
        for named in ("nobody", str(NOBODY)):
            self.stranger(f"--set=smtp_server_handoff_users={named}")
            said, status, _complaint = self.session(b"QUIT\r\n", user=NOBODY)
            self.assertEqual((codes(said), status), ([220, 221], 0))
            self.server.end()

    def test_another_user_can_not_even_connect_by_default(self):
        os.chmod(self.home, 0o755)
        self.program_for_all()
        self.resident()
        said, status, complaint = self.session(b"", user=NOBODY)
        self.assertEqual((said, status), (SORRY, 1))
        self.assertIn("Permission denied", complaint)

    if os.geteuid():
        for test in (
            test_another_user_is_refused,
            test_another_user_that_is_named_is_not,
            test_another_user_can_not_even_connect_by_default,
        ):
            test.skip = "only root can become another user"

    def test_what_is_no_socket_is_refused(self):
        self.resident()
        with open(os.devnull, "r+b") as null:
            process = self.launch(null)
        self.assertEqual(process.wait(60), 1)
        why = "not taken over: descriptor 0 of the launcher is no stream socket"
        until(lambda: why in self.server.logged, why)

    def test_what_a_parent_does_tls_for_is_refused(self):
        self.resident()
        for name in ("UCSPITLS", "SSL_PROTOCOL"):
            why = "its parent does TLS for it (UCSPITLS, SSL_PROTOCOL)"
            self.refused(why, **{name: "x"})

    def test_tls_from_the_first_byte_wants_a_certificate(self):
        self.resident()
        self.assertEqual(self.session(b"", SMTPS="")[:2], (b"", 1))
        why = "not taken over: SMTPS is set, but there is no certificate"
        until(lambda: why in self.server.logged, why)


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


for case in (SessionTests, AwayTests, GuardTests, TcpserverTests):
    globals().update(with_each_launcher(case))
del SessionTests, AwayTests, GuardTests, TcpserverTests, case


class BadLauncherTests(SynchronousTestCase):
    """Whoever may connect and does something else."""

    def setUp(self):
        self.server = Resident(self, "--no-qmail", "--queue=discard:")

    def launcher(self, *descriptors, data=b""):
        connection = socket.socket(socket.AF_UNIX)
        self.addCleanup(connection.close)
        connection.settimeout(60)
        connection.connect(str(self.server.path))
        if descriptors:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
            connection.sendmsg([data], [rights])
        elif data:
            connection.sendall(data)
        return connection

    def refused(self, why, connection):
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(connection.recv(1), b"")
        line = f"a connection is not taken over: {why}"
        until(lambda: line in self.server.logged, line)

    def test_garbage_is_refused_in_one_line(self):
        why = "what the launcher sends is no netstring"
        self.refused(why, self.launcher(data=b"EHLO client.example\r\n" * 1000))
        self.assertEqual(self.server.logged.count("is not taken over"), 1)

    def test_too_much_is_refused(self):
        why = "the environment is larger than 131072 bytes"
        self.refused(why, self.launcher(data=b"999999:"))

    def test_there_must_be_one_descriptor(self):
        self.refused("0 descriptors came, not 1", self.launcher(data=b"0:,"))
        ours, theirs = socket_pair()
        self.refused(
            "2 descriptors came, not 1",
            self.launcher(theirs.fileno(), theirs.fileno(), data=b"0:,"),
        )
        theirs.close()
        self.assertEqual(rest(ours), b"")
        ours.close()

    def test_one_that_goes_away_has_said_nothing(self):
        ours, theirs = socket_pair()
        self.launcher(theirs.fileno(), data=b"10:A=").close()
        theirs.close()
        why = "is not taken over: the launcher went away"
        until(lambda: why in self.server.logged, why)
        self.assertEqual(rest(ours), b"")
        ours.close()

    def test_one_that_no_longer_waits_gets_no_session(self):
        ours, theirs = socket_pair()
        launcher = self.launcher(theirs.fileno(), data=b"0")
        launcher.shutdown(socket.SHUT_RD)
        launcher.sendall(b":,")
        theirs.close()
        self.assertEqual(rest(ours), b"")
        ours.close()

    def test_what_it_sends_later_does_not_matter(self):
        ours, theirs = socket_pair()
        with ours:
            launcher = self.launcher(theirs.fileno(), data=b"0:,")
            theirs.close()
            self.assertEqual(launcher.recv(1), b"+")
            launcher.sendall(b"garbage")
            ours.sendall(b"QUIT\r\n")
            self.assertEqual(codes(rest(ours)), [220, 221])
            self.assertEqual(launcher.recv(2), b"0")
