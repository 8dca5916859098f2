"""What the page about AUTH says is what the code does."""

from __future__ import annotations

import re

from twisted.cred.error import UnauthorizedLogin
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.auth.checkpassword import BYTES_MAX, CanNotTell, CheckPassword
from mvmtr.auth.from_string import checker_from_string
from mvmtr.auth.sasl import ITERATIONS_OF_PASSWORDS
from mvmtr.auth.scram import ITERATIONS
from mvmtr.checks import submission
from mvmtr.protocol import reply
from mvmtr.protocol.conversation import ANSWER_MAX
from mvmtr.settings import Settings
from mvmtr.test.auth_support import AuthTalk, program, scram_path
from mvmtr.test.pages import read_pages, table
from mvmtr.test.support import ROOT, folder

# Installed alone, the package has no documentation to test.
skip = None if (ROOT / "docs").is_dir() else "there is no documentation here"


def said(verdict):
    """A verdict as the page writes it."""
    return reply.reply_of(verdict).decode().strip()


class AuthPageTests(SynchronousTestCase):
    """Tables, and numbers in the text."""

    def test_each_check_of_passwords_has_the_mechanisms_of_the_table(self):
        home = folder(self)
        places = {"USER:PASSWORD": "a:b", "FILE": scram_path(home), "PROGRAM": program(home)}
        for option, _meaning, mechanisms in table("auth", "Checks of passwords"):
            text = option.removeprefix("--auth=")
            for place, value in places.items():
                text = text.replace(place, str(value))
            heard = AuthTalk(checker_from_string(text)).hear(b"EHLO c").decode()
            self.assertIn(f"-AUTH {mechanisms.replace(',', '')}\r\n", heard)

    def test_each_exit_code_gives_the_reply_of_the_table(self):
        rows = dict(table("auth", "Exit codes of checkpassword"))
        other = rows.pop("any other")
        replies = {int(code): text for codes, text in rows.items() for code in codes.split(",")}
        checker = CheckPassword("/bin/sh")
        outcomes = {
            UnauthorizedLogin: reply.BAD_CREDENTIALS,
            CanNotTell: reply.AUTH_TROUBLE,
            None: reply.AUTH_OK,
        }
        for code in range(256):
            kind = None
            try:
                checker._ended(code, b"ann")
            except (UnauthorizedLogin, CanNotTell) as error:
                kind = type(error)
            self.assertEqual(said(outcomes[kind]), replies.get(code, other), code)

    def test_the_replies_are_those_of_the_code(self):
        source = (ROOT / "mvmtr/protocol/extensions/auth.py").read_text()
        used = {getattr(reply, name) for name in re.findall(r"reply\.([A-Z_0-9]+)", source)}
        used.discard(reply.UNIMPLEMENTED)
        rows = {row[0] for row in table("auth", "Replies to AUTH")}
        rows |= {row[2] for row in table("auth", "What happens at a limit of AUTH")}
        self.assertEqual(rows, {said(verdict) for verdict in used})

    def test_the_limits_are_settings(self):
        for _what, names, _reply in table("auth", "What happens at a limit of AUTH"):
            for name in re.findall(r"smtp_\w+", names):
                self.assertTrue(hasattr(Settings(), name), name)

    def test_the_settings_of_the_text_are_settings(self):
        text = read_pages()[0]["auth"].astext()
        for name in re.findall(r"smtp_server_\w+", text):
            self.assertTrue(hasattr(Settings(), name), name)

    def test_the_numbers_of_the_text_are_those_of_the_code(self):
        text = " ".join(read_pages()[0]["auth"].astext().split())
        for wanted in (
            f"{ITERATIONS:,} rounds of SHA-256",
            f"{ITERATIONS_OF_PASSWORDS} at least",
            f"; {BYTES_MAX} bytes at most",
            f"more than {ANSWER_MAX} bytes",
            f"MAIL gets {submission._AUTH_FIRST.code} before AUTH",
            f"Otherwise MAIL gets {submission._NOT_YOURS.code}",
            f"Otherwise they get {submission._NOT_QUALIFIED.code}",
        ):
            self.assertIn(wanted, text)
