# -*- test-case-name: mvmtr.test.test_mfl_parser -*-
"""Reads Sieve commands and tests (RFC 5228, section 8.2)."""

from __future__ import annotations

from mvmtr.mfl import lexer, tree
from mvmtr.mfl.cursor import Cursor
from mvmtr.mfl.lexer import Kind


class SieveParser(Cursor):
    """The part of the parser that reads Sieve."""

    def block(self, after: str) -> tree.Block:
        """C{{ … }}; any statement may stand in it."""
        raise NotImplementedError

    def sieve_command(self) -> tree.Statement:
        """A command with all that belongs to it; C{if} with its C{elsif} and C{else}."""
        token = self.take()
        name = token.text.lower()
        if name == "if":
            return self._sieve_if(token.place)
        arguments = self._arguments()
        tests, listed = self._tests()
        if self.is_("{"):
            block = self.block("")
            return tree.Command(name, arguments, tests, listed, block, place=token.place)
        self.expect(";", f"{token.text} and its arguments")
        return tree.Command(name, arguments, tests, listed, place=token.place)

    def _sieve_if(self, place: tree.Place) -> tree.SieveIf:
        branches = [(self.sieve_test(), self.block("the test"))]
        while self._is_sieve_word("elsif"):
            self.take()
            branches.append((self.sieve_test(), self.block("the test")))
        otherwise = None
        if self._is_sieve_word("else"):
            self.take()
            if self._is_sieve_word("if"):
                raise self.wrong("a further branch of this if begins with elsif")
            otherwise = self.block("else")
        return tree.SieveIf(tuple(branches), otherwise, place=place)

    def _is_sieve_word(self, word: str) -> bool:
        return self.token.kind is Kind.NAME and self.token.text.lower() == word

    def sieve_test(self) -> tree.Test:
        with self.nested():
            token = self.expect_kind(Kind.NAME, "a Sieve test")
            if token.text.startswith("$"):
                raise self.wrong(f"a Sieve test should stand here, not {token}", token)
            arguments = self._arguments()
            tests, listed = self._tests()
            return tree.Test(token.text.lower(), arguments, tests, listed, place=token.place)

    def _tests(self) -> tuple[tuple[tree.Test, ...], bool]:
        if self.token.kind is Kind.NAME:
            return (self.sieve_test(),), False
        if not self.accept("("):
            return (), False
        tests = [self.sieve_test()]
        while self.accept(","):
            tests.append(self.sieve_test())
        self.expect(")", "the tests")
        return tuple(tests), True

    def _arguments(self) -> tuple[tree.Argument, ...]:
        found = []
        while (argument := self._argument()) is not None:
            found.append(argument)
        return tuple(found)

    def _argument(self) -> tree.Argument | None:
        token = self.token
        if token.kind is Kind.NUMBER:
            self.take()
            return tree.Number(lexer.number(token.text), place=token.place)
        if token.kind in (Kind.STRING, Kind.TEXT):
            return self._sieve_string()
        if self.accept(":"):
            name = self.token
            if name.kind is not Kind.NAME or name.start != token.end:
                raise self.wrong("the name of a tag should follow : at once", token)
            self.take()
            return tree.Tag(name.text.lower(), place=token.place)
        if self.accept("["):
            return self._strings(token.place)
        return None

    def _strings(self, place: tree.Place) -> tree.Strings:
        items = []
        while True:
            if self.token.kind not in (Kind.STRING, Kind.TEXT):
                raise self.wrong(f"a string should stand here, not {self.token}")
            items.append(self._sieve_string())
            if self.accept("]"):
                return tree.Strings(tuple(items), place=place)
            self.expect(",", "this string, or ],")

    def _sieve_string(self) -> tree.String:
        token = self.take()
        decode = lexer.sieve_string if token.kind is Kind.STRING else lexer.encode
        return tree.String(decode(token.text), place=token.place)
