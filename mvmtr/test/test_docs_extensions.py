"""Tests of the page about extensions and of what the page about queues says of them."""

from __future__ import annotations

import re
import sys

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass

from mvmtr.interfaces import IQueue
from mvmtr.protocol import smtp
from mvmtr.queue import CAPABILITIES, carried
from mvmtr.test.documentation import QUEUES
from mvmtr.test.pages import table
from mvmtr.test.stand_ins import talk_with
from mvmtr.test.support import ROOT, folder

# Installed alone, the package has no documentation to test.
skip = None if (ROOT / "docs").is_dir() else "there is no documentation here"

WORD = re.compile(r"[A-Z][A-Z0-9]+")


def added(text, command=""):
    """The words that an extension adds to a command, or its own verbs."""
    for part in text.split(";"):
        first, _blank, rest = part.strip().partition(" ")
        if first in ("MAIL", "RCPT"):
            if first == command:
                return set(WORD.findall(rest))
        elif not command:
            return set(WORD.findall(part))
    return set()


class KeywordTests(SynchronousTestCase):
    """The table of keywords says what the code does."""

    def setUp(self):
        self.rows = {row[0]: row[1:] for row in table("extensions", "Keywords of EHLO")}
        self.extensions = {one.keyword.decode(): one for one in smtp.EXTENSIONS}

    def test_every_keyword_is_there_and_no_other(self):
        self.assertEqual(list(self.rows), sorted(self.extensions))

    def test_the_numbers_are_those_that_the_modules_name(self):
        for keyword, (number, *_others) in self.rows.items():
            text = sys.modules[type(self.extensions[keyword]).__module__].__doc__
            if number == "none":
                self.assertNotIn("RFC", text, keyword)
            else:
                self.assertIn(f"RFC {number}", text, keyword)

    def test_verbs_and_parameters_are_those_of_the_code(self):
        for keyword, (_number, text, *_others) in self.rows.items():
            one = self.extensions[keyword]
            for command, words in (("MAIL", one.mail), ("RCPT", one.rcpt), ("", one.commands)):
                self.assertEqual(added(text, command), {word.decode() for word in words}, keyword)

    def test_what_is_always_announced_is_and_the_rest_is_not(self):
        talk = talk_with()
        talk.receiver.dataReceived(b"EHLO c\r\n")
        lines = talk.said.decode().splitlines()[2:]
        always = {keyword for keyword, row in self.rows.items() if row[2] == "always"}
        self.assertEqual({line[4:].split()[0] for line in lines}, always)

    def test_the_verbs_of_the_core_are_named(self):
        text = (ROOT / "docs" / "extensions.rst").read_text()
        core = {verb.decode() for verb in smtp.Receiver.verbs}
        core -= {verb.decode() for one in smtp.EXTENSIONS for verb in one.commands}
        named = re.search(r"verbs of RFC 5321: ([A-Z,\s]+ and [A-Z]+)", text)
        self.assertEqual(set(WORD.findall(named[1])), core)


class QueueTests(SynchronousTestCase):
    """What the pages say about queues."""

    def test_the_queues_carry_what_the_table_says(self):
        for option, *answers in table("extensions", "Queues and extensions"):
            description = option.removeprefix("--queue=").replace("FOLDER", str(folder(self)))
            if description == "python:CLASS":
                continue
            found = carried(description)
            wanted = ["yes" if name in found else "no" for name in self.names()]
            self.assertEqual(answers, wanted, option)

    def names(self):
        return ("SMTPUTF8", "BINARYMIME", "DSN")

    def test_all_that_a_queue_can_say_is_in_the_table(self):
        rows = table("queues", "What a queue can say that it carries")
        self.assertEqual({name for name, _promise in rows}, CAPABILITIES)
        self.assertEqual(set(self.names()), CAPABILITIES)

    def test_the_example_is_a_queue_that_carries_all(self):
        self.patch(sys, "path", [str(QUEUES), *sys.path])
        from folder_queue import FolderQueue

        self.assertTrue(verifyClass(IQueue, FolderQueue, tentative=True))
        self.assertEqual(FolderQueue.carries, CAPABILITIES)
