"""
How an extension of Sieve states what it brings: tests, commands, tags.

Each module of L{mvmtr.mfl.sieve} that holds an C{EXTENSION} is found by listing the
package. The checker makes a L{Use} of each test and command in a file; C{build} turns it,
once, into the function that is called when the code runs.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mvmtr.mfl.errors import Place

if TYPE_CHECKING:
    from mvmtr.mfl.runtime import Run


class Needs(IntEnum):
    """What has to be there for something to make sense; each includes those before it."""

    NOTHING = 0
    SESSION = 1
    TRANSACTION = 2
    MESSAGE = 3


class Kind(Enum):
    """Of an argument. C{STRINGS} takes a single string as well."""

    NUMBER = "a number"
    STRING = "a string"
    STRINGS = "a string or a list of strings"


@dataclass(frozen=True)
class Argument:
    """
    A positional argument.

    @ivar optional: may be missing; only the last ones, or the first with a kind of its own.
    @ivar constant: no C{${…}} in it.
    """

    name: str
    kind: Kind
    optional: bool = False
    constant: bool = False


@dataclass(frozen=True)
class Tag:
    """
    A tagged argument.

    @ivar name: in lower case, without the colon.
    @ivar group: at most one tag of a group is given; by default a group of its own.
    @ivar kind: of the argument that follows the tag, if one does.
    @ivar capabilities: one of these must be required; none needed when empty.
    @ivar family: for a tag in L{Extension.tags}: specs that name this family take it.
    @ivar constant: no C{${…}} in its argument.
    """

    name: str
    group: str = ""
    kind: Kind | None = None
    capabilities: tuple[str, ...] = ()
    family: str = ""
    constant: bool = False


class Value:
    """
    An argument as the checker found it.

    @ivar constant: an C{int}, C{bytes} or tuple of C{bytes}; C{None} when it holds C{${…}}.
    @ivar slot: where C{get} finds it among the values of a call when it is not constant.
    """

    __slots__ = ("constant", "kind", "place", "slot")

    def __init__(self, kind: Kind, place: Place, constant: Any, slot: int = -1) -> None:
        self.kind = kind
        self.place = place
        self.constant = constant
        self.slot = slot

    def get(self, values: Sequence[Any]) -> Any:
        """The value: C{int}, C{bytes}, or tuple of C{bytes}."""
        return values[self.slot] if self.constant is None else self.constant


@dataclass
class Use:
    """
    One test or command in a file.

    @ivar capabilities: what is required at this place.
    @ivar tags: those given, in their order; C{None} for a tag without an argument.
    @ivar arguments: by the names in the spec; optional ones that are missing are not there.
    @ivar testing: whether a test suite runs.
    @ivar report: takes a message and a place; see L{problem}.
    """

    name: str
    place: Place
    capabilities: frozenset[str]
    tags: dict[str, Value | None]
    arguments: dict[str, Value]
    testing: bool
    report: Callable[[str, Place], None]

    def problem(self, message: str, place: Place | None = None) -> None:
        """Report that this use is wrong; C{build} is not called then."""
        self.report(message, place or self.place)

    def tag_of(self, names: Iterable[str]) -> str | None:
        """The one of some tags that is given."""
        return next((name for name in names if name in self.tags), None)


@dataclass(frozen=True)
class TestSpec:
    """
    A test.

    @ivar build: gives the function that is called with the run and the values of the
        arguments that are not constant. Raises C{ValueError} for what C{check} let pass.
    @ivar check: reports through L{Use.problem}.
    @ivar capabilities: one of these must be required; none needed when empty.
    @ivar families: it takes the tags that extensions give to these.
    @ivar waits: the function returns an awaitable.
    """

    name: str
    build: Callable[[Use], Callable[[Run, Sequence[Any]], Any]]
    arguments: tuple[Argument, ...] = ()
    tags: tuple[Tag, ...] = ()
    families: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    needs: Needs = Needs.MESSAGE
    check: Callable[[Use], None] | None = None
    waits: bool = False


@dataclass(frozen=True)
class CommandSpec(TestSpec):
    """
    A command; what its function returns is of no interest.

    @ivar block: C{{ … }} follows, and the function returns a context manager that the
        block runs in. One that suppresses an exception goes on behind the block.
    @ivar assigns: the name of the constant string argument that names a variable; the
        function returns the bytes to store there.
    """

    block: bool = False
    assigns: str = ""


@dataclass(frozen=True)
class Extension:
    """
    What C{require "capability"} brings; without a capability it is there always.

    @ivar capabilities: its names; mostly one.
    @ivar tags: for tests and commands of others, by L{Tag.family}.
    @ivar implies: capabilities that it brings along.
    @ivar strings: changes every string of a file that requires it, when the file is
        read; raises C{ValueError}.
    @ivar refused: why this capability makes no sense here; then it brings nothing.
    @ivar also_refused: names of commands and tests that this capability would have had.
    """

    capabilities: tuple[str, ...] = ()
    tests: tuple[TestSpec, ...] = ()
    commands: tuple[CommandSpec, ...] = ()
    tags: tuple[Tag, ...] = ()
    implies: tuple[str, ...] = ()
    strings: Callable[[bytes], bytes] | None = None
    refused: str = ""
    also_refused: tuple[str, ...] = ()


@dataclass
class Registry:
    """All that the extensions bring, by name."""

    tests: dict[str, TestSpec] = field(default_factory=dict)
    commands: dict[str, CommandSpec] = field(default_factory=dict)
    families: dict[str, list[Tag]] = field(default_factory=dict)
    capabilities: dict[str, Extension] = field(default_factory=dict)
    refused: dict[str, Extension] = field(default_factory=dict)

    def add(self, extension: Extension) -> None:
        for capability in extension.capabilities:
            self.capabilities[capability] = extension
        for name in extension.also_refused:
            self.refused[name] = extension
        self.tests.update((spec.name, spec) for spec in extension.tests)
        self.commands.update((spec.name, spec) for spec in extension.commands)
        for tag in extension.tags:
            self.families.setdefault(tag.family, []).append(tag)

    def tags(self, spec: TestSpec) -> Mapping[str, Tag]:
        """All tags that a test or command takes, by name."""
        own = list(spec.tags)
        for family in spec.families:
            own += self.families.get(family, ())
        return {tag.name: tag for tag in own}


@cache
def _found() -> tuple[Extension, ...]:
    from mvmtr.mfl import sieve

    modules = (
        import_module(f"{sieve.__name__}.{m.name}") for m in pkgutil.iter_modules(sieve.__path__)
    )
    return tuple(module.EXTENSION for module in modules if hasattr(module, "EXTENSION"))


def registry(extra: Iterable[Extension] = ()) -> Registry:
    """
    What there is.

    @param extra: extensions for this time only; a test suite brings its own.
    """
    known = Registry()
    for extension in (*_found(), *extra):
        known.add(extension)
    return known
