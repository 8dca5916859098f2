"""Tests for L{mvmtr.queue}, and what the tests of each queue share."""

from __future__ import annotations

import os
import tempfile

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mvmtr.interfaces import IQueue, carried_by
from mvmtr.queue import QueueError, carried, problem_with, queue_from_string
from mvmtr.session import Accept, Session, Transaction
from mvmtr.settings import Settings
from mvmtr.test.stand_ins import Takes
from mvmtr.test.support import CLIENT, folder

HEADER = b"Received: from client.example\n  by mx.example; 1 Jan 2026 00:00:00 -0000\n"


def session_with_message(
    body=b"Subject: x\n\nhello\n",
    sender=b"s@client.example",
    recipients=(b"r@mx.example",),
    header=HEADER,
    connection=CLIENT,
):
    """A session at the point at which the queue gets its message."""
    session = Session(connection, Settings())
    transaction = session.transaction = Transaction(sender)
    transaction.recipients = list(recipients)
    transaction.header = header
    if isinstance(body, bytes):
        transaction.body = tempfile.SpooledTemporaryFile(1000)
        transaction.body.write(body)
        transaction.body.seek(0)
    else:
        transaction.body = body
    return session


class BrokenBody:
    """A body that can be read C{good} times and then no more."""

    def __init__(self, error, good=0):
        self.error = error
        self._good = good

    def read(self, size=-1):
        self._good -= 1
        if self._good < 0:
            raise self.error
        return b"x" * 65535 + b"\n"

    def close(self):
        """Nothing to close."""


class Stranger:
    """No queue."""


class Boastful(Takes):
    """Carries what nobody knows."""

    def __init__(self):
        super().__init__(carries=["dsn"])


class Word(Takes):
    """Names what it carries in one word, which is not a set of words."""

    def __init__(self):
        super().__init__()
        self.carries = "DSN"


class QueueFromStringTests(SynchronousTestCase):
    """Descriptions of queues."""

    def queue(self, description, home="/home/qmail"):
        queue = queue_from_string(description, home, Clock())
        self.assertTrue(verifyObject(IQueue, queue))
        return queue

    def assertNoQueue(self, word, description):
        error = self.assertRaises(QueueError, self.queue, description)
        self.assertIn(word, str(error))

    def test_qmail_is_the_program_of_the_home(self):
        for description in ("qmail", "qmail:"):
            queue = self.queue(description)
            self.assertEqual(queue.name, "qmail:/home/qmail/bin/qmail-queue")

    def test_qmail_with_a_program_is_that_program(self):
        self.assertEqual(self.queue("qmail:/usr/bin/qq:1").name, "qmail:/usr/bin/qq:1")

    def test_a_maildir_is_a_folder_that_may_have_a_colon(self):
        path = folder(self) / "in:box"
        self.assertEqual(self.queue(f"maildir:{path}").name, f"maildir:{path}")

    def test_a_maildir_keeps_its_place_when_the_current_folder_changes(self):
        path = folder(self)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(path)
        self.assertEqual(self.queue("maildir:in").name, f"maildir:{path / 'in'}")

    def test_discard_takes_a_message_and_keeps_nothing(self):
        verdict = self.successResultOf(self.queue("discard:").put(session_with_message()))
        self.assertIsInstance(verdict, Accept)
        self.assertRegex(verdict.text, r"^2\.0\.0 ok \d+ qp \d+$")

    def test_what_is_no_queue_is_an_error_that_names_the_kinds(self):
        for description in ("", "postfix", "Maildir:x", "/var/qmail/bin/qmail-queue", ":x"):
            self.assertNoQueue("discard, maildir, python, qmail", description)

    def test_a_maildir_without_a_folder_is_an_error(self):
        for description in ("maildir", "maildir:"):
            self.assertNoQueue("wants a folder", description)

    def test_a_maildir_that_cannot_be_made_is_an_error(self):
        self.assertNoQueue("maildir:/dev/null/in: Not a directory", "maildir:/dev/null/in")

    def test_discard_takes_nothing_behind_it(self):
        self.assertNoQueue("nothing behind", "discard:x")

    def test_a_queue_of_ones_own_is_made_by_its_name(self):
        queue = self.queue("python:mvmtr.test.stand_ins.Takes")
        self.assertIsInstance(queue, Takes)
        self.assertEqual(carried_by(queue), frozenset())

    def test_a_name_that_names_nothing_is_an_error(self):
        for description, why in (
            ("python", "wants the name"),
            ("python:", "wants the name"),
            ("python:nowhere.Queue", "nowhere"),
            ("python:mvmtr.test.test_queue.Nothing", "Nothing"),
            ("python:..", "python:.."),
        ):
            self.assertNoQueue(why, description)
            self.assertRaises(QueueError, problem_with, description, "/home/qmail")

    def test_what_is_no_queue_is_an_error(self):
        self.assertNoQueue("is no queue", "python:mvmtr.test.test_queue.Stranger")
        self.assertNoQueue("TypeError", "python:mvmtr.queue.maildir.Maildir")

    def test_a_queue_carries_what_has_a_name(self):
        self.assertNoQueue("'dsn', which is none of", "python:mvmtr.test.test_queue.Boastful")
        self.assertNoQueue(
            "is none of BINARYMIME, DSN, SMTPUTF8", "python:mvmtr.test.test_queue.Word"
        )


class CarriedTests(SynchronousTestCase):
    """What the queues can carry."""

    def test_each_queue_says_what_it_carries_before_and_after_it_is_made(self):
        text = frozenset({"SMTPUTF8", "BINARYMIME"})
        for description, wanted in (
            ("qmail", frozenset()),
            (f"maildir:{folder(self)}", text),
            ("discard:", text),
            ("python:mvmtr.test.stand_ins.Takes", frozenset()),
        ):
            self.assertEqual(carried(description), wanted)
            queue = queue_from_string(description, "/home/qmail", Clock())
            self.assertEqual(carried_by(queue), wanted)

    def test_what_is_no_queue_carries_nothing(self):
        for description in ("postfix", "python:nowhere.Queue"):
            self.assertRaises(QueueError, carried, description)
