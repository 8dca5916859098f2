"""Tests for L{mvmtr.compat.validrcptto}."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mvmtr.compat.controlfile import ControlError, parse_lines
from mvmtr.compat.rcpthosts import RcptHosts
from mvmtr.compat.validrcptto import ValidRcptTo, _numbered, keys_of
from mvmtr.interfaces import ICheck
from mvmtr.session import Connection, Session, Stage
from mvmtr.settings import Settings
from mvmtr.test.support import folder
from mvmtr.test.test_cdb import make_cdb

RELAY = Connection(environment={b"RELAYCLIENT": b""})

STRANGER = Connection()


class KeyTests(SynchronousTestCase):
    """The entries that cover an address."""

    def test_extensions_become_default_from_the_last_one_on(self):
        self.assertEqual(
            list(keys_of(b"A-b-C@X.example")),
            [b"a-b-c@x.example", b"a-b-default@x.example", b"a-default@x.example", b"@x.example"],
        )

    def test_the_last_at_sign_begins_the_domain(self):
        self.assertEqual(
            list(keys_of(b"a-b@c@x.example")),
            [b"a-b@c@x.example", b"a-default@x.example", b"@x.example"],
        )

    def test_an_address_without_a_domain_is_its_only_key(self):
        self.assertEqual(list(keys_of(b"A-b")), [b"a-b"])

    def test_only_the_letters_of_ascii_are_folded(self):
        self.assertEqual(next(keys_of("Ä@x".encode())), "Ä@x".encode())


class ListTestCase(SynchronousTestCase):
    """Makes a list and asks it."""

    def setUp(self):
        self.folder = folder(self)

    def text(self, *lines):
        self.path = self.folder / "validrcptto"
        self.path.write_bytes(b"\n".join(lines))
        return ValidRcptTo(str(self.path))

    def cdb(self, *pairs):
        self.path = make_cdb(self.folder / "validrcptto.cdb", pairs)
        return ValidRcptTo(str(self.path))

    def ask(self, check, recipient, connection=STRANGER):
        return check.check(Session(connection, Settings()), Stage.RCPT, recipient)

    def assert_exists(self, check, *recipients):
        for recipient in recipients:
            self.assertIsNone(self.ask(check, recipient), recipient)

    def assert_refused(self, check, recipient, reason):
        verdict = self.ask(check, recipient)
        self.assertEqual(
            (verdict.name, verdict.code, verdict.text, verdict.reason),
            ("reject", 550, "5.1.1 sorry, no mailbox here by that name (#5.1.1)", reason),
        )


class BothListsTests(ListTestCase):
    """What holds for text files and cdbs alike."""

    def lists(self, *entries):
        yield self.text(*entries)
        yield self.cdb(*((entry, b"") for entry in entries))

    def test_it_is_a_check(self):
        for check in self.lists(b"a@x.example"):
            verifyObject(ICheck, check)
            self.assertEqual(check.paths, (str(self.path),))

    def test_listed_recipients_are_left_to_rcpthosts_and_others_refused(self):
        for check in self.lists(b"joe@x.example"):
            self.assert_exists(check, b"joe@x.example", b"JOE@X.Example")
            self.assert_refused(check, b"jo@x.example", f"not in {self.path}")

    def test_an_extension_needs_an_entry_of_its_own_or_a_default(self):
        for check in self.lists(b"joe@x.example", b"list-default@x.example"):
            self.assert_refused(check, b"joe-ext@x.example", f"not in {self.path}")
            self.assert_exists(
                check, b"list-a@x.example", b"list-a-b@x.example", b"list-@x.example"
            )
            self.assert_refused(check, b"list@x.example", f"not in {self.path}")

    def test_a_domain_without_any_entry_is_refused(self):
        for check in self.lists(b"@x.example"):
            self.assert_exists(check, b"any@x.example")
            self.assert_refused(check, b"any@sub.x.example", f"not in {self.path}")

    def test_an_address_without_a_domain_is_looked_up_as_it_stands(self):
        for check in self.lists(b"joe", b"@x.example"):
            self.assert_exists(check, b"Joe")
            self.assert_refused(check, b"jim", f"not in {self.path}")

    def test_postmaster_without_a_domain_always_exists(self):
        for check in self.lists(b"joe@x.example"):
            self.assert_exists(check, b"PostMaster")
            self.assert_refused(check, b"postmaster@x.example", f"not in {self.path}")

    def test_recipients_of_relay_clients_are_left_alone(self):
        for check in self.lists(b"joe@x.example"):
            self.assertIsNone(self.ask(check, b"any@elsewhere.example", RELAY))

    def test_recipients_that_are_not_ours_are_left_to_the_check_that_says_so(self):
        hosts = RcptHosts("rcpthosts", {b"x.example": 1, b".y.example": 2})
        for check in self.lists(b"joe@x.example"):
            check = ValidRcptTo(str(self.path), [hosts])
            self.assert_exists(check, b"joe@x.example", b"any@elsewhere.example")
            self.assert_refused(check, b"any@x.example", f"not in {self.path}")
            self.assert_refused(check, b"any@sub.y.example", f"not in {self.path}")

    def test_a_list_that_is_not_there_is_an_error(self):
        for name in ("none", "none.cdb"):
            with self.assertRaisesRegex(ControlError, f"{name}: No such file"):
                ValidRcptTo(str(self.folder / name))


class CdbTests(ListTestCase):
    """Data that begin with a hyphen, and damage."""

    def test_a_key_with_a_hyphen_as_data_is_refused(self):
        check = self.cdb((b"bad@x.example", b"-"), (b"@x.example", b""), (b"a@x.example", b"x-"))
        self.assert_refused(check, b"bad@x.example", str(self.path))
        self.assert_exists(check, b"other@x.example", b"a@x.example")

    def test_the_closest_entry_decides(self):
        check = self.cdb(
            (b"a-default@x.example", b"-no"), (b"a-b@x.example", b""), (b"@x.example", b"")
        )
        self.assert_exists(check, b"a-b@x.example", b"c-d@x.example")
        self.assert_refused(check, b"a-c@x.example", str(self.path))

    def test_a_damaged_cdb_defers(self):
        check = self.cdb((b"joe@x.example", b""))
        os.truncate(self.path, 2048)
        verdict = self.ask(check, b"joe@x.example")
        self.assertEqual((verdict.name, verdict.code), ("defer", 451))
        self.assertIn("damaged", verdict.reason)

    def test_an_empty_cdb_file_defers(self):
        self.path = self.folder / "validrcptto.cdb"
        self.path.write_bytes(b"")
        self.assertEqual(self.ask(ValidRcptTo(str(self.path)), b"joe@x.example").code, 451)

    def test_a_replaced_cdb_is_seen_only_by_a_new_object(self):
        old = self.cdb((b"joe@x.example", b""))
        new = self.cdb((b"jim@x.example", b""))
        self.assert_exists(old, b"joe@x.example")
        self.assert_exists(new, b"jim@x.example")


class TextTests(ListTestCase):
    """What only text files have: lines."""

    def test_comments_blank_lines_and_ends_of_lines_do_not_count(self):
        check = self.text(b"# joe@x.example", b"", b"  ", b"\f", b"Jim@X.Example\t\r")
        self.assert_exists(check, b"jim@x.example")
        self.assert_refused(check, b"joe@x.example", f"not in {self.path}")

    def test_an_entry_is_refused_by_its_data_or_by_a_hyphen_in_front(self):
        check = self.text(
            b"@x.example", b"", b"joe@x.example \t -", b"-jim@x.example", b"ann@x.example ok"
        )
        self.assert_refused(check, b"joe@x.example", f"{self.path}:3")
        self.assert_refused(check, b"jim@x.example", f"{self.path}:4")
        self.assert_exists(check, b"ann@x.example", b"other@x.example")

    def test_a_domain_is_refused_by_a_hyphen_in_front(self):
        check = self.text(b"joe@x.example", b"-@x.example")
        self.assert_exists(check, b"joe@x.example")
        self.assert_refused(check, b"jim@x.example", f"{self.path}:2")

    def test_what_is_listed_both_ways_exists(self):
        self.assert_exists(self.text(b"-joe@x.example", b"joe@x.example"), b"joe@x.example")

    def test_backslashes_protect_and_join_lines(self):
        check = self.text(b"\\#odd@x.example", b"joe@\\", b"x.example", b"\\-bad@x.example")
        self.assert_exists(check, b"#odd@x.example", b"joe@x.example")
        self.assert_refused(check, b"bad@x.example", f"{self.path}:4")

    def test_a_list_without_an_entry_is_an_error(self):
        with self.assertRaisesRegex(ControlError, "has no entry"):
            self.text(b"# nobody", b"")

    def test_a_cdb_by_another_name_is_an_error(self):
        self.cdb((b"joe@x.example", b""))
        with self.assertRaisesRegex(ControlError, "is no text file"):
            ValidRcptTo(str(self.path.rename(self.folder / "validrcptto")))

    @given(st.lists(st.sampled_from([b"a", b"#", b" ", b"\t", b"\r", b"\n", b"-", b"@"])))
    @settings(deadline=None, max_examples=100)
    def test_the_fast_reading_is_that_of_every_control_file(self, pieces):
        content = b"".join(pieces)
        self.assertEqual(
            list(_numbered(content)), [(line.number, line.text) for line in parse_lines(content)]
        )

    def test_a_long_list_has_its_last_line(self):
        check = self.text(*(b"user%d@x.example" % number for number in range(100_000)))
        self.assert_exists(check, b"user99999@x.example")
        self.assert_refused(check, b"user100000@x.example", f"not in {self.path}")
