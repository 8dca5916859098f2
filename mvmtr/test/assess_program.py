"""
Counts in a file until it is killed, or until the disk was full and is not any more.

Run as a program: the file, how many count at a time, and maybe C{--limit} with the bytes
that a file may have. It tells each number that is kept, and each error.
"""

from __future__ import annotations

import resource
import sys

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react

from mvmtr.assess.records import Record
from mvmtr.assess.stores import StoreError
from mvmtr.assess.stores.sqlite import SqliteStore
from mvmtr.test.assess_stores import count_up, get, put

FAILURES = 30
"""Errors after which there is more room."""


def say(*words: object) -> None:
    """Tell the test."""
    print(*words, flush=True)


class Program:
    """What it does."""

    def __init__(self, path: str, workers: int, limit: int) -> None:
        self.store = SqliteStore(path, reactor)
        self.workers = workers
        self.limit = limit
        self.failures = 0
        self.fillers = 0
        self.left = -1

    async def run(self) -> None:
        """Count with all workers until there is nothing left to do."""
        await self.store.open()
        if self.limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, resource.RLIM_INFINITY))
        working = [Deferred.fromCoroutine(self.work()) for _ in range(self.workers)]
        await gatherResults(working)
        await self.store.close()

    async def work(self) -> None:
        """One worker."""
        while self.left:
            self.left -= 1
            try:
                if self.limit:
                    self.fillers += 1
                    await put(self.store, {f"filler {self.fillers}": Record({"text": "x" * 3000})})
                say("said", await count_up(self.store, "one", "other"))
            except StoreError as error:
                say("failed", error)
                await get(self.store, "one")
                say("read")
                self.failures += 1
                if self.failures == FAILURES:
                    unlimited = resource.RLIM_INFINITY
                    resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
                    say("more")
                    self.left = 200


if __name__ == "__main__":
    limit = int(sys.argv[4]) if sys.argv[3:4] == ["--limit"] else 0
    program = Program(sys.argv[1], int(sys.argv[2]), limit)
    react(lambda _reactor: Deferred.fromCoroutine(program.run()))
