"""Tests for L{mvmtr.compat.controlfile}."""

from __future__ import annotations

import os
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.compat.controlfile import ControlError, entries, leading_number, parse_lines, read_lines
from mvmtr.test.support import folder

PURE = settings(deadline=None, max_examples=200)

SOME_BYTE = st.sampled_from([b"a", b".", b"@", b"#", b"\\", b" ", b"\t", b"\r", b"\0", b"\xff"])
SOME_TEXT = st.lists(SOME_BYTE, max_size=6).map(b"".join)
NOISE = st.lists(st.sampled_from([b"", b" \t", b"\r", b"#", b"# no\\", b"#\\\r"]), max_size=2)


def texts(content):
    return [line.text for line in parse_lines(content)]


def numbers(content):
    return [line.number for line in parse_lines(content)]


def as_qmail_reads(content):
    """The lines that stock qmail would keep, and their numbers."""
    stripped = (line.rstrip(b" \t") for line in content.split(b"\n"))
    return [
        (text, number)
        for number, text in enumerate(stripped, 1)
        if text and not text.startswith(b"#")
    ]


@st.composite
def written_out(draw):
    """
    Lines, and a file that means them: each in protected pieces, with comments and blank
    lines around every piece.
    """
    meant, file = [], []
    for pieces in draw(st.lists(st.lists(SOME_TEXT, min_size=1, max_size=3), max_size=4)):
        pieces[-1] = pieces[-1].rstrip(b" \t\r\\")
        file += draw(NOISE)
        meant.append((b"".join(pieces), len(file) + 1))
        for piece in pieces[:-1]:
            file += [b"\\" + piece + b"\\" + draw(st.sampled_from([b"", b" ", b"\r"]))]
            file += draw(NOISE)
        file.append(b"\\" + pieces[-1] + draw(st.sampled_from([b"", b"\t", b"\r"])))
    return meant, b"\n".join(file + draw(NOISE))


class ParseTests(SynchronousTestCase):
    """Every form that the compatibility document names."""

    def test_comments_and_blank_lines_are_skipped(self):
        self.assertEqual(texts(b"# one\n\n \t \na\n#b\n\nc # d\n"), [b"a", b"c # d"])

    def test_a_comment_begins_in_the_first_column_only(self):
        self.assertEqual(texts(b" #a\n"), [b" #a"])

    def test_an_empty_file_has_no_lines(self):
        for content in (b"", b"\n", b"\n\n", b"#", b"\r\n"):
            self.assertEqual(texts(content), [])

    def test_the_last_line_needs_no_line_feed(self):
        self.assertEqual(texts(b"a\nb"), [b"a", b"b"])

    def test_a_leading_backslash_protects_a_comment_sign(self):
        self.assertEqual(texts(b"\\#a\n"), [b"#a"])

    def test_a_leading_backslash_makes_a_blank_line_count(self):
        self.assertEqual(texts(b"\\\n\\  \na\n"), [b"", b"", b"a"])

    def test_only_one_leading_backslash_is_taken_off(self):
        self.assertEqual(texts(b"\\\\a\n\\b\n"), [b"\\a", b"b"])

    def test_a_trailing_backslash_appends_the_next_line(self):
        self.assertEqual(texts(b"a \\\nb\\\nc\nd\n"), [b"a bc", b"d"])

    def test_a_continuation_looks_past_comments_and_blank_lines(self):
        self.assertEqual(texts(b"a\\\n# no\n\n \t\n# no\\\nb\nc\n"), [b"ab", b"c"])

    def test_a_continuation_may_be_protected(self):
        self.assertEqual(texts(b"a\\\n\\#b\n"), [b"a#b"])

    def test_a_protected_blank_line_ends_a_continuation(self):
        self.assertEqual(texts(b"a\\\n\\\nb\n"), [b"a", b"b"])

    def test_leading_blanks_of_a_continuation_count(self):
        self.assertEqual(texts(b"a\\\n  b\n"), [b"a  b"])

    def test_a_continuation_at_the_end_of_the_file_ends_there(self):
        for end in (b"", b"\n", b"\n\n# no\n"):
            self.assertEqual(texts(b"a\nb\\" + end), [b"a", b"b"])

    def test_blanks_behind_a_trailing_backslash_do_not_hide_it(self):
        self.assertEqual(texts(b"a\\ \t\nb\n"), [b"ab"])

    def test_a_backslash_within_a_line_is_text(self):
        self.assertEqual(texts(b"a\\b\n"), [b"a\\b"])

    def test_trailing_blanks_do_not_count_and_leading_ones_do(self):
        self.assertEqual(texts(b"a \t \n b\n"), [b"a", b" b"])

    def test_a_file_from_windows_reads_the_same(self):
        content = b"# one\n\na\\\n# two\nb\n\\#c\n\\\n"
        self.assertEqual(parse_lines(content.replace(b"\n", b"\r\n")), parse_lines(content))

    def test_a_carriage_return_within_a_line_is_text(self):
        self.assertEqual(texts(b"a\rb\r\n"), [b"a\rb"])

    def test_a_line_has_the_number_on_which_it_begins(self):
        self.assertEqual(numbers(b"#\n\na\\\n#\n\nb\nc\n"), [3, 7])

    @PURE
    @given(st.lists(SOME_TEXT, max_size=8))
    def test_without_backslashes_and_crs_a_file_means_what_it_means_to_qmail(self, lines):
        content = b"\n".join(re.sub(rb"[\\\r]", b"", line) for line in lines)
        found = [(line.text, line.number) for line in parse_lines(content)]
        self.assertEqual(found, as_qmail_reads(content))

    @PURE
    @given(written_out())
    def test_any_lines_can_be_written_in_pieces(self, case):
        meant, content = case
        found = [(line.text, line.number) for line in parse_lines(content)]
        self.assertEqual(found, meant)

    @PURE
    @given(st.binary(max_size=300) | st.lists(SOME_BYTE | st.just(b"\n")).map(b"".join))
    def test_any_bytes_can_be_parsed(self, content):
        lines = parse_lines(content)
        for line in lines:
            self.assertNotIn(b"\n", line.text)
            self.assertTrue(1 <= line.number <= content.count(b"\n") + 1)
        order = [line.number for line in lines]
        self.assertEqual(order, sorted(set(order)))
        entries(lines)


class EntriesTests(SynchronousTestCase):
    """List files as qmail's constmap reads them."""

    def entries(self, content):
        return entries(parse_lines(content))

    def test_only_ascii_letters_are_folded(self):
        self.assertEqual(list(self.entries(b"AbZ\xc4\xd6.\xc3\x84\n")), [b"abz\xc4\xd6.\xc3\x84"])

    def test_the_first_of_equal_entries_gives_the_line(self):
        self.assertEqual(self.entries(b"#\na\nb\nA\n"), {b"a": 2, b"b": 3})

    def test_a_nul_splits_a_line(self):
        self.assertEqual(self.entries(b"x\na\0b\0c\n"), {b"x": 1, b"a": 2, b"b": 2, b"c": 2})

    def test_two_nuls_hold_an_empty_entry(self):
        self.assertEqual(self.entries(b"a\0\0b\n"), {b"a": 1, b"": 1, b"b": 1})

    def test_a_line_that_begins_with_a_nul_is_skipped(self):
        self.assertEqual(self.entries(b"\0a\0b\nc\n"), {b"c": 2})


class ReadTests(SynchronousTestCase):
    """What is there and can't be read is an error, never an empty file."""

    def setUp(self):
        self.path = folder(self) / "me"

    def assertUnreadable(self, pattern):
        error = self.assertRaises(ControlError, read_lines, str(self.path))
        self.assertIn(str(self.path), str(error))
        self.assertRegex(str(error), pattern)

    def test_a_missing_file_is_none_and_an_empty_one_is_not(self):
        self.assertIsNone(read_lines(str(self.path)))
        self.path.write_bytes(b"")
        self.assertEqual(read_lines(str(self.path)), [])

    def test_a_file_is_read_whole(self):
        self.path.write_bytes(b"a\n" * 100000)
        self.assertEqual(read_lines(str(self.path))[-1].number, 100000)

    def test_a_directory_is_an_error(self):
        self.path.mkdir()
        self.assertUnreadable("directory")

    def test_a_symlink_loop_is_an_error(self):
        self.path.symlink_to(self.path)
        self.assertUnreadable("symbolic link")

    def test_a_file_where_a_folder_should_be_is_an_error(self):
        self.path.write_bytes(b"")
        self.path = self.path / "me"
        self.assertUnreadable("[Nn]ot a directory")

    def test_an_error_of_the_disk_is_an_error(self):
        self.path.symlink_to("/proc/self/mem")
        self.assertUnreadable("[Ii]nput/output error")

    def test_a_file_without_permission_is_an_error(self):
        self.path.write_bytes(b"secret\n")
        self.path.chmod(0)
        if os.geteuid() == 0:
            os.seteuid(65534)
            self.addCleanup(os.seteuid, 0)
        self.assertUnreadable("[Pp]ermission denied")


class NumberTests(SynchronousTestCase):
    """Numbers are the digits in front, as qmail scans them."""

    def test_the_digits_in_front_count(self):
        for text, number in (
            (b"10", 10),
            (b"007", 7),
            (b"0", 0),
            (b"000", 0),
            (b"10k", 10),
            (b"1 2", 1),
            (b"5\0006", 5),
            (b"99999999999999999999", 99999999999999999999),
        ):
            self.assertEqual(leading_number(text), number, text)

    def test_without_digits_in_front_there_is_no_number(self):
        for text in (b"", b"x1", b" 1", b"-1", b"+1", b"\xb2"):
            self.assertIsNone(leading_number(text), text)

    def test_a_number_of_any_length_is_read(self):
        self.assertEqual(leading_number(b"0" * 10000 + b"7"), 7)
        self.assertGreaterEqual(leading_number(b"9" * 10000), 10**20)
