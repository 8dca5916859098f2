"""
Runs the tests of Sieve that are written in Sieve, in C{mfl/svtest}, and tests what runs them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl import svtest
from mvmtr.mfl.lexer import Lexer

FOLDER = Path(__file__).parent / "mfl" / "svtest"
HEAD = 'require "vnd.dovecot.testsuite";\n'


class ConformanceTests(SynchronousTestCase):
    """One test for each file; it passes when all tests in the file do."""

    def check(self, path: Path) -> None:
        """All tests of a file pass, and each of them runs."""
        lines: list[str] = []
        status = svtest.main([str(path)], lines.append)
        written = path.read_text("utf-8").count('\ntest "')
        self.assertEqual([line for line in lines[:-1] if not line.startswith("passed ")], [])
        self.assertEqual(lines[-1], f"{written} passed, 0 failed")
        self.assertEqual(status, 0)
        self.assertGreater(written, 0)


def _method(path: Path) -> Callable[[ConformanceTests], None]:
    return lambda self: self.check(path)


for _path in sorted(FOLDER.glob("*.svtest")):
    setattr(ConformanceTests, f"test_{_path.stem.replace('-', '_')}", _method(_path))


class RunnerTests(SynchronousTestCase):
    """What runs them."""

    def run_text(self, text: str) -> tuple[int, list[str]]:
        """The exit status and the lines for a file."""
        path = Path(self.mktemp())
        path.write_text(HEAD + text, "utf-8")
        lines: list[str] = []
        status = svtest.main([str(path)], lines.append)
        return status, [line.replace(str(path), "FILE") for line in lines]

    def test_each_test_has_a_line_and_there_is_a_sum(self) -> None:
        status, lines = self.run_text('test "one" { } test "two" { if true { } }')
        self.assertEqual(lines, ["passed   one", "passed   two", "2 passed, 0 failed"])
        self.assertEqual(status, 0)

    def test_a_test_that_fails_says_why_and_the_others_run(self) -> None:
        status, lines = self.run_text(
            'test "one" { test_fail "that is why"; test_fail "another"; }\ntest "two" { }'
        )
        self.assertEqual(lines, ["FAILED   one: that is why", "passed   two", "1 passed, 1 failed"])
        self.assertEqual(status, 1)

    def test_an_error_while_a_test_runs_is_a_failure(self) -> None:
        _status, lines = self.run_text('test "one" {\n\ttest_set "nothing" "x";\n}')
        self.assertIn("FAILED   one: FILE:3:2: there is nothing to set", lines[0])

    def test_unknown_commands_are_refused_by_name_and_the_other_tests_run(self) -> None:
        status, lines = self.run_text(
            'test "one" { }\ntest "two" {\n\tif not test_frobnicate "x" { keep; }\n'
            '\ttest_imap_metadata_set "x";\n}\ntest "three" { }\n'
        )
        self.assertIn("REFUSED  two: line 4: ", lines[0])
        self.assertIn("test_frobnicate", lines[0])
        self.assertIn("test_imap_metadata_set", lines[0])
        self.assertEqual(lines[1:], ["passed   one", "passed   three", "2 passed, 1 failed"])
        self.assertEqual(status, 1)

    def test_what_can_not_be_required_is_left_out(self) -> None:
        status, lines = self.run_text(
            'require ["vacation", "x-none"];\ntest "one" { }\ntest "two" { vacation "x"; }\n'
        )
        self.assertTrue(lines[0].startswith("REFUSED  two: line 4: vacation makes no sense"))
        told = "".join(lines[1:3])
        self.assertIn('left out line 2: there is no capability "x-none"', told)
        self.assertIn('left out line 2: "vacation" makes no sense', told)
        self.assertEqual(lines[3:], ["passed   one", "1 passed, 1 failed"])
        self.assertEqual(status, 1)

    def test_a_test_that_takes_too_much_does_not_spoil_the_others(self) -> None:
        doubling = 'set "a" "${a}${a}";\n' * 40
        _status, lines = self.run_text(
            f'require "variables";\ntest "one" {{ set "a" "xxxx";\n{doubling} }}'
            f'\ntest "two" {{ set "a" ""; {doubling} }}'
        )
        self.assertTrue(lines[0].startswith("FAILED   one: "), lines)
        self.assertIn("bytes of strings", lines[0])
        self.assertEqual(lines[1:], ["passed   two", "1 passed, 1 failed"])

    def test_a_late_require_is_left_out(self) -> None:
        _status, lines = self.run_text('test "one" { }\nrequire "envelope";\ntest "two" { }')
        self.assertTrue(lines[0].startswith("left out line 3: require must stand before"), lines)
        self.assertEqual(lines[1:], ["passed   one", "passed   two", "2 passed, 0 failed"])

    def test_a_test_that_can_not_be_read_does_not_spoil_the_others(self) -> None:
        _status, lines = self.run_text(
            'test "one" { if { test_fail "x"; } }\ntest "two" { }\nfrob "x";\ntest "three" {}'
        )
        self.assertTrue(any(line.startswith("REFUSED  one: line 2") for line in lines), lines)
        self.assertTrue(any(line.startswith("left out line 4") for line in lines), lines)
        self.assertEqual(lines[-3:], ["passed   two", "passed   three", "2 passed, 1 failed"])

    def test_tests_behind_an_error_outside_of_tests_never_run(self) -> None:
        status, lines = self.run_text('test "one" {}\ntest_fail "no";\ntest "two" {}')
        self.assertEqual(lines[0], "passed   one")
        self.assertTrue(lines[1].startswith("left out the rest of the file"))
        self.assertEqual(lines[2:], ["REFUSED  two: never came to run", "1 passed, 1 failed"])
        self.assertEqual(status, 1)

    def test_stop_ends_a_test_only(self) -> None:
        _status, lines = self.run_text('test "one" { stop; test_fail "x"; } test "two" {}')
        self.assertEqual(lines, ["passed   one", "passed   two", "2 passed, 0 failed"])

    def test_tests_of_one_name_are_counted_apart(self) -> None:
        _status, lines = self.run_text('test "one" {} test "one" { test_fail "x"; }')
        self.assertEqual(lines, ["passed   one", "FAILED   one: x", "1 passed, 1 failed"])

    def test_a_saved_script_can_be_loaded(self) -> None:
        path = Path(self.mktemp())
        path.mkdir()
        (path / "a.sieve").write_text("discard;\n")
        (path / "b.sieve").write_text("keep;\n")
        (path / "x.svtest").write_text(
            HEAD + 'test "one" {\nif not test_script_compile "a.sieve" {}\n'
            'test_binary_save "a";\nif not test_script_compile "b.sieve" {}\n'
            'test_binary_load "a";\nif not test_script_run { test_fail "run"; }\n'
            'if not test_result_action "discard" { test_fail "action"; } }\n'
            'test "two" { if not test_multiscript ["b.sieve", "a.sieve"] { test_fail "x"; }\n'
            'if not test_result_action ["discard"] { test_fail "action"; } }\n'
        )
        lines: list[str] = []
        svtest.main([str(path / "x.svtest")], lines.append)
        self.assertEqual(lines[-1], "2 passed, 0 failed", lines)

    def test_a_file_that_is_missing_is_told(self) -> None:
        lines: list[str] = []
        self.assertEqual(svtest.main(["/nonexistent/x.svtest"], lines.append), 1)
        self.assertIn("REFUSED  /nonexistent/x.svtest: No such file", lines[0])
        self.assertEqual(svtest.main([], lines.append), 2)

    def test_the_extension_is_there_for_tests_only(self) -> None:
        from mvmtr.mfl.errors import MflErrors
        from mvmtr.mfl.program import read

        self.assertRaises(MflErrors, read, "x", HEAD.encode(), sieve=True)
        self.assertRaises(MflErrors, read, "x", b'require "fileinto";', sieve=True)

    def test_it_is_a_program(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "mvmtr.mfl.svtest", str(FOLDER / "control.svtest")],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(svtest.__file__).parents[2])},
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertTrue(done.stdout.endswith(" passed, 0 failed\n"), done.stdout)

    def test_brackets_cut_a_file_into_commands(self) -> None:
        text = 'require "x"; test "one" { if true { } } /* test "two" { */ keep; test "x" {'
        found = svtest.sections(Lexer(text.encode(), "", False).tokens())
        self.assertEqual([each.word for each in found], ["require", "test", "keep"])
        self.assertEqual([each.name for each in found], ["", "one", ""])
        self.assertEqual(text[found[1].start : found[1].end], 'test "one" { if true { } }')
