"""Tests for L{mvmtr.programs}."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mvmtr.programs import Program, current_folder
from mvmtr.test.support import environment, folder

ELSEWHERE = """
import os, sys
from mvmtr.programs import current_folder
if os.getuid() == 0:
    os.setresuid(65534, 65534, 65534)
for _time in range(2):
    with current_folder(sys.argv[1]):
        print(os.getcwd())
"""


class CurrentFolderTests(SynchronousTestCase):
    """There, and back where that is possible."""

    def test_the_former_folder_is_the_current_one_again(self):
        before = os.getcwd()
        with current_folder("/"):
            self.assertEqual(os.getcwd(), "/")
        self.assertEqual(os.getcwd(), before)

    def test_after_an_error_as_well(self):
        before = os.getcwd()
        with self.assertRaises(ZeroDivisionError), current_folder("/"):
            raise ZeroDivisionError
        self.assertEqual(os.getcwd(), before)

    def test_a_folder_that_is_not_there_is_an_error(self):
        before = os.getcwd()
        with self.assertRaises(FileNotFoundError), current_folder("/nowhere"):
            self.fail("there is no such folder")
        self.assertEqual(os.getcwd(), before)

    def test_it_works_in_a_folder_that_may_not_be_entered(self):
        closed = folder(self) / "closed"
        closed.mkdir()
        done = subprocess.run(
            ["sh", "-c", 'cd "$0" && chmod 0 . && exec "$@"', closed,
             sys.executable, "-c", ELSEWHERE, "/usr"],
            capture_output=True, text=True, env=environment(), check=False,
        )  # fmt: skip
        closed.chmod(0o700)
        self.assertEqual((done.stdout, done.stderr), ("/usr\n/usr\n", ""))


class ProgramTests(TestCase):
    """Programs that are run."""

    timeout = 60

    def start(self, script, group=False):
        """Run a shell script; its program, and a Deferred of its exit code."""
        code = Deferred()
        program = Program(code.callback, reactor, group)
        program.start([b"/bin/sh", "-c", script], {b"WORD": b"hello"}, ())
        return program, code

    async def test_its_exit_code_is_told_once_it_has_ended(self):
        program, code = self.start("test $WORD = hello && exit 7")
        self.assertEqual(await code, 7)
        self.assertRaises(ProcessLookupError, os.kill, program.pid, 0)

    async def test_a_signal_is_a_negative_code(self):
        _program, code = self.start("kill -15 $$")
        self.assertEqual(await code, -signal.SIGTERM)

    async def test_with_a_group_it_can_be_killed_until_it_has_ended(self):
        program, code = self.start("sleep 600; exit 1", group=True)
        self.assertEqual(os.getpgid(program.pid), program.pid)
        program.kill()
        self.assertEqual(await code, -signal.SIGKILL)
        program.kill()

    async def test_when_the_reactor_goes_away_it_is_killed_only_if_it_has_a_group(self):
        gone = Failure(ConnectionDone())
        program, code = self.start("sleep 600", group=True)
        program.connectionLost(gone)
        self.assertEqual(await code, -signal.SIGKILL)
        program, code = self.start("sleep 0.05; exit 3")
        program.connectionLost(gone)
        self.assertEqual(await code, 3)

    def test_a_program_that_is_not_there_is_an_error(self):
        program = Program(self.fail, reactor)
        self.assertRaises(FileNotFoundError, program.start, ["/nowhere/program"], {}, ())
