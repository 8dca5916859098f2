"""Tests for L{mvmtr.protocol.parameters}."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol.extensions import eightbitmime, size
from mvmtr.protocol.parameters import BadParameter, UnknownParameter, parse_parameters

MAIL = {**size.EXTENSION.mail, **eightbitmime.EXTENSION.mail}

WORDS = st.lists(
    st.tuples(
        st.sampled_from([b"SIZE", b"size", b"BODY", b"Body", b"X", b"AUTH", b"", b"\xff"]),
        st.sampled_from([b"", b"=", b"=1", b"=8BITMIME", b"=7bit", b"=-1", b"=1=1", b"=\xb2"]),
    ).map(b"".join),
    max_size=3,
)


class ParametersTests(SynchronousTestCase):
    """Of announced extensions all is known, of others nothing."""

    def assertBad(self, *words):
        for word in words:
            self.assertRaises(BadParameter, parse_parameters, [word], MAIL)

    def test_no_words_are_no_parameters(self):
        self.assertEqual(parse_parameters([], MAIL), {})

    def test_keywords_come_in_capitals_and_values_as_they_are(self):
        found = parse_parameters([b"size=0012", b"Body=8bitMIME"], MAIL)
        self.assertEqual(found, {b"SIZE": b"0012", b"BODY": b"8bitMIME"})

    def test_a_size_is_a_number_of_up_to_twenty_digits(self):
        longest = b"9" * 20
        self.assertEqual(parse_parameters([b"SIZE=" + longest], MAIL), {b"SIZE": longest})
        self.assertBad(b"SIZE=" + longest + b"9", b"SIZE=", b"SIZE", b"SIZE=-1", b"SIZE=+1")
        self.assertBad(b"SIZE=1k", b"SIZE=0x10", b"SIZE=1_0", b"SIZE=1=1", b"SIZE=\xb2")

    def test_a_body_is_one_of_two(self):
        self.assertEqual(parse_parameters([b"BODY=7bit"], MAIL), {b"BODY": b"7bit"})
        self.assertBad(b"BODY", b"BODY=", b"BODY=BINARYMIME", b"BODY=7BIT=")

    def test_a_keyword_that_comes_twice_is_bad_in_any_case(self):
        words = [b"SIZE=1", b"BODY=7BIT", b"size=1"]
        self.assertRaises(BadParameter, parse_parameters, words, MAIL)

    def test_what_belongs_to_no_announced_extension_is_unknown(self):
        for word in b"AUTH=<>", b"RET=HDRS", b"junk", b"=1", b">", b"<c@d>", b"SIZE:1", b"\xff=1":
            self.assertRaises(UnknownParameter, parse_parameters, [word], MAIL)

    def test_at_rcpt_nothing_is_known(self):
        self.assertRaises(UnknownParameter, parse_parameters, [b"SIZE=1"], {})

    def test_a_long_unknown_word_makes_a_short_message(self):
        error = self.assertRaises(UnknownParameter, parse_parameters, [b"x" * 60000], MAIL)
        self.assertLess(len(str(error)), 100)

    def test_a_function_sees_no_value_apart_from_an_empty_one(self):
        seen = []
        parse_parameters([b"A", b"B=", b"C==d"], dict.fromkeys([b"A", b"B", b"C"], seen.append))
        self.assertEqual(seen, [None, b"", b"=d"])

    @settings(deadline=None, max_examples=300)
    @given(WORDS)
    def test_whatever_comes_is_understood_or_refused(self, words):
        try:
            found = parse_parameters(words, MAIL)
        except (UnknownParameter, BadParameter):
            return
        self.assertEqual(len(found), len(words))
        self.assertLessEqual(set(found), set(MAIL))
        self.assertGreaterEqual(int(found.get(b"SIZE", b"0")), 0)
