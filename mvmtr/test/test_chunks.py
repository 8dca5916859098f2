"""Tests for L{mvmtr.protocol.chunks}."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol.chunks import BadChunk, ChunkDecoder, parse_chunk
from mvmtr.protocol.data import DataDecoder

PIECES = st.lists(
    st.sampled_from(
        [b"\r", b"\n", b"\r\n", b".", b"x", b"", b"\r\n.\r\n", b"Received: x", b"delivered-to:"]
    )
    | st.binary(max_size=6),
    max_size=12,
)
TEXTS = PIECES.map(b"".join)


@st.composite
def cut(draw):
    """A message, and the same in pieces."""
    text = draw(TEXTS)
    places = draw(st.lists(st.integers(0, len(text)), max_size=8))
    ends = sorted([0, *places, len(text)])
    return text, [text[start:end] for start, end in pairwise(ends)]


def decoded(pieces, binary=False):
    """What becomes of a message in pieces, and its hops."""
    decoder = ChunkDecoder(binary)
    text = b"".join(map(decoder.feed, pieces))
    return text + decoder.end(), decoder.hops


class ArgumentTests(SynchronousTestCase):
    """The argument of BDAT."""

    def test_a_length_alone_is_a_chunk_that_is_not_the_last(self):
        for argument, size in ((b"0", 0), (b"86", 86), (b"007", 7), (b"9" * 20, 10**20 - 1)):
            self.assertEqual(parse_chunk(argument), (size, False))
            self.assertEqual(parse_chunk(argument + b"  "), (size, False))

    def test_last_is_written_in_any_case(self):
        for word in (b" LAST", b" last", b"   Last "):
            self.assertEqual(parse_chunk(b"12" + word), (12, True))

    def test_all_else_is_bad(self):
        for argument in (
            b"", b" 1", b"LAST", b"-1", b"+1", b"1.0", b"0x10", b"1_0", b"1LAST", b"1\tLAST",
            b"1 LASTLY", b"1 LAST x", b"1 LAST LAST", b"1 2", b"9" * 21, b"\xb2", b"1\n", b"1\0",
        ):  # fmt: skip
            self.assertRaises(BadChunk, parse_chunk, argument)

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=30) | st.from_regex(rb"[0-9]{1,22}( LAST)?", fullmatch=True))
    def test_whatever_comes_is_a_length_or_refused(self, argument):
        try:
            size, last = parse_chunk(argument)
        except BadChunk:
            return
        self.assertEqual(int(argument.split()[0]), size)
        self.assertEqual(last, argument.upper().rstrip(b" ").endswith(b" LAST"))


class DecoderTests(SynchronousTestCase):
    """The text in chunks."""

    def test_both_line_ends_become_lf(self):
        self.assertEqual(decoded([b"a\r\nb\nc\r\n"]), (b"a\nb\nc\n", 0))

    def test_dots_are_data(self):
        text = b".\n..\n.x\n.\n"
        self.assertEqual(decoded([text.replace(b"\n", b"\r\n")])[0], text)

    def test_a_cr_alone_is_data(self):
        self.assertEqual(decoded([b"a\rb\r\r\nc\r\n"])[0], b"a\rb\r\nc\n")
        self.assertEqual(decoded([b"a\r"])[0], b"a\r\n")

    def test_a_line_end_may_be_cut_in_two(self):
        self.assertEqual(decoded([b"a\r", b"\nb\r", b"", b"\n"])[0], b"a\nb\n")
        self.assertEqual(decoded([b"a\r", b"b"])[0], b"a\rb\n")

    def test_a_missing_line_end_is_added_at_the_end_of_the_message_only(self):
        self.assertEqual(decoded([b"a", b"b", b""])[0], b"ab\n")
        self.assertEqual(decoded([b"a\n", b""])[0], b"a\n")

    def test_an_empty_message_stays_empty(self):
        self.assertEqual(decoded([]), (b"", 0))
        self.assertEqual(decoded([b"", b""]), (b"", 0))

    def test_hops_are_counted_whichever_line_end_they_have(self):
        text = b"Received: x\nRECEIVED: y\r\nDelivered-To: z\nX: Received: n\r\n\nReceived: no"
        for binary in (False, True):
            self.assertEqual(decoded([text], binary)[1], 3)
            self.assertEqual(decoded([text[:1], *(text[i : i + 1] for i in range(1, 99))])[1], 3)

    def test_a_message_that_begins_with_an_empty_line_has_no_hops(self):
        self.assertEqual(decoded([b"\r\nReceived: x\r\n"])[1], 0)

    @settings(deadline=None, max_examples=300)
    @given(cut())
    def test_it_does_not_matter_where_the_chunks_end(self, message):
        text, pieces = message
        for binary in (False, True):
            self.assertEqual(decoded(pieces, binary), decoded([text], binary))

    @settings(deadline=None, max_examples=300)
    @given(cut())
    def test_a_binary_message_stays_as_it_is_and_has_the_same_hops(self, message):
        text, pieces = message
        self.assertEqual(decoded(pieces, True)[0], text)
        self.assertEqual(decoded(pieces, True)[1], decoded([text])[1])

    @settings(deadline=None, max_examples=300)
    @given(cut())
    def test_what_is_stored_are_whole_lines_and_every_byte_of_them(self, message):
        text, pieces = message
        stored, hops = decoded(pieces)
        self.assertTrue(not stored or stored.endswith(b"\n"))
        lines = re.split(rb"\r\n|\n", text)
        if lines[-1] == b"":
            lines.pop()
        self.assertEqual(stored, b"".join(line + b"\n" for line in lines))
        header = lines[: lines.index(b"")] if b"" in lines else lines
        fields = [b for b in header if b.lower().startswith((b"received:", b"delivered-to:"))]
        self.assertEqual(hops, len(fields))

    @settings(deadline=None, max_examples=300)
    @given(st.lists(st.from_regex(rb"[^\n\r.]{0,9}", fullmatch=True), max_size=5))
    def test_lines_are_stored_as_after_data(self, lines):
        text = b"".join(line + b"\r\n" for line in lines)
        after_data = DataDecoder()
        self.assertEqual(decoded([text])[0], after_data.feed(text + b".\r\n"))
        self.assertEqual(decoded([text])[1], after_data.hops)

    def test_what_is_there_is_passed_on_at_once(self):
        decoder = ChunkDecoder()
        self.assertEqual(decoder.feed(b"x" * 100_000), b"x" * 100_000)
        self.assertEqual(decoder.feed(b"x\r"), b"x")
        self.assertEqual(decoder.feed(b"\r"), b"\r")
        self.assertEqual(decoder.feed(b"\n"), b"\n")
        self.assertEqual(decoder.end(), b"")
