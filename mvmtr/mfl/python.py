"""
Makes Python's own syntax tree.

The line of each node is not that of a file but the number of a L{Place} in a table, so
that a traceback tells the exact place in a file of MFL, and costs nothing until then.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any, TypeVar

from mvmtr.mfl.errors import NOWHERE, Place

N = TypeVar("N", bound=ast.AST)


class Maker:
    """
    @ivar places: the table.
    @ivar constants: names and values that the code refers to.
    """

    def __init__(self) -> None:
        self.places: list[Place] = [NOWHERE]
        self.constants: dict[str, Any] = {}
        self._line = 1
        self._numbers: dict[Place, int] = {NOWHERE: 1}
        self._temporary = 0

    def at(self, place: Place) -> None:
        """What is made from now on stands at this place."""
        self._line = self._numbers.get(place, 0)
        if not self._line:
            self.places.append(place)
            self._line = self._numbers[place] = len(self.places)

    def make(self, kind: type[N], *fields: Any) -> N:
        line = self._line
        node: Any = kind(*fields)
        node.lineno = node.end_lineno = line
        node.col_offset = node.end_col_offset = 0
        return node  # type: ignore[no-any-return]

    def temporary(self) -> str:
        """A name that is not in use yet."""
        self._temporary += 1
        return f"t{self._temporary}"

    # Expressions

    def name(self, name: str) -> ast.expr:
        return self.make(ast.Name, name, ast.Load())

    def value(self, value: object) -> ast.expr:
        return self.make(ast.Constant, value)

    def constant(self, value: Any, prefix: str = "k") -> ast.expr:
        """Something that can't be written down, by a name that the code finds it by."""
        name = f"{prefix}{len(self.constants)}"
        self.constants[name] = value
        return self.name(name)

    def call(self, function: str | ast.expr, *arguments: ast.expr) -> ast.expr:
        callee = self.name(function) if isinstance(function, str) else function
        return self.make(ast.Call, callee, list(arguments), [])

    def run(self, method: str, *arguments: ast.expr) -> ast.expr:
        """A call of a method of the run."""
        return self.call(self.attribute(self.name("run"), method), *arguments)

    def attribute(self, of: ast.expr, name: str) -> ast.expr:
        return self.make(ast.Attribute, of, name, ast.Load())

    def wait(self, value: ast.expr) -> ast.expr:
        return self.make(ast.Await, value)

    def operation(self, left: ast.expr, operator: ast.operator, right: ast.expr) -> ast.expr:
        return self.make(ast.BinOp, left, operator, right)

    def compare(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> ast.expr:
        return self.make(ast.Compare, left, [operator], [right])

    def either(self, condition: ast.expr, yes: ast.expr, no: ast.expr) -> ast.expr:
        return self.make(ast.IfExp, condition, yes, no)

    def keep(self, name: str, value: ast.expr) -> ast.expr:
        """Assign within an expression."""
        return self.make(ast.NamedExpr, self.make(ast.Name, name, ast.Store()), value)

    def pair(self, values: Iterable[ast.expr]) -> ast.expr:
        return self.make(ast.Tuple, list(values), ast.Load())

    def item(self, of: ast.expr, index: ast.expr) -> ast.expr:
        return self.make(ast.Subscript, of, index, ast.Load())

    # Statements

    def do(self, value: ast.expr) -> ast.stmt:
        return self.make(ast.Expr, value)

    def set(self, name: str, value: ast.expr) -> ast.stmt:
        return self.make(ast.Assign, [self.make(ast.Name, name, ast.Store())], value)

    def set_item(self, of: ast.expr, index: ast.expr, value: ast.expr) -> ast.stmt:
        target = self.make(ast.Subscript, of, index, ast.Store())
        return self.make(ast.Assign, [target], value)

    def when(
        self, condition: ast.expr, yes: list[ast.stmt], no: list[ast.stmt] | None = None
    ) -> ast.stmt:
        return self.make(ast.If, condition, yes or [self.make(ast.Pass)], no or [])

    def loop(self, condition: ast.expr, body: list[ast.stmt]) -> ast.stmt:
        return self.make(ast.While, condition, body or [self.make(ast.Pass)], [])

    def function(
        self, name: str, parameters: Iterable[str], body: list[ast.stmt], waits: bool
    ) -> ast.stmt:
        arguments = ast.arguments(
            posonlyargs=[],
            args=[self.make(ast.arg, each) for each in parameters],
            kwonlyargs=[],
            kw_defaults=[],
            defaults=[],
        )
        kind: Any = ast.AsyncFunctionDef if waits else ast.FunctionDef
        made: ast.stmt = self.make(kind, name, arguments, body, [], None, None)
        if "type_params" in kind._fields:
            made.type_params = []  # type: ignore[attr-defined]
        return made
