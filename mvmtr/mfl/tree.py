"""
The tree that a file is read into. Both sides of the language stand in one tree.

Every node knows its place. Two trees are equal when they say the same: places are not
compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from mvmtr.mfl.errors import NOWHERE, Place


@dataclass(frozen=True)
class Node:
    place: Place = field(default=NOWHERE, compare=False, kw_only=True)


# Expressions of the C-like side


@dataclass(frozen=True)
class Number(Node):
    value: int


@dataclass(frozen=True)
class String(Node):
    value: bytes


@dataclass(frozen=True)
class ListOf(Node):
    items: tuple[Expression, ...]


@dataclass(frozen=True)
class Name(Node):
    name: str


@dataclass(frozen=True)
class Call(Node):
    """C{name} begins with C{$} for a built-in or a hook."""

    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True)
class Index(Node):
    of: Expression
    index: Expression


@dataclass(frozen=True)
class Unary(Node):
    """C{operator} is one of C{- + ! ~}."""

    operator: str
    operand: Expression


@dataclass(frozen=True)
class Binary(Node):
    """C{operator}: arithmetic, comparison, C{in}, C{=~}, C{!~}."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Logic(Node):
    """C{a && b && c} or the same with C{||}, however many."""

    operator: str
    operands: tuple[Expression, ...]


@dataclass(frozen=True)
class Choice(Node):
    """C{condition ? yes : no}."""

    condition: Expression
    yes: Expression
    no: Expression


@dataclass(frozen=True)
class Assignment(Node):
    """C{operator}: C{=}, C{+=}, …"""

    operator: str
    target: Name | Index
    value: Expression


@dataclass(frozen=True)
class Step(Node):
    """C{x++}, C{--x}."""

    operator: str
    target: Name | Index
    before: bool


@dataclass(frozen=True)
class SieveTest(Node):
    """C{test( … )}: a Sieve test as an int."""

    test: Test


Expression: TypeAlias = (
    Number
    | String
    | ListOf
    | Name
    | Call
    | Index
    | Unary
    | Binary
    | Logic
    | Choice
    | Assignment
    | Step
    | SieveTest
)


# The Sieve side (RFC 5228, section 8.2)


@dataclass(frozen=True)
class Tag(Node):
    """C{:name}, in lower case and without the colon."""

    name: str


@dataclass(frozen=True)
class Strings(Node):
    """A list in brackets; a single string is a L{String}."""

    items: tuple[String, ...]


Argument: TypeAlias = Tag | Number | String | Strings


@dataclass(frozen=True)
class Test(Node):
    """
    A Sieve test.

    @ivar name: in lower case.
    @ivar tests: those in parentheses, or the one that follows with none.
    @ivar listed: whether there are parentheses.
    """

    name: str
    arguments: tuple[Argument, ...] = ()
    tests: tuple[Test, ...] = ()
    listed: bool = False


@dataclass(frozen=True)
class Command(Node):
    """A Sieve command that is not C{if}; C{block} is C{None} where a semicolon stands."""

    name: str
    arguments: tuple[Argument, ...] = ()
    tests: tuple[Test, ...] = ()
    listed: bool = False
    block: Block | None = None


@dataclass(frozen=True)
class SieveIf(Node):
    """Sieve's C{if}, C{elsif}, C{else}."""

    branches: tuple[tuple[Test, Block], ...]
    otherwise: Block | None


# Statements


@dataclass(frozen=True)
class ExpressionStatement(Node):
    expression: Expression


@dataclass(frozen=True)
class Block(Node):
    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class If(Node):
    """C{if ( … ) … else if ( … ) … else …}, flat."""

    branches: tuple[tuple[Expression, Statement], ...]
    otherwise: Statement | None


@dataclass(frozen=True)
class While(Node):
    condition: Expression
    body: Statement


@dataclass(frozen=True)
class DoWhile(Node):
    body: Statement
    condition: Expression


@dataclass(frozen=True)
class For(Node):
    """Each of the three parts may be missing."""

    start: Declaration | ExpressionStatement | None
    condition: Expression | None
    step: Expression | None
    body: Statement


@dataclass(frozen=True)
class Case(Node):
    """C{case value:}, or C{default:} where the value is C{None}, and what follows it."""

    value: Expression | None
    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class Switch(Node):
    value: Expression
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Break(Node):
    pass


@dataclass(frozen=True)
class Continue(Node):
    pass


@dataclass(frozen=True)
class Return(Node):
    value: Expression | None


@dataclass(frozen=True)
class Declarator(Node):
    name: str
    value: Expression | None


@dataclass(frozen=True)
class Declaration(Node):
    """C{int a = 1, b;}"""

    type: str
    names: tuple[Declarator, ...]


@dataclass(frozen=True)
class Control(Node):
    """C{control name value;}"""

    name: str
    value: Expression


@dataclass(frozen=True)
class Parameter(Node):
    type: str
    name: str


@dataclass(frozen=True)
class Function(Node):
    type: str
    name: str
    parameters: tuple[Parameter, ...]
    body: Block


Statement: TypeAlias = (
    ExpressionStatement
    | Block
    | If
    | While
    | DoWhile
    | For
    | Switch
    | Break
    | Continue
    | Return
    | Declaration
    | Control
    | Function
    | Command
    | SieveIf
)


@dataclass(frozen=True)
class File(Node):
    statements: tuple[Statement, ...]
