# -*- test-case-name: mvmtr.test.test_mfl_checker -*-
"""Sieve commands and tests: capabilities, tags, arguments, variables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mvmtr.mfl import tree
from mvmtr.mfl.check_base import CheckBase
from mvmtr.mfl.errors import Place, did_you_mean
from mvmtr.mfl.parser import KEYWORDS
from mvmtr.mfl.scope import SieveName, Used, Variable
from mvmtr.mfl.specs import CommandSpec, Kind, Tag, TestSpec, Use, Value

_REFERENCE = re.compile(rb"\$\{((?:[A-Za-z_][A-Za-z0-9_]*\.)*[A-Za-z_][A-Za-z0-9_]*|[0-9]+)\}")
_NAME = re.compile(rb"(?:[A-Za-z_][A-Za-z0-9_]*\.)*[A-Za-z_][A-Za-z0-9_]*\Z")
_CAPTURES_MAX = 100

NATIVE_TESTS = ("not", "anyof", "allof", "true", "false", "ihave")
NATIVE_COMMANDS = ("require", "if", "elsif", "else", "stop", "include", "return", "global")

Parts = tuple[Any, ...]
"""See L{mvmtr.mfl.scope.Part}."""


class SieveChecker(CheckBase):
    """The part of the checker that looks at Sieve."""

    def is_required(self, capabilities: Sequence[str]) -> bool:
        """Whether what needs one of these capabilities may be used."""
        return not capabilities or not self.source.capabilities.isdisjoint(capabilities)

    def needs_require(self, what: str, capabilities: Sequence[str], place: Place) -> None:
        if not self.is_required(capabilities) and "require" not in self.source.parsed.unsure:
            self.report(f'{what} needs require "{capabilities[0]}";', place)

    def require(self, node: tree.Command) -> None:
        """Take in what a file requires."""
        if not self._takes(node, ("capabilities",)):
            return
        for item in self.strings_of(node.arguments[0]):
            name = item.value.decode("utf-8", "replace")
            extension = self.registry.capabilities.get(name)
            if extension is None:
                known = self.registry.capabilities
                self.report(
                    f'there is no capability "{name}"{did_you_mean(name, known)}', item.place
                )
            elif extension.refused:
                self.report(f'"{name}" makes no sense here: {extension.refused}', item.place)
            else:
                self.source.capabilities.update((name, *extension.implies))

    def _takes(self, node: tree.Command | tree.Test, names: Sequence[str]) -> bool:
        """Whether a native one has exactly these string list arguments and nothing else."""
        if node.tests:
            self.report(f"{node.name} takes no test", node.tests[0].place)
        elif isinstance(node, tree.Command) and node.block is not None:
            self.report(f"{node.name} takes no block", node.block.place)
        elif len(node.arguments) != len(names):
            wanted = f"takes {' and '.join(names)}" if names else "takes no argument"
            self.report(f"{node.name} {wanted}", node.place)
        elif not all(isinstance(each, tree.String | tree.Strings) for each in node.arguments):
            self.report(f"{node.name} takes {Kind.STRINGS.value}", node.place)
        else:
            return True
        return False

    @staticmethod
    def strings_of(node: tree.Argument) -> tuple[tree.String, ...]:
        if isinstance(node, tree.Strings):
            return node.items
        return (node,) if isinstance(node, tree.String) else ()

    # Tests

    def test(self, node: tree.Test) -> bool | None:
        """
        Check a test.

        @return: what it always gives, where that follows from C{ihave}. What can't be
            reached then is not checked.
        """
        if node.name in ("anyof", "allof", "not"):
            folded = self._test_of_tests(node)
        elif node.name == "ihave":
            folded = self._ihave(node)
        else:
            folded = None
            if node.name in ("true", "false"):
                self._takes(node, ())
            elif (spec := self._spec(node, self.registry.tests, NATIVE_TESTS, "test")) is not None:
                self._use(node, spec)
        if folded is not None:
            self.facts.folded[id(node)] = folded
        return folded

    def _test_of_tests(self, node: tree.Test) -> bool | None:
        if node.arguments:
            self.report(f"{node.name} takes tests only", node.arguments[0].place)
        if node.name == "not":
            if node.listed or len(node.tests) != 1:
                self.report("not takes one test, without parentheses", node.place)
                return None
            folded = self.test(node.tests[0])
            return None if folded is None else not folded
        if not node.listed:
            self.report(f"{node.name} takes a list of tests in parentheses", node.place)
        decides = node.name == "anyof"
        results = []
        for each in node.tests:
            results.append(self.test(each))
            if results[-1] is decides:
                return decides
        return None if None in results or not results else not decides

    def _ihave(self, node: tree.Test) -> bool | None:
        self.needs_require("ihave", ("ihave",), node.place)
        if not self._takes(node, ("capabilities",)):
            return None
        names = [
            item.value.decode("utf-8", "replace") for item in self.strings_of(node.arguments[0])
        ]
        known = [self.registry.capabilities.get(name) for name in names]
        for extension in known:
            if extension is None or extension.refused:
                return False
        for name, extension in zip(names, known, strict=True):
            self.source.capabilities.update((name, *(extension.implies if extension else ())))
        return True

    # Commands

    def command(self, node: tree.Command) -> None:
        """Check a command that is not native."""
        spec = self._spec(node, self.registry.commands, (*NATIVE_COMMANDS, *KEYWORDS), "command")
        if spec is None:
            if node.block is not None:
                with self.scope():
                    self.statements(node.block.statements)
            return
        has_block = node.block is not None
        if has_block != (isinstance(spec, CommandSpec) and spec.block):
            wrong = "takes no block" if has_block else "needs a block in { }"
            self.report(f"{node.name} {wrong}", node.place)
        self._use(node, spec)

    def _spec(
        self,
        node: tree.Test | tree.Command,
        known: Mapping[str, TestSpec],
        native: Sequence[str],
        what: str,
    ) -> TestSpec | None:
        spec = known.get(node.name)
        if spec is not None:
            self.needs_require(node.name, spec.capabilities, node.place)
            return spec
        if node.name in self.registry.refused:
            why = self.registry.refused[node.name].refused
            self.report(f"{node.name} makes no sense here: {why}", node.place)
        else:
            self.unknown(what, node.name, node.place, known, native)
        return None

    # Arguments of what is not native

    def _use(self, node: tree.Test | tree.Command, spec: TestSpec) -> None:
        """Check the arguments of a test or command, and have it built."""
        before = len(self.problems)
        if node.tests:
            self.report(f"{node.name} takes no test", node.tests[0].place)
        values: list[Any] = []
        tags, rest = self._tags(node, spec, values)
        arguments = {} if rest is None else self._positional(node, spec, rest, values)
        capabilities = frozenset(self.source.capabilities)
        use = Use(node.name, node.place, capabilities, tags, arguments, self.testing, self.report)
        target = self._target_of(use, spec)
        self.demand(spec.needs, node.name, node.place)
        self.function.waits |= spec.waits
        if len(self.problems) == before and spec.check is not None:
            spec.check(use)
        if len(self.problems) > before:
            return
        try:
            run = spec.build(use)
        except ValueError as error:
            self.report(f"{node.name}: {error}", node.place)
            return
        self.facts.used[id(node)] = Used(spec, run, tuple(values), target)

    def _tags(
        self, node: tree.Test | tree.Command, spec: TestSpec, values: list[Any]
    ) -> tuple[dict[str, Value | None], list[tree.Argument] | None]:
        """The tags and what is left; C{None} when it is not clear what that is."""
        known = self.registry.tags(spec)
        tags: dict[str, Value | None] = {}
        groups: dict[str, str] = {}
        rest: list[tree.Argument] = []
        waiting = iter(node.arguments)
        for argument in waiting:
            if not isinstance(argument, tree.Tag):
                rest.append(argument)
                continue
            tag = known.get(argument.name)
            if tag is None:
                hint = did_you_mean(argument.name, known)
                self.report(f"{node.name} takes no tag :{argument.name}{hint}", argument.place)
                return tags, None
            if rest:
                self.report(f":{tag.name} must stand before the other arguments", argument.place)
            self._check_tag(tag, argument, groups)
            tags[tag.name] = None
            if tag.kind is not None:
                given = next(waiting, None)
                before = len(self.problems)
                tags[tag.name] = self._value(
                    f":{tag.name}", tag.kind, given, argument.place, values, tag.constant
                )
                if len(self.problems) > before:
                    return tags, None
        return tags, rest

    def _check_tag(self, tag: Tag, node: tree.Tag, groups: dict[str, str]) -> None:
        self.needs_require(f":{tag.name}", tag.capabilities, node.place)
        group = tag.group or tag.name
        if group in groups:
            other = groups[group]
            message = f":{tag.name} stands here twice"
            if other != tag.name:
                message = f":{tag.name} and :{other} exclude each other"
            self.report(message, node.place)
        groups[group] = tag.name

    def _positional(
        self,
        node: tree.Test | tree.Command,
        spec: TestSpec,
        given: list[tree.Argument],
        values: list[Any],
    ) -> dict[str, Value]:
        expected = list(spec.arguments)
        surplus = len(expected) - len(given)
        for argument in reversed(spec.arguments):
            if surplus > 0 and argument.optional:
                expected.remove(argument)
                surplus -= 1
        if surplus:
            names = ", ".join(argument.name for argument in spec.arguments)
            what = "needs" if surplus > 0 else "takes only" if names else "takes no argument"
            self.report(f"{node.name} {what} {names}".rstrip(), node.place)
            return {}
        return {
            argument.name: self._value(
                argument.name, argument.kind, node_, node_.place, values, argument.constant
            )
            for argument, node_ in zip(expected, given, strict=True)
        }

    def _value(
        self,
        what: str,
        kind: Kind,
        node: tree.Argument | None,
        place: Place,
        values: list[Any],
        is_constant: bool,
    ) -> Value:
        if kind is Kind.NUMBER and isinstance(node, tree.Number):
            return Value(kind, node.place, node.value)
        if kind is Kind.STRING and isinstance(node, tree.String):
            parts = self.parts(node)
            return self._text_value(kind, parts, node.place, values, is_constant, what)
        if kind is Kind.STRINGS and isinstance(node, tree.String | tree.Strings):
            items = tuple(self.parts(item, lists=True) for item in self.strings_of(node))
            return self._text_value(kind, items, node.place, values, is_constant, what)
        self.report(f"{what} should be {kind.value}", node.place if node else place)
        return Value(kind, place, 0 if kind is Kind.NUMBER else b"")

    def _text_value(
        self,
        kind: Kind,
        parts: Any,
        place: Place,
        values: list[Any],
        is_constant: bool,
        what: str,
    ) -> Value:
        every = parts if kind is Kind.STRINGS else (parts,)
        if all(isinstance(part, bytes) for item in every for part in item):
            texts = tuple(b"".join(item) for item in every)
            return Value(kind, place, texts if kind is Kind.STRINGS else texts[0])
        if is_constant:
            self.report(f"no variable may stand in {what}", place)
        values.append((kind, parts))
        return Value(kind, place, None, len(values) - 1)

    # Strings and variables

    def parts(self, node: tree.String, lists: bool = False) -> Parts:
        """
        What a string is made of.

        @param lists: whether C{${name}} alone may be a list.
        """
        text = node.value
        for capability in sorted(self.source.capabilities):
            extension = self.registry.capabilities.get(capability)
            if extension is not None and extension.strings is not None:
                try:
                    text = extension.strings(text)
                except ValueError as error:
                    self.report(str(error), node.place)
        if "variables" not in self.source.capabilities or b"${" not in text:
            return (text,)
        parts: list[Any] = []
        pieces = _REFERENCE.split(text)
        for number, piece in enumerate(pieces):
            if number % 2:
                parts.append(self._reference(piece, node.place, lists and len(pieces) == 3))
            elif piece:
                parts.append(piece)
        alone = len(parts) == 1
        for part in parts:
            if isinstance(part, Variable) and part.type == "list" and not (lists and alone):
                self.report(f"${{{part.name}}} is a list; here is place for one string", node.place)
        return tuple(parts)

    def _reference(self, name: bytes, place: Place, lists: bool) -> Any:
        if name.isdigit():
            digits = name.lstrip(b"0") or b"0"
            return int(digits) if len(digits) < 4 and int(digits) < _CAPTURES_MAX else b""
        found = self._sieve_name(name, place)
        return b"" if found is None else found

    def _sieve_name(self, name: bytes, place: Place) -> Variable | SieveName | None:
        variable = self.find(name.decode()) if not self.source.script else None
        if variable is not None:
            return variable
        lower = name.lower()
        space, dot, rest = lower.rpartition(b".")
        if not dot:
            return SieveName(lower, lower in self.source.shared)
        if space == b"global" and "include" in self.source.capabilities:
            return SieveName(rest, True)
        self.report(f"there is no namespace {space.decode()} for variables", place)
        return None

    def _target_of(self, use: Use, spec: TestSpec) -> Variable | SieveName | None:
        if not isinstance(spec, CommandSpec) or not spec.assigns:
            return None
        given = use.arguments.get(spec.assigns)
        if given is None or not isinstance(given.constant, bytes):
            return None
        target = None
        if _NAME.match(given.constant):
            target = self._sieve_name(given.constant, given.place)
        else:
            shown = given.constant.decode("utf-8", "replace")
            self.report(f'"{shown}" is not the name of a variable', given.place)
        if isinstance(target, Variable) and target.type != "string":
            self.report(f"{use.name} gives a string, but {target.name} is {target.type}", use.place)
        return target

    def share(self, node: tree.Command) -> None:
        """C{global} (RFC 6609, section 3.4)."""
        self.needs_require("global", ("include",), node.place)
        self.needs_require("global", ("variables",), node.place)
        if not self._takes(node, ("names",)):
            return
        for item in self.strings_of(node.arguments[0]):
            if not _NAME.match(item.value) or b"." in item.value:
                shown = item.value.decode("utf-8", "replace")
                self.report(f'"{shown}" is not the name of a variable', item.place)
            self.source.shared.add(item.value.lower())
