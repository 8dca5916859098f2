# -*- test-case-name: mvmtr.test.test_auth_failures -*-
"""How often who has failed to log in lately. Pure, and bounded in memory."""

from __future__ import annotations

from collections import Counter
from typing import Protocol


class Counts(Protocol):
    """What remembers how often a key was counted in a time."""

    def number(self, key: bytes, period: float) -> int:
        """How often it was counted in the time that runs."""

    def count(self, key: bytes, period: float) -> int:
        """Count it once more."""


class Failures:
    """
    Counts failures, and tries whose outcome is not known yet, so that many tries at once
    are no more than the limit.

    @param counts: remembers the failures.
    """

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._pending: Counter[bytes] = Counter()

    def full(self, who: bytes, limit: int, period: float) -> bool:
        """Whether there may be no further try; a limit of 0 is none."""
        return bool(limit) and self._counts.number(who, period) + self._pending[who] >= limit

    def begin(self, who: bytes) -> None:
        """A try begins; C{end} must follow."""
        self._pending[who] += 1

    def end(self, who: bytes, failed: bool, period: float) -> None:
        """The outcome of a try."""
        self._pending[who] -= 1
        if not self._pending[who]:
            del self._pending[who]
        if failed:
            self._counts.count(who, period)
