"""Tests for L{mvmtr.protocol.path}."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol.path import PathError, parse_path


def begin_of(argument, keyword):
    """Where the path begins, and whether in a bracket; C{None} where there is no path."""
    if argument[: len(keyword)].upper() != keyword:
        return None
    for place in range(len(argument)):
        if argument[place : place + 1] == b"<":
            return place + 1, True
    for place in range(len(keyword), len(argument)):
        if argument[place : place + 1] != b" ":
            return place, False
    return None


def behind_route(argument, place):
    """Where the path goes on behind a source route; C{None} where that does not end."""
    if argument[place : place + 1] != b"@":
        return place
    for colon in range(place, len(argument)):
        if argument[colon : colon + 1] == b":":
            return colon + 1
    return None


def byte_by_byte(argument, keyword):
    """The address and what is behind it, or C{None} where there is no path."""
    begin = begin_of(argument, keyword)
    if begin is None or behind_route(argument, begin[0]) is None:
        return None
    bracket = begin[1]
    terminator = b">" if bracket else b" "
    address = b""
    escaped = quoted = False
    for position in range(behind_route(argument, begin[0]), len(argument)):
        byte = argument[position : position + 1]
        if escaped:
            address += byte
            escaped = False
        elif byte == b"\\":
            escaped = True
        elif byte == b'"':
            quoted = not quoted
        elif byte == terminator and not quoted:
            return address, argument[position + 1 :].split()
        else:
            address += byte
    return None if bracket or quoted else (address, [])


KEYWORDS = st.sampled_from([b"FROM:"] * 3 + [b"from:", b"FROM:<", b"FROM:@", b"FROM", b"TO:", b""])
BYTES = st.lists(st.sampled_from([b"%c" % byte for byte in b'<>@:"\\ \t,ab\xff']), max_size=24)


class ParsePathPropertyTests(SynchronousTestCase):
    """Any argument parses as by the rules, applied to one byte after the other."""

    @settings(deadline=None, max_examples=2000)
    @given(st.tuples(KEYWORDS, BYTES.map(b"".join)).map(b"".join))
    @example(b'FROM:<"a>b\\"c"@d> E=f\tG')
    @example(b'FROM:@r,@s: "a b"@c d')
    def test_any_argument_parses_as_byte_by_byte(self, argument):
        try:
            parsed = parse_path(argument, b"FROM:")
        except PathError:
            parsed = None
        self.assertEqual(parsed, byte_by_byte(argument, b"FROM:"))


class ParsePathTests(SynchronousTestCase):
    """What is an address, and what is none."""

    def assertAddresses(self, cases):
        for path, address in cases.items():
            for keyword in b"FROM:", b"TO:":
                found, _words = parse_path(keyword + path, keyword)
                self.assertEqual(found, address, path)

    def assertRefused(self, *arguments):
        for argument in arguments:
            self.assertRaises(PathError, parse_path, argument, b"FROM:")

    def test_the_keyword_may_be_in_any_case(self):
        self.assertEqual(parse_path(b"From:<a@b>", b"FROM:"), (b"a@b", []))

    def test_the_keyword_must_be_there(self):
        self.assertRefused(b"", b"FROM", b"FROM <a@b>", b"FROM :<a@b>", b"<a@b>", b" FROM:<a@b>")

    def test_the_keyword_of_the_other_verb_will_not_do(self):
        self.assertRefused(b"TO:<a@b>")
        self.assertRaises(PathError, parse_path, b"FROM:<a@b>", b"TO:")

    def test_there_must_be_a_path(self):
        self.assertRefused(b"FROM:", b"FROM:  ")

    def test_an_opened_bracket_must_be_closed(self):
        self.assertRefused(
            b"FROM:<", b"FROM:<a@b", b"FROM:<a@b SIZE=1", b"FROM:<a\\>", b"FROM:<a\\"
        )

    def test_an_opened_quote_must_be_closed(self):
        self.assertRefused(b'FROM:<"a@b> SIZE=1', b'FROM:<a@b"> SIZE=1', b'FROM:a"@b SIZE=1')
        self.assertRefused(b'FROM:<"a>b@c>', b'FROM:"', b'FROM:"a\\"')

    def test_a_source_route_must_have_a_colon(self):
        self.assertRefused(b"FROM:<@r.example>", b"FROM:@r.example")
        self.assertRefused(b"FROM:<@r.example> <a@b.example>")

    def test_a_colon_in_the_parameters_does_not_complete_a_path(self):
        self.assertRefused(b"FROM:<@r.example> X:Y")

    def test_empty_paths(self):
        self.assertAddresses(
            {b"<>": b"", b'""': b"", b'<"">': b"", b'<""@c.example>': b"@c.example"}
        )

    def test_source_routes_are_taken_off_once(self):
        self.assertAddresses(
            {
                b"<@r.example:a@b.example>": b"a@b.example",
                b"<@r.example,@q.example:a@b.example>": b"a@b.example",
                b"@r.example:a@b.example": b"a@b.example",
                b"<@:a@b.example>": b"a@b.example",
                b"<@r.example:@q.example:a@b.example>": b"@q.example:a@b.example",
            }
        )

    def test_what_only_looks_like_a_source_route_stays(self):
        self.assertAddresses(
            {
                b"< @r.example:a@b.example>": b" @r.example:a@b.example",
                b"<\\@r.example:a@b.example>": b"@r.example:a@b.example",
                b'<"@r.example:a"@b.example>': b"@r.example:a@b.example",
            }
        )

    def test_quotes_and_backslashes_are_taken_off(self):
        self.assertAddresses(
            {
                b'<"a b"@c>': b"a b@c",
                b'<"a>b"@c>': b"a>b@c",
                b'<"a\\"b\\\\"@c>': b'a"b\\@c',
                b"<a\\>b@c>": b"a>b@c",
                b"<a\\\\b@c>": b"a\\b@c",
                b'<a"b"c@d>': b"abc@d",
                b'<a@"[127.0.0.1]">': b"a@[127.0.0.1]",
                b"a\\ b@c": b"a b@c",
                b'"a b"@c X': b"a b@c",
            }
        )

    def test_what_qmail_takes_for_an_address_is_taken(self):
        self.assertAddresses(
            {
                b"<.a..b.@c..example>": b".a..b.@c..example",
                b"<a(comment)@b>": b"a(comment)@b",
                b"<a@b,c@d>": b"a@b,c@d",
                b"< >": b" ",
                b"<a\tb\x01\x7f\xff@c>": b"a\tb\x01\x7f\xff@c",
            }
        )

    def test_the_first_opening_bracket_begins_the_path(self):
        self.assertAddresses(
            {
                b" <a@b>": b"a@b",
                b"\t<a@b>": b"a@b",
                b"x<a@b>": b"a@b",
                b"<a<b@c>": b"a<b@c",
                b"<<a@b>>": b"<a@b",
            }
        )

    def test_without_brackets_a_blank_ends_the_path(self):
        self.assertAddresses(
            {
                b"  a@b X": b"a@b",
                b"a:b@c": b"a:b@c",
                b":a@b": b":a@b",
                b"a@b>": b"a@b>",
                b"\ta@b\tX": b"\ta@b\tX",
            }
        )

    def test_the_words_behind_the_path_are_told(self):
        for argument, words in {
            b"FROM:<a@b> SIZE=1 BODY=7BIT": [b"SIZE=1", b"BODY=7BIT"],
            b"FROM:<a@b>SIZE=1": [b"SIZE=1"],
            b"FROM:<a@b>>": [b">"],
            b"FROM:<a@b> <c@d>": [b"<c@d>"],
            b"FROM:a@b  X\tY ": [b"X", b"Y"],
            b"FROM:<a@b>  ": [],
        }.items():
            self.assertEqual(parse_path(argument, b"FROM:"), (b"a@b", words))

    def test_very_long_paths_are_parsed(self):
        times = 20000
        for piece, plain in (b"\\a", b"a"), (b'"a"', b"a"), (b"\\\\", b"\\"), (b"a ", b"a "):
            address, words = parse_path(b"TO:<" + piece * times + b"> X", b"TO:")
            self.assertEqual((address == plain * times, words), (True, [b"X"]))

    def test_very_long_source_routes_are_taken_off(self):
        argument = b"TO:<" + b",".join([b"@r"] * 20000) + b":a@b>"
        self.assertEqual(parse_path(argument, b"TO:"), (b"a@b", []))
