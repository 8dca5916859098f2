# -*- test-case-name: mvmtr.test.test_mfl_program -*-
"""
The public face: reads a file, and calls its hooks.

C{read} finds everything that is wrong, compiles, and runs what stands outside of
functions. The L{Program} that it gives is never changed and serves any number of sessions.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mvmtr.mfl.checker import START, Checker, ControlSpec
from mvmtr.mfl.compiler import Code, Compiler
from mvmtr.mfl.errors import (
    NOWHERE,
    PROBLEMS_MAX,
    LimitReached,
    MflErrors,
    Place,
    Problem,
    RunError,
)
from mvmtr.mfl.host import Host, IHost
from mvmtr.mfl.runtime import Limits, Run, Stop, Verdict, size_of
from mvmtr.mfl.scope import ZERO, Facts
from mvmtr.mfl.signatures import HOOKS
from mvmtr.mfl.sources import Library, Unreadable, read_file, source_of
from mvmtr.mfl.specs import Extension, registry

if TYPE_CHECKING:
    from mvmtr.mfl.sieve.message import Message
    from mvmtr.mfl.sieve.result import Result

__all__ = ["ControlSpec", "ControlValue", "Limits", "Outcome", "Program", "Verdict", "read"]


@dataclass(frozen=True)
class ControlValue:
    """A control that a file sets; C{value} is an C{int}, C{bytes} or tuple of C{bytes}."""

    name: str
    value: Any
    place: Place


@dataclass(frozen=True)
class Outcome:
    """
    What a hook did.

    @ivar verdict: what it decided, and where; C{None} for nothing.
    @ivar message: the message with its edits, if the hook looked at it.
    @ivar result: what its Sieve actions want, if there were any.
    """

    verdict: Verdict | None
    message: Message | None = None
    result: Result | None = None


class Program:
    """
    A file, ready to run.

    @ivar hooks: the names of the hooks that it defines, without C{$hook_}.
    @ivar controls: what it sets, in order; of one name the last one holds.
    @ivar files: paths of all files that were read.
    """

    def __init__(self, facts: Facts, code: Code, files: Sequence[str]) -> None:
        self._code = code
        self._functions = facts.functions
        self._initial = [ZERO[each.type] for each in facts.globals]
        self.hooks = frozenset(
            name.removeprefix("$hook_") for name in facts.functions if name in HOOKS
        )
        self.controls: tuple[ControlValue, ...] = ()
        self.files = tuple(files)

    def globals(self) -> list[Any]:
        """
        The global variables as they stand at the beginning of a session.

        A session keeps this list and gives it to each of its calls.
        """
        return list(self._initial)

    def call(
        self,
        hook: str,
        arguments: Sequence[bytes],
        host: IHost,
        limits: Limits,
        globals_: list[Any] | None = None,
    ) -> Outcome | Awaitable[Outcome]:
        """
        Call a hook.

        @param hook: one of C{hooks}.
        @param arguments: what it takes.
        @param globals_: see L{globals}; without them they are as at the beginning.
        @return: what it did; an awaitable of that where the hook may have to wait.
        @raise RunError: when it can't go on, with the place where it was.
        """
        run = Run(host, limits, self.globals() if globals_ is None else globals_)
        name = f"$hook_{hook}"
        if self._functions[name].waits:
            return self._call_later(name, run, arguments)
        try:
            return self._outcome(name, run, self.execute(name, run, arguments))
        finally:
            self._bound(run)

    def execute(self, name: str, run: Run, arguments: Sequence[bytes] = ()) -> Any:
        """
        Run a function as part of a run that exists already.

        @param name: with the C{$} of a hook.
        @return: what it returns; an awaitable of that where it may wait. C{stop} returns 0.
        @raise RunError: see L{call}.
        """
        function = self._code.functions[name]
        if self._functions[name].waits:
            return self._wait(function, run, arguments)
        try:
            return function(run, 1, *arguments)
        except Stop:
            return 0
        except Exception as error:
            raise self._located(error) from error

    async def _wait(self, function: Any, run: Run, arguments: Sequence[bytes]) -> Any:
        try:
            return await function(run, 1, *arguments)
        except Stop:
            return 0
        except Exception as error:
            raise self._located(error) from error

    def _located(self, error: Exception) -> RunError:
        if isinstance(error, RunError):
            if not error.place.line:
                error.place = self.place_of(error.__traceback__)
            return error
        message = str(error) or type(error).__name__
        if isinstance(error, RecursionError):
            message = "too many calls within each other"
        return RunError(message, self.place_of(error.__traceback__))

    def place_of(self, traceback: TracebackType | None) -> Place:
        """The last place in the file that a traceback passes."""
        place = NOWHERE
        while traceback is not None:
            if traceback.tb_frame.f_code.co_filename == self._code.file:
                place = self._code.places[traceback.tb_lineno - 1]
            traceback = traceback.tb_next
        return place

    async def _call_later(self, name: str, run: Run, arguments: Sequence[bytes]) -> Outcome:
        try:
            return self._outcome(name, run, await self.execute(name, run, arguments))
        finally:
            self._bound(run)

    def _bound(self, run: Run) -> None:
        """What the calls of a session leave behind may not add up without end."""
        if run.globals and size_of(run.globals) > run.limits.memory:
            run.globals[:] = self._initial
            raise LimitReached(f"more than {run.limits.memory} bytes in global variables")

    def _outcome(self, name: str, run: Run, answer: Any) -> Outcome:
        verdict: Verdict | None = None
        if isinstance(answer, Verdict):
            verdict = answer
        elif answer != 0:
            place = self._functions[name].place
            raise RunError(f"a hook returned {answer}; only 0 or a verdict make sense", place)
        elif run.acted is not None:
            verdict = run.acted.verdict()
        return Outcome(verdict, run.edited, run.acted)

    def start(self, host: IHost, limits: Limits, controls: list[ControlValue]) -> None:
        """Run what stands outside of functions."""
        run = Run(host, limits, self._initial)
        try:
            self._code.functions[START](run, 1)
        except Stop:
            pass
        except Exception as error:
            raise self._located(error) from error
        if size_of(self._initial) > limits.memory:
            raise RunError(f"more than {limits.memory} bytes in global variables")
        self.controls = tuple(controls)


def read(
    path: str | os.PathLike[str],
    text: bytes | None = None,
    *,
    controls: Mapping[str, ControlSpec] | None = None,
    host: IHost | None = None,
    limits: Limits | None = None,
    root: str = "",
    folders: Mapping[str, str] | None = None,
    sieve: bool = False,
    extensions: Iterable[Extension] = (),
    testing: bool = False,
) -> Program:
    """
    Read a file and all that it includes.

    @param path: of the file; places have it in this form.
    @param text: what is in it, if it is not to be read.
    @param controls: those that it may set.
    @param host: for code that runs now: it can log and look at controls, nothing else.
    @param limits: for code that runs now.
    @param root: the folder below which included files are; by default that of the file.
    @param folders: of Sieve's C{include}: C{personal} and C{global}; by default C{root}.
    @param sieve: nothing C-like may stand in the file.
    @param extensions: of Sieve, besides those that there are.
    @param testing: whether a test suite runs.
    @raise MflErrors: with everything that is wrong.
    """
    path = os.fspath(path)
    data = _data(path) if text is None else text
    if not root and (text is None or os.path.exists(path)):
        root = os.path.dirname(os.path.abspath(path))
    checker = Checker(registry(extensions), controls or {}, Library(root, folders or {}), testing)
    try:
        facts, problems = checker.check(source_of(data, path, sieve))
    except RecursionError:
        raise _too_deep(path) from None
    if problems:
        raise MflErrors(sorted(set(problems))[:PROBLEMS_MAX])
    return _started(checker, facts, path, host or Host(), limits or Limits())


def _data(path: str) -> bytes:
    try:
        return read_file(path)
    except Unreadable as error:
        raise MflErrors([Problem(Place(path, 0, 0), str(error))]) from None


def _too_deep(path: str) -> MflErrors:
    """Python's own bounds, which depend on who calls; those of the parser are below them."""
    return MflErrors([Problem(Place(path, 1, 1), "this is nested too deeply")])


def _started(checker: Checker, facts: Facts, path: str, host: IHost, limits: Limits) -> Program:
    values: list[ControlValue] = []

    def control(name: str, value: Any, place: Place) -> None:
        try:
            checker.controls[name].check(value)
        except ValueError as error:
            raise RunError(str(error), place) from None
        values.append(ControlValue(name, value, place))

    try:
        code = Compiler(facts, control).compile(checker.start)
    except (RecursionError, MemoryError, SyntaxError):
        raise _too_deep(path) from None
    program = Program(facts, code, [source.name for source in facts.sources])
    try:
        program.start(host, limits, values)
    except RunError as error:
        raise MflErrors([checker.problem(error.message, error.place)]) from None
    return program
