"""
What the checker finds out about a file, for the compiler.

Nodes of the tree are the same however often they stand in a file; so what is known of
each is kept by its C{id}.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mvmtr.mfl import tree
from mvmtr.mfl.errors import Place
from mvmtr.mfl.parser import Parsed
from mvmtr.mfl.signatures import Builtin, Signature
from mvmtr.mfl.specs import Needs, TestSpec

ZERO: dict[str, Any] = {"int": 0, "string": b"", "list": (), "void": 0}
"""What a variable holds before it is given a value."""


@dataclass(frozen=True)
class Variable:
    """
    @ivar number: its place among the globals; of a local, its number in the function.
    """

    name: str
    type: str
    number: int
    is_global: bool
    place: Place


@dataclass
class Source:
    """
    One file that was read.

    @ivar name: its path, as it is shown.
    @ivar path: the same without links, by which it is known.
    @ivar script: whether it is a Sieve script that another one includes, or the only file
        and nothing but Sieve.
    @ivar strict: whether all that Sieve wants to be required must be.
    @ivar number: of a script that is included, for C{:once}.
    @ivar shared: the variables that C{global} names, in lower case.
    """

    name: str
    parsed: Parsed
    path: str
    script: bool = False
    strict: bool = False
    number: int = 0
    capabilities: set[str] = field(default_factory=set)
    shared: set[bytes] = field(default_factory=set)
    commands_seen: bool = False


@dataclass(frozen=True)
class Demand:
    """Something in a function that has to be there when it runs."""

    needs: Needs
    what: str
    place: Place


@dataclass
class FunctionInfo:
    """
    A function, or what takes the place of one: what runs at start, the Sieve commands
    outside of functions, an included script.

    @ivar name: with C{$} for a hook; C{start} and C{script N} for the others.
    @ivar calls: names of the functions that it calls, with a place where it does.
    @ivar waits: whether it may have to wait, itself or through what it calls.
    """

    name: str
    source: Source
    statements: list[tree.Statement]
    result: str = "int"
    parameters: tuple[Variable, ...] = ()
    place: Place = tree.NOWHERE
    calls: dict[str, Place] = field(default_factory=dict)
    demands: list[Demand] = field(default_factory=list)
    waits: bool = False
    is_script: bool = False
    locals: int = 0

    @property
    def is_hook(self) -> bool:
        return self.name.startswith("$")


Part = bytes | int | Variable | str
"""Of a string: text; a number of a match; a variable of MFL; the name of one of Sieve."""


@dataclass(frozen=True)
class SieveName:
    """A variable of Sieve, in lower case; C{shared} with other scripts."""

    name: bytes
    shared: bool


@dataclass(frozen=True)
class Used:
    """
    A test or command and how to run it.

    @ivar run: what C{build} gave.
    @ivar values: expressions for the arguments that are not constant: each is the parts
        of a string, or a list of such.
    @ivar target: where the result of an assigning command goes.
    """

    spec: TestSpec
    run: Callable[..., Any]
    values: tuple[Any, ...]
    target: Variable | SieveName | None = None


@dataclass(frozen=True)
class Included:
    """C{include} of Sieve."""

    function: FunctionInfo | None
    once: bool


@dataclass
class Facts:
    """
    @ivar types: of expressions.
    @ivar variables: of names and declarators.
    @ivar called: what a call calls.
    @ivar used: of Sieve tests and commands.
    @ivar folded: whether a test is always true or always false.
    @ivar included: of C{include}: a script, or the file whose statements stand there.
    """

    functions: dict[str, FunctionInfo] = field(default_factory=dict)
    globals: list[Variable] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    types: dict[int, str] = field(default_factory=dict)
    variables: dict[int, Variable] = field(default_factory=dict)
    called: dict[int, Builtin | FunctionInfo] = field(default_factory=dict)
    used: dict[int, Used] = field(default_factory=dict)
    folded: dict[int, bool] = field(default_factory=dict)
    included: dict[int, Included | Source] = field(default_factory=dict)

    def signature(self, function: FunctionInfo) -> Signature:
        takes = tuple(frozenset((each.type,)) for each in function.parameters)
        return Signature(function.name, function.result, takes, len(takes))
