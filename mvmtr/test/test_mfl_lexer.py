"""Tests for L{mvmtr.mfl.lexer}."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl.lexer import Kind, Lexer, number, sieve_string, string


def tokens(text, **options):
    data = text if isinstance(text, bytes) else text.encode()
    return [(token.kind, token.text) for token in Lexer(data, "f", **options).tokens()[:-1]]


def texts(text):
    return [text for _kind, text in tokens(text)]


def problems(text, **options):
    data = text if isinstance(text, bytes) else text.encode()
    lexer = Lexer(data, "f", **options)
    lexer.tokens()
    return [f"{each.place.line}:{each.place.column} {each.message}" for each in lexer.problems]


class Tokens(SynchronousTestCase):
    def test_the_longest_sign_wins(self):
        self.assertEqual(["a", "+=", "b", "++", "+", "c"], texts("a+=b+++c"))
        self.assertEqual(["<<", "<=", "<", "!~", "=~", "==", "="], texts("<< <= < !~ =~ == ="))

    def test_comments_of_three_kinds_are_left_out(self):
        self.assertEqual(["a", "b", "c", "d"], texts("a # x\nb // y\nc /* z ** \n */ d"))

    def test_names_may_begin_with_a_dollar(self):
        self.assertEqual(["$lower", "_a1"], texts("$lower _a1"))

    def test_places_count_characters_from_one(self):
        token = Lexer('\n "é" x'.encode(), "f").tokens()[1]
        self.assertEqual(("x", 2, 6), (token.text, token.place.line, token.place.column))

    def test_a_carriage_return_before_a_line_feed_is_no_part_of_a_string(self):
        self.assertEqual(["a\nb"], texts('"a\r\nb"'))

    def test_multi_line_text_ends_with_a_dot_and_loses_one_of_two_dots(self):
        found = texts('x text: # why\none\n..two\n.three\n\n.\n"y"')
        self.assertEqual(["x", "one\n.two\n.three\n\n", "y"], found)
        self.assertEqual([""], texts("TEXT:\n."))

    def test_a_colon_after_text_is_a_sign_when_the_line_goes_on(self):
        self.assertEqual(["a", "?", "text", ":", "b"], texts("a ? text : b"))

    def test_bytes_that_are_not_utf_8_stay_in_strings(self):
        token = Lexer(b'"\xff"', "f").tokens()[0]
        self.assertEqual(b"\xff", string(token.text))


class Problems(SynchronousTestCase):
    def test_what_has_no_end_is_told_where_it_begins(self):
        self.assertEqual(['1:3 this string has no end; " is missing'], problems('a "b\nc'))
        found = problems('a "b" "c;\nd "e";\nf "g";')
        self.assertEqual(['1:7 this string has no end; " is missing'], found)
        self.assertEqual(["1:1 this comment has no end; */ is missing"], problems("/* *"))
        found = problems("text:\nabc\n .\n")
        self.assertEqual(["1:1 this text has no end; a line of one dot is missing"], found)

    def test_numbers_must_be_numbers_of_64_bits(self):
        self.assertEqual(["1:1 12x is not a number"], problems("12x"))
        self.assertEqual(["1:1 0x is not a number"], problems("0x"))
        self.assertEqual([], problems("9223372036854775807 7G"))
        self.assertIn("is too large", problems("9223372036854775808")[0])
        self.assertIn("is too large", problems("9999999999G")[0])

    def test_a_character_without_meaning_is_left_out(self):
        self.assertEqual(["1:3 '@' has no meaning here"], problems("a @ b"))
        self.assertEqual(["1:1 '\\u20ac' has no meaning here"], problems("€"))

    def test_sieve_alone_has_no_comments_of_two_slashes(self):
        self.assertEqual([], problems("// x"))
        self.assertEqual(
            ["1:1 Sieve's comments begin with # or /*"], problems("// x", slashes=False)
        )

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=200))
    def test_random_bytes_give_tokens_in_order(self, data):
        found = Lexer(data, "f").tokens()
        self.assertIs(Kind.END, found[-1].kind)
        self.assertEqual(sorted(found, key=lambda token: token.start), list(found))

    def test_long_files_are_read_in_one_go(self):
        count = 50_000
        for text in (
            '"' + "\\a" * count,
            "/*" + "*" * count,
            "a " * count,
            "text:\n" + ".\n." * count,
        ):
            Lexer(text.encode(), "f").tokens()


class Values(SynchronousTestCase):
    def test_numbers(self):
        self.assertEqual(
            [10, 255, 2048, 3 << 20, 1 << 30], [*map(number, ("10", "0xfF", "2K", "3m", "1G"))]
        )

    def test_escapes_of_sieve_stand_for_the_character_itself(self):
        self.assertEqual(b'a"b\\cn', sieve_string(r"a\"b\\c\n"))

    def test_escapes_of_the_c_like_side(self):
        self.assertEqual(b'\n\r\t\x00\xff"\\x', string(r"\n\r\t\x00\xFF\"\\x"))
        for wrong in (r"\d", r"\x1", r"\."):
            self.assertRaises(ValueError, string, wrong)
