"""Tests for L{mvmtr.mfl.program} and for how problems look."""

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl.errors import MflErrors, Place, Problem, did_you_mean, printable
from mvmtr.mfl.host import Host, message_source
from mvmtr.mfl.program import Limits, read
from mvmtr.mfl.runtime import Run
from mvmtr.test.mfl.running import call, host, program


class Reading(SynchronousTestCase):
    def test_a_file_says_which_hooks_it_has(self):
        source = "int $hook_connect() { } int $hook_rcpt( string r ) { } int f() { }"
        self.assertEqual({"connect", "rcpt"}, program(source).hooks)
        self.assertEqual({"message"}, program("keep;").hooks)
        self.assertEqual(frozenset(), program("").hooks)

    def test_controls_are_set_by_what_runs_when_the_file_is_read(self):
        source = """
            int minutes( int n ) { return n * 60; }
            list lines;
            for ( int i = 1; i < 3; i++ ) lines += "line " + $string( i );
            control greeting lines;
            if ( $length( lines ) == 2 ) control timeout minutes( 5 ); else control timeout 1;
        """
        found = [(each.name, each.value, each.place.line) for each in program(source).controls]
        self.assertEqual([("greeting", (b"line 1", b"line 2"), 5), ("timeout", 300, 6)], found)

    def test_what_goes_wrong_at_start_is_a_problem_with_its_line(self):
        errors = self.assertRaises(MflErrors, program, "int a;\nint b = 1 / a;")
        self.assertEqual(
            "test.mfl:2:11: division by zero\n    int b = 1 / a;\n              ^", str(errors)
        )

    def test_code_at_start_can_log_and_look_at_controls(self):
        the_host = Host(controls={b"me": b"mx.example.test"})
        program('$log( $control( "me" ) );', host=the_host)
        self.assertEqual(b"mx.example.test", the_host.logged[0][0])

    def test_a_file_can_be_read_from_disk(self):
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(b"\xef\xbb\xbfkeep;\r\n")
        self.assertEqual((path,), read(path).files)

    def test_all_problems_stand_in_the_order_of_the_file(self):
        errors = self.assertRaises(MflErrors, program, "x = 1;\ny = ;\nz();")
        self.assertEqual([1, 2, 3], [each.place.line for each in errors.problems])


class Calling(SynchronousTestCase):
    def test_a_hook_that_decides_nothing_gives_none(self):
        outcome, _host = call("int $hook_connect() { return 0; }", "connect")
        self.assertIsNone(outcome.verdict)
        self.assertIsNone(call("void $hook_connect() { }", "connect")[0].verdict)

    def test_the_place_that_decided_is_known(self):
        source = "int f() {\n  return $accept();\n}\nint $hook_connect() { return f(); }"
        self.assertEqual(Place("test.mfl", 2, 10), call(source, "connect")[0].verdict.place)
        self.assertEqual(Place("test.mfl", 2, 3), call("if true {\n  discard; }")[0].verdict.place)

    def test_globals_live_as_long_as_a_session(self):
        source = "int n; int $hook_rcpt( string r ) { return ++n > 2 ? $defer( 450, r ) : 0; }"
        the_program = program(source)
        globals_, other = the_program.globals(), the_program.globals()
        kinds = [
            call(the_program, "rcpt", (b"a",), None, each)[0].verdict
            for each in (globals_, globals_, other, globals_, other)
        ]
        self.assertEqual([None, None, None, 450, None], kinds)

    def test_a_return_goes_before_what_sieve_did(self):
        source = "int $hook_message() { discard; return $accept(); }"
        self.assertEqual("accept", call(source)[0].verdict.kind)

    def test_what_sieve_wants_besides_is_in_the_outcome(self):
        outcome, _host = call('redirect "a@example.test"; keep;')
        self.assertIsNone(outcome.verdict)
        self.assertEqual([b"a@example.test"], list(outcome.result.redirects))

    def test_a_run_can_be_shared(self):
        the_program = program('int n; int f() { set "x" "${x}x"; return $length( "" ); } keep;')
        run = Run(host(), Limits(), the_program.globals())
        the_program.execute("f", run)
        the_program.execute("f", run)
        the_program.execute("$hook_message", run)
        self.assertEqual({b"x": b"xx"}, run.variables)
        self.assertIsNotNone(run.acted)

    def test_programs_do_not_mix_up_their_places(self):
        first = program("\n\nint $hook_connect() { return 1 / $length( $remote_ip() ); }")
        program("int $hook_connect() { return $accept(); }")
        with self.assertRaises(Exception) as caught:
            call(first, "connect")
        self.assertEqual(3, caught.exception.place.line)


class Hosts(SynchronousTestCase):
    def test_a_message_is_cut_at_the_first_empty_line(self):
        for data, header, body in (
            (b"A: 1\r\nB: 2\r\n\r\nx\r\n\r\ny", b"A: 1\nB: 2\n", b"x\n\ny"),
            (b"A: 1\n", b"A: 1\n", b""),
            (b"\nbody", b"", b"body"),
            (b"", b"", b""),
        ):
            message = message_source(data)
            self.assertEqual((header, body), (message.header, message.body()))
        self.assertEqual(12, message_source(b"A: 1\n\nxyz\n").size - 1)


class Problems(SynchronousTestCase):
    def test_a_problem_shows_its_line_and_a_caret(self):
        problem = Problem(Place("f", 3, 5), "no", "int x;")
        self.assertEqual("f:3:5: no\n    int x;\n        ^", str(problem))

    def test_of_a_long_line_the_part_around_the_caret_is_shown(self):
        shown = str(Problem(Place("f", 1, 5001), "no", "a" * 5000 + "X" + "b" * 5000)).split("\n")
        self.assertEqual("X", shown[1][shown[2].index("^")])
        self.assertLess(len(shown[1]), 300)

    def test_nothing_in_a_line_can_harm_a_terminal_or_a_log(self):
        errors = self.assertRaises(MflErrors, program, b'x = "\x1b[2J\xff\t" + \x07 y;')
        text = str(errors)
        self.assertTrue(all(line.isprintable() for line in text.split("\n")))
        text.encode()
        self.assertEqual("a b\ufffd", printable("a\tb\x00"))

    def test_a_hint_is_given_for_what_is_almost_right(self):
        self.assertEqual("; did you mean Sender?", did_you_mean("sendr", ["Recipient", "Sender"]))
        self.assertEqual("", did_you_mean("x", ["Recipient", "Sender"]))
        self.assertEqual("", did_you_mean("y" * 10**6, ["Recipient"]))
