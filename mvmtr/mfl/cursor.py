"""What both parsers have in common: a place among the tokens, and what to do when lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mvmtr.mfl.errors import PROBLEMS_MAX, Place, Problem
from mvmtr.mfl.lexer import Kind, Lexer, Token

NESTING_MAX = 60
"""How deep blocks, tests and expressions may stand in each other."""


class Wrong(Exception):
    """The statement that is read can't be understood."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem)


class Lost(Exception):
    """There is no use in reading on."""


class Cursor:
    """
    @ivar problems: what is wrong so far.
    @ivar unsure: the names in statements that were not understood, which may have been
        about to declare them.
    """

    def __init__(self, lexer: Lexer, sieve_only: bool) -> None:
        self.lexer = lexer
        self.tokens = lexer.tokens()
        self.problems = list(lexer.problems)
        self.unsure: set[str] = set()
        self.sieve_only = sieve_only
        self.at = 0
        self._depth = 0
        self._unclosed = False

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def ahead(self, count: int = 1) -> Token:
        return self.tokens[min(self.at + count, len(self.tokens) - 1)]

    def take(self) -> Token:
        token = self.tokens[self.at]
        if token.kind is not Kind.END:
            self.at += 1
        return token

    def is_(self, *signs: str) -> bool:
        """Whether one of some signs is next."""
        token = self.tokens[self.at]
        return token.kind is Kind.SIGN and token.text in signs

    def is_word(self, *words: str) -> bool:
        token = self.tokens[self.at]
        return token.kind is Kind.NAME and token.text in words

    def accept(self, sign: str) -> bool:
        if self.is_(sign):
            self.at += 1
            return True
        return False

    def expect(self, sign: str, after: str) -> Token:
        """Take a sign that has to come now; a semicolon is forgiven at the end of a line."""
        if self.is_(sign):
            return self.take()
        place = self._behind()
        wrong = Wrong(self.lexer.problem(f"{sign} is missing after {after}", place))
        if sign != ";" or self.token.place.line == place.line or self.token.kind is Kind.END:
            raise wrong
        self.problems.append(wrong.problem)
        return self.token

    def close(self, opening: Token) -> None:
        """Take the C{}} that closes a block; at the end of the file the innermost is told."""
        if not self.accept("}") and not self._unclosed:
            self._unclosed = True
            self.report(f"this {opening.text} is never closed", opening)

    def _behind(self) -> Place:
        """Right behind the last token, where that is clear; otherwise the next token."""
        if self.at == 0 or self.lexer.doubtful is not None:
            return self.token.place
        last = self.tokens[self.at - 1]
        if last.kind is Kind.TEXT or "\n" in last.text:
            return self.token.place
        return last.place._replace(column=last.place.column + last.end - last.start)

    def expect_kind(self, kind: Kind, what: str) -> Token:
        if self.token.kind is not kind:
            raise self.wrong(f"{what} should stand here, not {self.token}")
        return self.take()

    def wrong(self, message: str, token: Token | None = None) -> Wrong:
        """The exception for what can't be read; by default at the next token."""
        return Wrong(self.lexer.problem(message, (token or self.token).place))

    def report(self, message: str, token: Token) -> None:
        """Something is wrong, but it is clear how to go on."""
        self.problems.append(self.lexer.problem(message, token.place))

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Around what may stand in itself."""
        self._depth += 1
        try:
            if self._depth > NESTING_MAX:
                raise self.wrong(f"this is nested too deeply; {NESTING_MAX} levels are allowed")
            yield
        finally:
            self._depth -= 1

    def recover(self, wrong: Wrong, start: int) -> None:
        """Leave out the rest of a statement that began at C{start}."""
        self.problems.append(wrong.problem)
        if len(self.problems) >= PROBLEMS_MAX:
            raise Lost
        while self.token.kind is not Kind.END and not self.is_("}"):
            if self.is_("{"):
                self._skip_block()
                if not self.is_word("else", "elsif"):
                    break
            if self.take().text == ";":
                break
        skipped = self.tokens[start : self.at]
        self.unsure.update(token.text for token in skipped if token.kind is Kind.NAME)

    def _skip_block(self) -> None:
        depth = 0
        while self.token.kind is not Kind.END:
            token = self.take()
            if token.kind is Kind.SIGN:
                depth += (token.text == "{") - (token.text == "}")
                if depth == 0:
                    return
