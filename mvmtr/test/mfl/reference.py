"""
A second, simple way to run a function: walk its tree.

It shares nothing with the compiler but the tree; what it gives is what compiled code must
give.
"""

import re

from mvmtr.mfl import tree

ZERO = {"int": 0, "string": b"", "list": ()}


class Wrong(Exception):
    """The code made a mistake."""


class Break(Exception):
    pass


class Continue(Exception):
    pass


class Return(Exception):
    pass


def checked(number):
    if not -(2**63) <= number < 2**63:
        raise Wrong("overflow")
    return number


def divide(left, right):
    if right == 0:
        raise Wrong("zero")
    sign = 1 if (left >= 0) == (right > 0) else -1
    return sign * (abs(left) // abs(right))


def shift(left, right, to_left):
    if not 0 <= right <= 63:
        raise Wrong("shift")
    return left * 2**right if to_left else left // 2**right


ARITHMETIC = {
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": divide,
    "%": lambda left, right: left - right * divide(left, right),
    "&": lambda left, right: left & right,
    "|": lambda left, right: left | right,
    "^": lambda left, right: left ^ right,
    "<<": lambda left, right: shift(left, right, True),
    ">>": lambda left, right: shift(left, right, False),
}
COMPARED = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "in": lambda left, right: left in right,
    "=~": lambda left, right: bool(re.search(right.replace(b"$", b"\\Z"), left)),
    "!~": lambda left, right: not re.search(right.replace(b"$", b"\\Z"), left),
}


class Walker:
    def __init__(self, variables):
        self.scopes = [variables]

    def scope_of(self, name):
        return next(scope for scope in reversed(self.scopes) if name in scope)

    def value(self, node):
        return getattr(self, type(node).__name__.lower())(node)

    def number(self, node):
        return node.value

    string = number

    def listof(self, node):
        return tuple(self.value(each) for each in node.items)

    def name(self, node):
        return self.scope_of(node.name)[node.name]

    def call(self, node):
        (argument,) = map(self.value, node.arguments)
        if node.name == "$length":
            return len(argument)
        if node.name == "$lower":
            return argument.lower()
        return str(argument).encode()

    def at(self, of, index):
        if index < 0 or index >= len(of):
            raise Wrong("index")
        return of[index] if isinstance(of, tuple) else of[index : index + 1]

    def index(self, node):
        of = self.value(node.of)
        return self.at(of, self.value(node.index))

    def unary(self, node):
        inner = self.value(node.operand)
        if node.operator == "!":
            return int(not inner)
        return checked({"-": -1, "+": 1}[node.operator] * inner) if node.operator != "~" else ~inner

    def operate(self, operator, left, right):
        if operator in COMPARED:
            return int(COMPARED[operator](left, right))
        if operator == "+":
            if isinstance(left, tuple) and isinstance(right, bytes):
                right = (right,)
            return checked(left + right) if isinstance(left, int) else left + right
        return checked(ARITHMETIC[operator](left, right))

    def binary(self, node):
        left = self.value(node.left)
        return self.operate(node.operator, left, self.value(node.right))

    def logic(self, node):
        if node.operator == "&&":
            return int(all(self.value(each) for each in node.operands))
        return int(any(self.value(each) for each in node.operands))

    def choice(self, node):
        return self.value(node.yes if self.value(node.condition) else node.no)

    def assignment(self, node):
        operator = node.operator[:-1]
        if isinstance(node.target, tree.Index):
            return self.assign_item(node, operator)
        name = node.target.name
        old = self.name(node.target)
        value = self.value(node.value)
        self.scope_of(name)[name] = value = (
            self.operate(operator, old, value) if operator else value
        )
        return value

    def assign_item(self, node, operator):
        name = node.target.of.name
        items = self.name(node.target.of)
        index = self.value(node.target.index)
        old = self.at(self.name(node.target.of), index) if operator else None
        value = self.value(node.value)
        value = old + value if operator else value
        self.at(items, index)
        self.scope_of(name)[name] = (*items[:index], value, *items[index + 1 :])
        return value

    def step(self, node):
        old = self.name(node.target)
        new = checked(old + (1 if node.operator == "++" else -1))
        self.scope_of(node.target.name)[node.target.name] = new
        return new if node.before else old

    def sievetest(self, node):
        return int(self.test(node.test))

    def test(self, node):
        if node.name == "not":
            return not self.test(node.tests[0])
        if node.name in ("anyof", "allof"):
            return (any if node.name == "anyof" else all)(map(self.test, node.tests))
        return node.name == "true"

    # Statements

    def do(self, node):
        getattr(self, f"do_{type(node).__name__.lower()}")(node)

    def do_expressionstatement(self, node):
        self.value(node.expression)

    def do_block(self, node):
        self.scopes.append({})
        try:
            for each in node.statements:
                self.do(each)
        finally:
            self.scopes.pop()

    def do_declaration(self, node):
        for each in node.names:
            value = ZERO[node.type] if each.value is None else self.value(each.value)
            self.scopes[-1][each.name] = value

    def do_if(self, node, truth=None):
        for condition, body in node.branches:
            if (truth or self.value)(condition):
                return self.do(body)
        return node.otherwise and self.do(node.otherwise)

    def do_sieveif(self, node):
        self.do_if(node, self.test)

    def turn(self, body):
        """Whether the loop goes on."""
        try:
            self.do(body)
        except Break:
            return False
        except Continue:
            pass
        return True

    def do_while(self, node):
        while self.value(node.condition) and self.turn(node.body):
            pass

    def do_dowhile(self, node):
        while self.turn(node.body) and self.value(node.condition):
            pass

    def do_for(self, node):
        self.scopes.append({})
        try:
            self.do(node.start)
            while self.value(node.condition) and self.turn(node.body):
                if node.step is not None:
                    self.value(node.step)
        finally:
            self.scopes.pop()

    def do_switch(self, node):
        value = self.value(node.value)
        wanted = [case for case in node.cases if case.value and case.value.value == value]
        wanted = wanted or [case for case in node.cases if case.value is None]
        if not wanted:
            return
        self.scopes.append({})
        try:
            for case in node.cases[node.cases.index(wanted[0]) :]:
                for each in case.statements:
                    self.do(each)
        except Break:
            pass
        finally:
            self.scopes.pop()

    def do_break(self, node):
        raise Break

    def do_continue(self, node):
        raise Continue

    def do_return(self, node):
        raise Return(self.value(node.value))


def run(file, arguments):
    """What the function C{f} of a file returns."""
    walker = Walker({})
    function = file.statements[-1]
    names = [each.name for each in function.parameters]
    for each in file.statements[:-1]:
        walker.do(each)
    walker.scopes.append(dict(zip(names, arguments, strict=True)))
    try:
        walker.do(function.body)
    except Return as done:
        return done.args[0]
    return b""
