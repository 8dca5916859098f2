"""Tests for L{mvmtr.protocol.storage}: room on the file systems of messages."""

from __future__ import annotations

import os
import tempfile
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol.storage import shortage, shortage_of, spool_folder
from mvmtr.test.support import folder


def system(blocks, **values):
    """A file system with so many blocks of 4096 bytes left."""
    fields = {"f_frsize": 4096, "f_bavail": blocks, "f_files": 10, "f_favail": 5, **values}
    return SimpleNamespace(**fields)


class ShortageTests(SynchronousTestCase):
    """Why there is no room."""

    def test_message_and_what_is_to_be_left_must_fit(self):
        self.assertIsNone(shortage_of(system(10), 30000, 10960))
        self.assertEqual(shortage_of(system(10), 30000, 10961), "40960 bytes are free")
        self.assertEqual(shortage_of(system(10), 40961, 0), "40960 bytes are free")

    def test_there_must_be_an_inode(self):
        self.assertEqual(shortage_of(system(10, f_favail=0), 1, 1), "no inode is free")
        self.assertIsNone(shortage_of(system(10, f_favail=0, f_files=0), 1, 1))

    def test_every_folder_is_looked_at(self):
        here = str(folder(self))
        self.assertIsNone(shortage([here, None], 1, 1))
        self.assertRegex(shortage([None, here], 10**20, 1), f"^{here}: [0-9]+ bytes are free$")

    def test_a_folder_that_is_not_there_yet_counts_as_the_one_that_it_will_be_in(self):
        there = os.path.join(folder(self), "not", "yet")
        self.assertRegex(shortage([there], 10**20, 1), "bytes are free")
        self.assertIsNone(shortage([there], 1, 1))
        self.assertIsNone(shortage(["relative/and/nowhere"], 10**20, 1))

    def test_what_can_not_be_told_is_no_shortage(self):
        path = folder(self) / "file"
        path.touch()
        self.assertIsNone(shortage([str(path / "below")], 10**20, 1))

    def test_without_a_setting_the_system_says_where_the_spool_is(self):
        self.assertEqual(spool_folder(""), tempfile.gettempdir())
        self.assertEqual(spool_folder("/var/spool/x"), "/var/spool/x")
