"""Tests for header fields and the message with its edits."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl.host import message_source
from mvmtr.mfl.sieve import fields
from mvmtr.mfl.sieve.message import Message

quickly = settings(deadline=None, max_examples=150)

TEXT = b"""\
Received: from a
\tby b; today
Received: from c
Subject: =?utf-8?q?caf=C3=A9?=
X-Empty:
No field here
 and more of it
From : Frop <frop@example.org>

body
"""


def message(text: bytes = TEXT) -> Message:
    """A message from its text."""
    return Message(message_source(text))


class FieldTests(SynchronousTestCase):
    """Header fields as they are written."""

    def test_values_are_unfolded_trimmed_and_decoded(self) -> None:
        found = message()
        self.assertEqual(found.values(b"RECEIVED"), [b"from a\tby b; today", b"from c"])
        self.assertEqual(found.values(b"subject"), ["café".encode()])
        self.assertEqual(found.values(b"x-empty"), [b""])
        self.assertEqual(found.values(b"from"), [b"Frop <frop@example.org>"])
        self.assertEqual(found.values(b"to"), [])

    def test_a_line_that_is_no_field_has_no_name(self) -> None:
        self.assertEqual(message().values(b""), [])
        self.assertEqual(message().values(b"no field here"), [])

    def test_a_new_field_is_folded_at_spaces(self) -> None:
        field = fields.make(b"X-Long", b"word " * 40)
        self.assertTrue(all(len(line) <= 78 for line in field.written.split(b"\n")))
        self.assertEqual(field.value, (b"word " * 40).strip())

    def test_a_word_that_is_too_long_is_not_broken(self) -> None:
        self.assertEqual(fields.make(b"X", b"w" * 200).written, b"X: " + b"w" * 200)

    def test_a_new_field_is_ascii(self) -> None:
        field = fields.make(b"Subject", "grüße".encode())
        self.assertTrue(field.written.isascii())
        self.assertEqual(field.value, "grüße".encode())

    def test_line_ends_in_a_value_become_folds(self) -> None:
        field = fields.make(b"X", b"one\r\ntwo\n\n  three\rfour\n")
        self.assertEqual(field.written, b"X: one\n two\n three\n four")

    def test_what_can_be_no_field_is_refused(self) -> None:
        for name, value in (
            (b"", b"x"),
            (b"a b", b"x"),
            (b"a:", b"x"),
            ("é".encode(), b"x"),
            (b"a\n", b"x"),
            (b"a" * 300, b"x"),
            (b"a", b"x\0y"),
            (b"a", b"\xff"),
            (b"a", b"\x1b[0m"),
        ):
            self.assertRaises(ValueError, fields.make, name, value)

    @quickly
    @given(st.text(max_size=200))
    def test_a_value_never_becomes_two_fields(self, value: str) -> None:
        try:
            field = fields.make(b"X-Test", value.encode("utf-8", "replace"))
        except ValueError:
            return
        self.assertEqual(len(fields.split(field.written + b"\n")), 1)
        self.assertNotIn(b"\r", field.written)

    @quickly
    @given(st.binary(max_size=200))
    def test_a_header_that_is_taken_apart_can_be_put_together(self, header: bytes) -> None:
        joined = b"\n".join(field.written for field in fields.split(header))
        self.assertEqual(joined, header.removesuffix(b"\n"))


class MessageTests(SynchronousTestCase):
    """A message and its edits."""

    def test_an_unchanged_header_is_the_one_received(self) -> None:
        found = message()
        found.values(b"subject")
        self.assertFalse(found.edited)
        self.assertEqual(found.header(), TEXT.partition(b"\n\n")[0] + b"\n")

    def test_a_field_is_added_before_or_after_all_others(self) -> None:
        found = message()
        found.add(b"X-Tag", b"last", last=True)
        found.add(b"X-Tag", b"first", last=False)
        self.assertEqual(found.values(b"x-tag"), [b"first", b"last"])
        self.assertTrue(found.header().startswith(b"X-Tag: first\nReceived: from a\n\tby b"))
        self.assertTrue(found.header().endswith(b"\nX-Tag: last\n"))
        self.assertTrue(found.edited)

    def test_all_fields_of_a_name_are_deleted(self) -> None:
        found = message()
        self.assertEqual(found.delete(b"received"), 2)
        self.assertEqual(found.values(b"Received"), [])
        self.assertNotIn(b"by b", found.header())
        self.assertIn(b"No field here\n and more of it\n", found.header())

    def test_a_name_is_not_the_beginning_of_another(self) -> None:
        found = message(b"X-AB: 1\nX-A: 2\n x-a: 3\nX-A : 4\nX-A\nx-a:5")
        self.assertEqual(found.values(b"X-a"), [b"2 x-a: 3", b"4", b"5"])
        self.assertEqual(found.values(b"x-a: 2"), [])
        self.assertEqual(found.values(b"x-ab: 1\nx-a"), [])

    def test_the_last_field_may_lack_its_line_end(self) -> None:
        for text in (b"A: 1\nB: 2", b"A: 1\nB: 2\n"):
            found = message(text)
            found.add(b"C", b"3", last=True)
            self.assertEqual(found.header(), b"A: 1\nB: 2\nC: 3\n")
            found.delete(b"c")
            found.delete(b"b")
            found.delete(b"a")
            self.assertEqual(found.header(), b"")

    def test_what_continues_no_field_does_not_continue_a_new_one(self) -> None:
        found = message(b" stray\n\tline\nA: 1\n\n")
        found.add(b"B", b"2", last=False)
        self.assertEqual(found.header(), b" stray\n\tline\nB: 2\nA: 1\n")
        self.assertEqual(found.values(b"b"), [b"2"])

    def test_an_edit_is_seen_at_once(self) -> None:
        found = message(b"A: 1\n\n")
        self.assertEqual(found.values(b"a"), [b"1"])
        found.add(b"A", b"2", last=True)
        self.assertEqual(found.values(b"a"), [b"1", b"2"])
        self.assertEqual(found.count, 2)

    @quickly
    @given(st.binary(max_size=120), st.sampled_from([b"a", b"X-A", b"b"]))
    def test_fields_are_those_of_a_header_taken_apart(self, junk: bytes, name: bytes) -> None:
        junk = junk.replace(b"1", b"\nA:").replace(b"2", b"\n ").replace(b"3", b"\nx-a :")
        found = message(junk.replace(b"\n\n", b"\n"))
        expected = [
            each.raw for each in fields.split(found.header()) if each.name.lower() == name.lower()
        ]
        self.assertEqual([each.raw for each in found.fields(name.lower())], expected)

    def test_deleting_what_is_not_there_changes_nothing(self) -> None:
        found = message()
        self.assertEqual(found.delete(b"x-none"), 0)
        self.assertFalse(found.edited)

    def test_only_those_that_are_wanted_are_deleted(self) -> None:
        found = message()
        self.assertEqual(found.delete(b"received", lambda field: b"from c" in field.raw), 1)
        self.assertEqual(len(found.values(b"received")), 1)

    def test_sizes_are_those_on_the_wire(self) -> None:
        found = message(b"A: b\n\nc\nd\n")
        self.assertEqual((found.size, found.body_size), (14, 6))
        self.assertEqual(message(b"\nabc").body_size, 3)
        self.assertEqual(message(b"A: b\n").body_size, 0)

    def test_a_message_may_have_no_header(self) -> None:
        found = message(b"\nabc\n")
        self.assertEqual(found.header(), b"")
        self.assertEqual(found.body(), b"abc\n")
        found.add(b"A", b"b", last=True)
        self.assertEqual(found.header(), b"A: b\n")
