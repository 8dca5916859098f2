"""What the parts of the checker have in common: where it is, and what it has found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from mvmtr.mfl import tree
from mvmtr.mfl.errors import PROBLEMS_MAX, Place, Problem, did_you_mean
from mvmtr.mfl.scope import Demand, Facts, FunctionInfo, Source, Variable
from mvmtr.mfl.specs import Needs, Registry

LOOPS_MAX = 15
"""How many loops, switches and Sieve blocks may stand in each other."""


class CheckBase:
    """
    @ivar facts: what the compiler has to know.
    @ivar problems: what is wrong.
    @ivar source: the file that is checked.
    @ivar function: the function that is checked.
    @ivar loops: what encloses the statement: C{loop}, C{switch}, C{block}.
    @ivar scopes: variables by name, the innermost scope last; the first are the globals.
    """

    def __init__(self, registry: Registry, testing: bool) -> None:
        self.registry = registry
        self.testing = testing
        self.facts = Facts()
        self.problems: list[Problem] = []
        self.source: Source
        self.function: FunctionInfo
        self.scopes: list[dict[str, Variable]] = [{}]
        self.loops: list[str] = []

    def report(self, message: str, place: Place) -> None:
        source = self.source_of(place)
        doubtful = source.parsed.lexer.doubtful
        if doubtful is None or place < doubtful:
            self.problems.append(source.parsed.lexer.problem(message, place))

    def problem(self, message: str, place: Place) -> Problem:
        """A problem, with its line from the file in which it is."""
        return self.source_of(place).parsed.lexer.problem(message, place)

    def source_of(self, place: Place) -> Source:
        """The file of a place."""
        same = (each for each in self.facts.sources if each.name == place.file)
        return next(same, self.source)

    def unknown(self, what: str, name: str, place: Place, *known: Iterable[str]) -> None:
        """Report a name that there is not, unless what declares it could not be read."""
        parsed = self.source.parsed
        if name in parsed.unsure or parsed.lexer.doubtful is not None:
            return
        names = (each for group in known for each in group)
        # Looking for a hint takes long; of a file with so many problems nobody reads them all.
        hint = did_you_mean(name, names) if len(self.problems) < PROBLEMS_MAX else ""
        self.report(f"there is no {what} {name}{hint}", place)

    @contextmanager
    def scope(self) -> Iterator[None]:
        self.scopes.append({})
        try:
            yield
        finally:
            self.scopes.pop()

    def find(self, name: str) -> Variable | None:
        return next((scope[name] for scope in reversed(self.scopes) if name in scope), None)

    def visible(self) -> Iterator[str]:
        for scope in self.scopes:
            yield from scope

    def declare(self, name: str, type_: str, place: Place, is_global: bool = False) -> Variable:
        scope = self.scopes[-1]
        if name in scope:
            other = scope[name].place
            self.report(f"{name} is declared already, in line {other.line}", place)
        number = len(self.facts.globals) if is_global else self.function.locals
        variable = Variable(name, type_, number, is_global, place)
        if is_global:
            self.facts.globals.append(variable)
        else:
            self.function.locals += 1
        scope[name] = variable
        return variable

    def demand(self, needs: Needs, what: str, place: Place) -> None:
        """Something that has to be there when the function runs."""
        if needs:
            self.function.demands.append(Demand(needs, what, place))

    # What the parts need of each other

    def expression(self, node: tree.Expression) -> str | None:
        raise NotImplementedError

    def statements(self, nodes: tuple[tree.Statement, ...]) -> None:
        raise NotImplementedError

    def test(self, node: tree.Test) -> bool | None:
        raise NotImplementedError
