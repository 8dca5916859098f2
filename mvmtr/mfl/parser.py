# -*- test-case-name: mvmtr.test.test_mfl_parser -*-
"""
Reads a file: statements of the C-like side, and Sieve where Sieve stands.

Recursive descent. What can't be understood is told and left out, so that all that is
wrong with a file is told at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from mvmtr.mfl import tree
from mvmtr.mfl.cursor import Lost, Wrong
from mvmtr.mfl.errors import Problem
from mvmtr.mfl.expressions import ExpressionParser
from mvmtr.mfl.lexer import Kind, Lexer, Token

TYPES = ("int", "string", "list", "void")
KEYWORDS = {*TYPES, "while", "for", "do", "break", "continue", "return", "switch", "if", "else"}
KEYWORDS |= {"case", "default", "control", "include", "in", "test"}
DEPTH_MAX = 150
"""How many nodes of the tree may stand in each other."""


@dataclass(frozen=True)
class Parsed:
    """
    @ivar problems: what is wrong; then the tree lacks something.
    @ivar unsure: names that stand in what the tree lacks.
    """

    tree: tree.File
    problems: tuple[Problem, ...]
    unsure: frozenset[str]
    lexer: Lexer


def parse(data: bytes, name: str, sieve_only: bool = False) -> Parsed:
    """
    Read a file.

    @param name: what the file is called in places.
    @param sieve_only: the file is a Sieve script, with nothing C-like in it.
    """
    parser = Parser(Lexer(data, name, slashes=not sieve_only), sieve_only)
    file = parser.file()
    problems = sorted(set(parser.problems))
    doubtful = parser.lexer.doubtful
    if doubtful is not None:
        own = parser.lexer.problems
        problems = [each for each in problems if each in own or each.place < doubtful]
    return Parsed(file, tuple(problems), frozenset(parser.unsure), parser.lexer)


class Parser(ExpressionParser):
    """Statements. See L{ExpressionParser} and L{SieveParser} for the rest."""

    def file(self) -> tree.File:
        place = self.token.place
        statements: list[tree.Statement] = []
        try:
            while self.token.kind is not Kind.END:
                if self.is_("}"):
                    self.report("this } closes nothing", self.take())
                statements += self._statements()
        except Lost:
            pass
        file = tree.File(tuple(statements), place=place)
        too_deep = _too_deep(file)
        if too_deep is not None:
            self.problems.append(self.lexer.problem("this is nested too deeply", too_deep.place))
            return tree.File((), place=place)
        return file

    def _statements(self) -> list[tree.Statement]:
        """Up to the end of the block."""
        found = []
        while self.token.kind is not Kind.END and not self.is_("}"):
            start = self.at
            try:
                found.append(self.statement())
            except Wrong as wrong:
                self.recover(wrong, start)
        return found

    def block(self, after: str) -> tree.Block:
        with self.nested():
            opening = self.expect("{", after)
            statements = self._statements()
            self.close(opening)
            return tree.Block(tuple(statements), place=opening.place)

    def statement(self) -> tree.Statement:
        token = self.token
        if self.sieve_only:
            self.expect_kind(Kind.NAME, "a Sieve command")
            self.at -= 1
            return self.sieve_command()
        with self.nested():
            if self.is_("{"):
                return self.block("")
            if self.accept(";"):
                return tree.Block((), place=token.place)
            if token.kind is Kind.NAME:
                read = self._WORDS.get(token.text)
                if read is not None and not self._is_sieve_if(token):
                    return read(self, token)
                if self._is_sieve_command():
                    return self.sieve_command()
            return self._expression_statement()

    def _is_sieve_if(self, token: Token) -> bool:
        follower = self.ahead()
        return token.text == "if" and not (follower.kind is Kind.SIGN and follower.text == "(")

    def _is_sieve_command(self) -> bool:
        """By what follows the name; nothing else of the language looks like this."""
        follower = self.ahead()
        if self.token.text.startswith("$"):
            return False
        if follower.kind is not Kind.SIGN:
            return follower.text != "in"
        if follower.text == "[":
            return self.ahead(2).kind in (Kind.STRING, Kind.TEXT)
        return follower.text in (";", ":", "{") or follower.text == "}"

    def _expression_statement(self) -> tree.Statement:
        place = self.token.place
        expression = self.expression()
        self.expect(";", "this statement")
        return tree.ExpressionStatement(expression, place=place)

    def _declaration(self, type_: Token) -> tree.Statement:
        self.take()
        name = self._new_name()
        if self.is_("("):
            return self._function(type_, name)
        if type_.text == "void":
            raise self.wrong("a variable can't be void", type_)
        declaration = self._declarators(type_, name)
        self.expect(";", "this declaration")
        return declaration

    def _new_name(self) -> Token:
        name = self.expect_kind(Kind.NAME, "a name")
        if name.text in KEYWORDS:
            raise self.wrong(f"{name.text} is a word of the language", name)
        return name

    def _declarators(self, type_: Token, name: Token) -> tree.Declaration:
        names = []
        while True:
            if name.text.startswith("$"):
                raise self.wrong("only built-in functions and hooks begin with $", name)
            value = self.expression() if self.accept("=") else None
            names.append(tree.Declarator(name.text, value, place=name.place))
            if not self.accept(","):
                return tree.Declaration(type_.text, tuple(names), place=type_.place)
            name = self._new_name()

    def _function(self, type_: Token, name: Token) -> tree.Function:
        self.expect("(", name.text)
        parameters = []
        while not self.accept(")"):
            kind = self.expect_kind(Kind.NAME, "the type of a parameter")
            if kind.text not in TYPES[:3]:
                raise self.wrong(f"{kind.text} is not int, string or list", kind)
            parameter = self._new_name()
            parameters.append(tree.Parameter(kind.text, parameter.text, place=parameter.place))
            if not self.is_(")"):
                self.expect(",", "this parameter, or ),")
        return tree.Function(
            type_.text, name.text, tuple(parameters), self.block("the parameters"), place=name.place
        )

    def _if(self, token: Token) -> tree.Statement:
        branches = []
        otherwise = None
        while True:
            self.take()
            self.expect("(", token.text)
            condition = self.expression()
            self.expect(")", "the condition")
            branches.append((condition, self.statement()))
            if not self.is_word("else"):
                break
            self.take()
            if not self.is_word("if") or self._is_sieve_if(self.token):
                otherwise = self.statement()
                break
        return tree.If(tuple(branches), otherwise, place=token.place)

    def _condition(self, word: str) -> tree.Expression:
        self.expect("(", word)
        condition = self.expression()
        self.expect(")", "the condition")
        return condition

    def _while(self, token: Token) -> tree.Statement:
        self.take()
        return tree.While(self._condition("while"), self.statement(), place=token.place)

    def _do(self, token: Token) -> tree.Statement:
        self.take()
        body = self.statement()
        if not self.is_word("while"):
            raise self.wrong("while is missing after the body of do")
        self.take()
        condition = self._condition("while")
        self.expect(";", "do … while ( … )")
        return tree.DoWhile(body, condition, place=token.place)

    def _for(self, token: Token) -> tree.Statement:
        self.take()
        self.expect("(", "for")
        start: tree.Declaration | tree.ExpressionStatement | None = None
        if self.is_word(*TYPES[:3]):
            start = self._declarators(self.take(), self._new_name())
        elif not self.is_(";"):
            place = self.token.place
            start = tree.ExpressionStatement(self.expression(), place=place)
        self.expect(";", "the first part of for")
        condition = None if self.is_(";") else self.expression()
        self.expect(";", "the second part of for")
        step = None if self.is_(")") else self.expression()
        self.expect(")", "the third part of for")
        return tree.For(start, condition, step, self.statement(), place=token.place)

    def _switch(self, token: Token) -> tree.Statement:
        self.take()
        value = self._condition("switch")
        self.expect("{", "switch ( … )")
        cases = []
        while not self.accept("}"):
            start = self.at
            if self.token.kind is Kind.END:
                self.close(token)
                break
            try:
                cases.append(self._case())
            except Wrong as wrong:
                self.recover(wrong, start)
        return tree.Switch(value, tuple(cases), place=token.place)

    def _case(self) -> tree.Case:
        token = self.token
        if not self.is_word("case", "default"):
            raise self.wrong(f"case, default or }} should stand here, not {token}")
        self.take()
        value = self.expression() if token.text == "case" else None
        self.expect(":", token.text)
        statements = []
        while not self.is_("}") and not self.is_word("case", "default"):
            if self.token.kind is Kind.END:
                break
            start = self.at
            try:
                statements.append(self.statement())
            except Wrong as wrong:
                self.recover(wrong, start)
        return tree.Case(value, tuple(statements), place=token.place)

    def _break(self, token: Token) -> tree.Statement:
        self.take()
        self.expect(";", "break")
        return tree.Break(place=token.place)

    def _continue(self, token: Token) -> tree.Statement:
        self.take()
        self.expect(";", "continue")
        return tree.Continue(place=token.place)

    def _return(self, token: Token) -> tree.Statement:
        self.take()
        value = None if self.is_(";") else self.expression()
        self.expect(";", "return and its value")
        return tree.Return(value, place=token.place)

    def _control(self, token: Token) -> tree.Statement:
        self.take()
        name = self.expect_kind(Kind.NAME, "the name of a control")
        value = self.expression()
        self.expect(";", "the value of the control")
        return tree.Control(name.text, value, place=name.place)

    def _include(self, token: Token) -> tree.Statement:
        """With tags it is Sieve's; the checker tells the other ones apart."""
        return self.sieve_command()

    def _test(self, token: Token) -> tree.Statement:
        follower = self.ahead()
        if follower.kind is Kind.SIGN and follower.text == "(":
            return self._expression_statement()
        return self.sieve_command()

    def _lonely(self, token: Token) -> tree.Statement:
        before = {"else": "if", "case": "switch", "default": "switch"}[token.text]
        raise self.wrong(f"this {token.text} has no {before}")

    _WORDS = {
        **dict.fromkeys(TYPES, _declaration),
        "if": _if,
        "while": _while,
        "do": _do,
        "for": _for,
        "switch": _switch,
        "break": _break,
        "continue": _continue,
        "return": _return,
        "control": _control,
        "include": _include,
        "test": _test,
        **dict.fromkeys(("else", "case", "default"), _lonely),
    }


def _children(node: object) -> Iterator[object]:
    if isinstance(node, tuple):
        yield from node
    elif isinstance(node, tree.Node):
        for field in dataclasses.fields(node):
            if field.name != "place":
                yield getattr(node, field.name)


def _too_deep(file: tree.File) -> tree.Node | None:
    """A node that stands too deep for those who walk the tree, if there is one."""
    waiting: list[tuple[object, int]] = [(file, 0)]
    while waiting:
        node, depth = waiting.pop()
        if isinstance(node, tree.Node):
            depth += 1
            if depth > DEPTH_MAX:
                return node
        waiting += ((child, depth) for child in _children(node))
    return None
