"""Tests for L{mvmtr.assess.wire}."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assess.wire import REQUEST_MAX, AttributeReader, BadRequest, written

NAMES = st.from_regex(rb"[a-z_]{1,12}", fullmatch=True)
VALUES = st.binary(max_size=40).map(lambda value: value.translate(None, bytes(range(32)) + b"\x7f"))
REQUESTS = st.lists(st.dictionaries(NAMES, VALUES, min_size=1, max_size=5), max_size=4)
ENDS = st.sampled_from([b"\n", b"\r\n"])


def pieces(data, cuts):
    """Data cut at some places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


def read(*data):
    reader = AttributeReader()
    return [attributes for piece in data for attributes in reader.feed(piece)]


class ReaderTests(SynchronousTestCase):
    """From bytes to requests."""

    def refused(self, *data):
        return str(self.assertRaises(BadRequest, read, *data))

    @settings(deadline=None, max_examples=300)
    @given(REQUESTS, st.lists(st.integers(0, 2000), max_size=8), ENDS)
    def test_requests_come_out_as_they_were_written_however_they_are_cut(self, requests, cuts, end):
        data = b"".join(written(request) for request in requests).replace(b"\n", end)
        self.assertEqual(read(*pieces(data, cuts)), requests)

    @settings(deadline=None, max_examples=300)
    @given(st.lists(st.binary(max_size=30), max_size=10))
    def test_any_bytes_give_requests_or_are_refused(self, chunks):
        try:
            found = read(*chunks)
        except BadRequest:
            return
        for request in found:
            for name, value in request.items():
                self.assertNotIn(b"\n", name + value)
                self.assertNotIn(b"=", name)

    def test_a_request_of_postfix(self):
        request = b"request=smtpd_access_policy\nprotocol_state=RCPT\nsender=\nsize=0\n\n"
        expected = {
            b"request": b"smtpd_access_policy",
            b"protocol_state": b"RCPT",
            b"sender": b"",
            b"size": b"0",
        }
        self.assertEqual(read(request), [expected])

    def test_a_value_may_hold_equal_signs(self):
        self.assertEqual(read(b"sender=a=b=c@example.org\n\n"), [{b"sender": b"a=b=c@example.org"}])

    def test_of_a_name_that_comes_twice_the_last_value_counts(self):
        self.assertEqual(read(b"a=1\na=2\n\n"), [{b"a": b"2"}])

    def test_half_a_request_waits(self):
        self.assertEqual(read(b"a=1\n"), [])
        self.assertEqual(read(b"a=1\n", b"\n"), [{b"a": b"1"}])

    def test_a_line_that_is_no_attribute_is_refused(self):
        self.assertIn("b'hello' is not name=value", self.refused(b"a=1\nhello\n\n"))
        self.assertIn("b'=1' is not", self.refused(b"=1\n\n"))

    def test_an_empty_request_is_refused_at_once(self):
        for data in (b"\n", b"\r\n", b"\n\n"):
            self.refused(data)
        self.refused(b"a=1\n\n\n")

    def test_a_long_request_is_refused_whether_it_ends_or_not(self):
        fits = b"a=" + b"x" * (REQUEST_MAX - 4) + b"\n\n"
        self.assertEqual(len(read(fits)), 1)
        self.refused(b"a=" + b"x" * REQUEST_MAX)
        self.refused(b"a=" + b"x" * REQUEST_MAX + b"\n\n")
        self.refused(*[b"a=1\n"] * (REQUEST_MAX // 4 + 1))

    def test_what_was_searched_is_not_searched_again(self):
        reader = AttributeReader()
        for _ in range(REQUEST_MAX):
            reader.feed(b"=")
        self.assertGreaterEqual(reader._searched, REQUEST_MAX - 2)


class WrittenTests(SynchronousTestCase):
    """From attributes to bytes."""

    def test_it_ends_with_an_empty_line(self):
        self.assertEqual(written({b"action": b"DUNNO"}), b"action=DUNNO\n\n")

    @settings(deadline=None, max_examples=200)
    @given(st.dictionaries(NAMES, st.binary(max_size=40), min_size=1, max_size=5))
    def test_no_value_can_look_like_another_line(self, attributes):
        (back,) = read(written(attributes))
        self.assertEqual(list(back), list(attributes))

    def test_control_characters_become_blanks(self):
        text = b"action=DUNNO\n\naction=OK\r\x00x\x7fy"
        self.assertEqual(written({b"a": text}), b"a=action=DUNNO action=OK x y\n\n")
