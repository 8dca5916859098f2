# -*- test-case-name: mvmtr.test.test_mfl_compiler -*-
"""Sieve commands and tests to Python."""

from __future__ import annotations

import ast
from typing import Any

from mvmtr.mfl import tree
from mvmtr.mfl.compile_expressions import ExpressionCompiler
from mvmtr.mfl.scope import Included, SieveName, Used, Variable
from mvmtr.mfl.specs import CommandSpec, Kind


class SieveCompiler(ExpressionCompiler):
    """The part of the compiler that makes Sieve."""

    def statement(self, node: tree.Statement) -> list[ast.stmt]:
        raise NotImplementedError

    def assign(self, variable: Variable, value: ast.expr) -> ast.stmt:
        raise NotImplementedError

    # Tests

    def test(self, node: tree.Test) -> ast.expr:
        """A test as a condition."""
        folded = self.facts.folded.get(id(node))
        if folded is not None:
            return self.value(folded)
        if node.name in ("true", "false"):
            return self.value(node.name == "true")
        if node.name == "not":
            inner = self.test(node.tests[0])
            return self.make(ast.UnaryOp, ast.Not(), inner)
        if node.name in ("anyof", "allof"):
            operator = ast.And() if node.name == "allof" else ast.Or()
            tests = [self.test(each) for each in node.tests]
            return tests[0] if len(tests) == 1 else self.make(ast.BoolOp, operator, tests)
        return self._used(node)

    def _used(self, node: tree.Test | tree.Command) -> ast.expr:
        """A call of what an extension built."""
        used = self.facts.used[id(node)]
        self.at(node.place)
        values = self.pair(self._value(each) for each in used.values)
        self.at(node.place)
        made = self.call(self.constant(used.run, "x"), self.name("run"), values)
        return self.wait(made) if used.spec.waits else made

    def _value(self, value: tuple[Kind, Any]) -> ast.expr:
        kind, parts = value
        if kind is Kind.STRING:
            return self._text(parts)
        items: list[ast.expr] = []
        for each in parts:
            if len(each) == 1 and isinstance(each[0], Variable) and each[0].type == "list":
                items.append(self.make(ast.Starred, self.load(each[0]), ast.Load()))
            else:
                items.append(self._text(each))
        return self.pair(items)

    def _text(self, parts: tuple[Any, ...]) -> ast.expr:
        """A string of texts and variables."""
        if len(parts) == 1:
            return self._part(parts[0])
        return self.run("made", self.joined([self._part(part) for part in parts]))

    def _part(self, part: Any) -> ast.expr:
        if isinstance(part, bytes):
            return self.value(part)
        if isinstance(part, int):
            return self.call("capture", self.name("run"), self.value(part))
        if isinstance(part, Variable):
            loaded = self.load(part)
            if part.type == "int":
                return self.operation(self.value(b"%d"), ast.Mod(), loaded)
            return loaded
        find = self.attribute(self._variables(part), "get")
        return self.call(find, self.value(part.name), self.value(b""))

    def _variables(self, name: SieveName) -> ast.expr:
        if name.shared:
            return self.attribute(self.name("run"), "shared")
        self.uses_variables = True
        return self.name("variables")

    # Commands

    def _do_command(self, node: tree.Command) -> list[ast.stmt]:
        if node.name in ("require", "global"):
            return []
        if node.name == "stop":
            return [self.make(ast.Raise, self.name("Stop"), None)]
        if node.name == "return":
            return [self.make(ast.Return, self.value(0))]
        included = self.facts.included.get(id(node))
        if isinstance(included, Included):
            return self._include(included)
        used = self.facts.used[id(node)]
        made = self._used(node)
        if isinstance(used.spec, CommandSpec) and used.spec.block and node.block is not None:
            body = self.statement(node.block) or [self.make(ast.Pass)]
            return [self.make(ast.With, [ast.withitem(made, None)], body)]
        if used.target is not None:
            return [self._set(used, made)]
        return [self.do(made)]

    def _set(self, used: Used, made: ast.expr) -> ast.stmt:
        if isinstance(used.target, Variable):
            return self.assign(used.target, made)
        assert used.target is not None
        variables = self._variables(used.target)
        return self.set_item(variables, self.value(used.target.name), made)

    def _include(self, included: Included) -> list[ast.stmt]:
        function = included.function
        if function is None:
            return []
        depth = self.operation(self.name("depth"), ast.Add(), self.value(1))
        made = self.call(self.names[function.name], self.name("run"), depth)
        call = self.do(self.wait(made) if function.waits else made)
        if not included.once:
            return [call]
        number = self.value(function.source.number)
        done = self.attribute(self.name("run"), "included")
        return [self.when(self.compare(number, ast.NotIn(), done), [call])]
