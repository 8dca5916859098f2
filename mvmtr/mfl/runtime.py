# -*- test-case-name: mvmtr.test.test_mfl_runtime -*-
"""
What code has at hand while it runs, and what it may use up.

Nothing is measured but what code makes and does: steps by its loops and calls, bytes by
each string that is made or searched. So a hook ends in bounded time and memory whatever
it does, and the count is the same on every machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from mvmtr.mfl.errors import NOWHERE, LimitReached, Place, RunError
from mvmtr.mfl.host import IHost

if TYPE_CHECKING:
    from mvmtr.mfl.sieve.message import Message
    from mvmtr.mfl.sieve.result import Result

_SLICE = 1000
"""The clock is looked at every so many steps."""

_ITEM = 16
"""What an item of a list costs, in bytes, besides its text."""


@dataclass(frozen=True)
class Limits:
    """
    What one hook may use up.

    @ivar steps: roughly, operations that are carried out.
    @ivar depth: calls of functions within each other.
    @ivar memory: bytes of all strings and lists that are made or searched.
    @ivar seconds: by the clock, waiting included.
    """

    steps: int = 200_000
    depth: int = 60
    memory: int = 32_000_000
    seconds: float = 30.0


class Verdict(int):
    """
    What a hook decided; as a number, its reply code.

    @ivar kind: C{accept}, C{reject}, C{defer}, C{discard}.
    @ivar code: of the reply.
    @ivar text: of the reply; empty where the host has a better one.
    @ivar place: the place in the file that decided.
    """

    kind: str
    text: bytes
    place: Place

    def __new__(cls, kind: str, code: int, text: bytes = b"", place: Place = NOWHERE) -> Verdict:
        self = super().__new__(cls, code)
        self.kind = kind
        self.text = text
        self.place = place
        return self

    @property
    def code(self) -> int:
        return int(self)

    def __repr__(self) -> str:
        return f"Verdict({self.kind!r}, {self.code}, {self.text!r}, {self.place})"


class Stop(Exception):
    """Ends the hook, in good order."""


class Run:
    """
    One run of a hook.

    @ivar globals: values of the global variables, by number; of the session.
    @ivar variables: Sieve's, by name in lower case.
    @ivar shared: those of C{global} and C{${global.name}}, by name in lower case.
    @ivar captures: C{${0}}, C{${1}}, …
    @ivar state: for extensions, by a name of their own.
    @ivar included: scripts that ran already, for C{:once}.
    @ivar left: steps until L{refill}.
    """

    __slots__ = (
        "_message",
        "_result",
        "captures",
        "deadline",
        "globals",
        "host",
        "included",
        "left",
        "limits",
        "memory",
        "shared",
        "state",
        "steps",
        "variables",
    )

    def __init__(self, host: IHost, limits: Limits, globals_: list[Any] | None = None) -> None:
        self.host = host
        self.limits = limits
        self.globals = globals_ or []
        self.variables: dict[bytes, bytes] = {}
        self.shared: dict[bytes, bytes] = {}
        self.captures: list[bytes] = []
        self.state: dict[str, Any] = {}
        self.included: set[int] = set()
        self.steps = limits.steps
        self.left = 0
        self.memory = limits.memory
        self.deadline = time.monotonic() + limits.seconds
        self._message: Message | None = None
        self._result: Result | None = None

    @property
    def message(self) -> Message:
        """
        The message with its edits.

        @raise RunError: when there is none yet.
        """
        if self._message is None:
            from mvmtr.mfl.sieve.message import Message

            if self.host.message is None:
                raise self.problem("there is no message yet")
            self._message = Message(self.host.message)
        return self._message

    @message.setter
    def message(self, message: Message | None) -> None:
        """Set it; C{None}: it is made anew from what the host has."""
        self._message = message

    @property
    def edited(self) -> Message | None:
        """The message, if anything looked at it."""
        return self._message

    @property
    def result(self) -> Result:
        """What the Sieve actions did so far."""
        if self._result is None:
            from mvmtr.mfl.sieve.result import Result

            self._result = Result()
        return self._result

    @result.setter
    def result(self, result: Result | None) -> None:
        self._result = result

    @property
    def acted(self) -> Result | None:
        """The same, if there was any action."""
        return self._result

    def problem(self, message: str) -> RunError:
        """An error to raise; whoever called the hook fills in the place."""
        return RunError(message)

    def step(self, steps: int = 1) -> None:
        """
        Count work.

        @raise LimitReached: when it is too much.
        """
        self.left -= steps
        if self.left < 0:
            self.refill()

    def refill(self) -> None:
        """Take another slice of the steps that are left, and look at the clock."""
        self.steps += self.left
        self.left = 0
        if self.steps < 0:
            raise LimitReached(f"more than {self.limits.steps} steps")
        self.clock()
        self.left = min(_SLICE, self.steps)
        self.steps -= self.left

    def clock(self) -> None:
        """
        Look at the clock, as after something that took long.

        @raise LimitReached: when it is too late.
        """
        if time.monotonic() > self.deadline:
            raise LimitReached(f"more than {self.limits.seconds:g} seconds")

    def use(self, size: int) -> None:
        """
        Count bytes that are made or searched.

        @raise LimitReached: when they are too many.
        """
        self.memory -= size
        if self.memory < 0:
            raise LimitReached(f"more than {self.limits.memory} bytes of strings")

    def made(self, text: bytes) -> bytes:
        """Count a string that was made, and give it back."""
        self.use(len(text))
        return text

    def made_list(self, items: Iterable[bytes]) -> tuple[bytes, ...]:
        """Count a list of strings that exist already, as a tuple."""
        items = tuple(items)
        self.use(_ITEM * len(items))
        return items

    def made_all(self, items: Iterable[bytes]) -> tuple[bytes, ...]:
        """Count a list of new strings, as a tuple."""
        items = tuple(items)
        self.use(sum(map(len, items)) + _ITEM * len(items))
        return items

    def too_deep(self) -> NoReturn:
        raise LimitReached(f"more than {self.limits.depth} calls within each other")


def size_of(values: Iterable[Any]) -> int:
    """How many bytes some values hold."""
    total = 0
    for value in values:
        if isinstance(value, bytes):
            total += len(value)
        elif isinstance(value, tuple):
            total += _ITEM * len(value) + sum(map(len, value))
    return total
