# -*- test-case-name: mvmtr.test.test_mfl_printer -*-
"""Writes a tree as text that reads as the same tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from mvmtr.mfl import tree
from mvmtr.mfl.expressions import PRECEDENCE

_ASSIGNMENT, _CHOICE, _UNARY, _POSTFIX = -2, -1, 90, 100
_INDENT = "    "
_LIKE_SIEVE = re.compile(r'[A-Za-z_][A-Za-z0-9_]*(\["|\Z)')


def to_text(file: tree.File) -> bytes:
    """The text of a file; comments and layout are not those that it was read from."""
    lines = (line for node in file.statements for line in _statement(node))
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def expression(node: tree.Expression, level: int = _ASSIGNMENT) -> str:
    """
    The text of an expression.

    @param level: precedence that it needs where it stands; below that it gets
        parentheses.
    """
    text, own = _EXPRESSIONS[type(node)](node)
    return text if own >= level else f"({text})"


def _c_string(value: bytes) -> str:
    named = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    text = value.decode("utf-8", "surrogateescape")
    shown = (named.get(c) or (c if c.isprintable() else _hexadecimal(c)) for c in text)
    return '"' + "".join(shown) + '"'


def _hexadecimal(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _list(nodes: tuple[tree.Expression, ...]) -> str:
    return ", ".join(expression(node) for node in nodes)


def _binary(node: tree.Binary) -> tuple[str, int]:
    level = PRECEDENCE[node.operator]
    left = expression(node.left, level)
    return f"{left} {node.operator} {expression(node.right, level + 1)}", level


def _logic(node: tree.Logic) -> tuple[str, int]:
    level = PRECEDENCE[node.operator]
    return f" {node.operator} ".join(expression(each, level + 1) for each in node.operands), level


def _unary(node: tree.Unary) -> tuple[str, int]:
    operand = expression(node.operand, _UNARY)
    return node.operator + (" " if operand[0] in "+-" else "") + operand, _UNARY


def _choice(node: tree.Choice) -> tuple[str, int]:
    condition = expression(node.condition, 0)
    return f"{condition} ? {expression(node.yes)} : {expression(node.no, _CHOICE)}", _CHOICE


def _assignment(node: tree.Assignment) -> tuple[str, int]:
    target = expression(node.target, _POSTFIX)
    return f"{target} {node.operator} {expression(node.value)}", _ASSIGNMENT


def _step(node: tree.Step) -> tuple[str, int]:
    target = expression(node.target, _POSTFIX)
    return (node.operator + target, _UNARY) if node.before else (target + node.operator, _POSTFIX)


def _index(node: tree.Index) -> tuple[str, int]:
    return f"{expression(node.of, _POSTFIX)}[{expression(node.index)}]", _POSTFIX


_EXPRESSIONS: dict[type, Callable[[Any], tuple[str, int]]] = {
    tree.Number: lambda node: (str(node.value), _POSTFIX),
    tree.String: lambda node: (_c_string(node.value), _POSTFIX),
    tree.ListOf: lambda node: (f"[{_list(node.items)}]", _POSTFIX),
    tree.Name: lambda node: (node.name, _POSTFIX),
    tree.Call: lambda node: (f"{node.name}({_list(node.arguments)})", _POSTFIX),
    tree.SieveTest: lambda node: (f"test({test(node.test)})", _POSTFIX),
    tree.Binary: _binary,
    tree.Logic: _logic,
    tree.Unary: _unary,
    tree.Choice: _choice,
    tree.Assignment: _assignment,
    tree.Step: _step,
    tree.Index: _index,
}


def _sieve_string(node: tree.String) -> str:
    text = node.value.decode("utf-8", "surrogateescape")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _argument(node: tree.Argument) -> str:
    if isinstance(node, tree.Tag):
        return f":{node.name}"
    if isinstance(node, tree.Number):
        return str(node.value)
    if isinstance(node, tree.String):
        return _sieve_string(node)
    return "[" + ", ".join(_sieve_string(item) for item in node.items) + "]"


def test(node: tree.Test) -> str:
    """The text of a Sieve test."""
    return _sieve(node.name, node.arguments, node.tests, node.listed)


def _sieve(
    name: str, arguments: tuple[tree.Argument, ...], tests: tuple[tree.Test, ...], listed: bool
) -> str:
    words = [name, *map(_argument, arguments)]
    text = ", ".join(test(each) for each in tests)
    if tests:
        words.append(f"({text})" if listed else text)
    return " ".join(words)


Lines = Iterator[str]


def _statement(node: tree.Statement) -> Lines:
    return _STATEMENTS[type(node)](node)


def _block(node: tree.Block) -> Lines:
    yield "{"
    for statement in node.statements:
        for line in _statement(statement):
            # A string may go over several lines; indenting would change it.
            yield line if "\n" in line else _INDENT + line
    yield "}"


def _headed(head: str, body: tree.Statement) -> Lines:
    yield head
    yield from _statement(body)


def _one_line(text: Callable[[Any], str]) -> Callable[[Any], Lines]:
    def lines(node: Any) -> Lines:
        yield text(node)

    return lines


def _if(node: tree.If) -> Lines:
    for number, (condition, body) in enumerate(node.branches):
        word = "else if" if number else "if"
        yield from _headed(f"{word} ( {expression(condition)} )", body)
    if node.otherwise is not None:
        yield from _headed("else", node.otherwise)


def _sieve_if(node: tree.SieveIf) -> Lines:
    for number, (condition, body) in enumerate(node.branches):
        yield from _headed(f"{'elsif' if number else 'if'} {test(condition)}", body)
    if node.otherwise is not None:
        yield from _headed("else", node.otherwise)


def _command(node: tree.Command) -> Lines:
    text = _sieve(node.name, node.arguments, node.tests, node.listed)
    if node.block is None:
        yield f"{text};"
    else:
        yield from _headed(text, node.block)


def _do(node: tree.DoWhile) -> Lines:
    yield from _headed("do", node.body)
    yield f"while ( {expression(node.condition)} );"


def _for(node: tree.For) -> Lines:
    start = ""
    if isinstance(node.start, tree.Declaration):
        start = _declaration(node.start)
    elif node.start is not None:
        start = expression(node.start.expression)
    condition, step = (expression(x) if x is not None else "" for x in (node.condition, node.step))
    yield from _headed(f"for ( {start}; {condition}; {step} )", node.body)


def _switch(node: tree.Switch) -> Lines:
    yield f"switch ( {expression(node.value)} ) {{"
    for case in node.cases:
        yield "default:" if case.value is None else f"case {expression(case.value)}:"
        for statement in case.statements:
            yield from _statement(statement)
    yield "}"


def _declaration(node: tree.Declaration) -> str:
    names = (
        each.name if each.value is None else f"{each.name} = {expression(each.value)}"
        for each in node.names
    )
    return f"{node.type} {', '.join(names)}"


def _function(node: tree.Function) -> Lines:
    parameters = ", ".join(f"{each.type} {each.name}" for each in node.parameters)
    yield from _headed(f"{node.type} {node.name}({parameters})", node.body)


def _expression_statement(node: tree.ExpressionStatement) -> str:
    text = expression(node.expression)
    return f"({text});" if _LIKE_SIEVE.match(text) else f"{text};"


def _return(node: tree.Return) -> str:
    return "return;" if node.value is None else f"return {expression(node.value)};"


_STATEMENTS: dict[type, Callable[[Any], Lines]] = {
    tree.ExpressionStatement: _one_line(_expression_statement),
    tree.Block: _block,
    tree.If: _if,
    tree.While: lambda node: _headed(f"while ( {expression(node.condition)} )", node.body),
    tree.DoWhile: _do,
    tree.For: _for,
    tree.Switch: _switch,
    tree.Break: _one_line(lambda node: "break;"),
    tree.Continue: _one_line(lambda node: "continue;"),
    tree.Return: _one_line(_return),
    tree.Declaration: _one_line(lambda node: f"{_declaration(node)};"),
    tree.Control: _one_line(lambda node: f"control {node.name} {expression(node.value)};"),
    tree.Function: _function,
    tree.Command: _command,
    tree.SieveIf: _sieve_if,
}
