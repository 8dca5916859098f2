"""Tests for L{mvmtr.auth.scram}."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.cred.error import UnauthorizedLogin
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mvmtr.auth.sasl import PlainCredentials, ScramSha256
from mvmtr.auth.scram import (
    ITERATIONS,
    ScramFile,
    ScramFileError,
    line_for,
    parse,
    prepared,
)
from mvmtr.test.auth_support import ITERATIONS as FEW
from mvmtr.test.auth_support import PASSWORD, USER, scram_client, scram_file, scram_path
from mvmtr.test.support import folder

LINE = line_for(USER, PASSWORD, FEW)


class LineTests(SynchronousTestCase):
    """One line for each user."""

    def test_a_line_is_read_as_it_was_written(self):
        users = parse(b"# users\n\n" + LINE + b"\r\n  " + line_for(b"bob:x", b"y", FEW) + b"\n")
        self.assertEqual(set(users), {USER, b"bob:x"})
        self.assertTrue(users[USER].accepts(PASSWORD))
        self.assertFalse(users[USER].accepts(b"wrong"))
        self.assertFalse(users[USER].accepts(b"\xff"))
        self.assertFalse(users[USER].accepts(b""))

    def test_the_line_of_the_example_of_postgresql_is_the_same_form(self):
        line = (
            b"user:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
            b"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
            b"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        )
        self.assertTrue(parse(line)[b"user"].accepts(b"pencil"))

    def test_two_lines_for_one_password_have_nothing_in_common(self):
        other = line_for(USER, PASSWORD, FEW)
        parts = [
            set(line.partition(b"$")[2].replace(b"$", b":").split(b":")[1:])
            for line in (LINE, other)
        ]
        self.assertEqual(parts[0] & parts[1], set())

    def test_the_default_is_a_lot_of_work(self):
        self.assertGreaterEqual(ITERATIONS, 100_000)
        self.assertIn(b"$%d:" % ITERATIONS, line_for(USER, PASSWORD))

    def test_bad_lines_are_named_by_their_number(self):
        for bad in (
            b"ann",
            b"ann:open sesame",
            b":" + LINE.partition(b":")[2],
            LINE.replace(b"SHA-256", b"SHA-1"),
            LINE.replace(b"$4096:", b"$4095:"),
            LINE.replace(b"$4096:", b"$99999999:"),
            LINE.replace(b"$4096:", b"$04096:"),
            LINE[:-4],
            LINE + b"A",
            LINE + b":x",
            b"ann:SCRAM-SHA-256$4096:AAAA$" + LINE.rpartition(b"$")[2],
        ):
            error = self.assertRaises(ScramFileError, parse, b"#\n" + bad + b"\n")
            self.assertEqual(str(error), "line 2 is no USER:SCRAM-SHA-256$...", bad)

    def test_a_user_is_there_once(self):
        error = self.assertRaises(ScramFileError, parse, LINE + b"\n" + LINE)
        self.assertEqual(str(error), "line 2 is there twice")

    def test_what_can_not_be_in_a_line(self):
        for user, password in (
            (b"", b"x"), (b"a\nb", b"x"), (b"#a", b"x"), (b"\xff", b"x"), (b" a", b"x"),
            (b"a", b""), (b"a", b"x\ny"), (b"a", b"\xff"), (b"a", b"\0"),
        ):  # fmt: skip
            self.assertRaises(ValueError, line_for, user, password)

    def test_names_and_passwords_have_one_form(self):
        self.assertEqual(prepared("Ⅸ".encode()), b"IX")
        users = parse(line_for("Ⅸ".encode(), "pass\u00adword".encode(), FEW))
        self.assertTrue(users[b"IX"].accepts(b"password"))

    def test_nothing_shows_the_keys(self):
        self.assertEqual(repr(parse(LINE)), "{b'ann': <Verifier>}")

    @settings(deadline=None, max_examples=200)
    @given(
        st.binary(max_size=80) | st.text("ann:SCRAM-SHA-256$4096:=\n", max_size=60).map(str.encode)
    )
    def test_no_content_breaks_it(self, content):
        try:
            users = parse(content)
        except ScramFileError as error:
            self.assertRegex(str(error), r"\Aline \d+ is ")
        else:
            self.assertEqual(users, {})


class FileTests(TestCase):
    """The checker."""

    def setUp(self):
        self.home = folder(self)
        self.checker = scram_file(self.home)
        self.path = self.home / "keys"

    async def ask(self, user=USER, password=PASSWORD):
        return await self.checker.requestAvatarId(PlainCredentials(user, password))

    async def refused(self, *credentials):
        with self.assertRaises(UnauthorizedLogin):
            await self.ask(*credentials)

    async def test_a_password_in_clear(self):
        self.assertEqual(await self.ask(), USER)
        await self.refused(USER, b"wrong")
        await self.refused(b"nobody", PASSWORD)
        await self.refused(b"\xff", PASSWORD)
        await self.refused(USER, b"\xff")

    async def scram(self, user=USER, password=PASSWORD):
        mechanism = ScramSha256(self.checker.salt_of)
        client = scram_client(user, password)
        client.set_server_first(mechanism.answer(client.get_client_first().encode()).decode())
        return await self.checker.requestAvatarId(
            mechanism.answer(client.get_client_final().encode())
        )

    async def test_a_proof(self):
        self.assertEqual(await self.scram(), USER)
        for wrong in (USER, b"wrong"), (b"nobody", PASSWORD):
            with self.assertRaises(UnauthorizedLogin):
                await self.scram(*wrong)

    def test_users_that_are_not_there_look_like_those_who_are(self):
        known, unknown = self.checker.salt_of(USER), self.checker.salt_of(b"nobody")
        self.assertEqual((len(known[0]), known[1]), (len(unknown[0]), unknown[1]))
        self.assertNotEqual(known[0], unknown[0])
        self.assertNotEqual(unknown[0], self.checker.salt_of(b"nobody else")[0])

    def test_and_have_the_same_salt_in_each_process_and_after_an_edit(self):
        unknown = self.checker.salt_of(b"nobody")
        self.assertEqual(ScramFile(str(self.path)).salt_of(b"nobody"), unknown)
        with self.path.open("ab") as file:
            file.write(line_for(b"bob", b"x", FEW) + b"\n")
        self.assertEqual(self.checker.salt_of(b"nobody"), unknown)
        self.assertNotEqual(self.checker.salt_of(b"bob"), unknown)

    async def test_an_edit_holds_at_once(self):
        self.path.write_bytes(line_for(USER, b"new word", FEW) + b"\n")
        await self.refused()
        self.assertEqual(await self.ask(USER, b"new word"), USER)

    async def test_a_broken_edit_leaves_all_as_it_was(self):
        self.path.write_bytes(b"ann:open sesame\n")
        self.assertEqual(await self.ask(), USER)
        self.path.unlink()
        self.assertEqual(await self.ask(), USER)

    def test_at_first_it_must_be_right(self):
        error = self.assertRaises(ScramFileError, ScramFile, str(self.home / "none"))
        self.assertIn("No such file", str(error))
        self.path.write_bytes(b"ann:open sesame\n")
        error = self.assertRaises(ScramFileError, ScramFile, str(self.path))
        self.assertEqual(str(error), f"{self.path}: line 1 is no USER:SCRAM-SHA-256$...")

    async def test_an_empty_file_lets_nobody_in(self):
        self.path.write_bytes(b"")
        await self.refused()
        self.assertEqual(len(self.checker.salt_of(USER)[0]), 16)

    def test_a_path_does_not_depend_on_the_folder(self):
        path = scram_path(self.home)
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.home)
        checker = ScramFile("keys")
        os.chdir("/")
        path.write_bytes(line_for(b"bob", b"x", FEW))
        self.assertEqual(checker.salt_of(b"bob")[1], FEW)
        self.assertIn(b"bob", checker._users)
