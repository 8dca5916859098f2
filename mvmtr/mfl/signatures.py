# -*- test-case-name: mvmtr.test.test_mfl_builtins -*-
"""
What functions take and give, and how built-in ones are stated.

A built-in is one decorated function; its annotations are its signature::

    @builtin("upper")
    def upper(run: Run, text: bytes) -> bytes:

C{int}, C{bytes} and C{tuple[bytes, ...]} stand for int, string and list; a union takes
either; what has a default may be left out; C{*more} takes any number.
"""

from __future__ import annotations

import inspect
import pkgutil
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

from mvmtr.mfl.specs import Needs

_TYPES = {int: "int", bool: "int", bytes: "string", tuple: "list", type(None): "void"}
F = TypeVar("F", bound=Callable[..., Any])
Check = Callable[..., "str | None"]


@dataclass(frozen=True)
class Signature:
    """
    @ivar name: as it is called.
    @ivar result: C{int}, C{string}, C{list} or C{void}.
    @ivar parameters: the types that each takes.
    @ivar required: how many must be given.
    @ivar more: the types of any number of further ones; empty when there are none.
    """

    name: str
    result: str
    parameters: tuple[frozenset[str], ...]
    required: int
    more: frozenset[str] = frozenset()

    def types_of(self, number: int) -> frozenset[str]:
        """What an argument may be, counted from 0."""
        return self.parameters[number] if number < len(self.parameters) else self.more

    def wrong_count(self, count: int) -> str | None:
        """What is wrong with so many arguments, if anything is."""
        most = len(self.parameters)
        if count >= self.required and (self.more or count <= most):
            return None
        wanted = f"{self.required}"
        if self.more:
            wanted = f"at least {wanted}"
        elif most > self.required:
            wanted += f" to {most}"
        plural = "" if wanted.endswith(" 1") or wanted == "1" else "s"
        return f"{self.name}() takes {wanted} argument{plural}, not {count}"


@dataclass(frozen=True)
class Builtin:
    """
    @ivar function: called with the run and the arguments.
    @ivar placed: whether it is given its place as well, after the run.
    @ivar check: called with the arguments as far as they are constant, others C{None};
        says what is wrong with them.
    """

    signature: Signature
    function: Callable[..., Any]
    needs: Needs
    placed: bool
    check: Check | None
    meaning: str

    @property
    def waits(self) -> bool:
        return inspect.iscoroutinefunction(self.function)


def builtin(
    name: str, needs: Needs = Needs.NOTHING, placed: bool = False, check: Check | None = None
) -> Callable[[F], F]:
    """Make a function a built-in one, C{$name}; an C{async def} is one that may wait."""

    def decorate(function: F) -> F:
        signature = _signature(f"${name}", function, 1 + placed)
        meaning = inspect.getdoc(function) or ""
        stated = Builtin(signature, function, needs, placed, check, meaning)
        function.mfl_builtin = stated  # type: ignore[attr-defined]
        return function

    return decorate


def _signature(name: str, function: Callable[..., Any], skip: int) -> Signature:
    hints = typing.get_type_hints(function)
    parameters = list(inspect.signature(function).parameters.values())[skip:]
    more: frozenset[str] = frozenset()
    if parameters and parameters[-1].kind is inspect.Parameter.VAR_POSITIONAL:
        more = _types(hints[parameters.pop().name])
    required = sum(parameter.default is inspect.Parameter.empty for parameter in parameters)
    takes = tuple(_types(hints[parameter.name]) for parameter in parameters)
    (result,) = _types(hints["return"])
    return Signature(name, result, takes, required, more)


def _types(hint: Any) -> frozenset[str]:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return frozenset(_TYPES[typing.get_origin(each) or each] for each in typing.get_args(hint))
    return frozenset((_TYPES[typing.get_origin(hint) or hint],))


@cache
def builtins() -> Mapping[str, Builtin]:
    """All built-in functions, by name with the C{$}, found by listing their package."""
    from mvmtr.mfl import builtins as package

    found = {}
    for module in pkgutil.iter_modules(package.__path__):
        for value in vars(import_module(f"{package.__name__}.{module.name}")).values():
            stated = getattr(value, "mfl_builtin", None)
            if isinstance(stated, Builtin):
                found[stated.signature.name] = stated
    return found


HOOKS: Mapping[str, tuple[Sequence[str], Needs]] = {
    "$hook_connect": ((), Needs.SESSION),
    "$hook_helo": (("name",), Needs.SESSION),
    "$hook_auth": (("user",), Needs.SESSION),
    "$hook_mail": (("sender",), Needs.TRANSACTION),
    "$hook_rcpt": (("recipient",), Needs.TRANSACTION),
    "$hook_data": ((), Needs.TRANSACTION),
    "$hook_message": ((), Needs.MESSAGE),
    "$hook_disconnect": ((), Needs.SESSION),
}
"""The hooks: the names of their parameters, which are strings, and what is there then."""
