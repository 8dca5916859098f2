"""Tests for L{mvmtr.checks.submission}."""

from __future__ import annotations

import os
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mvmtr.assemble import Assembly, ConfigurationError, Sources
from mvmtr.checks.submission import SenderMap, Submission, parse_map
from mvmtr.interfaces import ICheck
from mvmtr.session import Session, Stage
from mvmtr.settings import Settings
from mvmtr.test.support import CLIENT, control_folder, folder
from mvmtr.values import SettingError


def session(user=None, **environment):
    """A session of a user."""
    variables = {name.encode(): value.encode() for name, value in environment.items()}
    made = Session(replace(CLIENT, environment=variables), Settings())
    made.user = user
    if user:
        made.relay = "authenticated"
    return made


class MapTests(SynchronousTestCase):
    """The file."""

    def test_each_user_has_senders(self):
        self.assertEqual(
            parse_map(b"#x\nann: a@b A@C\r\n \nbob : @d,*\nann:e@f\nnone:"),
            {
                b"ann": {b"a@b", b"a@c", b"e@f"},
                b"bob": {b"@d", b"*"},
                b"none": frozenset(),
            },
        )

    def test_bad_lines_are_named_by_their_number(self):
        for bad in b"ann", b": a@b", b"ann: bob", b"ann: a@b **":
            error = self.assertRaises(SettingError, parse_map, b"\n" + bad)
            self.assertIn("line 2", str(error))

    @settings(deadline=None, max_examples=200)
    @given(st.text("ab:@*,# \n\r\t", max_size=40).map(str.encode) | st.binary(max_size=40))
    def test_no_content_breaks_it(self, content):
        try:
            found = parse_map(content)
        except SettingError:
            return
        for user, senders in found.items():
            self.assertTrue(user)
            self.assertTrue(all(b"@" in one or one == b"*" for one in senders))


class SenderMapTests(SynchronousTestCase):
    """The check."""

    def setUp(self):
        self.path = folder(self) / "senders"
        self.path.write_bytes(
            b"ann: ann@example.org, Sales@example.org\nbob: @example.net\nroot: *\nnone:\n"
        )
        self.check = SenderMap(str(self.path))

    def code(self, user, sender, check=None):
        verdict = (check or self.check).check(session(user), Stage.MAIL, sender)
        return verdict and verdict.code

    def test_it_is_a_check(self):
        self.assertTrue(verifyObject(ICheck, self.check))
        self.assertEqual(self.check.paths, (str(self.path),))

    def test_senders_of_the_user(self):
        for user, sender in (
            (b"ann", b"ann@example.org"),
            (b"ann", b"ANN@Example.ORG"),
            (b"ann", b"sales@example.org"),
            (b"bob", b"anybody@example.net"),
            (b"root", b"ann@example.org"),
            (b"root", b"no-domain"),
            (b"eve@example.com", b"Eve@example.com"),
        ):
            self.assertIsNone(self.code(user, sender), (user, sender))

    def test_senders_of_others(self):
        for user, sender in (
            (b"ann", b"bob@example.net"),
            (b"ann", b"ann@example.org.evil.example"),
            (b"ann", b"x,ann@example.org"),
            (b"ann", b"ann"),
            (b"ANN", b"ann@example.org"),
            (b"bob", b"bob@sub.example.net"),
            (b"bob", b"a@example.net@evil.example"),
            (b"bob", b"@"),
            (b"none", b"none@example.org"),
            (b"nobody", b"ann@example.org"),
            (b"nobody", b"nobody"),
            (b"eve@example.com", b"adam@example.com"),
            (b"*", b"ann@example.org"),
        ):
            self.assertEqual(self.code(user, sender), 550, (user, sender))

    def test_the_null_sender_is_everybody_s(self):
        self.assertIsNone(self.code(b"none", b""))

    def test_who_has_not_authenticated_is_not_looked_at(self):
        self.assertIsNone(self.code(None, b"ann@example.org"))

    def test_without_a_map_there_is_the_name_of_the_user(self):
        check = SenderMap("")
        self.assertIsNone(self.code(b"ann@example.org", b"ann@example.org", check))
        for user in b"ann", b"bob@example.org":
            self.assertEqual(self.code(user, b"ann@example.org", check), 550)

    def test_the_reason_names_the_map(self):
        verdict = self.check.check(session(b"bob"), Stage.MAIL, b"ann@example.org")
        self.assertEqual(verdict.reason, f"{self.path} does not give it to bob")


class SubmissionTests(SynchronousTestCase):
    """AUTH first, and full domains."""

    def verdict(self, session, stage, argument):
        found = Submission().check(session, stage, argument)
        return found and (found.code, found.text[:5])

    def test_it_is_a_check(self):
        self.assertTrue(verifyObject(ICheck, Submission()))

    def test_mail_needs_authentication(self):
        for sender in b"", b"ann@example.org", b"ann":
            self.assertEqual(self.verdict(session(), Stage.MAIL, sender), (530, "5.7.0"))
        self.assertIsNone(self.verdict(session(b"ann"), Stage.MAIL, b"ann@example.org"))

    def test_a_client_that_may_relay_needs_none(self):
        self.assertIsNone(self.verdict(session(RELAYCLIENT=""), Stage.MAIL, b"ann@example.org"))

    def test_domains_are_full_names(self):
        for stage, code in (Stage.MAIL, (554, "5.1.7")), (Stage.RCPT, (554, "5.1.2")):
            for address in b"ann", b"ann@host", b"ann@host.", b"ann@.host", b"ann@", b"ann@[x":
                self.assertEqual(self.verdict(session(b"ann"), stage, address), code, address)
            for address in b"ann@a.example", b"ann@a.example.", b"ann@[192.0.2.1]", b"a@[IPv6:::1]":
                self.assertIsNone(self.verdict(session(b"ann"), stage, address), address)
        self.assertIsNone(self.verdict(session(b"ann"), Stage.MAIL, b""))
        self.assertIsNone(self.verdict(session(b"ann"), Stage.RCPT, b"PostMaster"))


class AssemblyTests(SynchronousTestCase):
    """When the checks are there."""

    def setUp(self):
        self.control = control_folder(folder(self), {"rcpthosts": "x.example"})

    def assembly(self, submission=False, **overrides):
        from twisted.internet.task import Clock

        sources = Sources(
            control_dir=str(self.control),
            queue="discard:",
            submission=submission,
            overrides=overrides,
        )
        return Assembly(sources, Clock())

    def names(self, *arguments, **overrides):
        checks = self.assembly(*arguments, **overrides).configuration.policy.checks
        return [check.name for check in checks if check.name in ("submission", "sender_map")]

    def test_they_are_there_for_submission(self):
        self.assertEqual(self.names(), [])
        self.assertEqual(self.names(True), ["submission", "sender_map"])

    def test_a_map_holds_without_submission_too(self):
        (self.control / "senders").write_bytes(b"ann: a@b\n")
        self.assertEqual(self.names(smtp_server_sender_map="senders"), ["sender_map"])

    def test_the_map_is_one_of_the_files_that_are_watched(self):
        path = self.control / "senders"
        path.write_bytes(b"ann: a@b\n")
        self.assertIn(str(path), self.assembly(True, smtp_server_sender_map="senders").paths)
        self.assertIn(str(path), self.assembly(smtp_server_sender_map=str(path)).paths)

    def test_a_bad_map_is_an_error(self):
        path = self.control / "senders"
        for content, wanted in (None, os.strerror(2)), (b"ann", "line 1 is not USER: SENDER..."):
            if content:
                path.write_bytes(content)
            error = self.assertRaises(
                ConfigurationError, self.assembly, smtp_server_sender_map="senders"
            )
            self.assertEqual(str(error), f"{path}: {wanted}")
