# -*- test-case-name: mvmtr.test.test_auth_failures -*-
"""How often who has failed to log in lately. Pure, and bounded in memory."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol


class Counts(Protocol):
    """What remembers how often a key was counted in a time."""

    def number(self, key: bytes, period: float) -> int:
        """How often it was counted in the time that runs."""

    def count(self, key: bytes, period: float) -> int:
        """Count it once more."""


class Pending(Protocol):
    """What knows how much is held of a key now."""

    def number(self, key: bytes) -> int:
        """How much is held of it."""

    def add(self, key: bytes, number: int) -> None:
        """So much more is held of it."""


class Failures:
    """
    Counts failures, and tries whose outcome is not known yet, so that many tries at once
    are no more than the limit.

    @param counts: remembers the failures.
    @param pending: knows the tries.
    @param together: what is done within it is not mixed up with what other processes do.
    """

    def __init__(
        self, counts: Counts, pending: Pending, together: AbstractContextManager[Any]
    ) -> None:
        self._counts = counts
        self._pending = pending
        self._together = together

    def full(self, who: bytes, limit: int, period: float) -> bool:
        """Whether there may be no further try; a limit of 0 is none."""
        with self._together:
            tries = self._counts.number(who, period) + self._pending.number(who)
            return bool(limit) and tries >= limit

    def begin(self, who: bytes, limit: int, period: float) -> bool:
        """
        A try begins, unless there may be none; C{end} must follow.

        @return: whether it does.
        """
        with self._together:
            if self.full(who, limit, period):
                return False
            self._pending.add(who, 1)
            return True

    def end(self, who: bytes, failed: bool, period: float) -> None:
        """The outcome of a try."""
        with self._together:
            self._pending.add(who, -1)
            if failed:
                self._counts.count(who, period)
