# -*- test-case-name: mvmtr.test.test_mfl_checker -*-
"""Statements and functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mvmtr.mfl import tree
from mvmtr.mfl.check_base import LOOPS_MAX
from mvmtr.mfl.check_expressions import ExpressionChecker, a, constant, either
from mvmtr.mfl.check_sieve import SieveChecker
from mvmtr.mfl.errors import Place
from mvmtr.mfl.scope import FunctionInfo
from mvmtr.mfl.signatures import HOOKS

if TYPE_CHECKING:
    from mvmtr.mfl.checker import ControlSpec

BRANCHES_MAX = 300
"""How many branches an C{if} may have."""


class StatementChecker(ExpressionChecker, SieveChecker):
    """The part of the checker that looks at statements."""

    controls: Mapping[str, ControlSpec]

    def include_script(self, node: tree.Command) -> None:
        raise NotImplementedError

    # Functions

    def signature(self, node: tree.Function, info: FunctionInfo) -> None:
        """Take in the parameters of a function."""
        before = self.function, self.scopes
        self.function, self.scopes = info, [{}]
        for each in node.parameters:
            variable = self.declare(each.name, each.type, each.place)
            info.parameters += (variable,)
        self.function, self.scopes = before
        if node.name in HOOKS:
            self._hook(node)

    def _hook(self, node: tree.Function) -> None:
        names, _needs = HOOKS[node.name]
        if node.type not in ("int", "void"):
            self.report(f"{node.name}() returns an int, not {a(node.type)}", node.place)
        if [each.type for each in node.parameters] != ["string"] * len(names):
            wanted = ", ".join(f"string {name}" for name in names)
            self.report(f"this hook is {node.name}({wanted})", node.place)

    def body(self, node: tree.Function, info: FunctionInfo) -> None:
        """Check what a function does."""
        before = self.function, self.scopes
        parameters = {each.name: each for each in info.parameters}
        self.function, self.scopes = info, [self.scopes[0], parameters]
        self.statements(node.body.statements)
        self.function, self.scopes = before

    # Statements

    def statements(self, nodes: tuple[tree.Statement, ...]) -> None:
        for node in nodes:
            self.statement(node)

    def statement(self, node: tree.Statement) -> None:
        getattr(self, f"_do_{type(node).__name__.lower()}")(node)

    def _scoped(self, node: tree.Statement) -> None:
        with self.scope():
            self.statement(node)

    @contextmanager
    def _within(self, what: str, place: Place) -> Iterator[None]:
        self.loops.append(what)
        if len(self.loops) == LOOPS_MAX + 1:
            self.report(f"more than {LOOPS_MAX} loops stand in each other", place)
        try:
            yield
        finally:
            self.loops.pop()

    def _do_expressionstatement(self, node: tree.ExpressionStatement) -> None:
        self.expression(node.expression)

    def _do_block(self, node: tree.Block) -> None:
        with self.scope():
            self.statements(node.statements)

    def _do_if(self, node: tree.If) -> None:
        self._count(node)
        for condition, body in node.branches:
            self.condition(condition)
            self._scoped(body)
        if node.otherwise is not None:
            self._scoped(node.otherwise)

    def _count(self, node: tree.If | tree.SieveIf) -> None:
        if len(node.branches) > BRANCHES_MAX:
            self.report(f"this if has more than {BRANCHES_MAX} branches", node.place)

    def _do_sieveif(self, node: tree.SieveIf) -> None:
        self._count(node)
        for test, block in node.branches:
            folded = self.test(test)
            if folded is not False:
                self._do_block(block)
            if folded is True:
                return
        if node.otherwise is not None:
            self._do_block(node.otherwise)

    def _do_while(self, node: tree.While) -> None:
        self.condition(node.condition)
        with self._within("loop", node.place):
            self._scoped(node.body)

    def _do_dowhile(self, node: tree.DoWhile) -> None:
        with self._within("loop", node.place):
            self._scoped(node.body)
        self.condition(node.condition)

    def _do_for(self, node: tree.For) -> None:
        with self.scope():
            if node.start is not None:
                self.statement(node.start)
            if node.condition is not None:
                self.condition(node.condition)
            if node.step is not None:
                self.expression(node.step)
            with self._within("loop", node.place):
                self._scoped(node.body)

    def _do_switch(self, node: tree.Switch) -> None:
        type_ = self.value(node.value, "the value of a switch", "int", "string")
        seen: set[object] = set()
        with self.scope(), self._within("switch", node.place):
            for case in node.cases:
                self._case(case, type_, seen)
                self.statements(case.statements)

    def _case(self, case: tree.Case, type_: str | None, seen: set[object]) -> None:
        value = None
        if case.value is not None:
            value = constant(case.value)
            found = self.expression(case.value)
            if value is None:
                self.report("the value of a case is a number or a string", case.value.place)
                return
            if type_ and found and found != type_:
                self.report(f"this case is {a(found)}, the switch {a(type_)}", case.value.place)
        if value in seen:
            self.report("there is another case for this", case.place)
        seen.add(value)

    def _do_break(self, node: tree.Break) -> None:
        if not self._encloses("loop", "switch"):
            self.report("break stands in no loop and no switch", node.place)

    def _do_continue(self, node: tree.Continue) -> None:
        if not self._encloses("loop"):
            self.report("continue stands in no loop", node.place)

    def _encloses(self, *what: str) -> bool:
        return any(each in what for each in self.loops)

    def _do_return(self, node: tree.Return) -> None:
        result = self.function.result
        if self.function.name == "start-up":
            self.report("return stands in no function", node.place)
        elif node.value is None:
            if not self.function.place.line:
                self.needs_require("return", ("include",), node.place)
            elif result != "void":
                self.report(f"{self.function.name}() returns {a(result)}", node.place)
        elif result == "void":
            self.report(f"{self.function.name}() returns nothing", node.place)
            self.expression(node.value)
        else:
            self.value(node.value, "what is returned", result)
            if self.function.is_hook and constant(node.value):
                message = "a hook returns 0 or what $accept, $reject, $defer, $discard give"
                self.report(message, node.place)

    def _do_declaration(self, node: tree.Declaration) -> None:
        is_global = len(self.scopes) == 1
        for each in node.names:
            if each.value is not None:
                found = self.expression(each.value)
                if found is not None and found != node.type:
                    self.report(f"{a(node.type)} can't hold {a(found)}", each.value.place)
            if each.name in self.facts.functions:
                self.report(f"{each.name} is a function", each.place)
            variable = self.declare(each.name, node.type, each.place, is_global)
            self.facts.variables[id(each)] = variable

    def _do_control(self, node: tree.Control) -> None:
        if self.function.name != "start-up":
            self.report("a control can be set outside of functions only", node.place)
        spec = self.controls.get(node.name)
        if spec is None:
            self.unknown("control", node.name, node.place, self.controls)
            self.expression(node.value)
            return
        found = self.expression(node.value)
        if found is not None and found not in spec.types:
            message = f"{node.name} takes {either(spec.types)}, not {a(found)}"
            self.report(message, node.value.place)
            return
        value = constant(node.value)
        if value is not None:
            try:
                spec.check(value)
            except ValueError as error:
                self.report(str(error), node.value.place)

    def _do_function(self, node: tree.Function) -> None:
        self.report("a function can't stand inside of something", node.place)

    # Sieve's own

    def _do_command(self, node: tree.Command) -> None:
        if node.name == "require":
            self.report("require must stand outside of all blocks", node.place)
        elif node.name in ("stop", "return"):
            self._takes(node, ())
            if node.name == "return":
                self.needs_require("return", ("include",), node.place)
        elif node.name in ("elsif", "else"):
            self.report(f"this {node.name} has no if", node.place)
        elif node.name == "include":
            self.include_script(node)
        elif node.name == "global":
            self.share(node)
        else:
            self.command(node)
            if node.block is not None and id(node) in self.facts.used:
                with self._within("block", node.place):
                    self._do_block(node.block)
