# -*- test-case-name: mvmtr.test.test_mfl_compiler -*-
"""Expressions to Python."""

from __future__ import annotations

import ast

from mvmtr.mfl import tree
from mvmtr.mfl.check_expressions import constant
from mvmtr.mfl.operations import INT_MAX, INT_MIN
from mvmtr.mfl.patterns import pattern
from mvmtr.mfl.python import Maker
from mvmtr.mfl.scope import Facts, FunctionInfo, Variable

_CHECKED: dict[str, type[ast.operator]] = {"+": ast.Add, "-": ast.Sub, "*": ast.Mult}
_PLAIN: dict[str, type[ast.operator]] = {"&": ast.BitAnd, "|": ast.BitOr, "^": ast.BitXor}
_HELPED = {"/": "divide", "%": "remainder", "<<": "shift_left", ">>": "shift_right"}
_COMPARED: dict[str, type[ast.cmpop]] = {
    "==": ast.Eq,
    "!=": ast.NotEq,
    "<": ast.Lt,
    "<=": ast.LtE,
    ">": ast.Gt,
    ">=": ast.GtE,
}
_CONDITIONS = (*_COMPARED, "in", "=~", "!~")


class ExpressionCompiler(Maker):
    """
    The part of the compiler that makes expressions.

    A condition is made as one that Python can test; only where its value is wanted does it
    become 1 or 0.

    @ivar names: of functions, in the code.
    @ivar uses_globals: whether the function needs the global variables.
    @ivar uses_variables: whether it needs those of Sieve.
    """

    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self.facts = facts
        self.names: dict[str, str] = {}
        self.info: FunctionInfo
        self.uses_globals = False
        self.uses_variables = False
        self._index_names: dict[int, str] = {}

    # What other parts have

    def test(self, node: tree.Test) -> ast.expr:
        raise NotImplementedError

    # Variables

    def local(self, variable: Variable) -> str:
        return f"v{variable.number}_{variable.name}"

    def variable_of(self, node: tree.Name) -> Variable:
        return self.facts.variables[id(node)]

    def load(self, variable: Variable) -> ast.expr:
        if not variable.is_global:
            return self.name(self.local(variable))
        self.uses_globals = True
        return self.item(self.name("globals_"), self.value(variable.number))

    def type_of(self, node: tree.Expression) -> str:
        return self.facts.types[id(node)]

    # Expressions

    def expression(self, node: tree.Expression) -> ast.expr:
        """The value of an expression."""
        if self._is_condition(node):
            return self.either(self.condition(node), self.value(1), self.value(0))
        made: ast.expr = getattr(self, f"_{type(node).__name__.lower()}")(node)
        return made

    def _is_condition(self, node: tree.Expression) -> bool:
        if isinstance(node, tree.Binary | tree.Unary):
            return node.operator in _CONDITIONS or node.operator == "!"
        return isinstance(node, tree.Logic | tree.SieveTest)

    def condition(self, node: tree.Expression) -> ast.expr:
        """Something that Python takes for true or false."""
        if isinstance(node, tree.Unary) and node.operator == "!":
            inner = self.condition(node.operand)
            return self.make(ast.UnaryOp, ast.Not(), inner)
        if isinstance(node, tree.Logic):
            operator = ast.And() if node.operator == "&&" else ast.Or()
            return self.make(ast.BoolOp, operator, [self.condition(each) for each in node.operands])
        if isinstance(node, tree.SieveTest):
            return self.test(node.test)
        if isinstance(node, tree.Binary) and node.operator in _CONDITIONS:
            return self._comparison(node)
        return self.expression(node)

    def constant_of(self, node: tree.Expression) -> object:
        return constant(node)

    def _number(self, node: tree.Number) -> ast.expr:
        return self.value(node.value)

    def _string(self, node: tree.String) -> ast.expr:
        return self.value(node.value)

    def _listof(self, node: tree.ListOf) -> ast.expr:
        items = constant(node)
        if items is not None:
            return self.value(items)
        made = self.pair(self.expression(each) for each in node.items)
        self.at(node.place)
        return self.run("made_list", made)

    def _name(self, node: tree.Name) -> ast.expr:
        return self.load(self.variable_of(node))

    def _index(self, node: tree.Index) -> ast.expr:
        of, index = self.expression(node.of), self.expression(node.index)
        self.at(node.place)
        return self.call("item", of, index)

    def _call(self, node: tree.Call) -> ast.expr:
        arguments = [self.expression(each) for each in node.arguments]
        self.at(node.place)
        callee = self.facts.called[id(node)]
        if isinstance(callee, FunctionInfo):
            depth = self.operation(self.name("depth"), ast.Add(), self.value(1))
            made = self.call(self.names[callee.name], self.name("run"), depth, *arguments)
            return self.wait(made) if callee.waits else made
        name = "b" + callee.signature.name.replace("$", "_")
        self.constants[name] = callee.function
        if callee.placed:
            arguments.insert(0, self.constant(node.place))
        made = self.call(name, self.name("run"), *arguments)
        return self.wait(made) if callee.waits else made

    def _unary(self, node: tree.Unary) -> ast.expr:
        value = constant(node)
        if value is not None:
            return self.value(value)
        operand = self.expression(node.operand)
        self.at(node.place)
        if node.operator == "-":
            return self._checked(self.make(ast.UnaryOp, ast.USub(), operand))
        if node.operator == "~":
            return self.make(ast.UnaryOp, ast.Invert(), operand)
        return operand

    def _choice(self, node: tree.Choice) -> ast.expr:
        condition = self.condition(node.condition)
        return self.either(condition, self.expression(node.yes), self.expression(node.no))

    def _binary(self, node: tree.Binary) -> ast.expr:
        if node.operator == "+" and self.type_of(node) == "string":
            return self._joined(node)
        left, right = self.expression(node.left), self.expression(node.right)
        self.at(node.place)
        types = self.type_of(node.left), self.type_of(node.right)
        return self.operated(node.operator, left, right, *types)

    def operated(
        self, operator: str, left: ast.expr, right: ast.expr, left_type: str, right_type: str
    ) -> ast.expr:
        """Arithmetic, and C{+} of strings and lists."""
        if left_type == "string":
            return self.run("made", self.operation(left, ast.Add(), right))
        if left_type == "list":
            if right_type == "string":
                right = self.pair((right,))
            return self.run("made_list", self.operation(left, ast.Add(), right))
        if operator in _CHECKED:
            return self._checked(self.operation(left, _CHECKED[operator](), right))
        if operator in _PLAIN:
            return self.operation(left, _PLAIN[operator](), right)
        return self.call(_HELPED[operator], left, right)

    def _joined(self, node: tree.Binary) -> ast.expr:
        """A sum of strings, however many, in one go."""
        parts: list[tree.Expression] = []
        left: tree.Expression = node
        while isinstance(left, tree.Binary) and left.operator == "+":
            parts.append(left.right)
            left = left.left
        parts.append(left)
        made = [self.expression(part) for part in reversed(parts)]
        self.at(node.place)
        if len(made) == 2:
            return self.run("made", self.operation(made[0], ast.Add(), made[1]))
        return self.run("made", self.joined(made))

    def joined(self, parts: list[ast.expr]) -> ast.expr:
        return self.call(self.attribute(self.value(b""), "join"), self.pair(parts))

    def _checked(self, value: ast.expr) -> ast.expr:
        """The value, where it fits into 64 bits."""
        kept = self.keep("t", value)
        operators: list[ast.cmpop] = [ast.LtE(), ast.LtE()]
        bounds = [kept, self.value(INT_MAX)]
        fits = self.make(ast.Compare, self.value(INT_MIN), operators, bounds)
        return self.either(fits, self.name("t"), self.call("overflow"))

    def _comparison(self, node: tree.Binary) -> ast.expr:
        if node.operator in ("=~", "!~"):
            return self._match(node)
        left, right = self.expression(node.left), self.expression(node.right)
        self.at(node.place)
        if node.operator == "in":
            return self.call("contains", self.name("run"), left, right)
        operator = _COMPARED[node.operator]()
        either_constant = constant(node.left) is not None or constant(node.right) is not None
        if self.type_of(node.left) == "int" or either_constant:
            return self.compare(left, operator, right)
        if node.operator == "==":
            return self.call("same", self.name("run"), left, right)
        if node.operator == "!=":
            inner = self.call("same", self.name("run"), left, right)
            return self.make(ast.UnaryOp, ast.Not(), inner)
        found = self.call("order", self.name("run"), left, right)
        return self.compare(found, operator, self.value(0))

    def _match(self, node: tree.Binary) -> ast.expr:
        text = self.expression(node.left)
        if isinstance(node.right, tree.String):
            compiled = self.constant(pattern(node.right.value))
        else:
            expression = self.expression(node.right)
            self.at(node.place)
            compiled = self.call("compiled", self.name("run"), expression)
        self.at(node.place)
        found = self.call("matches", self.name("run"), compiled, text)
        return found if node.operator == "=~" else self.make(ast.UnaryOp, ast.Not(), found)

    # Assignments

    def new_value(self, node: tree.Assignment | tree.Step) -> ast.expr:
        """What the variable of an assignment holds afterwards."""
        target = node.target
        variable = self._changed(node)
        if isinstance(target, tree.Name):
            value = self._new(node, self.load(variable), variable.type)
            self.at(node.place)
            return value
        index = self._index_names[id(node)] = self.temporary()
        kept = self.keep(index, self.expression(target.index))
        old = self.call("item", self.load(variable), self.name(index))
        value = self._new(node, old, "string")
        self.at(node.place)
        items = self.load(variable)
        return self.call("replaced", self.name("run"), items, kept, value)

    def _changed(self, node: tree.Assignment | tree.Step) -> Variable:
        name = node.target if isinstance(node.target, tree.Name) else node.target.of
        assert isinstance(name, tree.Name)
        return self.variable_of(name)

    def _new(self, node: tree.Assignment | tree.Step, old: ast.expr, type_: str) -> ast.expr:
        if isinstance(node, tree.Step):
            return self.operated(node.operator[0], old, self.value(1), "int", "int")
        value = self.expression(node.value)
        self.at(node.place)
        if node.operator == "=":
            return value
        return self.operated(node.operator[:-1], old, value, type_, self.type_of(node.value))

    def _assignment(self, node: tree.Assignment) -> ast.expr:
        stored = self._stored(node)
        if isinstance(node.target, tree.Name):
            return stored
        # The value of the assignment is the item, not the list.
        return self.call("item", stored, self.name(self._index_names[id(node)]))

    def _stored(self, node: tree.Assignment | tree.Step) -> ast.expr:
        variable = self._changed(node)
        value = self.new_value(node)
        if not variable.is_global:
            return self.keep(self.local(variable), value)
        self.uses_globals = True
        return self.call("store", self.name("globals_"), self.value(variable.number), value)

    def _step(self, node: tree.Step) -> ast.expr:
        stored = self._stored(node)
        if node.before:
            return stored
        back = ast.Sub() if node.operator == "++" else ast.Add()
        return self.operation(stored, back, self.value(1))
