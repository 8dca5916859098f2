"""Tests for L{mvmtr.queue.maildir}."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import sys

from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from mvmtr.addresses import UnsafeAddress
from mvmtr.queue.maildir import Maildir
from mvmtr.session import Accept, Defer
from mvmtr.test.support import environment, folder
from mvmtr.test.test_queue import HEADER, BrokenBody, session_with_message

NOBODY = 65534

FULL_DISK = """
import resource, sys
from twisted.internet import reactor
from mvmtr.queue.maildir import Maildir
from mvmtr.test.test_queue import session_with_message

def told(verdict):
    print(type(verdict).__name__, verdict.code, verdict.text)
    reactor.stop()

queue = Maildir(sys.argv[1])
session = session_with_message(b"x" * int(sys.argv[2]))
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
reactor.callWhenRunning(lambda: queue.put(session).addBoth(told))
reactor.run()
"""
"""Puts a message into a Maildir on which no file may have more than 20,000 bytes."""


class MaildirTestCase(TestCase):
    """Has a Maildir."""

    timeout = 60

    def setUp(self):
        self.path = folder(self) / "Maildir"
        self.queue = Maildir(str(self.path))
        self.queue.make()

    def files(self, name):
        return sorted((self.path / name).iterdir())

    def assertNothingLeft(self):
        for name in ("tmp", "new", "cur"):
            self.assertEqual(self.files(name), [])

    async def delivered(self, **message):
        """The content of the file that a message becomes."""
        self.assertIsInstance(await self.queue.put(session_with_message(**message)), Accept)
        (file,) = self.files("new")
        return file.read_bytes()


class FolderTests(MaildirTestCase):
    """The folders."""

    def test_missing_folders_are_made_for_their_owner_only(self):
        for path in (self.path, *self.path.iterdir()):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o700)
        self.assertEqual(sorted(os.listdir(self.path)), ["cur", "new", "tmp"])

    def test_what_is_there_stays(self):
        (self.path / "new" / "old").write_bytes(b"old mail\n")
        self.path.chmod(0o750)
        Maildir(str(self.path))
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o750)
        self.assertEqual((self.path / "new" / "old").read_bytes(), b"old mail\n")

    def test_a_folder_that_cannot_be_written_is_an_error_at_once(self):
        self.path.parent.chmod(0o755)
        for path, mode in ((self.path, 0o755), (self.path / "tmp", 0o500)):
            path.chmod(mode)
        if os.getuid() == 0:
            os.setresuid(NOBODY, NOBODY, 0)
            self.addCleanup(os.setresuid, 0, 0, 0)
        self.assertRaises(PermissionError, Maildir, str(self.path))


class DeliveryTests(MaildirTestCase):
    """Messages as files."""

    async def test_missing_folders_are_made_with_the_first_message_and_not_before(self):
        self.path = self.path.parent / "new" / "Maildir"
        self.queue = Maildir(str(self.path))
        self.assertFalse(self.path.parent.exists())
        self.assertIn(b"hello", await self.delivered(body=b"hello\n"))

    async def test_the_file_holds_envelope_and_message(self):
        content = await self.delivered(
            body=b"From: a\n\n.body\r\n\0\xff no line end",
            sender=b"s@client.example",
            recipients=(b"r@mx.example", b"q@mx.example", b"r@mx.example"),
        )
        self.assertEqual(
            content,
            b"Return-Path: <s@client.example>\n"
            b"Delivered-To: r@mx.example\n"
            b"Delivered-To: q@mx.example\n"
            b"Delivered-To: r@mx.example\n" + HEADER + b"From: a\n\n.body\r\n\0\xff no line end",
        )

    async def test_the_null_sender_is_an_empty_path(self):
        self.assertTrue((await self.delivered(sender=b"")).startswith(b"Return-Path: <>\n"))

    async def test_addresses_are_quoted_where_they_must_be(self):
        content = await self.delivered(sender=b'a "b\\@x.example', recipients=(b"a>b@x.example",))
        self.assertEqual(
            content.split(b"\n")[:2],
            [b'Return-Path: <"a \\"b\\\\"@x.example>', b'Delivered-To: "a>b"@x.example'],
        )

    async def test_a_large_message_is_whole(self):
        body = b"0123456789abcde\n" * (5 * 65536)
        content = await self.delivered(body=body)
        self.assertTrue(content.endswith(HEADER + body))

    async def test_the_file_is_in_new_and_only_its_owner_can_read_it(self):
        self.addCleanup(os.umask, os.umask(0))
        await self.delivered()
        (file,) = self.files("new")
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        self.assertEqual(self.files("tmp") + self.files("cur"), [])

    async def test_the_verdict_names_the_file_and_looks_like_that_of_qmail(self):
        verdict = await self.queue.put(session_with_message())
        (file,) = self.files("new")
        self.assertEqual(verdict.reason, file.name)
        self.assertTrue(re.match(rf"2\.0\.0 ok \d+ qp {os.getpid()}$", verdict.text))
        self.assertNotRegex(file.name, "[:/]")
        self.assertRegex(file.name, rf"^\d+\.M\d+P{os.getpid()}Q\d+\.")

    async def test_many_at_once_get_a_file_each(self):
        bodies = [b"message %d\n" % number for number in range(60)]
        verdicts = await gatherResults(
            [self.queue.put(session_with_message(body=body)) for body in bodies]
        )
        self.assertEqual({verdict.name for verdict in verdicts}, {"accept"})
        found = [file.read_bytes().rpartition(HEADER)[2] for file in self.files("new")]
        self.assertEqual(sorted(found), sorted(bodies))


class ErrorTests(MaildirTestCase):
    """What can't be written whole leaves nothing behind."""

    def on_small_disk(self, size):
        command = [sys.executable, "-c", FULL_DISK, str(self.path), str(size)]
        run = subprocess.run(
            command, env=environment(), capture_output=True, text=True, check=True, timeout=60
        )
        return run.stdout.strip()

    def test_on_a_full_disk_it_is_452_and_nothing_is_left(self):
        for size in (20001, 200000):
            self.assertEqual(
                self.on_small_disk(size), "Defer 452 4.3.1 insufficient system storage"
            )
            self.assertNothingLeft()

    def test_what_fits_on_the_disk_is_taken(self):
        self.assertRegex(self.on_small_disk(19000), "^Accept 250 ")
        self.assertEqual(len(self.files("new")), 1)

    async def assertDeferred(self, session, code=451):
        verdict = await self.queue.put(session)
        self.assertIsInstance(verdict, Defer)
        self.assertEqual(verdict.code, code)
        return verdict

    async def test_without_its_folders_it_is_451(self):
        (self.path / "new").rmdir()
        verdict = await self.assertDeferred(session_with_message())
        self.assertIn("No such file", verdict.reason)
        self.assertEqual(self.files("tmp"), [])
        (self.path / "tmp").rmdir()
        await self.assertDeferred(session_with_message())

    async def test_a_body_that_cannot_be_read_back_is_451_and_nothing_is_left(self):
        for good in (0, 3):
            body = BrokenBody(OSError(errno.EIO, "disk error"), good)
            await self.assertDeferred(session_with_message(body=body))
            self.assertNothingLeft()

    async def test_a_full_disk_below_the_body_is_452(self):
        body = BrokenBody(OSError(errno.ENOSPC, "no space"), 1)
        await self.assertDeferred(session_with_message(body=body), code=452)
        self.assertNothingLeft()

    async def test_a_closed_body_is_a_failure_and_nothing_is_left(self):
        session = session_with_message()
        session.transaction.body.close()
        await self.assertFailure(self.queue.put(session), ValueError)
        self.assertNothingLeft()

    async def test_an_unsafe_address_is_a_failure_and_nothing_is_written(self):
        for bad in (b"a\nBcc: x@x", b"a\rb@x", b"a\0b@x"):
            for envelope in ({"sender": bad}, {"recipients": (b"r@mx.example", bad)}):
                session = session_with_message(**envelope)
                await self.assertFailure(self.queue.put(session), UnsafeAddress)
                self.assertNothingLeft()

    async def test_no_descriptor_stays_open(self):
        await self.queue.put(session_with_message())
        before = os.listdir("/proc/self/fd")
        for _ in range(5):
            await self.queue.put(session_with_message(body=b"small"))
            await self.queue.put(session_with_message(body=BrokenBody(OSError(5, "disk error"))))
        self.assertEqual(os.listdir("/proc/self/fd"), before)
