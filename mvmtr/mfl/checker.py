# -*- test-case-name: mvmtr.test.test_mfl_checker -*-
"""
Finds everything that is wrong with a file before any of it runs.

What it learns on the way, the compiler needs: see L{mvmtr.mfl.scope}.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mvmtr.mfl import tree
from mvmtr.mfl.check_statements import StatementChecker
from mvmtr.mfl.demands import check_demands
from mvmtr.mfl.errors import Problem
from mvmtr.mfl.scope import Facts, FunctionInfo, Included, Source
from mvmtr.mfl.signatures import HOOKS
from mvmtr.mfl.sources import Library, Unreadable
from mvmtr.mfl.specs import Registry

INCLUDES_MAX = 15
"""How deep files may include each other."""

START = "start-up"
MESSAGE = "$hook_message"


@dataclass(frozen=True)
class ControlSpec:
    """
    A control that a file may set.

    @ivar types: of C{int}, C{string} and C{list}, those that it takes.
    @ivar check: raises C{ValueError} for a value that it can't take.
    """

    types: frozenset[str]
    check: Callable[[Any], object] = lambda value: None


class Checker(StatementChecker):
    """
    Checks one file and all that it includes.

    @param controls: those that may be set, by name.
    """

    def __init__(
        self,
        registry: Registry,
        controls: Mapping[str, ControlSpec],
        library: Library,
        testing: bool = False,
    ) -> None:
        super().__init__(registry, testing)
        self.controls = controls
        self.library = library
        self._scripts: dict[str, FunctionInfo] = {}
        self._including: list[str] = []

    def check(self, source: Source) -> tuple[Facts, list[Problem]]:
        """
        @return: what is known of the file, and what is wrong with it. Only when nothing
            is, the former can be compiled.
        """
        self.source = source
        self.start = self.function = self._new(START, "void")
        self._acts = self._new(MESSAGE, "int")
        self._file(source)
        if self._acts.statements:
            self._add_acts()
        self.problems += check_demands(self.facts, self.start, self.problem)
        return self.facts, self.problems

    def _new(self, name: str, result: str) -> FunctionInfo:
        return FunctionInfo(name, self.source, [], result)

    def _add_acts(self) -> None:
        hook = self.facts.functions.get(MESSAGE)
        if hook is not None:
            place = self._acts.statements[0].place
            message = f"Sieve outside of functions acts on the message, but so does {MESSAGE}()"
            self.report(message, place)
        else:
            self.facts.functions[MESSAGE] = self._acts

    @contextmanager
    def _inside(self, source: Source) -> Any:
        before = self.source
        self.source = source
        self._including.append(source.path)
        try:
            yield
        finally:
            self.source = before
            self._including.pop()

    def _file(self, source: Source) -> None:
        self.facts.sources.append(source)
        with self._inside(source):
            self.problems += source.parsed.problems
            if not source.strict:
                source.capabilities.update(
                    name for name, each in self.registry.capabilities.items() if not each.refused
                )
            self._collect(source)
            for node in source.parsed.tree.statements:
                self._top_level(node)

    def _collect(self, source: Source) -> None:
        """The functions, so that those before can call those behind."""
        for node in source.parsed.tree.statements:
            if isinstance(node, tree.Function):
                info = FunctionInfo(node.name, source, [*node.body.statements], node.type)
                info.place = node.place
                if node.name in self.facts.functions:
                    self.report(f"there is another function {node.name}", node.place)
                elif node.name.startswith("$") and node.name not in HOOKS:
                    self.unknown("hook", node.name, node.place, HOOKS)
                self.facts.functions[node.name] = info
                self.signature(node, info)

    def _top_level(self, node: tree.Statement) -> None:
        if isinstance(node, tree.Function):
            self.body(node, self.facts.functions[node.name])
        elif isinstance(node, tree.Command) and node.name == "require":
            if self.source.strict and self.source.commands_seen:
                self.report("require must stand before all other commands", node.place)
            self.require(node)
        elif isinstance(node, tree.Command) and self._is_plain_include(node):
            self._include_file(node)
        elif isinstance(node, tree.Command | tree.SieveIf) or self.source.strict:
            self.source.commands_seen = True
            self._in(self._acts, node)
        else:
            self._in(self.start, node)

    def _in(self, function: FunctionInfo, node: tree.Statement) -> None:
        self.function = function
        function.statements.append(node)
        self.statement(node)

    # include

    def _is_plain_include(self, node: tree.Command) -> bool:
        """Whether it is that of the C-like side: Sieve's has to be required."""
        if node.name != "include" or self.source.script:
            return False
        if not (len(node.arguments) == 1 and isinstance(node.arguments[0], tree.String)):
            return False
        return not any(
            item.value == b"include"
            for each in self.source.parsed.tree.statements
            if isinstance(each, tree.Command) and each.name == "require" and each.arguments
            for item in self.strings_of(each.arguments[0])
        )

    def _include_file(self, node: tree.Command) -> None:
        (name,) = self.strings_of(node.arguments[0])
        try:
            source = self.library.file(name.value, self.source)
        except Unreadable as error:
            self.report(str(error), node.place)
            return
        known = any(each.path == source.path for each in self.facts.sources)
        if self._may_include(source.path, node) and not known:
            self._file(source)

    def _may_include(self, path: str, node: tree.Command) -> bool:
        if path in self._including:
            self.report(f"{path} includes itself", node.place)
        elif len(self._including) >= INCLUDES_MAX:
            self.report(f"more than {INCLUDES_MAX} files include each other", node.place)
        else:
            return True
        return False

    def include_script(self, node: tree.Command) -> None:
        """C{include} of RFC 6609."""
        self.needs_require("include", ("include",), node.place)
        tags = [each.name for each in node.arguments if isinstance(each, tree.Tag)]
        rest = [each for each in node.arguments if not isinstance(each, tree.Tag)]
        for each in node.arguments[: len(tags)]:
            if not isinstance(each, tree.Tag):
                self.report("the tags of include stand before the name", each.place)
        known = {"personal", "global", "once", "optional"}
        places = {"personal", "global"}.intersection(tags)
        if set(tags) - known or len(places) == 2 or len(set(tags)) < len(tags):
            self.report("include takes :personal or :global, :once, :optional", node.place)
        if len(rest) != 1 or not isinstance(rest[0], tree.String):
            self.report("include takes the name of one script", node.place)
            return
        parts = self.parts(rest[0])
        if not all(isinstance(part, bytes) for part in parts):
            self.report("no variable may stand in the name of a script", rest[0].place)
            return
        function = self._script(node, b"".join(parts), tags)
        self.facts.included[id(node)] = Included(function, "once" in tags)
        if function is not None:
            self.function.calls.setdefault(function.name, node.place)

    def _script(self, node: tree.Command, name: bytes, tags: list[str]) -> FunctionInfo | None:
        location = "global" if "global" in tags else "personal"
        try:
            path = os.path.realpath(self.library.find_script(location, name))
            if not self._may_include(path, node):
                return None
            if path in self._scripts:
                return self._scripts[path]
            source = self.library.script(path)
        except Unreadable as error:
            self.report(str(error), node.place)
            return None
        if source is None:
            if "optional" not in tags:
                self.report(f"there is no script {path}", node.place)
            return None
        return self._check_script(path, source)

    def _check_script(self, path: str, source: Source) -> FunctionInfo:
        source.number = len(self._scripts) + 1
        function = FunctionInfo(f"script {source.number}", source, [], "void", is_script=True)
        self._scripts[path] = function
        self.facts.functions[function.name] = function
        self.facts.sources.append(source)
        before = (self.function, self._acts, self.scopes, self.loops)
        self.scopes, self.loops = [{}], []
        self.function = self._acts = function
        with self._inside(source):
            self.problems += source.parsed.problems
            for node in source.parsed.tree.statements:
                self._top_level(node)
        self.function, self._acts, self.scopes, self.loops = before
        return function
