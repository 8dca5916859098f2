"""Tests for L{mvmtr.auth.checkpassword}, with programs that are run."""

from __future__ import annotations

import errno
import os
import sys
import time
from pathlib import Path

from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import CancelledError, gatherResults
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mvmtr.auth import checkpassword
from mvmtr.auth.checkpassword import BadProgram, CanNotTell, CheckPassword, command_of
from mvmtr.auth.sasl import CramCredentials, ICramCredentials, PlainCredentials
from mvmtr.test.auth_support import PASSWORD, USER, program
from mvmtr.test.support import folder

RECORDS = f"""#!{sys.executable} -IS
import os, sys
here = os.path.dirname(os.path.abspath(sys.argv[0]))
with open(here + "/fields", "wb") as file:
    file.write(os.read(3, 600))
with open(here + "/facts", "w") as file:
    links = [os.path.realpath("/proc/self/fd/%d" % number) for number in range(3)]
    print(sys.argv[1:], os.read(3, 1), links, file=file)
    print(os.environ.get("TCPREMOTEIP"), file=file)
os.execv(sys.argv[-1], sys.argv[-1:])
"""


def plain():
    return PlainCredentials(USER, PASSWORD)


class CommandTests(SynchronousTestCase):
    """What is run."""

    def test_true_is_run_behind_it(self):
        self.assertEqual(command_of("/bin/sh"), (["/bin/sh", "/bin/true"], False))
        self.assertEqual(
            command_of("cram:/bin/sh -x 'a b'"), (["/bin/sh", "-x", "a b", "/bin/true"], True)
        )

    def test_it_does_not_depend_on_the_folder(self):
        self.addCleanup(os.chdir, os.getcwd())
        home = os.path.realpath(folder(self))
        path = program(Path(home))
        os.chdir(home)
        self.assertEqual(command_of("./checkpassword")[0][0], path)

    def test_what_can_not_be_run_is_refused_at_once(self):
        for bad in (
            "",
            "cram:",
            "sh",
            "./sh",
            "/bin",
            "/bin/no such program",
            "/etc/passwd",
            "/bin/'",
        ):
            self.assertRaises(BadProgram, command_of, bad)

    def test_what_it_checks(self):
        self.assertEqual(CheckPassword("/bin/sh").credentialInterfaces, (IUsernamePassword,))
        self.assertEqual(CheckPassword("cram:/bin/sh").credentialInterfaces, (ICramCredentials,))


class RunTests(TestCase):
    """Programs that are run."""

    def setUp(self):
        self.home = folder(self)

    async def ask(self, text, credentials=None, prefix="", arguments=""):
        path = program(self.home, text)
        checker = CheckPassword(f"{prefix}{path}{arguments}")
        return await checker.requestAvatarId(credentials or plain())

    def exits(self, code):
        return f"#!/bin/sh\ncat <&3 >/dev/null\nexit {code}\n"

    async def test_zero_is_yes(self):
        self.assertEqual(await self.ask(self.exits(0)), USER)

    async def test_one_and_most_others_are_no(self):
        for code in 1, 3, 20, 100, 112, 255:
            with self.assertRaises(UnauthorizedLogin):
                await self.ask(self.exits(code))

    async def test_two_and_111_and_signals_are_neither(self):
        for text in self.exits(2), self.exits(111), "#!/bin/sh\nkill -9 $$\n":
            with self.assertRaises(CanNotTell):
                await self.ask(text)

    async def test_it_reads_user_password_and_an_empty_timestamp(self):
        credentials = plain()
        credentials.environment = {b"TCPREMOTEIP": b"203.0.113.7"}
        self.assertEqual(await self.ask(RECORDS, credentials, "", " -v 'a b'"), USER)
        self.assertEqual((self.home / "fields").read_bytes(), b"ann\0open sesame\0\0")
        facts = (self.home / "facts").read_text().splitlines()
        self.assertEqual(
            facts[0],
            "['-v', 'a b', '/bin/true'] b'' ['/dev/null', '/dev/null', '/dev/null']",
        )
        self.assertEqual(facts[1], "203.0.113.7")

    async def test_for_cram_it_reads_user_response_and_challenge(self):
        credentials = CramCredentials(USER, b"<1.2@mx.example>", b"0" * 32)
        self.assertEqual(await self.ask(RECORDS, credentials, "cram:"), USER)
        fields = (self.home / "fields").read_bytes()
        self.assertEqual(fields, b"ann\0" + b"0" * 32 + b"\0<1.2@mx.example>\0")

    async def test_more_than_512_bytes_are_not_sent(self):
        longest = PlainCredentials(USER, b"x" * (512 - 6))
        self.assertEqual(await self.ask(RECORDS, longest), USER)
        self.assertEqual(len((self.home / "fields").read_bytes()), 512)
        (self.home / "fields").unlink()
        with self.assertRaises(UnauthorizedLogin):
            await self.ask(RECORDS, PlainCredentials(USER, b"x" * (512 - 5)))
        self.assertFalse((self.home / "fields").exists())

    async def test_one_that_does_not_read_can_say_no(self):
        with self.assertRaises(UnauthorizedLogin):
            await self.ask("#!/bin/sh\nexit 1\n")

    async def test_one_that_can_not_be_started_is_neither(self):
        path = program(self.home, "#!/no/such/interpreter\n")
        with self.assertRaises(CanNotTell):
            await CheckPassword(path).requestAvatarId(plain())
        os.unlink(path)

    async def test_one_that_can_not_be_waited_for_is_ended_and_neither(self):
        started = []

        def no_descriptor_is_free(pid):
            started.append(pid)
            raise OSError(errno.EMFILE, "Too many open files")

        self.patch(os, "pidfd_open", no_descriptor_is_free)
        with self.assertRaises(CanNotTell):
            await self.ask("#!/bin/sh\nsleep 600\n")
        with self.assertRaises(ChildProcessError):
            os.waitpid(started[0], os.WNOHANG)

    async def test_one_that_takes_too_long_is_killed_with_all_that_it_started(self):
        pids = self.home / "pids"
        path = program(
            self.home,
            f"#!/bin/sh\nsleep 600 &\necho $$ $! > {pids}.new\nmv {pids}.new {pids}\nwait\n",
        )
        asked = CheckPassword(path).requestAvatarId(plain())
        from twisted.internet import reactor
        from twisted.internet.task import deferLater

        while not pids.exists():
            await deferLater(reactor, 0.01)
        asked.cancel()
        with self.assertRaises(CancelledError):
            await asked
        end = time.monotonic() + 20
        for pid in pids.read_text().split():
            while _is_alive(int(pid)) and time.monotonic() < end:
                await deferLater(reactor, 0.01)
            self.assertFalse(_is_alive(int(pid)))

    async def test_no_more_run_at_a_time_than_may(self):
        self.patch(checkpassword, "AT_A_TIME", 1)
        only = self.home / "only"
        path = program(
            self.home,
            f"#!/bin/sh\nmkdir {only} || exit 1\nsleep 0.01\nrmdir {only}\n",
        )
        checker = CheckPassword(path)
        asked = [checker.requestAvatarId(plain()) for _number in range(5)]
        self.assertEqual(await gatherResults(asked), [USER] * 5)

    async def test_no_descriptor_is_left(self):
        await self.ask(self.exits(0))
        before = len(os.listdir("/proc/self/fd"))
        for _number in range(5):
            await self.ask(self.exits(0))
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


def _is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
