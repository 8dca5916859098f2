"""Tests for L{mvmtr.protocol.lines}."""

from __future__ import annotations

import sys

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol.lines import LineReader, LineTooLong

LIMIT = 5
TOO_LONG = "too long"

PIECES = st.lists(
    st.lists(st.sampled_from([b"a", b"bb", b"\r", b"\n", b"\r\n", b"c" * LIMIT]), max_size=8).map(
        b"".join
    ),
    max_size=8,
)


def lines_of(reader):
    """All whole lines that a reader has, and C{TOO_LONG} for those over the limit."""
    found = []
    while True:
        try:
            line = reader.line()
        except LineTooLong:
            line = TOO_LONG
        if line is None:
            return found
        found.append(line)


def lines_by_split(wire):
    """The same for all bytes at once."""
    whole = [line.removesuffix(b"\r") for line in wire.split(b"\n")[:-1]]
    return [TOO_LONG if len(line) > LIMIT else line for line in whole]


class LineReaderTests(SynchronousTestCase):
    """Lines come out as they were sent, however the bytes come in."""

    def setUp(self):
        self.reader = LineReader(LIMIT)

    def read(self, *pieces):
        found = []
        for piece in pieces:
            self.reader.feed(piece)
            found += lines_of(self.reader)
        return found

    @settings(deadline=None, max_examples=1000)
    @given(PIECES)
    def test_pieces_give_the_lines_of_the_whole(self, pieces):
        self.reader = LineReader(LIMIT)
        wire = b"".join(pieces)
        self.assertEqual(self.read(*pieces), lines_by_split(wire))

    @settings(deadline=None, max_examples=500)
    @given(PIECES)
    def test_no_more_than_the_limit_is_held_between_pieces(self, pieces):
        self.reader = LineReader(LIMIT)
        for piece in pieces:
            self.read(piece)
            self.assertLessEqual(len(self.reader), LIMIT + len(b"\r"))

    @settings(deadline=None, max_examples=300)
    @given(PIECES, st.binary(max_size=20))
    def test_after_a_line_all_that_follows_can_be_taken(self, before, after):
        self.reader = LineReader(LIMIT)
        self.read(*before, b"\n")
        self.reader.feed(b"DATA\r\n" + after)
        self.assertEqual(self.reader.line(), b"DATA")
        self.assertEqual(len(self.reader), len(after))
        self.assertEqual(self.reader.take(), after)
        self.assertEqual(len(self.reader), 0)
        self.assertEqual(self.read(b"NOOP\r\n"), [b"NOOP"])

    def test_a_line_feed_alone_ends_a_line(self):
        self.assertEqual(self.read(b"a\nb\r\n\n"), [b"a", b"b", b""])

    def test_only_one_carriage_return_belongs_to_the_end(self):
        self.assertEqual(self.read(b"a\r\r\n\rb\r\n"), [b"a\r", b"\rb"])

    def test_the_line_end_does_not_count_for_the_limit(self):
        self.assertEqual(self.read(b"aaaaa\n", b"aaaaa", b"\r", b"\n"), [b"aaaaa", b"aaaaa"])

    def test_one_byte_over_the_limit_is_too_long(self):
        self.assertEqual(
            self.read(b"aaaaaa\n", b"aaaaaa\r\n", b"aaaaa", b"a", b"\n"), [TOO_LONG] * 3
        )

    def test_a_line_that_is_too_long_is_told_once_and_the_next_one_read(self):
        self.assertEqual(self.read(*[b"a" * 100] * 50, b"a\r\nb\r\n"), [TOO_LONG, b"b"])

    def test_of_a_line_over_the_limit_nothing_is_held(self):
        for _piece in range(50):
            self.assertEqual(self.read(b"a" * 100), [])
            self.assertEqual(len(self.reader), 0)

    def test_what_was_read_is_not_held_while_nothing_more_comes(self):
        for read in (lines_of, LineReader.take):
            piece = b"NOOP\n" * 100
            held = sys.getrefcount(piece)
            self.reader.feed(piece)
            read(self.reader)
            self.assertEqual(sys.getrefcount(piece), held)

    def test_an_unfinished_line_is_no_line(self):
        self.assertEqual(self.read(b"abc"), [])
        self.assertEqual(len(self.reader), 3)

    def test_bytes_that_were_taken_are_in_no_line(self):
        self.read(b"abc")
        self.assertEqual(self.reader.take(), b"abc")
        self.assertEqual(self.read(b"x\n"), [b"x"])

    def test_no_more_than_is_wanted_is_taken(self):
        self.reader.feed(b"abcdef\r\nnext\r\n")
        self.assertEqual([self.reader.take(size) for size in (1, 0, 3)], [b"a", b"", b"bcd"])
        self.assertEqual(len(self.reader), 10)
        self.assertEqual(self.reader.line(), b"ef")
        self.assertEqual(self.reader.take(100), b"next\r\n")
        self.assertEqual(self.reader.take(100), b"")

    def test_the_beginning_of_a_line_that_was_dropped_is_told(self):
        for pieces in (
            [b"BDAT 1" + b" " * 100 + b"\r\n"],
            [b"BDAT 1" + b" " * 100, b"next", b"NOOP\r\n"],
        ):
            reader = LineReader(20)
            for piece in pieces[:-1]:
                reader.feed(piece)
                self.assertIsNone(reader.line())
            reader.feed(pieces[-1])
            error = self.assertRaises(LineTooLong, reader.line)
            self.assertEqual(error.start, b"BDAT 1          ")
        reader.feed(b"x" * 21 + b"\n")
        self.assertEqual(self.assertRaises(LineTooLong, reader.line).start, b"x" * 16)

    def test_what_is_put_back_is_read_again(self):
        self.reader.feed(b"text")
        self.reader.feed(self.reader.take() + b"\nQUIT\r\n")
        self.assertEqual(lines_of(self.reader), [b"text", b"QUIT"])
