# -*- test-case-name: mvmtr.test.test_mfl_svtest -*-
"""
Runs tests of Sieve that are written in Sieve::

    python -m mvmtr.mfl.svtest FILE.svtest ...

One line is printed for each test, and C{N passed, N failed} at the end. A test that uses
what there is not is refused, with the reason, and counts as failed; the others run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from mvmtr.mfl.errors import MflErrors, Problem, RunError
from mvmtr.mfl.lexer import Kind, Lexer, Token, encode
from mvmtr.mfl.program import Limits, Program
from mvmtr.mfl.runtime import Run
from mvmtr.mfl.testsuite import Bench

_PASSES = 100
_NOTHING = '"comparator-i;octet"'
"""A capability that is there without being required."""
_LIMITS = Limits(steps=10_000_000, memory=1 << 28, seconds=60.0)
"""What one test may use up."""


@dataclass(eq=False)
class Section:
    """
    A command on the outermost level of a file.

    @ivar name: of the test; empty for any other command.
    @ivar start: and C{end}: where it stands in the text.
    @ivar lines: the numbers of its first and last line.
    @ivar includes: whether it may include another file.
    """

    word: str
    name: str
    start: int
    end: int
    lines: tuple[int, int]
    includes: bool


def sections(tokens: Sequence[Token]) -> list[Section]:
    """The outermost commands of a file, as far as its brackets tell."""
    found: list[Section] = []
    own: list[Token] = []
    depth = 0
    for token in tokens:
        if token.kind is Kind.END:
            break
        own.append(token)
        if token.kind is not Kind.SIGN:
            continue
        depth += (token.text == "{") - (token.text == "}")
        if depth <= 0 and token.text in (";", "}"):
            depth = 0
            found.append(_section(own))
            own = []
    return found


def _section(tokens: Sequence[Token]) -> Section:
    first, last = tokens[0], tokens[-1]
    word = first.text.lower()
    named = word == "test" and len(tokens) > 1
    return Section(
        word,
        tokens[1].text if named else "",
        first.start,
        last.end,
        (first.place.line, last.place.line),
        any(token.text.lower() == "include" for token in tokens),
    )


@dataclass
class Report:
    """
    What came of the tests.

    @ivar tell: takes each line.
    @ivar refused: whether something beside the tests could not be read.
    """

    tell: Callable[[str], object]
    passed: int = 0
    failed: int = 0
    refused: bool = False
    seen: list[str] = field(default_factory=list)

    def told(self, name: str, why: str | None) -> None:
        """A test ran."""
        self.seen.append(name)
        if why is None:
            self.passed += 1
            self.tell(f"passed   {name}")
        else:
            self.failed += 1
            self.tell(f"FAILED   {name}: {why}")

    def refuse(self, name: str, why: str) -> None:
        """A test can't be run."""
        self.seen.append(name)
        self.failed += 1
        self.tell(f"REFUSED  {name}: {why}")

    def note(self, what: str) -> None:
        """Something that is no test is left out."""
        self.refused = True
        self.tell(f"left out {what}")


class Tests:
    """
    One file of tests.

    @param path: of the file.
    @param report: is told what comes of them.
    """

    def __init__(self, path: str, report: Report) -> None:
        self._path = path
        self._report = report
        self._bench = Bench(os.path.dirname(os.path.abspath(path)), report.told)

    def run(self) -> None:
        """Run them all."""
        try:
            with open(self._path, "rb") as file:
                data = file.read()
        except OSError as error:
            self._report.refuse(self._path, str(error.strerror))
            return
        before = len(self._report.seen)
        names = [each.name for each in sections(Lexer(data, "", False).tokens()) if each.name]
        program = self._read(data)
        if program is not None:
            self._execute(program)
        for name in self._report.seen[before:]:
            if name in names:
                names.remove(name)
        for name in names:
            self._report.refuse(name, "never came to run")

    def _execute(self, program: Program) -> None:
        self._bench.program = program
        if "message" not in program.hooks:
            return
        try:
            program.execute("$hook_message", Run(self._bench.host, _LIMITS))
        except RunError as error:
            self._report.note(f"the rest of the file: {error}")

    def _read(self, data: bytes) -> Program | None:
        """The file without what can't be read in it."""
        for _pass in range(_PASSES):
            try:
                return self._bench.read(self._path, data)
            except MflErrors as errors:
                shortened = self._without(data, errors.problems)
                if shortened == data:
                    self._report.note(f"the whole file: {errors.problems[0]}")
                    return None
                data = shortened
        self._report.note("the whole file: there is too much wrong with it")
        return None

    def _without(self, data: bytes, problems: Iterable[Problem]) -> bytes:
        """The text without the commands that something is wrong with; places stay."""
        lexer = Lexer(data, self._path, False)
        tokens = lexer.tokens()
        every = sections(tokens)
        wrong: dict[Section, list[Problem]] = {}
        for problem in problems:
            for section in self._blamed(every, problem):
                wrong.setdefault(section, []).append(problem)
        text = lexer.text
        for section in sorted(wrong, key=lambda each: -each.start):
            if section.word == "require":
                shortened = self._without_capabilities(text, tokens, wrong[section])
                if shortened != text:
                    text = shortened
                    continue
            messages = "; ".join(dict.fromkeys(each.message for each in wrong[section]))
            why = f"line {wrong[section][0].place.line}: {messages}"
            if section.name:
                self._report.refuse(section.name, why)
            else:
                self._report.note(why)
            lines = "\n" * text.count("\n", section.start, section.end)
            text = text[: section.start] + lines + text[section.end :]
        return encode(text)

    def _blamed(self, every: Sequence[Section], problem: Problem) -> list[Section]:
        if problem.place.file != self._path:
            return [section for section in every if section.includes]
        line = problem.place.line
        return [each for each in every if each.lines[0] <= line <= each.lines[1]][:1]

    def _without_capabilities(
        self, text: str, tokens: Sequence[Token], problems: Iterable[Problem]
    ) -> str:
        places = {problem.place: problem for problem in problems}
        for token in reversed(tokens):
            if token.kind is Kind.STRING and token.place in places:
                self._report.note(f"line {token.place.line}: {places[token.place].message}")
                text = text[: token.start] + _NOTHING + text[token.end :]
        return text


def main(arguments: Sequence[str], tell: Callable[[str], object] = print) -> int:
    """
    Run the tests of some files.

    @param tell: takes each line.
    @return: the exit status.
    """
    if not arguments:
        tell("usage: python -m mvmtr.mfl.svtest FILE.svtest ...")
        return 2
    report = Report(tell)
    for path in arguments:
        if len(arguments) > 1:
            tell(f"{path}:")
        Tests(path, report).run()
    tell(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed or report.refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
