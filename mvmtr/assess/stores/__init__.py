# -*- test-case-name: mvmtr.test.test_assess_stores -*-
"""Where records are kept. Each store provides L{IStore}."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from zope.interface import Attribute, Interface

from mvmtr.assess.records import Changes, Record, Records

T = TypeVar("T")

Step = Callable[[Records], tuple[T, Changes]]
"""Looks at records, and says what came of that and what is to change."""

Part = tuple[list[tuple[str, Record]], str]
"""Some records, and the cursor where to go on; empty at the end."""

PART_MAX = 1000
"""About how many records come at a time."""

RECORDS_MAX = 2_000_000
"""Records that are kept where nobody says how many."""

KINDS = "memory:, sqlite:/path, redis:HOST[:PORT[:DATABASE]], redis:/path/of/socket[:DATABASE]"


class StoreError(Exception):
    """A store can't be opened or does not work; the text says which and why."""


class IStore(Interface):
    """
    Something that remembers. What it fails with is a L{StoreError}, and then nothing, or
    all of what was asked for, has happened.
    """

    name: str = Attribute("What it is, for the log: C{sqlite:/var/lib/mvmcas.db}.")

    def open() -> Coroutine[Any, Any, None]:
        """
        Make ready. May be called again when it has failed.
        """

    def transact(keys: Sequence[str], step: Step[T]) -> Coroutine[Any, Any, T]:
        """
        Read, look, write, as if nobody else were there.

        @param keys: the records that C{step} is given; those whose time is over, or that
            do not exist, are missing. It may change no others.
        @param step: may be called more than once and in another thread; only the last
            time counts. What it raises comes back, and nothing is changed.
        @return: what C{step} said, once its changes are kept.
        """

    def scan(prefix: str, cursor: str = "") -> Coroutine[Any, Any, Part]:
        """
        Some records by the beginning of their keys, in no order. Those that are there all
        the while come at least once, if one goes on until the cursor is empty again.

        @param cursor: where to go on, as an earlier call gave it; empty at first.
        """

    def sweep() -> Coroutine[Any, Any, int]:
        """Forget what is over, and what is too much; how many records that were."""

    def count() -> Coroutine[Any, Any, int]:
        """How many records there are, some of which may be over."""

    def close() -> Coroutine[Any, Any, None]:
        """Let go of everything, when all that was asked for is done."""


def store_from_string(description: str, reactor: Any, records_max: int = RECORDS_MAX) -> IStore:
    """
    Make a store.

    @param description: one of L{KINDS}.
    @param records_max: how many records are kept, where that is for us to say; Redis has
        its C{maxmemory}.
    @raise StoreError: when it is none of these.
    """
    kind, _colon, rest = description.partition(":")
    store: IStore
    if kind == "memory" and not rest:
        from mvmtr.assess.stores.memory import MemoryStore

        store = MemoryStore(reactor, records_max)
    elif kind == "sqlite" and rest:
        from mvmtr.assess.stores.sqlite import SqliteStore

        store = SqliteStore(os.path.abspath(rest), reactor, records_max)
    elif kind == "redis" and rest:
        try:
            from mvmtr.assess.stores.redis import RedisStore
        except ImportError as error:
            raise StoreError(f"{description}: {error}; pip install mvmtr[redis]") from error

        store = RedisStore(rest, reactor)
    else:
        raise StoreError(f"{description!r} is no store; there are {KINDS}")
    return store
