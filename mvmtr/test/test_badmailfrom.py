"""Tests for L{mvmtr.compat.badmailfrom}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mvmtr.compat.badmailfrom import read_badmailfrom
from mvmtr.compat.controlfile import ControlError
from mvmtr.interfaces import ICheck
from mvmtr.session import Connection, Session, Stage
from mvmtr.settings import Settings
from mvmtr.test.support import CLIENT, Talk, assemble, control_folder, folder


class BadMailFromTests(SynchronousTestCase):
    """Listed addresses and domains."""

    def setUp(self):
        self.control = control_folder(folder(self), {})
        self.path = self.control / "badmailfrom"

    def ask(self, content, sender):
        self.path.write_bytes(content)
        check = read_badmailfrom(str(self.control))
        return check.check(Session(CLIENT, Settings()), Stage.MAIL, sender)

    def assertRefused(self, content, *senders):
        for sender in senders:
            self.assertIsNotNone(self.ask(content, sender), sender)

    def assertNoOpinion(self, content, *senders):
        for sender in senders:
            self.assertIsNone(self.ask(content, sender), sender)

    def test_it_is_a_check_of_senders(self):
        self.path.write_bytes(b"")
        check = read_badmailfrom(str(self.control))
        self.assertTrue(verifyObject(ICheck, check))
        self.assertEqual(check.stages, {Stage.MAIL})

    def test_without_the_file_there_is_no_check(self):
        self.assertIsNone(read_badmailfrom(str(self.control)))

    def test_a_listed_address_is_refused_in_any_case(self):
        self.assertRefused(b"Spam@Bad.example\n", b"spam@bad.example", b"SPAM@BAD.EXAMPLE")
        self.assertNoOpinion(b"Spam@Bad.example\n", b"x@bad.example", b"xspam@bad.example", b"spam")

    def test_a_domain_is_refused_and_neither_what_is_below_nor_beside_it(self):
        self.assertRefused(b"@bad.example\n", b"x@BAD.example", b"@bad.example", b"a@b@bad.example")
        self.assertNoOpinion(
            b"@bad.example\n", b"x@sub.bad.example", b"x@notbad.example", b"x@bad.example."
        )

    def test_the_last_at_sign_counts(self):
        self.assertNoOpinion(b"@bad.example\n", b"x@bad.example@good.example")

    def test_a_name_without_an_at_sign_can_be_listed(self):
        self.assertRefused(b"root\n", b"root", b"Root")
        self.assertNoOpinion(b"root\n", b"root@x.example", b"x@root")

    def test_bytes_beyond_ascii_keep_their_case(self):
        self.assertRefused(b"\xc4@bad.example\n", b"\xc4@bad.example")
        self.assertNoOpinion(b"\xc4@bad.example\n", b"\xe4@bad.example")

    def test_no_plain_line_lists_the_null_sender(self):
        self.assertNoOpinion(b'<>\n@\n""\n\n  \n\t\n', b"")

    def test_an_empty_entry_lists_the_null_sender(self):
        for content in (b"a@bad.example\0\0b@bad.example\n", b"\\\n"):
            self.assertRefused(content, b"")
            self.assertNoOpinion(content, b"a@good.example")

    def test_a_nul_in_front_hides_a_line(self):
        self.assertNoOpinion(b"\0a@bad.example\n", b"a@bad.example", b"")

    def test_the_refusal_waits_for_the_recipient_and_is_worded_as_by_qmail(self):
        verdict = self.ask(b"#\n\n@bad.example\n", b"x@bad.example")
        self.assertTrue(verdict.at_rcpt)
        self.assertEqual(
            (verdict.name, verdict.code, verdict.text),
            (
                "reject",
                553,
                "5.7.1 sorry, your envelope sender is in my badmailfrom list (#5.7.1)",
            ),
        )
        self.assertEqual(verdict.reason, f"{self.path}:3")

    def test_a_file_that_cannot_be_read_is_an_error(self):
        self.path.symlink_to(self.path)
        error = self.assertRaises(ControlError, read_badmailfrom, str(self.control))
        self.assertIn(str(self.path), str(error))

    def test_even_who_may_relay_is_refused_at_every_recipient(self):
        self.path.write_bytes(b"@bad.example\n")
        relay = Connection(environment={b"RELAYCLIENT": b""})
        talk = Talk(assemble(self.control), relay)
        self.assertEqual(talk.codes, [220])
        codes = talk.send(b"MAIL FROM:<a@bad.example>", b"RCPT TO:<r@x>", b"RCPT TO:<s@x>", b"DATA")
        self.assertEqual(codes, [250, 553, 553, 503])
        self.assertEqual(talk.send(b"MAIL FROM:<a@good.example>", b"RCPT TO:<r@x>"), [250, 250])
