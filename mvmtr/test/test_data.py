"""Tests for L{mvmtr.protocol.data}."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol.data import DENSE, END, BareLineFeed, DataDecoder, HopCounter


def cut(wire):
    """A strategy: the same bytes in random pieces, some of them empty."""
    places = st.lists(st.integers(0, len(wire)), max_size=8)
    return places.map(
        lambda found: [wire[begin:end] for begin, end in pairwise([0, *sorted(found), len(wire)])]
    )


def in_pieces(tokens, size):
    """A strategy: bytes made of tokens, in random pieces."""
    return st.lists(st.sampled_from(tokens), max_size=size).map(b"".join).flatmap(cut)


TEXT = st.one_of(
    in_pieces([b".", b"\r", b"\n", b"a", b"b"], 40),
    in_pieces([b".", b"\r", b"\r\n", b"\r\n.", b"\r\n.\r", b"a"], 20),
    in_pieces([b".", b"\r", b"\r\n", b"\n", b"\r\n.", b"a", END], 20),
    # Of long lines.
    in_pieces([b"a" * 3 * DENSE, b".", b"\r", b"\r\n", b"\r\n", b"\n", b"\r\n.", END], 20),
)


class Outcome(NamedTuple):
    """What became of bytes: the text, where the end was, where a bare LF was."""

    text: bytes
    end: int | None = None
    bare: int | None = None


def one_by_one(wire):
    """Decode byte by byte, in the states that qmail-smtpd is in."""
    text = b""
    state = "line start"
    for position in range(len(wire)):
        byte = wire[position : position + 1]
        if byte == b"\n":
            if state == "dot, CR":
                return Outcome(text, end=position + 1)
            if state != "CR":
                return Outcome(text, bare=position)
            text += b"\n"
            state = "line start"
        elif byte == b"\r":
            text += {"CR": b"\r", "dot, CR": b".\r"}.get(state, b"")
            state = "dot, CR" if state == "dot" else "CR"
        elif byte == b"." and state == "line start":
            state = "dot"
        else:
            text += {"CR": b"\r", "dot, CR": b".\r"}.get(state, b"") + byte
            state = "text"
    return Outcome(text)


def decode(*pieces):
    """Decode pieces up to the end of the message: the text and the decoder."""
    decoder = DataDecoder()
    text = b""
    for piece in pieces:
        text += decoder.feed(piece)
        if decoder.finished:
            break
    return text, decoder


class DataDecoderPropertyTests(SynchronousTestCase):
    """However the bytes come, they decode as one by one in qmail-smtpd."""

    @settings(deadline=None, max_examples=1500)
    @given(TEXT)
    def test_pieces_decode_as_the_bytes_one_by_one_do(self, pieces):
        expected = one_by_one(b"".join(pieces))
        decoder = DataDecoder()
        text = b""
        seen = 0
        for number, piece in enumerate(pieces):
            seen += len(piece)
            bare_is_there = expected.bare is not None and expected.bare < seen
            try:
                text += decoder.feed(piece)
            except BareLineFeed:
                self.assertTrue(bare_is_there)
                return
            self.assertFalse(bare_is_there, "a bare LF went by")
            self.assertEqual(decoder.finished, expected.end is not None and expected.end <= seen)
            if decoder.finished:
                self.assertEqual(text, expected.text)
                rest = decoder.rest + b"".join(pieces[number + 1 :])
                self.assertEqual(rest, b"".join(pieces)[expected.end :])
                return
        # The LF of a line is held back until it is known not to belong to the end.
        self.assertIn(expected.text, (text, text + b"\n"))

    @settings(deadline=None, max_examples=300)
    @given(st.lists(st.sampled_from([b"", b".", b"..", b"a", b".a", b"a\rb", b"\r"])), st.data())
    def test_stuffed_lines_come_back(self, lines, data):
        wire = b"".join((b"." if line[:1] == b"." else b"") + line + b"\r\n" for line in lines)
        text, decoder = decode(*data.draw(cut(wire + b".\r\nQUIT\r\n")))
        self.assertTrue(decoder.finished)
        self.assertEqual(text, b"".join(line + b"\n" for line in lines))


class DataDecoderTests(SynchronousTestCase):
    """Cases that have gone wrong somewhere."""

    def test_the_end_may_be_cut_anywhere(self):
        wire = b"text\r\n.\r\n"
        for first in range(len(wire) + 1):
            for second in range(first, len(wire) + 1):
                pieces = wire[:first], wire[first:second], wire[second:]
                text, decoder = decode(*pieces)
                self.assertEqual((text, decoder.finished, decoder.rest), (b"text\n", True, b""))

    def test_the_end_of_an_empty_message_may_be_cut_anywhere(self):
        for pieces in (b".\r\n",), (b".", b"\r\n"), (b".\r", b"\n"), (b".", b"\r", b"\n"):
            text, decoder = decode(*pieces)
            self.assertEqual((text, decoder.finished), (b"", True), pieces)

    def test_what_follows_the_end_is_kept_as_it_is(self):
        text, decoder = decode(b"a\r\n.\r\nQUIT\n.\r\n..x")
        self.assertEqual((text, decoder.rest), (b"a\n", b"QUIT\n.\r\n..x"))

    def test_of_several_carriage_returns_before_a_line_feed_one_is_taken_off(self):
        text, _decoder = decode(b"a\r\r\nb\r\r\r\n.\r\n")
        self.assertEqual(text, b"a\r\nb\r\r\n")

    def test_cr_cr_lf_dot_cr_lf_is_an_end(self):
        text, decoder = decode(b"a\r\r\n.\r\n")
        self.assertEqual((text, decoder.finished), (b"a\r\n", True))

    def test_of_dot_cr_text_the_dot_stays(self):
        text, _decoder = decode(b".\rx\r\n.\r\r\nend\r\n.\r\n")
        self.assertEqual(text, b".\rx\n.\r\nend\n")

    def test_the_dot_of_dot_cr_text_stays_when_it_is_cut(self):
        text, _decoder = decode(b"a\r\n.\r", b"x\r\n.", b"\r", b"\r\n.\r\n")
        self.assertEqual(text, b"a\n.\rx\n.\r\n")

    def test_a_dot_after_a_carriage_return_alone_is_text(self):
        text, decoder = decode(b"a\r.\r\nb\r\n")
        self.assertFalse(decoder.finished)
        self.assertEqual(text, b"a\r.\nb")

    def test_only_one_stuffed_dot_is_taken_off(self):
        text, _decoder = decode(b"...\r\n..first\r\n.x.y\r\n.\r\n")
        self.assertEqual(text, b"..\n.first\nx.y\n")

    def test_a_bare_line_feed_is_an_error_wherever_it_is(self):
        for wire in b"\n", b"a\n.\r\n", b"a\r\n.\nb", b"a\r\n\nb", b"..\nx", b".\rx\n":
            self.assertRaises(BareLineFeed, DataDecoder().feed, wire)

    def test_a_bare_line_feed_in_another_piece_is_an_error(self):
        for first in b"a", b"a\r\n", b"a\r\n.", b"a\r\n.\rx":
            decoder = DataDecoder()
            decoder.feed(first)
            self.assertRaises(BareLineFeed, decoder.feed, b"\n.\r\n")

    def test_a_bare_line_feed_before_the_end_is_an_error_with_the_end_there(self):
        self.assertRaises(BareLineFeed, DataDecoder().feed, b"a\nb\r\n.\r\nQUIT\r\n")

    def test_every_other_byte_stays(self):
        body = bytes(byte for byte in range(256) if byte not in b"\r\n.")
        text, _decoder = decode(body + END)
        self.assertEqual(text, body + b"\n")

    def test_a_long_line_comes_out_as_it_comes_in(self):
        decoder = DataDecoder()
        for _piece in range(100):
            self.assertEqual(decoder.feed(b"x" * 1000), b"x" * 1000)


def hops_of(wire):
    """Count hops in the raw lines of a header."""
    hops = 0
    for line in wire.split(b"\r\n"):
        if not line:
            break
        hops += line.lower().startswith((b"received:", b"delivered-to:"))
    return hops


FIELDS = in_pieces(
    [b"Received:", b"recei", b"ved: x", b"DELIVERED-to:", b"Delivered-", b"To:"]
    + [b"\r\n"] * 4
    + [b"\r", b"\r\n\r\n", b".", b" "],
    30,
)


class HopCounterTests(SynchronousTestCase):
    """Fields that tell of a hop are counted, in the header only."""

    def hops(self, *pieces):
        counter = HopCounter()
        for piece in pieces:
            counter.feed(piece)
        return counter.hops

    @settings(deadline=None, max_examples=800)
    @given(FIELDS)
    def test_pieces_count_as_the_whole_header_line_by_line(self, pieces):
        self.assertEqual(self.hops(*pieces), hops_of(b"".join(pieces)))

    def test_a_field_counts_once_wherever_it_is_cut(self):
        for wire in b"X: y\r\nReceived: x\r\n\r\n", b"Delivered-To: x\r\nA: b\r\n\r\n":
            for first in range(len(wire) + 1):
                self.assertEqual(self.hops(wire[:first], wire[first:]), 1, first)
            self.assertEqual(self.hops(*(bytes([byte]) for byte in wire)), 1)

    def test_both_fields_count_in_any_case(self):
        self.assertEqual(self.hops(b"rEcEiVeD: x\r\nDELIVERED-to: x\r\n\r\n"), 2)

    def test_a_field_whose_name_only_begins_so_is_no_hop(self):
        self.assertEqual(self.hops(b"Received-SPF: pass\r\nDelivered: x\r\nReceived\r\n"), 0)

    def test_fields_after_the_header_do_not_count(self):
        self.assertEqual(self.hops(b"Received: x\r\n\r", b"\nReceived: x\r\n"), 1)
        self.assertEqual(self.hops(b"\r\nReceived: x\r\n"), 0)

    def test_lines_that_only_look_empty_do_not_end_the_header(self):
        for line in b"\r\r\n", b" \r\n", b"..\r\n":
            self.assertEqual(self.hops(b"A: b\r\n" + line + b"Received: x\r\n"), 1, line)

    def test_a_stuffed_field_does_not_count(self):
        self.assertEqual(self.hops(b".Received: x\r\n"), 0)

    def test_the_decoder_counts_the_fields_of_its_message_only(self):
        wire = b"Received: x\r\nDelivered-To: y\r\n.\r\nReceived: z\r\n"
        for first in range(len(wire) + 1):
            _text, decoder = decode(wire[:first], wire[first:])
            self.assertEqual(decoder.hops, 2, first)
