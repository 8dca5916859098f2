"""Tests for L{mvmtr.checks}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mvmtr.checks.rcpt_domains import RcptDomains
from mvmtr.checks.relay import Relay
from mvmtr.interfaces import ICheck
from mvmtr.session import Accept, Connection, Session, Stage
from mvmtr.settings import Settings


def session_with(**environment):
    values = {name.encode(): value for name, value in environment.items()}
    return Session(Connection(environment=values), Settings())


class RcptDomainsTests(SynchronousTestCase):
    """smtp_server_rcpt_domains."""

    def setUp(self):
        self.check = RcptDomains((b"Local.example", b".Wild.example", b"\xc3\xa9.example"))

    def ask(self, recipient):
        return self.check.check(session_with(), Stage.RCPT, recipient)

    def test_it_is_a_check_of_recipients(self):
        self.assertTrue(verifyObject(ICheck, self.check))
        self.assertEqual(self.check.stages, {Stage.RCPT})

    def test_listed_domains_are_accepted_in_any_case(self):
        for recipient in (b"r@local.example", b"r@LOCAL.EXAMPLE", b"x@y@local.example"):
            self.assertIsInstance(self.ask(recipient), Accept, recipient)

    def test_a_leading_dot_covers_all_below_and_not_the_name_itself(self):
        self.assertIsInstance(self.ask(b"r@a.b.wild.example"), Accept)
        self.assertIsNone(self.ask(b"r@wild.example"))
        self.assertIsNone(self.ask(b"r@awild.example"))

    def test_it_has_no_opinion_about_others(self):
        for recipient in (b"r@elsewhere.example", b"r@a.local.example", b"r@", b"r", b"", b"@"):
            self.assertIsNone(self.ask(recipient), recipient)

    def test_a_recipient_without_an_at_sign_is_in_no_domain(self):
        self.assertIsNone(self.ask(b"local.example"))

    def test_without_domains_it_never_has_an_opinion(self):
        self.check = RcptDomains(())
        for recipient in (b"r@local.example", b"r@", b"r"):
            self.assertIsNone(self.ask(recipient))

    def test_the_reason_names_control_and_entry(self):
        self.assertEqual(
            self.ask(b"r@a.wild.example").reason, "smtp_server_rcpt_domains has .wild.example"
        )
        self.assertIn("\xe9.example", self.ask(b"r@\xc3\xa9.example").reason)

    def test_it_understands_what_the_command_line_gives(self):
        self.check = RcptDomains(
            Settings.parse("smtp_server_rcpt_domains", "a.example, b.example .c")
        )
        for recipient in (b"r@a.example", b"r@b.example", b"r@x.c"):
            self.assertIsInstance(self.ask(recipient), Accept)


class RelayTests(SynchronousTestCase):
    """Clients that may relay."""

    def ask(self, session):
        return Relay().check(session, Stage.RCPT, b"r@elsewhere.example")

    def test_it_is_a_check_of_recipients(self):
        self.assertTrue(verifyObject(ICheck, Relay()))
        self.assertEqual(Relay.stages, {Stage.RCPT})

    def test_it_has_no_opinion_about_clients_without_a_reason(self):
        self.assertIsNone(self.ask(session_with(DATABYTES=b"1")))

    def test_relayclient_opens_every_domain_whatever_its_value(self):
        for value in (b"", b"@fixme", b"0"):
            verdict = self.ask(session_with(RELAYCLIENT=value))
            self.assertIsInstance(verdict, Accept)
            self.assertEqual(verdict.reason, "RELAYCLIENT is set")

    def test_another_reason_will_do(self):
        session = session_with()
        session.relay = "user joe"
        self.assertEqual(self.ask(session).reason, "user joe")
