# -*- test-case-name: mvmtr.test.test_mfl_parser -*-
"""Reads expressions of the C-like side, with the precedence of C."""

from __future__ import annotations

from mvmtr.mfl import lexer, tree
from mvmtr.mfl.cursor import Cursor
from mvmtr.mfl.lexer import Kind, Token
from mvmtr.mfl.sieve_parser import SieveParser

_LEVELS = (
    ("||",),
    ("&&",),
    ("|",),
    ("^",),
    ("&",),
    ("==", "!=", "=~", "!~"),
    ("<", "<=", ">", ">=", "in"),
    ("<<", ">>"),
    ("+", "-"),
    ("*", "/", "%"),
)
PRECEDENCE = {sign: level for level, signs in enumerate(_LEVELS) for sign in signs}
"""Of the binary operators; the higher binds more tightly."""

ASSIGNMENTS = ("=", "+=", "-=", "*=", "/=", "%=")


class ExpressionParser(SieveParser, Cursor):
    """The part of the parser that reads expressions."""

    def expression(self) -> tree.Expression:
        with self.nested():
            left = self._choice()
            token = self.token
            if not self.is_(*ASSIGNMENTS):
                return left
            self.take()
            target = self._target(left, token)
            return tree.Assignment(token.text, target, self.expression(), place=token.place)

    def _target(self, node: tree.Expression, token: Token) -> tree.Name | tree.Index:
        if isinstance(node, tree.Name):
            return node
        if isinstance(node, tree.Index) and isinstance(node.of, tree.Name):
            return node
        raise self.wrong(f"{token.text} needs a variable", token)

    def _choice(self) -> tree.Expression:
        condition = self._binary(0)
        token = self.token
        if not self.accept("?"):
            return condition
        yes = self.expression()
        self.expect(":", "the first value of ? :")
        with self.nested():
            no = self._choice()
        return tree.Choice(condition, yes, no, place=token.place)

    def _operator(self) -> str | None:
        token = self.token
        if token.kind is Kind.SIGN or (token.kind is Kind.NAME and token.text == "in"):
            return token.text if token.text in PRECEDENCE else None
        return None

    def _binary(self, level: int) -> tree.Expression:
        left = self._unary()
        while (sign := self._operator()) is not None and PRECEDENCE[sign] >= level:
            place = self.take().place
            right = self._binary(PRECEDENCE[sign] + 1)
            if sign not in ("&&", "||"):
                left = tree.Binary(sign, left, right, place=place)
                continue
            operands = [left, right]
            while self.accept(sign):
                operands.append(self._binary(PRECEDENCE[sign] + 1))
            left = tree.Logic(sign, tuple(operands), place=place)
        return left

    def _unary(self) -> tree.Expression:
        token = self.token
        if self.is_("-", "+", "!", "~"):
            self.take()
            with self.nested():
                return tree.Unary(token.text, self._unary(), place=token.place)
        if self.accept("!~"):
            with self.nested():
                inner = tree.Unary("~", self._unary(), place=token.place)
            return tree.Unary("!", inner, place=token.place)
        if self.is_("++", "--"):
            self.take()
            with self.nested():
                target = self._target(self._unary(), token)
            return tree.Step(token.text, target, True, place=token.place)
        return self._postfix()

    def _postfix(self) -> tree.Expression:
        node = self._primary()
        while True:
            token = self.token
            if self.accept("["):
                index = self.expression()
                self.expect("]", "the index")
                node = tree.Index(node, index, place=token.place)
            elif self.is_("++", "--"):
                self.take()
                node = tree.Step(token.text, self._target(node, token), False, place=token.place)
            else:
                return node

    def _primary(self) -> tree.Expression:
        token = self.token
        if token.kind is Kind.NUMBER:
            self.take()
            return tree.Number(lexer.number(token.text), place=token.place)
        if token.kind in (Kind.STRING, Kind.TEXT):
            return self._string()
        if token.kind is Kind.NAME:
            return self._name()
        if self.accept("("):
            node = self.expression()
            self.expect(")", "the expression")
            return node
        if self.accept("["):
            return tree.ListOf(self._expressions("]"), place=token.place)
        raise self.wrong(f"a value should stand here, not {token}")

    def _string(self) -> tree.String:
        token = self.take()
        if token.kind is Kind.TEXT:
            return tree.String(lexer.encode(token.text), place=token.place)
        try:
            value = lexer.string(token.text)
        except ValueError as error:
            self.report(str(error), token)
            value = b""
        return tree.String(value, place=token.place)

    def _name(self) -> tree.Expression:
        token = self.take()
        if not self.is_("("):
            if token.text.startswith("$"):
                raise self.wrong(f"( is missing after {token.text}")
            return tree.Name(token.text, place=token.place)
        self.take()
        if token.text == "test":
            test = self.sieve_test()
            self.expect(")", "the test")
            return tree.SieveTest(test, place=token.place)
        return tree.Call(token.text, self._expressions(")"), place=token.place)

    def _expressions(self, end: str) -> tuple[tree.Expression, ...]:
        """Up to and with the closing sign; a comma may stand before it."""
        found = []
        while not self.accept(end):
            found.append(self.expression())
            if not self.is_(end):
                self.expect(",", f"this, or {end},")
        return tuple(found)
