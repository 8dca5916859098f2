# -*- test-case-name: mvmtr.test.test_mfl_compiler -*-
"""
Turns what was checked into Python functions, once.

Each function of a file becomes one of Python. One that may wait, by itself or through
what it calls, becomes a coroutine function; all others stay plain ones. Loops and calls
count steps.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mvmtr.mfl import operations, tree
from mvmtr.mfl.compile_sieve import SieveCompiler
from mvmtr.mfl.errors import Place
from mvmtr.mfl.runtime import Stop
from mvmtr.mfl.scope import ZERO, Facts, FunctionInfo, Variable

_OPERATIONS = {name: value for name, value in vars(operations).items() if callable(value)}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Code:
    """
    @ivar functions: by the names of L{Facts.functions}; called with the run, the depth
        and the arguments.
    @ivar places: where the lines of the code stand in the file.
    @ivar file: what the code calls its file; no other code has the same name for it.
    """

    functions: dict[str, Callable[..., Any]]
    places: list[Place]
    file: str


_Again = Callable[[], list[ast.stmt]]
"""How to begin the next turn of the loop that encloses a statement; a switch passes it on."""


class Compiler(SieveCompiler):
    """
    @param facts: of files that nothing is wrong with.
    @param control: called with name, value and place by C{control}.
    """

    def __init__(self, facts: Facts, control: Callable[[str, Any, Place], None]) -> None:
        super().__init__(facts)
        self.constants.update(_OPERATIONS, Stop=Stop, control=control)
        self._loops: list[_Again] = []

    def compile(self, *more: FunctionInfo) -> Code:
        """
        @param more: functions that have no place in L{Facts.functions}.
        @raise RecursionError: when the file is nested too deeply for Python.
        """
        every = [*self.facts.functions.values(), *more]
        for number, function in enumerate(every):
            self.names[function.name] = f"f{number}"
        body = [self._function(function) for function in every]
        module = ast.Module(body, [])
        file = f"<MFL {next(_numbers)}>"
        scope = {"__builtins__": {}, **self.constants}
        exec(compile(module, file, "exec", optimize=2), scope)
        functions = {function.name: scope[self.names[function.name]] for function in every}
        return Code(functions, self.places, file)

    def _function(self, info: FunctionInfo) -> ast.stmt:
        self.at(info.place)
        self.uses_globals = self.uses_variables = False
        self.info = info
        self._loops = []
        body = [statement for node in info.statements for statement in self.statement(node)]
        self.at(info.place)
        head: list[ast.stmt] = []
        if info.calls:
            limit = self.attribute(self.attribute(self.name("run"), "limits"), "depth")
            too_deep = self.compare(self.name("depth"), ast.Gt(), limit)
            head.append(self.when(too_deep, [self.do(self.run("too_deep"))]))
        head += self.count(tuple(info.statements))
        if self.uses_globals:
            head.append(self.set("globals_", self.attribute(self.name("run"), "globals")))
        if self.uses_variables:
            own = self.make(ast.Dict, [], [])
            shared = self.attribute(self.name("run"), "variables")
            head.append(self.set("variables", own if info.is_script else shared))
        if info.is_script:
            included = self.attribute(self.attribute(self.name("run"), "included"), "add")
            head.append(self.do(self.call(included, self.value(info.source.number))))
        end = self.make(ast.Return, self.value(ZERO[info.result]))
        parameters = ("run", "depth", *(self.local(each) for each in info.parameters))
        return self.function(self.names[info.name], parameters, [*head, *body, end], info.waits)

    def count(self, nodes: object) -> list[ast.stmt]:
        """Statements that count the steps of some nodes."""
        left = self.attribute(self.name("run"), "left")
        target = self.make(ast.Attribute, self.name("run"), "left", ast.Store())
        steps = self.value(1 + _size(nodes))
        return [
            self.make(ast.AugAssign, target, ast.Sub(), steps),
            self.when(self.compare(left, ast.Lt(), self.value(0)), [self.do(self.run("refill"))]),
        ]

    # Statements

    def statement(self, node: tree.Statement) -> list[ast.stmt]:
        self.at(node.place)
        made: list[ast.stmt] = getattr(self, f"_do_{type(node).__name__.lower()}")(node)
        return made

    def _do_expressionstatement(self, node: tree.ExpressionStatement) -> list[ast.stmt]:
        inner = node.expression
        if isinstance(inner, tree.Assignment | tree.Step) and isinstance(inner.target, tree.Name):
            return [self.assign(self.variable_of(inner.target), self.new_value(inner))]
        return [self.do(self.expression(inner))]

    def _do_block(self, node: tree.Block) -> list[ast.stmt]:
        return [made for each in node.statements for made in self.statement(each)]

    def _do_function(self, node: tree.Function) -> list[ast.stmt]:
        return []

    def _do_if(self, node: tree.If) -> list[ast.stmt]:
        no = [] if node.otherwise is None else self.statement(node.otherwise)
        for condition, body in reversed(node.branches):
            yes = self.statement(body)
            self.at(condition.place)
            no = [self.when(self.condition(condition), yes, no)]
        return no

    def _do_sieveif(self, node: tree.SieveIf) -> list[ast.stmt]:
        branches = []
        otherwise = node.otherwise
        for test, block in node.branches:
            folded = self.facts.folded.get(id(test))
            if folded is True:
                otherwise = block
                break
            if folded is None:
                branches.append((test, block))
        no = [] if otherwise is None else self.statement(otherwise)
        for test, block in reversed(branches):
            yes = self.statement(block)
            self.at(test.place)
            no = [self.when(self.test(test), yes, no)]
        return no

    def _body(self, node: tree.Statement, again: _Again) -> list[ast.stmt]:
        """The body of a loop, C{again} being what C{continue} does."""
        self.at(node.place)
        counted = self.count(node)
        self._loops.append(again)
        made = self.statement(node)
        self._loops.pop()
        return counted + made

    def _do_while(self, node: tree.While) -> list[ast.stmt]:
        condition = self.condition(node.condition)
        return [self.loop(condition, self._body(node.body, lambda: [self.make(ast.Continue)]))]

    def _do_dowhile(self, node: tree.DoWhile) -> list[ast.stmt]:
        def again() -> list[ast.stmt]:
            self.at(node.condition.place)
            leave = self.when(self._not(node.condition), [self.make(ast.Break)])
            return [leave, self.make(ast.Continue)]

        return [self.loop(self.value(True), self._body(node.body, again) + again())]

    def _not(self, node: tree.Expression) -> ast.expr:
        return self.make(ast.UnaryOp, ast.Not(), self.condition(node))

    def _do_for(self, node: tree.For) -> list[ast.stmt]:
        def step() -> list[ast.stmt]:
            if node.step is None:
                return []
            place = node.step.place
            return self.statement(tree.ExpressionStatement(node.step, place=place))

        start = [] if node.start is None else self.statement(node.start)
        condition = self.value(True) if node.condition is None else self.condition(node.condition)
        body = self._body(node.body, lambda: [*step(), self.make(ast.Continue)])
        return [*start, self.loop(condition, body + step())]

    def _do_switch(self, node: tree.Switch) -> list[ast.stmt]:
        """
        One turn of a loop, so that C{break} leaves it: each case runs when the one that was
        chosen stands there or before.
        """
        chosen, goes_on = self.temporary(), self.temporary()
        again_used: list[bool] = []

        def again() -> list[ast.stmt]:
            again_used.append(True)
            return [self.set(goes_on, self.value(True)), self.make(ast.Break)]

        made = [self.set(chosen, self._chosen(node))]
        for case in node.cases:
            made += self._cleared(case)
        self._loops.append(again)
        body: list[ast.stmt] = []
        for number, case in enumerate(node.cases):
            statements = [each for inner in case.statements for each in self.statement(inner)]
            here = self.compare(self.name(chosen), ast.LtE(), self.value(number))
            body.append(self.when(here, statements))
        self._loops.pop()
        self.at(node.place)
        if again_used:
            made.insert(0, self.set(goes_on, self.value(False)))
        made.append(self.loop(self.value(True), [*body, self.make(ast.Break)]))
        if again_used:
            made.append(self.when(self.name(goes_on), self._loops[-1]()))
        return made

    def _chosen(self, node: tree.Switch) -> ast.expr:
        numbers: dict[Any, int] = {}
        default = len(node.cases)
        for number, case in enumerate(node.cases):
            if case.value is None:
                default = number
            else:
                numbers[self.constant_of(case.value)] = number
        find = self.attribute(self.constant(numbers), "get")
        return self.call(find, self.expression(node.value), self.value(default))

    def _cleared(self, case: tree.Case) -> list[ast.stmt]:
        """A case may jump over a declaration of another; the variable is there all the same."""
        return [
            self.set(self.local(self.facts.variables[id(each)]), self.value(ZERO[inner.type]))
            for inner in case.statements
            if isinstance(inner, tree.Declaration)
            for each in inner.names
        ]

    def _do_break(self, node: tree.Break) -> list[ast.stmt]:
        return [self.make(ast.Break)]

    def _do_continue(self, node: tree.Continue) -> list[ast.stmt]:
        return self._loops[-1]()

    def _do_return(self, node: tree.Return) -> list[ast.stmt]:
        zero = self.value(ZERO[self.info.result])
        return [self.make(ast.Return, zero if node.value is None else self.expression(node.value))]

    def _do_declaration(self, node: tree.Declaration) -> list[ast.stmt]:
        made = []
        for each in node.names:
            self.at(each.place)
            variable = self.facts.variables[id(each)]
            value = self.value(ZERO[node.type])
            if each.value is not None:
                value = self.expression(each.value)
            made.append(self.assign(variable, value))
        return made

    def _do_control(self, node: tree.Control) -> list[ast.stmt]:
        value = self.expression(node.value)
        self.at(node.value.place)
        place = self.constant(node.value.place)
        return [self.do(self.call("control", self.value(node.name), value, place))]

    def assign(self, variable: Variable, value: ast.expr) -> ast.stmt:
        """Set a variable."""
        if not variable.is_global:
            return self.set(self.local(variable), value)
        self.uses_globals = True
        return self.set_item(self.name("globals_"), self.value(variable.number), value)


def _size(nodes: object) -> int:
    """How many nodes there are, those in nodes included."""
    size = 0
    waiting = [nodes]
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple):
            waiting.extend(node)
        elif isinstance(node, tree.Node):
            size += 1
            waiting.extend(vars(node).values())
    return size
