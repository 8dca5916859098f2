# -*- test-case-name: mvmtr.test.test_mfl_checker -*-
"""Names and types of expressions."""

from __future__ import annotations

from mvmtr.mfl import tree
from mvmtr.mfl.check_base import CheckBase
from mvmtr.mfl.patterns import pattern
from mvmtr.mfl.scope import FunctionInfo
from mvmtr.mfl.signatures import HOOKS, Builtin, Signature, builtins

Type = str | None
"""C{int}, C{string}, C{list}, C{void}; C{None} where an error was reported already."""

_COMPARED = {"==", "!="}
_ORDERED = {"<", "<=", ">", ">="}
_MATCHED = {"=~", "!~"}


def a(type_: str) -> str:
    """The type with its article."""
    return {"int": "an int", "void": "nothing"}.get(type_, f"a {type_}")


def either(types: frozenset[str]) -> str:
    return " or ".join(a(each) for each in ("int", "string", "list") if each in types)


def constant(node: tree.Expression) -> int | bytes | tuple[bytes, ...] | None:
    """The value of an expression that is one; C{None} for all others."""
    if isinstance(node, tree.Number | tree.String):
        return node.value
    if isinstance(node, tree.Unary) and node.operator == "-":
        if isinstance(node.operand, tree.Number):
            return -node.operand.value
    elif isinstance(node, tree.ListOf):
        items = [item.value for item in node.items if isinstance(item, tree.String)]
        return tuple(items) if len(items) == len(node.items) else None
    return None


class ExpressionChecker(CheckBase):
    """The part of the checker that looks at expressions."""

    def expression(self, node: tree.Expression) -> Type:
        """The type of an expression; all that is wrong with it is reported."""
        type_: Type = getattr(self, f"_{type(node).__name__.lower()}")(node)
        if type_ is not None:
            self.facts.types[id(node)] = type_
        return type_

    def value(self, node: tree.Expression, what: str, *wanted: str) -> Type:
        """The same, where one of some types is wanted."""
        found = self.expression(node)
        if found is not None and found not in wanted:
            self.report(f"{what} is {a(found)}, not {either(frozenset(wanted))}", node.place)
            return None
        return found

    def condition(self, node: tree.Expression) -> None:
        """Any value is a condition; 0, "" and [] are false."""
        self.value(node, "this condition", "int", "string", "list")

    def _number(self, node: tree.Number) -> Type:
        return "int"

    def _string(self, node: tree.String) -> Type:
        return "string"

    def _listof(self, node: tree.ListOf) -> Type:
        for item in node.items:
            self.value(item, "an item of a list", "string")
        return "list"

    def _name(self, node: tree.Name) -> Type:
        variable = self.find(node.name)
        if variable is None:
            if node.name in self.facts.functions:
                self.report(f"{node.name} is a function; ( is missing after it", node.place)
            else:
                self.unknown("variable", node.name, node.place, self.visible())
            return None
        self.facts.variables[id(node)] = variable
        return variable.type

    def _sievetest(self, node: tree.SieveTest) -> Type:
        self.test(node.test)
        return "int"

    def _call(self, node: tree.Call) -> Type:
        callee = self._callee(node)
        types = [self.expression(argument) for argument in node.arguments]
        if callee is None:
            return None
        self.facts.called[id(node)] = callee
        if isinstance(callee, FunctionInfo):
            self.function.calls.setdefault(callee.name, node.place)
            signature = self.facts.signature(callee)
        else:
            signature = callee.signature
            self.demand(callee.needs, f"{node.name}()", node.place)
            self.function.waits |= callee.waits
        if self._check_arguments(node, signature, types) and isinstance(callee, Builtin):
            self._check_constants(node, callee)
        return signature.result

    def _callee(self, node: tree.Call) -> Builtin | FunctionInfo | None:
        name = node.name
        if name in HOOKS:
            self.report(f"{name}() is called for you, not by you", node.place)
            return None
        known = builtins() if name.startswith("$") else self.facts.functions
        callee = known.get(name)
        if callee is None:
            variable = self.find(name)
            if variable is not None:
                self.report(f"{name} is {a(variable.type)}, not a function", node.place)
            else:
                every = (builtins(), self.facts.functions)
                self.unknown("function", name, node.place, *every)
        return callee

    def _check_arguments(self, node: tree.Call, signature: Signature, types: list[Type]) -> bool:
        wrong = signature.wrong_count(len(types))
        if wrong is not None:
            self.report(wrong, node.place)
            return False
        fine = True
        for number, (argument, type_) in enumerate(zip(node.arguments, types, strict=True)):
            wanted = signature.types_of(number)
            if type_ is not None and type_ not in wanted:
                what = f"argument {number + 1} of {node.name}()"
                self.report(f"{what} is {a(type_)}, not {either(wanted)}", argument.place)
            fine = fine and type_ in wanted
        return fine

    def _check_constants(self, node: tree.Call, callee: Builtin) -> None:
        if callee.check is not None:
            wrong = callee.check(*map(constant, node.arguments))
            if wrong:
                self.report(f"{node.name}(): {wrong}", node.place)

    def _index(self, node: tree.Index) -> Type:
        self.value(node.of, "what is indexed", "string", "list")
        self.value(node.index, "an index", "int")
        return "string"

    def _unary(self, node: tree.Unary) -> Type:
        if node.operator == "!":
            self.condition(node.operand)
        else:
            self.value(node.operand, f"what follows {node.operator}", "int")
        return "int"

    def _logic(self, node: tree.Logic) -> Type:
        for operand in node.operands:
            self.condition(operand)
        return "int"

    def _choice(self, node: tree.Choice) -> Type:
        self.condition(node.condition)
        yes, no = self.expression(node.yes), self.expression(node.no)
        if yes and no and yes != no:
            self.report(f"? : gives either {a(yes)} or {a(no)}; it must be one type", node.place)
            return None
        return yes or no

    def _binary(self, node: tree.Binary) -> Type:
        left, right = self.expression(node.left), self.expression(node.right)
        if node.operator in _MATCHED:
            self._check_pattern(node.right)
        result = self.result_of(node.operator, left, right)
        if result is None and left and right:
            self.report(f"{a(left)} {node.operator} {a(right)} makes no sense", node.place)
        return "int" if result is None and node.operator != "+" else result

    def _check_pattern(self, node: tree.Expression) -> None:
        if isinstance(node, tree.String):
            try:
                pattern(node.value)
            except ValueError as error:
                self.report(str(error), node.place)

    @staticmethod
    def result_of(operator: str, left: Type, right: Type) -> Type:
        """The type that an operator gives; C{None} when it does not take these."""
        both = (left, right)
        if operator in _COMPARED:
            return "int" if left == right and left != "void" else None
        if operator in _ORDERED:
            return "int" if both in (("int", "int"), ("string", "string")) else None
        if operator in _MATCHED:
            return "int" if both == ("string", "string") else None
        if operator == "in":
            return "int" if both == ("string", "list") else None
        if operator == "+" and left in ("string", "list"):
            return left if right in (left, "string") else None
        return "int" if both == ("int", "int") else None

    def _assignment(self, node: tree.Assignment) -> Type:
        target = self._target(node.target)
        value = self.expression(node.value)
        if target is None or value is None:
            return target
        result: Type = value
        if node.operator != "=":
            result = self.result_of(node.operator[:-1], target, value)
        if result != target:
            message = f"{a(target)} {node.operator} {a(value)} makes no sense"
            if node.operator == "=":
                message = f"{a(target)} can't hold {a(value)}"
            self.report(message, node.place)
        return target

    def _target(self, node: tree.Name | tree.Index) -> Type:
        if isinstance(node, tree.Name):
            return self.expression(node)
        of = self.expression(node.of)
        self.value(node.index, "an index", "int")
        if of == "string":
            self.report("a part of a string can't be changed", node.place)
            return None
        return "string" if of == "list" else None

    def _step(self, node: tree.Step) -> Type:
        found = self._target(node.target)
        if found not in ("int", None):
            self.report(f"{node.operator} needs an int, not {a(found or '')}", node.place)
        return "int"
