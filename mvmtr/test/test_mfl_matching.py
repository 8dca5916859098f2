"""Tests for comparators, patterns and match types."""

from __future__ import annotations

import fnmatch
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl.sieve import glob, matching
from mvmtr.mfl.sieve.comparators import (
    ASCII_CASEMAP,
    ASCII_NUMERIC,
    OCTET,
    UNICODE_CASEMAP,
    Comparator,
)

quickly = settings(deadline=None, max_examples=200)
patterns = st.text(alphabet="ab*?", max_size=12)
texts = st.text(alphabet="ab", max_size=16)


def found(
    match: str,
    value: bytes,
    key: bytes,
    comparator: Comparator = ASCII_CASEMAP,
    relation: str = "eq",
) -> bool:
    """Whether one value matches one key."""
    return matching.matcher(match, comparator, (key,), relation)((value,)) is not None


def captured(match: str, value: bytes, key: bytes) -> tuple[bytes, ...] | None:
    """The match variables."""
    return matching.matcher(match, ASCII_CASEMAP, (key,))((value,))


class ComparatorTests(SynchronousTestCase):
    """When two strings are the same, and which comes first."""

    def test_the_default_ignores_the_case_of_ascii_letters(self) -> None:
        self.assertTrue(found("is", b"FROP", b"frop"))
        self.assertFalse(found("is", "É".encode(), "é".encode()))

    def test_octet_does_not_ignore_case(self) -> None:
        self.assertFalse(found("is", b"FROP", b"frop", OCTET))
        self.assertTrue(found("contains", b"a frop", b"frop", OCTET))
        self.assertFalse(found("contains", b"a Frop", b"frop", OCTET))

    def test_numbers_are_compared_by_their_leading_digits(self) -> None:
        self.assertTrue(found("is", b"0012 apples", b"12", ASCII_NUMERIC))
        self.assertFalse(found("is", b"12", b"123", ASCII_NUMERIC))

    def test_no_number_is_greater_than_every_number_and_equal_to_itself(self) -> None:
        self.assertTrue(found("is", b"none", b"nothing", ASCII_NUMERIC))
        self.assertTrue(found("value", b"", b"9" * 60, ASCII_NUMERIC, "gt"))
        self.assertFalse(found("value", b"9" * 60, b"x", ASCII_NUMERIC, "ge"))

    def test_numbers_may_be_of_any_size(self) -> None:
        self.assertTrue(found("value", b"1" * 100_000, b"9" * 99_999, ASCII_NUMERIC, "gt"))

    def test_unicode_casemap_ignores_the_case_of_all_letters(self) -> None:
        self.assertTrue(found("is", "ÉTÉ".encode(), "été".encode(), UNICODE_CASEMAP))
        self.assertTrue(found("contains", b"\xff ABC", b"\xff a", UNICODE_CASEMAP))

    @quickly
    @given(st.integers(min_value=0, max_value=10**30), st.integers(min_value=0, max_value=10**30))
    def test_numbers_have_the_order_of_numbers(self, one: int, other: int) -> None:
        less = found("value", b"%d" % one, b"00%d" % other, ASCII_NUMERIC, "lt")
        self.assertEqual(less, one < other)


class GlobTests(SynchronousTestCase):
    """The patterns of C{:matches}."""

    def test_a_star_takes_any_text_and_a_question_mark_one_character(self) -> None:
        self.assertTrue(found("matches", b"frop", b"*"))
        self.assertTrue(found("matches", b"", b"*"))
        self.assertTrue(found("matches", b"frop", b"f??p"))
        self.assertFalse(found("matches", b"frop", b"f?p"))
        self.assertFalse(found("matches", b"", b"?"))

    def test_a_question_mark_takes_a_whole_character(self) -> None:
        self.assertEqual(
            captured("matches", "été".encode(), b"?t?"),
            ("été".encode(), "é".encode(), "é".encode()),
        )

    def test_a_question_mark_takes_one_byte_of_what_is_not_utf8(self) -> None:
        self.assertEqual(captured("matches", b"\xffx", b"?x"), (b"\xffx", b"\xff"))

    def test_a_backslash_takes_the_next_character_as_it_is(self) -> None:
        self.assertTrue(found("matches", b"a*b", rb"a\*b"))
        self.assertFalse(found("matches", b"axb", rb"a\*b"))
        self.assertTrue(found("matches", b"a?", rb"a\?"))
        self.assertTrue(found("matches", b"a\\b", rb"a\\b"))
        self.assertTrue(found("matches", b"a\\", b"a\\"))

    def test_wildcards_take_as_little_as_they_can(self) -> None:
        self.assertEqual(
            captured("matches", b"[a] subject [b] end", b"[*] *"),
            (b"[a] subject [b] end", b"a", b"subject [b] end"),
        )
        self.assertEqual(
            captured("matches", b"frop@frup@frml.example", b"*@*"),
            (b"frop@frup@frml.example", b"frop", b"frup@frml.example"),
        )
        self.assertEqual(captured("matches", b"aXbXc", b"*?X*"), (b"aXbXc", b"", b"a", b"bXc"))

    def test_what_wildcards_took_keeps_its_case(self) -> None:
        self.assertEqual(captured("matches", b"ABC Def", b"abc *"), (b"ABC Def", b"Def"))

    @quickly
    @given(patterns, texts)
    def test_it_matches_what_fnmatch_matches(self, pattern: str, text: str) -> None:
        ours = glob.parse(pattern).match(text) is not None
        self.assertEqual(ours, fnmatch.fnmatchcase(text, pattern))

    @quickly
    @given(patterns, texts)
    def test_it_takes_what_a_lazy_expression_takes(self, pattern: str, text: str) -> None:
        lazy = "".join({"*": "(.*?)", "?": "(.)"}.get(char, char) for char in pattern)
        expected = re.fullmatch(lazy, text)
        parsed = glob.parse(pattern)
        places = parsed.match(text)
        if expected is None or places is None:
            self.assertEqual(expected, places)
        else:
            self.assertEqual(parsed.captures(text, places), (text, *expected.groups()))

    @quickly
    @given(patterns, texts)
    def test_the_search_by_bits_finds_what_the_simple_one_finds(
        self, pattern: str, text: str
    ) -> None:
        for section in glob.parse(pattern).sections:
            if section.text:
                simple = section.find(text, 0, len(text))
                self.assertEqual(section._find_by_bits(text, 0, len(text)), simple)

    def test_a_hostile_pattern_on_a_hostile_text_comes_to_an_end(self) -> None:
        pattern = b"*" + b"a?" * 4000 + b"b*" + b"*a" * 4000 + b"c"
        self.assertFalse(found("matches", b"a" * 100_000, pattern))

    def test_a_section_that_is_too_long_is_refused(self) -> None:
        self.assertRaises(ValueError, glob.parse, "*?" + "a" * (glob.LONGEST + 1) + "*")


class RegexTests(SynchronousTestCase):
    """Regular expressions."""

    def test_groups_become_match_variables(self) -> None:
        self.assertEqual(
            captured("regex", b"From <Frop@Example.ORG>", b"<([^@]+)@([a-z.]+)>(x)?"),
            (b"<Frop@Example.ORG>", b"Frop", b"Example.ORG", b""),
        )

    def test_the_leftmost_longest_match_is_taken(self) -> None:
        self.assertEqual(captured("regex", b"xabcx", b"a|ab|abc"), (b"abc",))

    def test_classes_of_characters_are_known(self) -> None:
        self.assertTrue(found("regex", b"ab 12", b"^[[:alpha:]]+[[:space:]][[:digit:]]{2}$"))
        self.assertFalse(found("regex", b"one\ntwo", b"^two$"))

    def test_case_counts_only_with_octet(self) -> None:
        self.assertTrue(found("regex", b"FROP", b"^frop$"))
        self.assertFalse(found("regex", b"FROP", b"^frop$", OCTET))

    def test_what_is_no_expression_is_refused(self) -> None:
        for pattern in (b"????", b"(a", b"a)", b"[a", b"*a", b"a{2000}", b"(a{900}){900}"):
            self.assertRaises(ValueError, matching.matcher, "regex", OCTET, (pattern,))

    def test_bytes_that_are_not_utf8_can_be_looked_for(self) -> None:
        self.assertTrue(found("regex", b"a\xffb", b"\xff."))

    def test_words_and_digits_have_short_names(self) -> None:
        self.assertTrue(found("regex", b"ab 12", rb"\bab\b \d\d"))
        self.assertFalse(found("regex", b"abc", rb"\bab\b"))

    def test_nested_repetition_is_no_trap(self) -> None:
        self.assertFalse(found("regex", b"a" * 50_000 + b"!", b"^((a*)*)*$"))


class RelationTests(SynchronousTestCase):
    """C{:value} and C{:count}."""

    def test_each_relation_holds_as_its_name_says(self) -> None:
        for relation, results in {
            "lt": (True, False, False),
            "le": (True, True, False),
            "eq": (False, True, False),
            "ge": (False, True, True),
            "gt": (False, False, True),
            "ne": (True, False, True),
        }.items():
            told = tuple(
                found("value", value, b"10", ASCII_NUMERIC, relation)
                for value in (b"9", b"10", b"11")
            )
            self.assertEqual(told, results, relation)

    def test_strings_are_in_the_order_of_their_characters(self) -> None:
        self.assertTrue(found("value", b"b", b"A", ASCII_CASEMAP, "gt"))
        self.assertFalse(found("value", b"B", b"a", OCTET, "gt"))

    def test_values_are_counted(self) -> None:
        count = matching.matcher("count", ASCII_NUMERIC, (b"2",), "ge")
        self.assertIsNotNone(count((b"a", b"b")))
        self.assertIsNone(count((b"a",)))
        self.assertIsNotNone(matching.matcher("count", ASCII_NUMERIC, (b"0",))(()))

    def test_numbers_have_no_substrings(self) -> None:
        for match in ("contains", "matches"):
            self.assertRaises(ValueError, matching.matcher, match, ASCII_NUMERIC, (b"1",))
