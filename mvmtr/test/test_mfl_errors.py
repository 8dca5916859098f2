"""Tests for L{mvmtr.mfl.errors}: how it is told what is wrong, and where."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl.errors import Place, Problem, RunError, did_you_mean, printable
from mvmtr.mfl.lexer import Lexer


class ErrorTests(SynchronousTestCase):
    def test_a_problem_is_told_with_its_line_and_a_caret(self):
        problem = Problem(Place("f", 2, 5), "no", "int x = y;")
        self.assertEqual(str(problem), "f:2:5: no\n    int x = y;\n        ^")

    def test_of_a_long_line_the_part_around_the_place_is_shown(self):
        shown = str(Problem(Place("f", 1, 501), "no", "a" * 500 + "b" + "c" * 500))
        _message, line, caret = shown.split("\n")
        self.assertEqual((line[len(caret) - 1], len(line)), ("b", 204))

    def test_what_can_not_be_shown_has_a_mark_of_the_same_length(self):
        self.assertEqual(printable("a\tb\x1b[1m\u202e"), "a b\ufffd[1m\ufffd")

    def test_an_error_while_code_runs_has_its_place(self):
        self.assertEqual(str(RunError("no", Place("f", 1, 2))), "f:1:2: no")
        self.assertEqual(str(RunError("no")), "no")

    def test_a_name_is_no_hint_for_itself(self):
        self.assertEqual(did_you_mean("int", ["int"]), "")
        self.assertEqual(did_you_mean("Rejct", ["reject", "int"]), "; did you mean reject?")

    def test_a_line_with_many_problems_is_made_printable_once(self):
        lexer = Lexer(b"a\tb", "f")
        first, second = (lexer.problem("no", Place("f", 1, column)) for column in (1, 2))
        self.assertIs(first.line, second.line)
