"""Tests for L{mvmtr.protocol.xtext}."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol.xtext import decode, encode


class XtextTests(SynchronousTestCase):
    """RFC 3461, section 4."""

    def test_plain_characters_stand_for_themselves(self):
        self.assertEqual(decode(b"e=mc2@example.com".replace(b"=", b"+3D")), b"e=mc2@example.com")
        self.assertEqual(encode(b"e=mc2@example.com"), b"e+3Dmc2@example.com")

    def test_plus_stands_before_two_digits_in_capitals(self):
        self.assertEqual(decode(b"a+2Bb+20+00+FF"), b"a+b \0\xff")
        for value in (b"+", b"a+2", b"+2b", b"+G0", b"++2B", b"a+"):
            self.assertRaises(ValueError, decode, value)

    def test_nothing_else_is_xtext(self):
        for value in (b"a b", b"a=b", b"\xe9", b"a\r\nb", b"\0", b"\x7f", b"a\n"):
            self.assertRaises(ValueError, decode, value)

    def test_the_empty_value_is_xtext(self):
        self.assertEqual(decode(b""), b"")

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=40))
    def test_what_is_encoded_is_decoded_again(self, value):
        written = encode(value)
        self.assertTrue(written.isascii())
        self.assertNotRegex(written, rb"[= \x00-\x20\x7f]")
        self.assertEqual(decode(written), value)

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=40))
    def test_whatever_comes_is_decoded_or_refused(self, value):
        try:
            decode(value)
        except ValueError:
            return
        self.assertTrue(value.isascii())
