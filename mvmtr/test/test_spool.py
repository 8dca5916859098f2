"""Tests for L{mvmtr.protocol.spool}: text of messages in memory and in files."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol import spool
from mvmtr.protocol.load import Load
from mvmtr.protocol.spool import LOOK_EVERY, Spool
from mvmtr.settings import Settings
from mvmtr.test.support import folder


class SpoolTests(SynchronousTestCase):
    """Text is held in memory while there is room."""

    def setUp(self):
        self.load = Load()

    def spool(self, **values):
        values = {"smtp_server_spool_free": 0, **values}
        made = Spool(self.load, Settings().with_(values, {}))
        self.addCleanup(made.close)
        return made

    def in_file(self, made):
        """Whether it is in a file, for which it has a descriptor."""
        return made._in_file and made.fileno() > 2

    def test_up_to_the_body_cache_text_is_in_memory_and_then_in_a_file(self):
        made = self.spool(smtp_server_bodycache=10)
        made.write(b"x" * 10)
        self.assertEqual((self.in_file(made), self.load.memory), (False, 10))
        made.write(b"y")
        self.assertEqual((self.in_file(made), self.load.memory), (True, 0))
        made.write(b"z" * 5)
        made.seek(0)
        self.assertEqual(made.read(), b"x" * 10 + b"yzzzzz")
        self.assertEqual(self.load.memory, 0)

    def test_with_no_body_cache_all_text_is_in_a_file(self):
        made = self.spool(smtp_server_bodycache=0)
        made.write(b"xy")
        self.assertTrue(self.in_file(made))

    def test_while_memory_is_short_text_goes_to_files_at_once(self):
        first = self.spool(smtp_server_memory_max=100)
        first.write(b"x" * 100)
        second = self.spool(smtp_server_memory_max=100)
        second.write(b"y")
        self.assertEqual((self.in_file(first), self.in_file(second)), (False, True))
        first.close()
        third = self.spool(smtp_server_memory_max=100)
        third.write(b"z")
        self.assertFalse(self.in_file(third))

    def test_a_spool_that_was_closed_holds_nothing(self):
        made = self.spool()
        made.write(b"x" * 100)
        made.close()
        made.close()
        self.assertEqual(self.load.memory, 0)

    def test_files_are_in_the_folder_of_the_setting_and_have_no_name(self):
        here = folder(self)
        made = self.spool(smtp_server_spool=str(here), smtp_server_bodycache=1)
        made.write(b"text")
        made.flush()
        self.assertEqual(os.fstat(made.fileno()).st_dev, os.stat(here).st_dev)
        self.assertEqual(os.listdir(here), [])

    def test_a_folder_that_is_not_there_is_an_error_of_writing(self):
        made = self.spool(smtp_server_spool=str(folder(self) / "none"), smtp_server_bodycache=1)
        self.assertRaises(FileNotFoundError, made.write, b"text")
        made.close()
        self.assertEqual(self.load.memory, 0)


class RoomTests(SynchronousTestCase):
    """What is to be left on the disk is left."""

    def spool(self, free):
        values = {"smtp_server_spool_free": 1000, "smtp_server_bodycache": 1}
        made = Spool(Load(), Settings().with_(values, {}))
        self.addCleanup(made.close)
        self.left = free
        self.patch(spool.os, "fstatvfs", self.status_of)
        return made

    def status_of(self, _descriptor):
        return SimpleNamespace(f_frsize=1, f_bavail=self.left, f_files=0, f_favail=0)

    def full(self, made, text):
        error = self.assertRaises(OSError, made.write, text)
        self.assertEqual(error.errno, errno.ENOSPC)
        self.assertIn(f"{self.left} bytes are free", str(error))

    def test_there_is_a_look_when_a_file_is_made(self):
        self.full(self.spool(1001), b"xx")
        self.spool(1002).write(b"xx")

    def test_there_is_a_look_from_time_to_time(self):
        made = self.spool(2000)
        made.write(b"xx")
        self.left = 0
        piece = b"x" * (LOOK_EVERY // 4)
        for _ in range(3):
            made.write(piece)
        self.full(made, piece)
        self.left = 10**9
        made.write(piece)
