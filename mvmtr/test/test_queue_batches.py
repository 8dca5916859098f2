"""Tests of what a Maildir does with messages that come at the same time."""

from __future__ import annotations

import errno
import gc
import os
import signal
import smtplib
import stat
import subprocess
import threading

from twisted.internet.defer import DeferredList, gatherResults
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.addresses import UnsafeAddress
from mvmtr.queue import filesystem, maildir
from mvmtr.test.support import environment, folder, free_port, twistd, wait_for_port
from mvmtr.test.test_queue import BrokenBody, session_with_message
from mvmtr.test.test_queue_maildir import MaildirTestCase

LINE = b"x" * 63 + b"\n"


def whole(number, lines=40):
    """A body that shows whether anything of it is missing."""
    return b"Subject: %d\n\n" % number + LINE * lines + b"end of %d\n" % number


class BatchTestCase(MaildirTestCase):
    """Knows how often the folder is flushed."""

    def setUp(self):
        super().setUp()
        self.flushes = []
        real = maildir._sync_folder

        def counted(path):
            self.flushes.append(len(self.files("new")))
            real(path)

        self.patch(maildir, "_sync_folder", counted)

    def put(self, bodies):
        return [self.queue.put(session_with_message(body=body)) for body in bodies]

    async def outcomes(self, answers):
        """What became of each message: the code of its verdict, or its failure."""
        results = await DeferredList(answers, consumeErrors=True)
        return [what.code if fine else what.type for fine, what in results]

    def bodies(self):
        return [file.read_bytes().partition(b"\n\n")[2] for file in self.files("new")]


class BatchTests(BatchTestCase):
    """Which messages are brought to the disk together."""

    async def test_what_comes_while_the_disk_works_is_flushed_together(self):
        verdicts = await gatherResults(self.put(whole(number) for number in range(30)))
        self.assertEqual({verdict.name for verdict in verdicts}, {"accept"})
        self.assertEqual(self.flushes, [1, 30])

    async def test_a_batch_has_a_bound(self):
        self.patch(maildir, "BATCH_MAX", 3)
        await gatherResults(self.put(whole(number) for number in range(8)))
        self.assertEqual(self.flushes, [1, 4, 7, 8])

    async def test_nobody_hears_yes_before_the_folder_was_flushed(self):
        answered = []
        answers = self.put(whole(number) for number in range(10))
        for answer in answers:
            answer.addCallback(lambda _verdict: answered.append(len(self.flushes)))
        await gatherResults(answers)
        self.assertEqual(answered, [1] + [2] * 9)

    async def test_a_large_message_does_not_keep_small_ones_waiting(self):
        # The large one is written only when the small ones have been answered.
        reading, writing = os.pipe()
        large = session_with_message(body=os.fdopen(reading, "rb"))
        large.transaction.size = maildir.ALONE + 1
        codes = []
        answer = self.queue.put(large).addCallback(lambda verdict: codes.append(verdict.code))
        await gatherResults(self.put(whole(number) for number in range(5)))
        self.assertEqual(codes, [])
        os.write(writing, b"at last\n")
        os.close(writing)
        await answer
        self.assertEqual(codes, [250])
        large.transaction.body.close()
        self.assertEqual(len(self.files("new")), 6)

    async def test_messages_of_many_sizes_are_whole(self):
        sizes = (0, 1, 1000, maildir.PIECE, maildir.PIECE + 1, 5 * maildir.PIECE)
        bodies = [os.urandom(size) for size in sizes]
        await gatherResults(self.put(b"\n" + body for body in bodies))
        self.assertEqual(sorted(map(len, self.bodies())), sorted(sizes))
        self.assertEqual(sorted(self.bodies()), sorted(bodies))


class TroubleTests(BatchTestCase):
    """Whom trouble concerns."""

    async def test_trouble_with_one_message_is_its_own(self):
        sessions = [session_with_message(body=whole(number)) for number in range(3)]
        sessions.insert(1, session_with_message(body=BrokenBody(OSError(errno.ENOSPC, "full"), 1)))
        sessions.insert(2, session_with_message(body=BrokenBody(OSError(errno.EIO, "broken"))))
        sessions.insert(3, session_with_message(sender=b"a\nb@x"))
        closed = session_with_message()
        closed.transaction.body.close()
        sessions.insert(4, closed)
        outcomes = await self.outcomes([self.queue.put(session) for session in sessions])
        self.assertEqual(outcomes, [250, 452, 451, UnsafeAddress, ValueError, 250, 250])
        self.assertEqual(len(self.files("new")), 3)
        self.assertEqual(self.files("tmp"), [])

    async def test_a_file_that_does_not_reach_the_disk_is_its_own_trouble(self):
        real = os.fsync
        asked = []

        def third_fails(descriptor):
            asked.append(descriptor)
            if len(asked) == 3:
                raise OSError(errno.EIO, "write-back failed")
            real(descriptor)

        await gatherResults(self.put([whole(0)]))
        self.patch(os, "fsync", third_fails)
        self.assertEqual(
            sorted(await self.outcomes(self.put(whole(number) for number in range(1, 5)))),
            [250, 250, 250, 451],
        )
        self.assertEqual(len(self.files("new")), 4)
        self.assertEqual(self.files("tmp"), [])

    async def test_a_folder_that_does_not_reach_the_disk_defers_all_and_leaves_nothing(self):
        for number, code in ((errno.EIO, 451), (errno.ENOSPC, 452)):

            def fails(path, number=number):
                raise OSError(number, "flush failed")

            self.patch(maildir, "_sync_folder", fails)
            outcomes = await self.outcomes(self.put(whole(number) for number in range(10)))
            self.assertEqual(outcomes, [code] * 10)
            self.assertNothingLeft()

    async def test_a_file_system_that_cannot_be_flushed_defers_all_and_leaves_nothing(self):
        def fails(folder):
            raise OSError(errno.EIO, "write-back failed")

        self.patch(self.queue, "_flush", fails)
        outcomes = await self.outcomes(self.put(whole(number) for number in range(10)))
        self.assertEqual(outcomes, [250] + [451] * 9)
        self.assertEqual(len(self.files("new")), 1)
        self.assertEqual(self.files("tmp"), [])

    async def test_after_trouble_the_next_batch_is_taken(self):
        (self.path / "new").rmdir()
        outcomes = await self.outcomes(self.put(whole(number) for number in range(5)))
        self.assertEqual(outcomes, [451] * 5)
        (self.path / "new").mkdir()
        outcomes = await self.outcomes(self.put(whole(number) for number in range(5)))
        self.assertEqual(outcomes, [250] * 5)

    async def test_a_batch_that_cannot_be_handed_over_is_answered_all_the_same(self):
        def fails(transactions):
            raise ZeroDivisionError

        self.patch(self.queue, "_deliver", fails)
        outcomes = await self.outcomes(self.put(whole(number) for number in range(5)))
        self.assertEqual(outcomes, [ZeroDivisionError] * 5)

    async def test_without_a_thread_nobody_waits_for_ever(self):
        def fails(*_arguments):
            raise RuntimeError("can't start new thread")

        threads = self.patch(maildir, "deferToThread", fails)
        outcomes = await self.outcomes(self.put(whole(number) for number in range(2)))
        self.assertEqual(outcomes, [RuntimeError] * 2)
        threads.restore()
        self.assertEqual(await self.outcomes(self.put([whole(2)])), [250])

    async def test_no_descriptor_stays_open(self):
        await gatherResults(self.put([whole(0, 1)]))
        # Bodies of other tests may still wait for it.
        gc.collect()
        before = os.listdir("/proc/self/fd")
        broken = [BrokenBody(OSError(5, "disk error"), good) for good in range(3)]
        await self.outcomes(self.put([whole(1, 1), *broken, whole(2, 1)]))
        self.assertEqual(os.listdir("/proc/self/fd"), before)


class FlushTests(BatchTestCase):
    """One flush for all files, or one for each."""

    def setUp(self):
        super().setUp()
        self.descriptor = os.open(self.path, os.O_RDONLY)
        self.addCleanup(os.close, self.descriptor)
        self.patch(filesystem, "KINDS", {filesystem.kind_of(self.descriptor)})
        self.flush = filesystem.Flush()

    async def synced(self, many):
        """How many files are flushed by themselves when so many messages come."""
        files = []
        real = os.fsync

        def counted(descriptor):
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                files.append(descriptor)
            real(descriptor)

        self.patch(os, "fsync", counted)
        outcomes = await self.outcomes(self.put(whole(number) for number in range(many)))
        self.assertEqual(outcomes, [250] * many)
        return len(files)

    async def test_few_files_are_flushed_by_themselves(self):
        self.assertEqual(await self.synced(maildir.TOGETHER), maildir.TOGETHER)

    async def test_for_many_files_the_file_system_is_flushed(self):
        self.assertEqual(await self.synced(maildir.TOGETHER + 1), 1)

    async def test_where_that_cannot_be_relied_on_each_file_is_flushed(self):
        self.patch(filesystem, "KINDS", set())
        self.assertEqual(await self.synced(20), 20)

    def test_an_older_linux_does_not_tell_of_errors(self):
        for release, wanted in (("6.1.0-13-amd64", True), ("5.8.0", True), ("5.7.19", False),
                                ("4.19", False), ("10.0", True), ("strange", False)):  # fmt: skip
            self.assertEqual(filesystem.reports_errors(release), wanted)
        self.patch(filesystem, "ERRORS_SINCE", (1000, 0))
        self.assertFalse(self.flush(self.descriptor))

    def test_after_a_slow_flush_there_is_a_pause(self):
        self.assertTrue(self.flush(self.descriptor))
        self.patch(filesystem, "SLOW", -1)
        self.assertTrue(self.flush(self.descriptor))
        self.assertFalse(self.flush(self.descriptor))

    def test_an_error_of_the_system_is_raised(self):
        self.assertRaises(OSError, self.flush, -1)


class ServerTests(SynchronousTestCase):
    """A real server that is ended while many send."""

    timeout = 240

    def setUp(self):
        self.home = folder(self)

    def send_until(self, many, number):
        """
        Start a server and send from several threads; end it with a signal after so many
        answers.

        @return: the numbers of all messages that were answered 250.
        """
        port = free_port()
        server = subprocess.Popen(
            [*twistd("-n", "--pidfile=", f"--logfile={self.home}/log", "mvmtr"), "--no-qmail",
             f"--listen=tcp:{port}:interface=127.0.0.1", f"--queue=maildir:{self.home}/Maildir",
             "--set=smtp_server_rcpt_domains=x.example"],
            env=environment(), cwd=self.home,
        )  # fmt: skip
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        wait_for_port(port, server)
        answered = []
        enough = threading.Event()

        def work(first):
            message = first
            try:
                with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
                    while True:
                        text = whole(message, 40 if message % 7 else 6000)
                        client.sendmail("s@x.example", "r@x.example", text.decode())
                        answered.append(message)
                        message += 10
                        if len(answered) >= many:
                            enough.set()
            except (OSError, smtplib.SMTPException):
                return

        workers = [threading.Thread(target=work, args=(first,)) for first in range(10)]
        for worker in workers:
            worker.start()
        self.assertTrue(enough.wait(60), "enough answers")
        server.send_signal(number)
        server.wait()
        for worker in workers:
            worker.join()
        return answered

    def assert_all_there(self, answered):
        """Everything that was answered is there, and whatever is there is whole."""
        found = []
        for file in (self.home / "Maildir" / "new").iterdir():
            body = file.read_bytes().partition(b"Subject: ")[2]
            number = int(body.partition(b"\n")[0])
            self.assertEqual(b"Subject: " + body, whole(number, 40 if number % 7 else 6000))
            found.append(number)
        self.assertEqual(len(found), len(set(found)), "each is there once")
        self.assertEqual(set(answered) - set(found), set())

    def test_a_killed_server_has_all_that_it_answered(self):
        answered = []
        for many in (1, 40, 200):
            self.home = folder(self)
            answered = self.send_until(many, signal.SIGKILL)
            self.assert_all_there(answered)

    def test_a_server_that_is_stopped_ends_its_batch(self):
        answered = self.send_until(60, signal.SIGTERM)
        self.assert_all_there(answered)
        self.assertEqual(list((self.home / "Maildir" / "tmp").iterdir()), [])
