"""Tests for L{mvmtr.compat.users}, with real homes and a real users/cdb."""

from __future__ import annotations

import os
import pwd
from threading import current_thread

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import maybeDeferred
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from mvmtr.compat.controlfile import ControlError
from mvmtr.compat.users import Rewriting, Users, instructions
from mvmtr.interfaces import ICheck
from mvmtr.session import Connection, Session, Stage
from mvmtr.settings import Settings
from mvmtr.test.support import control_folder, folder
from mvmtr.test.test_cdb import make_cdb

OWNER = os.getuid() or 7794
"""Who owns the homes: not root, and somebody to whom this process may give a folder."""

NOBODY = 65534

CONTROLS = {
    "me": "mx.example\n",
    "locals": "local.example\n",
    "virtualdomains": (
        "virtual.example:joe-virtual\n"
        ".wild.example:alias-wild\n"
        "not.wild.example:\n"
        "one@local2.example:joe\n"
        "no colon here\n"
    ),
}

STRANGER = Connection()


class UsersTestCase(SynchronousTestCase):
    """Has a qmail folder, and users who are known to it alone."""

    def setUp(self):
        self.folder = folder(self)
        self.folder.chmod(0o755)
        self.users = {}
        control_folder(self.folder, CONTROLS)
        self.add_user("alias", ".qmail-postmaster")
        self.joe = self.add_user("joe", ".qmail-list", ".qmail-open-default")

    def add_user(self, name, *files, uid=OWNER, owner=OWNER):
        home = self.folder / "home" / name
        home.mkdir(parents=True)
        for file in files:
            (home / file).write_bytes(b"")
        os.chown(home, owner, -1)
        self.users[name] = pwd.struct_passwd((name, "", uid, uid, "", str(home), ""))
        return home

    def make(self, in_thread=maybeDeferred):
        return Users(str(self.folder), self.users.__getitem__, in_thread)

    def ask(self, recipient, connection=STRANGER):
        session = Session(connection, Settings())
        answer = self.make().check(session, Stage.RCPT, recipient)
        return None if answer is None else self.successResultOf(answer)

    def assert_left_alone(self, *recipients):
        for recipient in recipients:
            self.assertIsNone(self.ask(recipient), recipient)

    def assert_refused(self, *recipients):
        for recipient in recipients:
            verdict = self.ask(recipient)
            self.assertIsNotNone(verdict, recipient)
            self.assertEqual(
                (verdict.name, verdict.code, verdict.text),
                ("reject", 550, "5.1.1 sorry, no mailbox here by that name (#5.1.1)"),
            )


class RewritingTests(UsersTestCase):
    """From a recipient to a local address, as qmail-send does it."""

    def local_part(self, address, **files):
        control = control_folder(self.folder, files)
        return Rewriting(str(control)).local_part(address)

    def test_a_local_host_leaves_the_local_part(self):
        self.assertEqual(self.local_part(b"Joe-Ext@LOCAL.example"), b"Joe-Ext")

    def test_a_host_that_is_neither_local_nor_virtual_is_elsewhere(self):
        for address in (b"joe@elsewhere.example", b"joe@sub.local.example", b"two@local2.example"):
            self.assertIsNone(self.local_part(address))

    def test_a_virtual_domain_puts_its_user_in_front(self):
        self.assertEqual(self.local_part(b"X@Virtual.Example"), b"joe-virtual-X")

    def test_a_wildcard_covers_what_is_below_but_not_its_exceptions(self):
        self.assertEqual(self.local_part(b"x@a.b.wild.example"), b"alias-wild-x")
        self.assertIsNone(self.local_part(b"x@wild.example"))
        self.assertIsNone(self.local_part(b"x@not.wild.example"))
        self.assertEqual(self.local_part(b"x@a.not.wild.example"), b"alias-wild-x")

    def test_a_single_address_can_be_virtual(self):
        self.assertEqual(self.local_part(b"ONE@local2.example"), b"joe-ONE")

    def test_locals_win_over_virtual_domains(self):
        self.assertEqual(self.local_part(b"a@l", locals="l\n", virtualdomains="l:u\n"), b"a")

    def test_an_empty_entry_covers_all_other_hosts(self):
        self.assertEqual(self.local_part(b"a@any", virtualdomains=":catch\nnot:\n"), b"catch-a")
        self.assertIsNone(self.local_part(b"a@not"))

    def test_the_last_of_several_entries_counts(self):
        self.assertEqual(self.local_part(b"a@v", virtualdomains="v:one\nV:two\n"), b"two-a")

    def test_me_is_local_where_there_is_no_locals(self):
        (self.folder / "control" / "locals").unlink()
        self.assertEqual(self.local_part(b"a@mx.example"), b"a")
        self.assertIsNone(self.local_part(b"a@mx.example", locals=""))

    def test_without_a_host_that_of_envnoathost_or_me_is_taken(self):
        self.assertIsNone(self.local_part(b"joe"))
        self.assertEqual(self.local_part(b"joe", locals="mx.example\n"), b"joe")
        self.assertIsNone(self.local_part(b"joe", envnoathost="other.example\n"))
        self.assertEqual(self.local_part(b"joe", locals="other.example\n"), b"joe")

    def test_percenthack_is_obeyed_as_often_as_it_applies(self):
        files = {"percenthack": "hack.example\n"}
        self.assertEqual(self.local_part(b"a%Local.example@HACK.example", **files), b"a")
        self.assertEqual(self.local_part(b"a%local.example%hack.example@hack.example"), b"a")
        self.assertEqual(self.local_part(b"a%b@local.example"), b"a%b")
        self.assertIsNone(self.local_part(b"a@hack.example"))

    def test_without_locals_and_me_there_is_an_error(self):
        for name in ("locals", "me"):
            (self.folder / "control" / name).unlink()
        with self.assertRaisesRegex(ControlError, "locals: No such file"):
            self.make()


class PasswdTests(UsersTestCase):
    """Who gets the mail where users/cdb does not say."""

    def test_it_is_a_check_and_names_its_files(self):
        check = self.make()
        verifyObject(ICheck, check)
        names = {os.path.relpath(path, self.folder) for path in check.paths}
        controls = ("me", "envnoathost", "locals", "percenthack", "virtualdomains")
        self.assertEqual(names, {"users/cdb", *(f"control/{name}" for name in controls)})

    def test_a_user_needs_no_qmail_file(self):
        self.assert_left_alone(b"joe@local.example", b"JOE@local.example")

    def test_an_unknown_name_is_refused_and_the_reason_tells_the_file(self):
        self.assert_refused(b"jim@local.example", b"joel@local.example", b"Jim.Knopf@local.example")
        path = self.folder / "home" / "alias" / ".qmail-jim:knopf"
        self.assertEqual(
            self.ask(b"Jim.Knopf@local.example").reason, f"neither {path} nor a default for it"
        )

    def test_aliases_have_a_qmail_file_of_the_user_alias(self):
        self.assert_left_alone(b"PostMaster@local.example")
        (self.folder / "home" / "alias" / ".qmail-default").write_bytes(b"")
        self.assert_left_alone(b"jim@local.example")

    def test_an_extension_needs_its_file_or_a_default(self):
        self.assert_left_alone(b"joe-list@local.example", b"Joe-LIST@local.example")
        self.assert_left_alone(b"joe-open-a@local.example", b"joe-open-a-b@local.example")
        self.assert_refused(b"joe-open@local.example", b"joe-other@local.example")
        self.assert_refused(b"joe-list-a@local.example", b"joe-@local.example")

    def test_a_virtual_domain_is_an_extension_of_its_user(self):
        self.assert_refused(b"a@virtual.example")
        (self.joe / ".qmail-virtual-a").write_bytes(b"")
        self.assert_left_alone(b"a@virtual.example")

    def test_the_longest_name_of_a_user_wins(self):
        self.add_user("joe-list-a", ".qmail-b")
        self.assert_left_alone(b"joe-list-a@local.example", b"joe-list-a-b@local.example")
        self.assert_refused(b"joe-list-a-c@local.example")

    def test_a_name_of_more_than_31_bytes_is_nobodys(self):
        self.add_user("u" * 31)
        self.add_user("v" * 32)
        self.assert_left_alone(b"u" * 31 + b"@local.example")
        self.assert_refused(b"v" * 32 + b"@local.example")

    def test_root_and_users_who_do_not_own_their_home_get_no_mail(self):
        self.users["admin"] = pwd.struct_passwd(("admin", "", 0, 0, "", "/", ""))
        self.add_user("other", uid=OWNER + 1)
        gone = str(self.folder / "gone")
        self.users["gone"] = pwd.struct_passwd(("gone", "", OWNER, OWNER, "", gone, ""))
        self.assert_refused(*(name + b"@local.example" for name in (b"admin", b"other", b"gone")))

    def test_without_a_user_alias_nothing_is_known(self):
        del self.users["alias"]
        self.assert_left_alone(b"jim@local.example")

    def test_users_who_cannot_be_looked_up_are_not_known(self):
        def fails(name):
            raise OSError(5, "directory service")

        check = Users(str(self.folder), fails, maybeDeferred)
        session = Session(Connection(), Settings())
        answer = check.check(session, Stage.RCPT, b"jim@local.example")
        self.assertIsNone(self.successResultOf(answer))

    def test_recipients_elsewhere_empty_ones_and_those_of_relay_clients_are_left_alone(self):
        self.assert_left_alone(b"jim@elsewhere.example", b"@local.example", b"")
        relay = Connection(environment={b"RELAYCLIENT": b""})
        self.assertIsNone(self.ask(b"jim@local.example", relay))


class HomeTests(UsersTestCase):
    """What can't be seen, or will be different in a moment, is left alone."""

    def test_the_names_are_tried_from_the_longest_to_the_shortest(self):
        self.assertEqual(
            list(instructions(b"-", b"A.b-c")),
            [b".qmail-a:b-c", b".qmail-a:b-default", b".qmail-default"],
        )
        self.assertEqual(
            list(instructions(b"-", b"a-")), [b".qmail-a-", b".qmail-a-default", b".qmail-default"]
        )

    def test_a_home_that_is_writable_or_sticky_is_left_alone(self):
        for mode in (0o757, 0o1755):
            self.joe.chmod(mode)
            self.assert_left_alone(b"joe-other@local.example")
        self.joe.chmod(0o755)
        self.assert_refused(b"joe-other@local.example")

    def test_what_is_no_regular_file_is_left_alone(self):
        (self.joe / ".qmail-folder").mkdir()
        self.assert_left_alone(b"joe-folder@local.example")

    def test_a_link_to_nothing_is_no_file(self):
        (self.joe / ".qmail-link").symlink_to("nowhere")
        self.assert_refused(b"joe-link@local.example")

    def test_a_name_too_long_for_a_file_or_below_a_file_is_refused(self):
        self.assert_refused(b"joe-%s@local.example" % (b"x" * 300))
        self.assert_refused(b"joe-list/x@local.example", b"joe-../list@local.example")

    def test_homes_that_this_process_may_not_enter_are_left_alone(self):
        self.assert_refused(b"joe-other@local.example")
        check = self.make()
        self.joe.chmod(0)
        if os.geteuid() == 0:
            self.addCleanup(os.seteuid, 0)
            os.seteuid(NOBODY)
        session = Session(Connection(), Settings())

        def answer(recipient):
            return self.successResultOf(check.check(session, Stage.RCPT, recipient))

        self.assertIsNone(answer(b"joe-other@local.example"))
        self.assertIsNone(answer(b"joe-list@local.example"))
        self.assertEqual(answer(b"jim@local.example").code, 550)

    def test_homes_below_a_folder_that_may_not_be_entered_are_left_alone(self):
        check = self.make()
        self.joe.parent.chmod(0)
        self.addCleanup(self.joe.parent.chmod, 0o755)
        if os.geteuid() == 0:
            self.addCleanup(os.seteuid, 0)
            os.seteuid(NOBODY)
        session = Session(Connection(), Settings())
        answer = check.check(session, Stage.RCPT, b"jim@local.example")
        self.assertIsNone(self.successResultOf(answer))

    @given(st.binary(max_size=40).filter(lambda local: b"\0" not in local))
    @settings(deadline=None, max_examples=100)
    def test_every_recipient_is_refused_or_left_alone(self, local):
        verdict = self.ask(local + b"@local.example")
        self.assertIn(None if verdict is None else verdict.code, (None, 550))


class CdbTests(UsersTestCase):
    """users/cdb, as qmail-newu makes it of users/assign."""

    def setUp(self):
        super().setUp()
        self.ann = self.add_user("ann", ".qmail-box", ".qmail-sub-default")
        (self.folder / "users").mkdir()
        self.path = self.folder / "users" / "cdb"

    def assign(self, *assignments):
        """Assignments in the form of qmail-users.5, without the last colon."""
        pairs, ends = [], b""
        for line in assignments:
            address, *rest = line.split(b":")
            key = b"!" + address[1:].lower()
            if address.startswith(b"="):
                key += b"\0"
            elif address[1:] and address[-1:] not in ends:
                ends += address[-1:]
            pairs.append((key, b"\0".join(rest)))
        make_cdb(self.path, [*pairs, (b"", ends)])

    def entry(self, dash=b"", ext=b"", home=None, uid=b"%d" % OWNER):
        return b":ann:%s:1:%s:%s:%s" % (uid, os.fsencode(home or self.ann), dash, ext)

    def test_a_simple_assignment_is_for_one_address_without_regard_to_case(self):
        self.assign(b"=Ann.Other" + self.entry())
        self.assert_left_alone(b"ann.other@local.example", b"ANN.OTHER@local.example")
        self.assert_refused(b"ann.othe@local.example", b"ann.other-x@local.example")

    def test_an_assignment_with_a_dash_needs_its_file(self):
        self.assign(b"=one" + self.entry(b"-", b"box"), b"=two" + self.entry(b"-", b"none"))
        self.assert_left_alone(b"one@local.example")
        self.assert_refused(b"two@local.example")

    def test_a_wildcard_passes_the_rest_on(self):
        self.assign(b"+Zoe-" + self.entry(b"-"), b"+pre_" + self.entry(b"-", b"sub-"))
        self.assert_left_alone(b"zoe-Box@local.example", b"pre_any@local.example")
        self.assert_refused(b"zoe-@local.example", b"zoe-other@local.example", b"zoe@local.example")

    def test_the_longest_wildcard_wins_and_a_simple_assignment_over_all(self):
        self.assign(
            b"+" + self.entry(b"-"),
            b"+a-" + self.entry(),
            b"+a-b-" + self.entry(b"-"),
            b"=a-b-c" + self.entry(),
        )
        self.assert_left_alone(b"a-x@local.example", b"a-b-c@local.example", b"box@local.example")
        self.assert_refused(b"a-b-d@local.example", b"joe@local.example")

    def test_only_the_listed_characters_end_a_wildcard(self):
        make_cdb(self.path, [(b"!zo", self.entry()[1:].replace(b":", b"\0")), (b"", b"-")])
        self.assert_refused(b"zoe@local.example")
        self.assign(b"+zo" + self.entry())
        self.assert_left_alone(b"zoe@local.example")

    def test_who_is_not_assigned_is_looked_for_among_the_users(self):
        self.assign(b"=one" + self.entry())
        self.assert_left_alone(b"joe@local.example")
        self.assert_refused(b"jim@local.example")

    def test_what_qmail_would_try_again_later_is_left_alone(self):
        self.assign(
            b"=root" + self.entry(b"-", b"none", uid=b"0"),
            b"=gone" + self.entry(b"-", b"none", home=self.folder / "gone"),
            b"=short:ann:1:1:/home/ann",
            b"=relative" + self.entry(b"-", b"none", home="."),
        )
        for name in (b"root", b"gone", b"short", b"relative"):
            self.assert_left_alone(name + b"@local.example")

    def test_a_damaged_cdb_leaves_all_recipients_alone(self):
        self.assign(b"=one" + self.entry(b"-", b"none"))
        self.assert_refused(b"one@local.example", b"jim@local.example")
        for content in (b"", self.path.read_bytes()[:2048]):
            self.path.write_bytes(content)
            self.assert_left_alone(b"one@local.example", b"jim@local.example")
        make_cdb(self.path, [(b"!one\0", b"")])
        self.assert_left_alone(b"one@local.example", b"jim@local.example")

    def test_a_cdb_that_cannot_be_opened_is_an_error(self):
        self.path.symlink_to(self.path)
        with self.assertRaisesRegex(ControlError, "users/cdb"):
            self.make()


class ThreadTests(TestCase):
    """What may wait for a disk does not hold up the reactor."""

    async def test_users_and_homes_are_looked_at_in_a_thread(self):
        home = folder(self)
        control_folder(home, CONTROLS)
        threads = []

        def passwd(name):
            threads.append(current_thread())
            raise KeyError(name)

        check = Users(str(home), passwd)
        session = Session(Connection(), Settings())
        self.assertIsNone(await check.check(session, Stage.RCPT, b"jim@local.example"))
        self.assertEqual(len(threads), 2)
        self.assertNotIn(current_thread(), threads)
