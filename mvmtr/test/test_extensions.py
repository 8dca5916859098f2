"""Tests for L{mvmtr.protocol.extensions}: what an extension can state, and what comes of it."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol import extensions, smtp
from mvmtr.protocol.extensions import Extension, found, having, known_parameters
from mvmtr.protocol.parameters import BadParameter
from mvmtr.session import Reject, Stage
from mvmtr.test.stand_ins import MAIL, RCPT, Takes, talk_with
from mvmtr.test.support import environment, folder

ALL = ("SMTPUTF8", "BINARYMIME", "DSN")
ALWAYS = {b"8BITMIME", b"CHUNKING", b"ENHANCEDSTATUSCODES", b"PIPELINING", b"SIZE"}


def announced(**options):
    """The keywords that EHLO tells."""
    talk = talk_with(**options)
    talk.receiver.dataReceived(b"EHLO c\r\n")
    lines = talk.said.splitlines()
    return {line[4:].split(b" ")[0] for line in lines if line.startswith(b"250")} - {b"mx.example"}


class Courtesy(Extension):
    """An extension of the tests: it has a parameter, a verb, and objections."""

    keyword = b"XCOURTESY"
    refuses = Reject(550, "5.7.1 say please")

    def __init__(self):
        self.on = True
        self.mail = {b"XPLEASE": self.please}
        self.commands = {b"XTHANKS": lambda receiver, argument: receiver.write(b"250 " + argument)}

    def please(self, value):
        if value != b"yes":
            raise BadParameter("XPLEASE=yes")

    def offered(self, receiver):
        return self.on

    def line(self, receiver):
        return b"XCOURTESY very"

    def objection(self, receiver, stage, transaction):
        polite = b"XPLEASE" in transaction.parameters
        return None if polite or stage is not Stage.MAIL else self.refuses

    def recipient_objection(self, receiver, transaction, recipient, parameters):
        return self.refuses if recipient.startswith(b"rude") else None


class SeamTests(SynchronousTestCase):
    """An extension is a module, and nothing else knows of it."""

    def setUp(self):
        self.courtesy = Courtesy()
        self.patch(smtp, "EXTENSIONS", (*smtp.EXTENSIONS, self.courtesy))
        self.patch(smtp, "_OBJECTING", having(smtp.EXTENSIONS, "objection"))
        objecting = having(smtp.EXTENSIONS, "recipient_objection")
        self.patch(smtp, "_OBJECTING_TO_RECIPIENTS", objecting)
        verbs = {**smtp.Receiver.verbs, **self.courtesy.commands}
        self.patch(smtp.Receiver, "verbs", verbs)
        self.talk = talk_with()

    def test_its_line_parameter_and_verb_are_there(self):
        self.talk.receiver.dataReceived(b"EHLO c\r\n")
        self.assertRegex(self.talk.said, rb"250[- ]XCOURTESY very\r\n")
        self.talk.receiver.dataReceived(b"xthanks a lot\r\n")
        self.assertEqual(self.talk.said, b"250 a lot")
        self.assertEqual(self.talk.send(MAIL + b" XPLEASE=no"), [501])
        self.assertEqual(self.talk.send(MAIL + b" xplease=yes"), [250])

    def test_when_it_is_not_offered_its_parameter_is_unknown(self):
        self.courtesy.on = False
        self.assertNotIn(b"XCOURTESY", announced())
        self.assertEqual(self.talk.send(MAIL + b" XPLEASE=yes")[-1], 555)

    def test_its_objections_are_refusals_before_any_check(self):
        self.assertEqual(self.talk.send(MAIL)[-1], 550)
        self.talk.send(MAIL + b" XPLEASE=yes")
        self.assertEqual(self.talk.send(b"RCPT TO:<rude@mvmtr.example>", RCPT), [550, 250])

    def test_of_two_that_know_a_value_one_is_enough(self):
        second = Courtesy()
        second.please = lambda value: None
        second.mail = {b"XPLEASE": second.please}
        known = known_parameters(None, [self.courtesy, second], "mail")
        known[b"XPLEASE"](b"no")
        known = known_parameters(None, [self.courtesy], "mail")
        self.assertRaises(BadParameter, known[b"XPLEASE"], b"no")

    def test_those_without_objections_are_not_asked(self):
        asked = having([Extension(), self.courtesy], "objection")
        self.assertEqual(asked, (self.courtesy,))


MODULE = """
from mvmtr.protocol.extensions import Extension

class Tea(Extension):
    keyword = b"XTEA"
    mail = {b"XSUGAR": lambda value: None}
    commands = {b"XTEA": lambda receiver, argument: receiver.write(b"250 2.0.0 tea\\r\\n")}

EXTENSION = Tea()
"""

SESSION = """
import sys
import mvmtr.protocol.extensions
mvmtr.protocol.extensions.__path__.append(sys.argv[1])
from mvmtr.test.stand_ins import MAIL, talk_with

talk = talk_with()
talk.receiver.dataReceived(b"EHLO c\\r\\n")
print(b"250-XTEA\\r\\n" in talk.said.replace(b"250 ", b"250-"))
print(talk.send(b"XTEA", MAIL + b" XSUGAR=2"))
"""


class ModuleTests(SynchronousTestCase):
    """To add an extension is to add a file."""

    def test_a_file_in_the_folder_is_an_extension(self):
        place = folder(self)
        (place / "tea.py").write_text(MODULE)
        said = subprocess.run(
            [sys.executable, "-c", SESSION, place],
            env=environment(),
            stdout=subprocess.PIPE,
            check=True,
        )
        self.assertEqual(said.stdout.split(b"\n")[:2], [b"True", b"[250, 250]"])


class FoundTests(SynchronousTestCase):
    """The extensions that there are."""

    def test_every_module_is_one_with_a_keyword_of_its_own(self):
        keywords = [one.keyword for one in found()]
        self.assertEqual(len(set(keywords)), len(keywords))
        for one in found():
            self.assertIsInstance(one, Extension)
            self.assertRegex(one.keyword, rb"^[A-Z0-9]+$")

    def test_no_two_have_the_same_verb_or_one_of_the_core(self):
        verbs = [verb for one in found() for verb in one.commands]
        core = {
            name.removeprefix("do_").encode() for name in vars(smtp.Receiver) if name[:3] == "do_"
        }
        self.assertEqual(len(set(verbs)), len(verbs))
        self.assertEqual(set(verbs) & core, set())
        self.assertLessEqual(set(verbs), set(smtp.Receiver.verbs))

    def test_verbs_with_a_payload_are_verbs(self):
        for one in found():
            self.assertLessEqual(one.payload, set(one.commands))

    def test_every_parameter_is_in_capitals_and_has_a_check(self):
        for one in found():
            for keyword, check in [*one.mail.items(), *one.rcpt.items()]:
                self.assertEqual(keyword, keyword.upper())
                self.assertTrue(callable(check))

    def test_a_module_more_is_an_extension_more(self):
        modules = [SimpleNamespace(name="size"), SimpleNamespace(name="pipelining")]
        self.patch(extensions.pkgutil, "iter_modules", lambda path: modules)
        self.assertEqual([one.keyword for one in found()], [b"PIPELINING", b"SIZE"])


class EhloTests(SynchronousTestCase):
    """What is announced."""

    def test_some_extensions_are_always_there(self):
        self.assertLessEqual(ALWAYS, announced(usehostname="mx.example"))

    def test_what_the_queue_carries_is_added_and_nothing_else(self):
        plain = announced(usehostname="mx.example")
        self.assertEqual(plain & {word.encode() for word in ALL}, set())
        for word in ALL:
            more = announced(usehostname="mx.example", queue=Takes(carries=[word]))
            self.assertEqual(more - plain, {word.encode()})
