"""Tests for what compiled code does."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl.errors import RunError
from mvmtr.mfl.printer import to_text
from mvmtr.test.mfl import reference, trees
from mvmtr.test.mfl.running import call, result, value

ARGUMENTS = st.tuples(
    st.integers(-4, 4),
    st.one_of(st.integers(-4, 4), st.integers(-(2**63), 2**63 - 1)),
    trees.texts,
    trees.texts,
    st.lists(trees.texts, max_size=3).map(tuple),
)


class AgainstTheReference(SynchronousTestCase):
    @settings(
        deadline=None,
        max_examples=300,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(trees.functions(3), ARGUMENTS)
    def test_compiled_code_gives_what_walking_the_tree_gives(self, file, arguments):
        try:
            wanted = reference.run(file, arguments)
        except reference.Wrong:
            wanted = RunError
        try:
            found = result(to_text(file), arguments=arguments)
        except RunError:
            found = RunError
        self.assertEqual(wanted, found)


class Expressions(SynchronousTestCase):
    def test_precedence_is_that_of_c(self):
        self.assertEqual(7, value("1 + 2 * 3"))
        self.assertEqual(1, value("1 | 2 == 3"))
        self.assertEqual(1, value("1 << 2 > 3"))
        self.assertEqual(1, value("0 && 0 || 1"))
        self.assertEqual(6, value("2 ^ 4 & 12"))
        self.assertEqual(-3, value("-1 - 2"))
        self.assertEqual(2, value("0 ? 1 : 1 ? 2 : 3"))

    def test_division_goes_towards_zero_and_the_rest_has_the_sign_of_the_left(self):
        self.assertEqual([-2, -2, 2], [value("-7 / 3"), value("7 / -3"), value("-7 / -3")])
        self.assertEqual([-1, 1, -1], [value("-7 % 3"), value("7 % -3"), value("-7 % -3")])

    def test_what_does_not_fit_into_64_bits_is_an_error(self):
        largest = "9223372036854775807"
        for wrong in (
            f"{largest} + 1",
            f"-{largest} - 2",
            f"{largest} * 2",
            f"(-{largest} - 1) / -1",
            f"-(-{largest} - 1)",
            "1 << 63",
        ):
            error = self.assertRaises(RunError, value, wrong)
            self.assertIn("64 bits", str(error))
        self.assertEqual(-(2**63), value(f"-{largest} - 1"))
        self.assertEqual(2**62, value("1 << 62"))

    def test_a_step_beyond_64_bits_is_an_error(self):
        source = "int f() { int x = 9223372036854775807; x++; return x; }"
        self.assertRaises(RunError, result, source)

    def test_shifts_are_from_0_to_63(self):
        self.assertEqual(-1, value("-1 >> 63"))
        for wrong in ("1 << 64", "1 >> -1"):
            self.assertRaises(RunError, value, wrong)

    def test_division_by_zero_is_an_error(self):
        for wrong in ("1 / 0", "1 % 0"):
            error = self.assertRaises(RunError, value, wrong)
            self.assertIn("division by zero", str(error))

    def test_conditions_are_1_or_0_as_values(self):
        self.assertEqual(2, value('(1 < 2) + ("a" != "b")'))
        self.assertEqual([0, 1], [value("!5"), value('!""')])
        self.assertEqual(1, value('5 && "x"'))
        self.assertEqual(b"1", value("$string( 3 > 2 )", "string"))

    def test_empty_strings_and_lists_are_false(self):
        self.assertEqual(b"no", value('"" ? "yes" : "no"', "string"))
        self.assertEqual(b"no", value('[] ? "yes" : "no"', "string"))
        self.assertEqual(b"yes", value('"0" ? "yes" : "no"', "string"))

    def test_what_decides_nothing_is_not_looked_at(self):
        self.assertEqual(0, value("0 && 1 / 0"))
        self.assertEqual(1, value("1 || 1 / 0"))
        self.assertEqual(2, value("1 ? 2 : 1 / 0"))

    def test_strings_are_bytes(self):
        self.assertEqual(2, value('$length( "é" )'))
        self.assertEqual(b"\xc3", value('"é"[0]', "string"))
        self.assertEqual(b"\xff\n", value('"\\xff\\n"', "string"))

    def test_strings_are_joined_and_compared(self):
        self.assertEqual(b"abc", value('"a" + "b" + "c"', "string"))
        self.assertEqual(1, value('"a" < "b" && "b" >= "ab"'))
        before = 'string a = "x"; string b = "x";'
        self.assertEqual(1, value("a == b && !( a < b ) && !( a != b ) && a <= b", before=before))

    def test_lists_grow_by_plus_and_are_searched_by_in(self):
        self.assertEqual((b"a", b"b", b"c"), value('["a"] + "b" + ["c"]', "list"))
        self.assertEqual([1, 0], [value('"a" in ["b", "a"]'), value('"A" in ["b", "a"]')])
        before = 'string x = "b"; list l = [x, x + "c"];'
        self.assertEqual((b"b", b"bc"), value("l", "list", before))

    def test_an_index_outside_is_an_error(self):
        for wrong in ('"abc"[3]', '["a"][-1]', '""[0]'):
            error = self.assertRaises(RunError, value, wrong, "string")
            self.assertIn("there is no item", str(error))

    def test_an_item_of_a_list_can_be_changed_and_the_value_is_the_item(self):
        source = 'string f() { list l = ["a", "b"]; list m = l; string s = (l[1] += "x");'
        self.assertEqual(
            b"bx,a,bx,b", result(source + 'return s + "," + $join( l + m[1], "," ); }')
        )

    def test_an_index_with_an_effect_is_looked_at_once(self):
        source = 'int f() { list l = ["a", "b", "c"]; int i; l[i++] += "x"; return i; }'
        self.assertEqual(1, result(source))

    def test_assignments_have_a_value(self):
        self.assertEqual(14, result("int f() { int a; int b; a = b = 7; return a + b; }"))
        self.assertEqual(20, result("int f() { int a = 4; return (a += 6) + a; }"))
        self.assertEqual(12, result("int f() { int a = 5; int b = a++; return a + b + (a = 1); }"))
        self.assertEqual(10, result("int f() { int a = 6; return a-- + --a; }"))

    def test_global_variables_take_part_in_expressions(self):
        source = "int g = 2; int f() { int a = (g += 3) * 10; return a + g++ + g; }"
        self.assertEqual(61, result(source))

    def test_regular_expressions_match_anywhere(self):
        self.assertEqual(1, value('"abcd" =~ "b.d"'))
        self.assertEqual(1, value('"abcd" !~ "^b"'))
        self.assertEqual(1, value('"aé!" =~ "a.!"'))
        self.assertEqual(1, value('"abc" =~ p', before='string p = "(?i)B";'))

    def test_a_pattern_that_is_none_is_an_error_when_it_is_used(self):
        error = self.assertRaises(RunError, value, '"x" =~ p', before='string p = "(";')
        self.assertIn("not a regular expression", str(error))

    def test_sieve_tests_are_numbers_in_test(self):
        self.assertEqual(1, value("test( anyof( false, not false ) ) + test( false )"))


class Statements(SynchronousTestCase):
    def test_a_variable_without_a_value_is_empty(self):
        source = "string f() { int i; string s; list l; return s + $string( i + $length( l ) ); }"
        self.assertEqual(b"0", result(source))

    def test_a_block_hides_variables_of_the_same_name(self):
        self.assertEqual(1, result("int f() { int a = 1; { int a = 2; a++; } return a; }"))
        self.assertEqual(3, result("int f() { int a = 1; { int a = a + 1; return a + 1; } }"))

    def test_a_variable_in_a_loop_is_new_in_each_turn(self):
        source = (
            "int f() { int n; for ( int i = 0; i < 3; i++ ) { int x; x++; n += x; } return n; }"
        )
        self.assertEqual(3, result(source))

    def test_else_belongs_to_the_nearest_if(self):
        source = "int f( int a, int b ) { if ( a ) if ( b ) return 1; else return 2; return 3; }"
        self.assertEqual([1, 2, 3], [result(source, arguments=x) for x in ((1, 1), (1, 0), (0, 1))])

    def test_else_if_goes_on_and_may_end_in_an_if_of_sieve(self):
        source = (
            "int f( int a ) { if ( a == 1 ) return 1; else if ( a == 2 ) return 2;"
            " else if true { return 3; } return 4; }"
        )
        self.assertEqual([1, 2, 3], [result(source, arguments=(x,)) for x in (1, 2, 3)])

    def test_continue_goes_to_the_step_of_for_and_the_condition_of_do(self):
        source = "int f() { int n; for ( int i = 0; i < 5; i++ ) { if ( i % 2 ) continue; n += i; }"
        self.assertEqual(6, result(source + " return n; }"))
        source = "int f() { int n; do { n++; if ( n < 3 ) continue; n += 10; } while ( n < 20 );"
        self.assertEqual(24, result(source + " return n; }"))

    def test_for_without_its_parts_goes_on_until_break(self):
        self.assertEqual(
            4, result("int f() { int i; for ( ; ; ) { if ( ++i > 3 ) break; } return i; }")
        )

    def test_cases_fall_through_until_break(self):
        source = (
            "int f( int a ) { int n; switch ( a ) { case 1: n += 1; case 2: n += 2; break;"
            " default: n += 4; case -3: n += 8; } return n; }"
        )
        found = [result(source, arguments=(each,)) for each in (1, 2, -3, 9)]
        self.assertEqual([3, 2, 8, 12], found)

    def test_switch_takes_strings_and_may_choose_nothing(self):
        source = 'int f( string s ) { switch ( s ) { case "a": return 1; case "": return 2; }'
        source += " return 3; }"
        self.assertEqual([1, 2, 3], [result(source, arguments=(x,)) for x in (b"a", b"", b"b")])

    def test_continue_in_a_switch_is_that_of_the_loop_around_it(self):
        source = (
            "int f() { int n; for ( int i = 0; i < 6; i++ ) { switch ( i ) { case 1: continue;"
            " case 2: switch ( n ) { default: continue; } case 4: break; } n += i; } return n; }"
        )
        self.assertEqual(0 + 3 + 4 + 5, result(source))

    def test_a_case_may_jump_over_a_declaration(self):
        source = (
            "int f( int a ) { switch ( a ) { case 1: int x = 5; case 2: return x; } return 9; }"
        )
        self.assertEqual([5, 0], [result(source, arguments=(x,)) for x in (1, 2)])

    def test_functions_call_each_other_whatever_their_order(self):
        source = "int f( int n ) { return n < 2 ? n : g( n - 1 ) + f( n - 2 ); }"
        source += " int g( int n ) { return f( n ); }"
        self.assertEqual(55, result(source, arguments=(10,)))

    def test_a_function_that_ends_without_return_gives_nothing(self):
        self.assertEqual(0, result("int f() { }"))
        self.assertEqual(b"", result('string f() { if ( 0 ) return "x"; }'))

    def test_a_parameter_can_be_changed_without_effect_outside(self):
        source = "int g( int n ) { n = 9; return n; } int f() { int n = 1; g( n ); return n; }"
        self.assertEqual(1, result(source))

    def test_names_that_mean_something_to_python_are_names_like_others(self):
        source = "int None( int run ) { int def = run; return def; } int f() { int depth = 4; "
        self.assertEqual(5, result(source + "int t = depth + None( 1 ); return t; }"))


class Sieve(SynchronousTestCase):
    def test_both_sides_stand_in_each_other(self):
        source = """
            int $hook_message()
            {
                int n = 0;
                if header :contains "Subject" "hell" {
                    n += 1;
                    if ( n == 1 && test( exists "From" ) ) {
                        reject "no";
                        stop;
                    }
                }
                return $accept();
            }
        """
        outcome, _host = call(source)
        self.assertEqual(("reject", 550), (outcome.verdict.kind, outcome.verdict.code))
        self.assertEqual(8, outcome.verdict.place.line)

    def test_variables_of_mfl_are_seen_in_strings(self):
        source = """
            int $hook_message()
            {
                string word = "ell"; int n = 3; list words = ["x", "h" + word];
                if not header :contains "Subject" "${word}" { return $reject( 550, "1" ); }
                if not header :contains "Subject" ["q", "${words}"] { return $reject( 550, "2" ); }
                if not string :is "a${n}b${Word}" "a3b" { return $reject( 550, "3" ); }
                set "word" "new"; set "Other" "${word}!";
                if ( word != "new" ) return $reject( 550, "4" );
                if string "${other}" "new!" { return $accept(); }
            }
        """
        outcome, _host = call(source)
        self.assertEqual("accept", outcome.verdict.kind, outcome.verdict.text)

    def test_what_matched_is_seen_in_strings(self):
        source = """
            require ["variables", "reject"];
            if header :matches "Subject" "h*o" { reject "it was ${1} in ${0}${9}"; }
        """
        outcome, _host = call(source)
        self.assertEqual(b"5.7.1 it was ell in hello", outcome.verdict.text)

    def test_sieve_variables_are_shared_by_the_functions_of_a_hook_and_gone_after_it(self):
        source = """
            int $hook_message() { set "a" "1"; return f(); }
            int f() { if string "${a}${b}" "1" { return $accept(); } return $discard(); }
            int $hook_connect() { return f(); }
        """
        self.assertEqual("accept", call(source)[0].verdict.kind)
        self.assertEqual("discard", call(source, "connect")[0].verdict.kind)

    def test_stop_ends_the_hook_from_within_a_function(self):
        source = "void f() { discard; stop; } int $hook_message() { f(); return $accept(); }"
        self.assertEqual("discard", call(source)[0].verdict.kind)

    def test_what_ihave_denies_is_never_looked_at(self):
        source = """
            require "ihave";
            if ihave "no-such-thing" { no_such_command :tag "x"; } else { discard; }
            if allof( not ihave "envelope", no_such_test "x" ) { keep; }
            if anyof( ihave "envelope", no_such_test "x" ) { if envelope "from" "" { stop; } }
        """
        self.assertEqual("discard", call(source)[0].verdict.kind)

    def test_a_file_of_nothing_but_sieve_acts_on_the_message(self):
        outcome, _host = call('if header :is "subject" "hello" { discard; }')
        self.assertEqual("discard", outcome.verdict.kind)
        self.assertIsNone(call("keep;")[0].verdict)

    def test_sieve_variables_work_in_loops(self):
        source = """
            int $hook_message() {
                for ( int i = 0; i < 3; i++ ) { set "all" "${all}${i}"; }
                if string "${all}" "012" { discard; }
            }
        """
        self.assertEqual("discard", call(source)[0].verdict.kind)
