"""Tests for the bounds: whatever a hook does, it ends, and what it may use up is all it uses."""

import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl.errors import LimitReached, MflErrors, RunError
from mvmtr.mfl.operations import compiled
from mvmtr.mfl.printer import to_text
from mvmtr.mfl.runtime import Limits, Run, Verdict, size_of
from mvmtr.test.mfl import trees
from mvmtr.test.mfl.running import call, finished, host, program, result

FEW = Limits(steps=20_000, depth=20, memory=100_000, seconds=20)


class Counting(SynchronousTestCase):
    def test_steps_are_counted_to_the_end(self):
        run = Run(host(), Limits(steps=2500))
        for _ in range(2500):
            run.step()
        self.assertRaises(LimitReached, run.step)
        self.assertRaises(LimitReached, run.step)

    def test_many_steps_at_once_count_as_many(self):
        run = Run(host(), Limits(steps=2500))
        run.step(2400)
        error = self.assertRaises(LimitReached, run.step, 101)
        self.assertEqual("more than 2500 steps", str(error))

    def test_bytes_are_counted(self):
        run = Run(host(), Limits(memory=10))
        self.assertEqual(b"12345", run.made(b"12345"))
        run.use(5)
        self.assertRaises(LimitReached, run.use, 1)

    def test_items_of_lists_cost_more_than_their_text(self):
        self.assertEqual(3 + 16 + 16 + 1, size_of([b"abc", (b"", b"x"), 5]))

    def test_time_that_is_over_is_seen_at_the_next_look_at_the_clock(self):
        run = Run(host(), Limits(seconds=-1))
        self.assertRaises(LimitReached, run.clock)
        self.assertRaises(LimitReached, run.step)

    def test_a_verdict_is_its_code(self):
        verdict = Verdict("reject", 550, b"no")
        self.assertEqual((550, 550), (verdict, verdict.code))
        self.assertTrue(verdict)


class Hostile(SynchronousTestCase):
    def assert_stopped(self, body, words, before=""):
        source = (
            f'{before}\nint $hook_message() {{ string s = "x"; list l = ["x"]; int i; {body} }}'
        )
        error = self.assertRaises(LimitReached, call, source, limits=FEW)
        self.assertIn(words, str(error))
        self.assertEqual("test.mfl", error.place.file)

    def test_loops_without_end(self):
        for body in (
            "while ( 1 ) ;",
            "while ( 1 ) { while ( 1 ) break; }",
            "for ( ; ; ) { if ( 1 ) continue; }",
            "do { continue; } while ( 1 );",
            "while ( 1 ) { switch ( 1 ) { default: continue; } }",
            "while ( 1 ) { test( true ); }",
            'while ( 1 ) l[0] = "y";',
            'while ( 1 ) { if header "a" "b" { } }',
        ):
            self.assert_stopped(body, "more than 20000 steps")

    def test_calls_without_end(self):
        self.assert_stopped("f();", "more than 20 calls", "void f() { f(); }")
        self.assert_stopped("f();", "more than 20 calls", "void f() { g(); } void g() { f(); }")

    def test_calls_that_branch_without_end(self):
        before = "void f( int n ) { if ( n < 18 ) { f( n + 1 ); f( n + 1 ); } }"
        self.assert_stopped("f( 0 );", "more than 20000 steps", before)

    def test_calls_that_wait_without_end(self):
        before = 'int f() { $assess( "x" ); return f(); }'
        source = before + "int $hook_message() { return f(); }"
        error = self.assertRaises(LimitReached, call, source, limits=FEW)
        self.assertIn("more than 20 calls", str(error))

    def test_strings_without_end(self):
        for body in (
            "while ( 1 ) s += s;",
            "while ( 1 ) s = s + s + s;",
            'while ( 1 ) s = $replace( s, "x", "xx" );',
            "while ( 1 ) s = $join( [s, s], s );",
            'while ( 1 ) s = $format( "%500s%500s", s, s );',
            'while ( 1 ) { s += "0123456789012345678901234567890123456789"; $lower( s ); }',
            'while ( 1 ) set "s" "${s}${s}";',
            'while ( 1 ) set "t" "${t}x${t}";',
            'while ( 1 ) { set "t" "${t}x${t}${t}"; set :upper "t" "${t}${t}"; }',
        ):
            self.assert_stopped(body, "more than 100000 bytes of strings")

    def test_lists_without_end(self):
        for body in (
            "while ( 1 ) l += l;",
            'while ( 1 ) l += "";',
            'while ( 1 ) l = l + $split( "aaaaaaaaaaaaaaaaaa", "a" );',
        ):
            self.assert_stopped(body, "more than 100000 bytes of strings")

    def test_searching_costs_as_much_as_it_searches(self):
        before = 'string big = "0123456789";'
        grow = "for ( i = 0; i < 9; i++ ) big += big; while ( 1 ) "
        for body in ('big =~ "(a*)*b";', '$match( big, "z" );', "$md5( big );", "big == big;"):
            self.assert_stopped(grow + body, "more than 100000 bytes of strings", before)

    def test_patterns_made_while_running_cost_steps(self):
        self.assert_stopped("while ( 1 ) s =~ $string( i++ );", "more than 20000 steps")

    def test_no_pattern_takes_long(self):
        source = 'int f( string s ) { return s =~ "^(a+)+$" || s =~ "(a|aa)*c" || s =~ "(.*)*x"; }'
        self.assertEqual(0, result(source, arguments=(b"a" * 50_000 + b"b",)))

    def test_large_patterns_made_while_running_cost_more(self):
        compiled(Run(host(), Limits(steps=1000)), b"abc")
        self.assertRaises(LimitReached, compiled, Run(host(), Limits(steps=1000)), b"\\pL{20}")

    def test_patterns_and_texts_that_would_take_long_together_are_refused(self):
        source = 'int f( string s ) { return s =~ "((.{0,30}){0,30})*$"; }'
        error = self.assertRaises(LimitReached, result, source, arguments=(b"abc " * 100_000,))
        self.assertIn("steps", str(error))
        self.assertEqual(1, result(source, arguments=(b"abc " * 100,)))

    def test_reading_numbers_and_addresses_costs_as_much_as_is_read(self):
        before = 'string big = " ";'
        grow = "for ( i = 0; i < 14; i++ ) big += big; while ( 1 ) "
        for body in ('$int( big + "1" );', "$local( big );", "$domain( big );"):
            self.assert_stopped(grow + body, "more than 100000 bytes of strings", before)

    def test_waiting_without_end(self):
        class Slow:
            def __await__(self):
                return b""
                yield

        answers = {("assess", b"x"): Slow()}
        source = 'int $hook_message() { while ( 1 ) $assess( "x" ); }'
        error = self.assertRaises(LimitReached, call, source, limits=FEW, found=answers)
        self.assertIn("more than 20000 steps", str(error))

    def test_an_answer_that_comes_too_late_ends_the_hook(self):
        answer = Deferred()
        the_host = host(found={("assess", b"x"): answer})
        source = 'int $hook_message() { $assess( "x" ); return $accept(); }'
        coroutine = program(source).call("message", (), the_host, Limits(seconds=0.05))
        outcome = Deferred.fromCoroutine(coroutine)
        time.sleep(0.06)
        answer.callback(b"")
        error = self.failureResultOf(outcome, LimitReached).value
        self.assertIn("more than 0.05 seconds", str(error))

    def test_global_variables_do_not_grow_from_call_to_call(self):
        source = """
            list all;
            int $hook_rcpt( string s ) { all += s; return 1 / $length( "" ); }
        """
        the_program = program(source)
        globals_ = the_program.globals()
        limits = Limits(memory=200_000)
        failed = 0
        for _ in range(40):
            error = self.assertRaises(
                RunError, call, the_program, "rcpt", (b"x" * 30_000,), limits, globals_
            )
            failed += isinstance(error, LimitReached)
            self.assertLessEqual(size_of(globals_), limits.memory)
        self.assertGreater(failed, 0)

    def test_notes_do_not_grow_without_end(self):
        source = "int n; int $hook_rcpt( string s ) { n++; $set_note( $string( n ), s ); }"
        the_program = program(source)
        globals_ = the_program.globals()
        the_host = host()
        limits = Limits(memory=50_000)
        with self.assertRaises(RunError):
            for _ in range(100):
                call(the_program, "rcpt", (b"x" * 1000,), limits, globals_, host=the_host)
        self.assertLessEqual(size_of(the_host.notes.values()), limits.memory)

    def test_what_runs_at_start_is_bounded_as_well(self):
        for source in (
            "while ( 1 ) ;",
            'string s = "x"; while ( 1 ) s += s;',
            "void f() { f(); } f();",
        ):
            errors = self.assertRaises(MflErrors, program, source)
            self.assertIn("more than", str(errors))

    def test_a_depth_beyond_what_python_can_do_is_an_error_too(self):
        source = "int f( int n ) { return f( n + 1 ); }"
        error = self.assertRaises(
            RunError, result, source, arguments=(0,), limits=Limits(depth=10**9)
        )
        self.assertIn("too many calls within each other", str(error))

    @settings(
        deadline=None,
        max_examples=60,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(trees.functions(3), st.integers(1, 200), st.integers(1, 200))
    def test_random_functions_within_any_bounds_give_a_value_or_an_error(self, file, steps, memory):
        arguments = (1, 2, b"abc", b"x", (b"a",))
        try:
            result(to_text(file), arguments=arguments, limits=Limits(steps=steps, memory=memory))
        except RunError as error:
            self.assertGreater(error.place.line, 0)


class Errors(SynchronousTestCase):
    def test_errors_tell_the_exact_place(self):
        source = "int g( int n ) {\n  return 10 +\n    10 / n;\n}\nint f() { return g( 0 ); }"
        error = self.assertRaises(RunError, result, source)
        self.assertEqual("test.mfl:3:8: division by zero", str(error))

    def test_errors_in_sieve_tell_the_place_too(self):
        source = 'int n;\nrequire ["ihave"];\nif true {\n  error "what a pity";\n}'
        error = self.assertRaises(RunError, call, source)
        self.assertEqual("test.mfl:4:3: what a pity", str(error))

    def test_a_hook_that_returns_a_number_of_its_own_is_an_error(self):
        source = "int $hook_message() { int n = 5; return n; }"
        error = self.assertRaises(RunError, call, source)
        self.assertIn("a hook returned 5", str(error))

    def test_a_verdict_may_go_through_variables_and_functions(self):
        source = 'int f() { int v = $reject( 550, "x" ); return v; }'
        source += " int $hook_message() { return 1 ? f() : 0; }"
        self.assertEqual("reject", call(source)[0].verdict.kind)

    def test_a_coroutine_that_is_closed_ends(self):
        answer = Deferred()
        the_host = host(found={("assess", b"x"): answer})
        coroutine = program('int $hook_message() { $assess( "x" ); }').call(
            "message", (), the_host, Limits()
        )
        coroutine.send(None)
        coroutine.close()
        self.assertRaises(RuntimeError, finished, coroutine)
