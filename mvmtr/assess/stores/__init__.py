# -*- test-case-name: mvmtr.test.test_assess_stores -*-
"""Where records are kept. Each store provides L{IStore}."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from zope.interface import Attribute, Interface

from mvmtr.assess.records import Changes, Record, Records

T = TypeVar("T")

Step = Callable[[Records], tuple[T, Changes]]
"""Looks at records, and says what came of that and what is to change."""

LISTED_MAX = 10_000
"""Records that a list has at most."""


class StoreError(Exception):
    """A store can't be opened or does not work; the text says which and why."""


class IStore(Interface):
    """Something that remembers. What it fails with is a L{StoreError}."""

    name: str = Attribute("What it is, for the log: C{sqlite:/var/lib/mvmcas.db}.")

    def open() -> Awaitable[None]:
        """Make ready; fails when that can't be."""

    def transact(keys: Sequence[str], step: Step[T]) -> Awaitable[T]:
        """
        Read, look, write, as if nobody else were there.

        @param keys: the records that C{step} is given; those whose time is over, or that
            do not exist, are missing.
        @param step: may be called more than once; only the last time counts.
        @return: what C{step} said, once its changes are kept.
        """

    def select(prefix: str) -> Awaitable[list[tuple[str, Record]]]:
        """Records by the beginning of their keys, in the order of the keys, and not too many."""

    def sweep() -> Awaitable[int]:
        """Forget what is over; how many records there are then."""

    def close() -> Awaitable[None]:
        """Let go of everything."""


def store_from_string(description: str, reactor: Any) -> IStore:
    """
    Make a store.

    @param description: C{memory:}, C{sqlite:/path} or C{redis:HOST[:PORT[:DATABASE]]}.
    @raise StoreError: when it is none of these.
    """
    kind, _colon, rest = description.partition(":")
    if kind == "memory" and not rest:
        from mvmtr.assess.stores.memory import MemoryStore

        return MemoryStore(reactor)
    if kind == "sqlite" and rest:
        from mvmtr.assess.stores.sqlite import SqliteStore

        return SqliteStore(os.path.abspath(rest), reactor)
    if kind == "redis" and rest:
        from mvmtr.assess.stores.redis import RedisStore

        return RedisStore(rest, reactor)
    known = "memory:, sqlite:/path, redis:HOST[:PORT[:DATABASE]]"
    raise StoreError(f"{description!r} is no store; there are {known}")
