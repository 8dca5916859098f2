"""Tests for L{mvmtr.protocol.handoff}: what comes over its socket, and the socket."""

from __future__ import annotations

import array
import contextlib
import os
import signal
import socket
import subprocess

from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol import handoff
from mvmtr.protocol.server import endpoint_of
from mvmtr.test.launchers import (
    Resident,
    rest,
    socket_pair,
    until,
)
from mvmtr.test.support import folder, twistd
from mvmtr.test.test_stdio import codes, plain_environment

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
        for given in ("", ":mode=600", "/x:mode=999", "/x:mode=", "/x:user=joe", "/x:600"):
            self.assertRaises(ValueError, endpoint_of, MemoryReactor(), f"handoff:{given}")

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

    def test_one_who_listens_and_has_no_room_for_more_is_not_waited_for(self):
        path = folder(self) / "socket"
        with contextlib.ExitStack() as stack:
            other = stack.enter_context(socket.socket(socket.AF_UNIX))
            other.bind(str(path))
            other.listen(0)
            for _ in range(2):
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    client.connect(str(path))
            done = self.listens(path)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"another process listens there", done.stderr.splitlines()[-1])

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
