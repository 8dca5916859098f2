# -*- test-case-name: mvmtr.test.test_turns -*-
"""So many at a time, and who has to wait gets a fair turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


class Turns:
    """
    Bounds how much work is under way at a time.

    What has to wait begins by turns: one of each client that waits, then the next one of
    each. What a client asks for begins in the order in which it was asked for.

    @ivar running: how much is under way.
    """

    def __init__(self) -> None:
        self.running = 0
        self._is_giving = False
        # The client whose turn comes next is the first one. No queue in it is empty.
        self._waiting: dict[Hashable, deque[tuple[int, Deferred[None]]]] = {}

    @property
    def waiting(self) -> int:
        """How much waits."""
        return sum(map(len, self._waiting.values()))

    def run(self, client: Hashable, limit: int, work: Callable[[], Deferred[T]]) -> Deferred[T]:
        """
        Begin now, or when it is this client's turn.

        @param client: whose work it is.
        @param limit: begin when less than that is under way; 0: no limit.
        @param work: begins it.
        @return: fires as the Deferred of the work does. If it is cancelled before its turn,
            the work never begins; later on, the Deferred of the work is cancelled.
        """
        if not self._waiting and self._has_room(limit):
            return self._begin(None, work)
        turn: Deferred[None] = Deferred(lambda _turn: self._forget(client, waiter))
        waiter = (limit, turn)
        self._waiting.setdefault(client, deque()).append(waiter)
        return turn.addCallback(self._begin, work)

    def _has_room(self, limit: int) -> bool:
        return not limit or self.running < limit

    def _begin(self, _turn: None, work: Callable[[], Deferred[T]]) -> Deferred[T]:
        self.running += 1
        try:
            result = work()
        except BaseException:
            self._end(None)
            raise
        return result.addBoth(self._end)

    def _end(self, result: Any) -> Any:
        self.running -= 1
        if not self._is_giving:
            # Work that ends as soon as it begins comes here again, and must not go deeper.
            self._is_giving = True
            self._give()
            self._is_giving = False
        return result

    def _give(self) -> None:
        """Let begin what there is room for."""
        while self._waiting:
            client, queue = next(iter(self._waiting.items()))
            if not self._has_room(queue[0][0]):
                break
            _limit, turn = queue.popleft()
            del self._waiting[client]
            if queue:
                # To the end of the line.
                self._waiting[client] = queue
            turn.callback(None)

    def _forget(self, client: Hashable, waiter: tuple[int, Deferred[None]]) -> None:
        queue = self._waiting[client]
        queue.remove(waiter)
        if not queue:
            del self._waiting[client]
