"""Tests for L{mvmtr.mfl.printer}."""

from hypothesis import HealthCheck, given, settings
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl.parser import parse
from mvmtr.mfl.printer import to_text
from mvmtr.test.mfl import trees
from mvmtr.test.test_mfl_parser import PIECES, st

EVERYTHING = rb"""
require ["envelope", "a\"b\\"];
control timeout 0x10;
control greeting ["a\x00\xff\\", "b\n"];
int a = 1, b, c = -(-1);
string s = "x" + "y";
include "other.mfl";
int $hook_rcpt( string recipient )
{
    if ( a ) keep; else if ( !b && (c || a) ) { stop; } else return 0;
    while ( a < 3 ) a++;
    do { --a; } while ( a > 0 );
    for ( int i = 0, j; i < 3; i += 1 ) { continue; }
    for ( ; ; ) break;
    for ( a = 1; ; ) { }
    switch ( s ) { case "a": case "b": break; default: ; }
    (s);
    a = b = a - (b - c) * (a << 2) % ~b;
    s = a ? s : (b ? s : s) + s[a][0];
    (a ? b : c) ? a : b;
    b = (a = 1) + (a, 2);
    l[0] += "x";
    return test( not anyof (true, header :contains ["a", "b"] "c") );
}
if header :is "a" text:
two
..lines
.
{ redirect :copy "x@y"; }
elsif size :over 2M { discard; }
else { test "z" { keep; } }
""".replace(b"(a, 2)", b"2")


class RoundTrip(SynchronousTestCase):
    def assert_round_trip(self, data):
        parsed = parse(data, "f")
        if parsed.problems:
            return False
        again = parse(to_text(parsed.tree), "g")
        self.assertEqual((), again.problems, to_text(parsed.tree))
        self.assertEqual(parsed.tree, again.tree)
        return True

    def test_every_construct_reads_as_it_was_written(self):
        self.assertTrue(self.assert_round_trip(EVERYTHING))

    def test_signs_that_would_run_together_do_not(self):
        for text in (b"a = - -b;", b"a = -(--b);", b"a = + ++b;", b"a = b - -c;", b"a = !~b;"):
            self.assertTrue(self.assert_round_trip(text), text)

    def test_an_expression_that_looks_like_a_command_does_not_become_one(self):
        for text in (b"(a);", b'(a["x"]);', b"(a) + 1;"):
            self.assertTrue(self.assert_round_trip(text), text)

    @settings(
        deadline=None,
        max_examples=150,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(trees.functions(3))
    def test_random_functions_read_as_they_were_written(self, file):
        again = parse(to_text(file), "g")
        self.assertEqual((), again.problems, to_text(file))
        self.assertEqual(file, again.tree)

    @settings(deadline=None, max_examples=300)
    @given(st.lists(PIECES, max_size=20).map(" ".join))
    def test_random_words_that_can_be_read_are_read_again(self, text):
        self.assert_round_trip(text.encode())
