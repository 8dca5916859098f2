"""Tests for L{mvmtr.programs}."""

from __future__ import annotations

import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.programs import current_folder
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
