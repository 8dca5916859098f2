"""Tests for L{mvmtr.compat.rcpthosts}."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mvmtr.compat.controlfile import ControlError
from mvmtr.compat.rcpthosts import RcptHosts, read_rcpthosts
from mvmtr.interfaces import ICheck
from mvmtr.session import Accept, Connection, Defer, Reject, Session, Stage
from mvmtr.settings import Settings
from mvmtr.test.support import control_folder, folder
from mvmtr.test.test_cdb import make_cdb

NAME = st.text("aB.", max_size=6).map(str.encode)


class RcptHostsTestCase(SynchronousTestCase):
    """Has a control folder."""

    def setUp(self):
        self.control = control_folder(folder(self), {})
        self.path = self.control / "rcpthosts"
        self.more = self.control / "morercpthosts.cdb"

    def ask(self, *recipients):
        check = read_rcpthosts(str(self.control))
        session = Session(Connection(), Settings())
        return [check.check(session, Stage.RCPT, recipient) for recipient in recipients]

    def assertAnswers(self, kind, *recipients):
        for recipient, verdict in zip(recipients, self.ask(*recipients), strict=True):
            self.assertIsInstance(verdict, kind, recipient)


class FileTests(RcptHostsTestCase):
    """The file rcpthosts."""

    def test_it_is_a_check_of_recipients(self):
        check = read_rcpthosts(str(self.control))
        self.assertTrue(verifyObject(ICheck, check))
        self.assertEqual(check.stages, {Stage.RCPT})

    def test_without_the_file_everybody_is_accepted(self):
        (verdict,) = self.ask(b"r@elsewhere.example")
        self.assertIsInstance(verdict, Accept)
        self.assertEqual(verdict.reason, f"{self.path} does not exist")

    def test_without_the_file_the_cdb_is_not_looked_at(self):
        self.more.symlink_to(self.more)
        self.assertAnswers(Accept, b"r@elsewhere.example")

    def test_a_file_without_entries_refuses_all(self):
        for content in (b"", b"\n \n# x.example\n"):
            self.path.write_bytes(content)
            self.assertAnswers(Reject, b"r@x.example", b"r@", b"@")

    def test_a_domain_is_accepted_and_another_is_not(self):
        self.path.write_bytes(b"Local.example\n")
        self.assertAnswers(Accept, b"r@local.example", b"R@LOCAL.EXAMPLE")
        self.assertAnswers(
            Reject, b"r@elsewhere.example", b"r@a.local.example", b"r@xlocal.example", b"r@local"
        )

    def test_the_reason_holds_file_and_line(self):
        self.path.write_bytes(b"# mine\nlocal.example\n\n.wild\\\n.example\n")
        exact, wild, other = self.ask(b"r@local.example", b"r@a.wild.example", b"r@other.example")
        self.assertEqual(exact.reason, f"{self.path}:2")
        self.assertEqual(wild.reason, f"{self.path}:4")
        self.assertEqual(other.reason, f"not in {self.path}")

    def test_the_refusal_is_worded_as_by_qmail(self):
        self.path.write_bytes(b"")
        (verdict,) = self.ask(b"r@elsewhere.example")
        self.assertEqual(verdict.code, 553)
        self.assertEqual(
            verdict.text, "5.7.1 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"
        )

    def test_a_wildcard_covers_what_is_below_and_not_the_name_itself(self):
        self.path.write_bytes(b".local.example\n")
        self.assertAnswers(
            Accept, b"r@a.local.example", b"r@a.b.LOCAL.example", b"r@.local.example"
        )
        self.assertAnswers(Reject, b"r@local.example", b"r@xlocal.example")

    def test_an_entry_that_is_one_dot_covers_a_trailing_dot(self):
        self.path.write_bytes(b".\n")
        self.assertAnswers(Accept, b"r@local.example.", b"r@.")
        self.assertAnswers(Reject, b"r@local.example")

    def test_a_trailing_dot_is_part_of_the_name(self):
        self.path.write_bytes(b"local.example\n")
        self.assertAnswers(Reject, b"r@local.example.")

    def test_the_last_at_sign_counts(self):
        self.path.write_bytes(b"local.example\n")
        self.assertAnswers(Accept, b"r@elsewhere.example@local.example")
        self.assertAnswers(Reject, b"r@local.example@elsewhere.example")

    def test_a_recipient_without_an_at_sign_is_accepted(self):
        self.path.write_bytes(b"local.example\n")
        self.assertAnswers(Accept, b"r", b"", b"r%elsewhere.example")

    def test_no_entry_covers_the_empty_domain(self):
        self.path.write_bytes(b"local.example\n\\\n.\n@\n")
        self.assertAnswers(Reject, b"r@", b"r@local.example@", b"@")

    def test_an_entry_covers_the_tail_of_an_address_literal(self):
        self.path.write_bytes(b".100.78]\n")
        self.assertAnswers(Accept, b"r@[198.51.100.78]")

    def test_the_star_means_nothing(self):
        self.path.write_bytes(b"*\n*.local.example\n")
        self.assertAnswers(Reject, b"r@local.example", b"r@a.local.example")

    def test_a_nul_splits_a_line_and_hides_it_in_front(self):
        self.path.write_bytes(b"a.example\0b.example\n\0c.example\n")
        self.assertAnswers(Accept, b"r@a.example", b"r@b.example")
        self.assertAnswers(Reject, b"r@c.example", b"r@a.example\0b.example")

    def test_a_file_that_cannot_be_read_is_an_error(self):
        self.path.mkdir()
        error = self.assertRaises(ControlError, read_rcpthosts, str(self.control))
        self.assertIn(str(self.path), str(error))

    @settings(deadline=None, max_examples=200)
    @given(st.lists(NAME, max_size=4), NAME)
    def test_an_entry_covers_the_domain_or_its_end_from_a_dot_on(self, hosts, domain):
        check = RcptHosts("rcpthosts", {host.lower(): 1 for host in hosts})
        lower = domain.lower()
        covered = lower != b"" and any(
            host == lower or (host.startswith(b".") and lower.endswith(host))
            for host in map(bytes.lower, hosts)
        )
        verdict = check.check(Session(Connection(), Settings()), Stage.RCPT, b"r@" + domain)
        self.assertIsInstance(verdict, Accept if covered else Reject)


class MoreTests(RcptHostsTestCase):
    """morercpthosts.cdb."""

    def setUp(self):
        super().setUp()
        self.path.write_bytes(b"local.example\n")

    def make(self, *hosts, value=b""):
        make_cdb(self.more, [(host, value) for host in hosts])

    def test_the_cdb_extends_the_file(self):
        self.make(b"more.example", b".wild.example", value=b"ignored")
        self.assertAnswers(
            Accept, b"r@local.example", b"r@MORE.example", b"r@a.b.wild.example", b"r"
        )
        self.assertAnswers(Reject, b"r@wild.example", b"r@a.more.example", b"r@")

    def test_the_reason_names_the_cdb(self):
        self.make(b"more.example")
        self.assertEqual(self.ask(b"r@more.example")[0].reason, str(self.more))

    def test_an_empty_rcpthosts_leaves_it_to_the_cdb(self):
        self.path.write_bytes(b"")
        self.make(b"more.example")
        self.assertAnswers(Accept, b"r@more.example")
        self.assertAnswers(Reject, b"r@local.example")

    def test_keys_are_looked_up_in_lower_case(self):
        self.make(b"More.example")
        self.assertAnswers(Reject, b"r@More.example")

    def test_a_very_long_domain_is_a_miss(self):
        self.make(b"more.example")
        self.assertAnswers(Reject, b"r@" + b"a" * 800)

    def test_a_damaged_cdb_defers_and_ends_the_session(self):
        self.more.write_bytes(b"more.example\n")
        (verdict,) = self.ask(b"r@more.example")
        self.assertIsInstance(verdict, Defer)
        self.assertEqual(
            (verdict.code, verdict.text), (421, "4.3.0 unable to read controls (#4.3.0)")
        )
        self.assertIn(str(self.more), verdict.reason)

    def test_damage_is_only_met_by_names_that_are_not_in_the_file(self):
        self.more.write_bytes(b"")
        self.assertAnswers(Accept, b"r@local.example", b"r")
        self.assertAnswers(Reject, b"r@")
        self.assertAnswers(Defer, b"r@elsewhere.example")

    def test_a_directory_in_its_place_defers(self):
        self.more.mkdir()
        self.assertAnswers(Accept, b"r@local.example")
        self.assertAnswers(Defer, b"r@more.example")

    def test_a_cdb_that_is_cut_short_while_it_is_open_defers(self):
        self.make(b"more.example")
        check = read_rcpthosts(str(self.control))
        os.truncate(self.more, 100)
        session = Session(Connection(), Settings())
        self.assertEqual(check.check(session, Stage.RCPT, b"r@more.example").code, 421)

    def test_a_cdb_that_cannot_be_opened_is_an_error(self):
        self.more.symlink_to(self.more)
        error = self.assertRaises(ControlError, read_rcpthosts, str(self.control))
        self.assertIn(str(self.more), str(error))
