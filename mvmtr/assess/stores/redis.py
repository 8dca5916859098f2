# -*- test-case-name: mvmtr.test.test_assess_redis -*-
"""Records in a Redis server, for several mvmcas in front of it."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from txredisapi import RedisError, RedisFactory
from zope.interface import implementer

from mvmtr.assess.records import Changes, Record
from mvmtr.assess.stores import KINDS, PART_MAX, IStore, Part, Step, StoreError, T

TIMEOUT = 5
"""Seconds for one answer of the server, and for a connection to it."""

TRIES_MAX = 200
"""How often a change is tried that others come before with changes of their own."""

PREFIX = "mvmcas:"
"""What all keys begin with, for others may use the same database."""

PASSWORD = "MVMCAS_REDIS_PASSWORD"
"""The environment variable with the password, if the server wants one."""

_PLACE = re.compile(
    r"(?P<path>/[^:]+)(:(?P<path_database>\d{1,5}))?"
    r"|(?P<host>\[[0-9a-fA-F:.]+\]|[^:/\[\]]+)(:(?P<port>\d{1,5})(:(?P<database>\d{1,5}))?)?"
)

# Each answers with one string, which txredisapi reads in one go.
_READ = "return cjson.encode(redis.call('MGET', unpack(KEYS)))"

_WRITE = """
    local found = redis.call('MGET', unpack(KEYS))
    for i = 1, #KEYS do
        if (found[i] or '') ~= ARGV[i] then return cjson.encode(found) end
    end
    for i = #KEYS + 1, #ARGV, 3 do
        local key, record, life = KEYS[tonumber(ARGV[i])], ARGV[i + 1], tonumber(ARGV[i + 2])
        if record == '' then redis.call('DEL', key)
        elseif life == 0 then redis.call('SET', key, record)
        else redis.call('SET', key, record, 'PX', life) end
    end
    return 'written'
"""

_SCAN = "return cjson.encode(redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3]))"


class _Factory(RedisFactory):
    """Connections that never stop trying: a server that is not ready now may be later."""

    def __init__(self, database: int | None, failed: Callable[[str], None]) -> None:
        super().__init__(
            "mvmcas",
            database,
            poolsize=1,
            isLazy=True,
            charset=None,
            password=os.environ.get(PASSWORD),
            replyTimeout=TIMEOUT,
            convertNumbers=False,
        )
        self._failed = failed

    def stopTrying(self) -> Deferred[None]:
        """Called when the server does not take the password, or is lost meanwhile."""
        return succeed(None)

    def connectionError(self, why: str) -> None:
        """A connection was made, but is of no use."""
        self._failed(str(why))


@implementer(IStreamClientEndpoint)
class _Endpoint:
    """Tells of failures, which the factory keeps to itself."""

    def __init__(self, endpoint: Any, failed: Callable[[str], None]) -> None:
        self._endpoint = endpoint
        self._failed = failed

    def connect(self, factory: Any) -> Deferred[Any]:
        """See L{IStreamClientEndpoint}."""

        def failed(failure: Failure) -> Failure:
            self._failed(f"unable to connect: {failure.getErrorMessage()}")
            return failure

        connecting: Deferred[Any] = self._endpoint.connect(factory)
        return connecting.addErrback(failed)


@implementer(IStore)
class RedisStore:
    """
    One connection. What is read is compared with what is there when it is written, by a
    script, which nobody can come between.

    @param place: where the server is: C{HOST[:PORT[:DATABASE]]} or
        C{/path/of/socket[:DATABASE]}.
    @param now: the clock, in seconds since 1970.
    @raise StoreError: for any other place.
    """

    def __init__(self, place: str, reactor: Any, now: Callable[[], float] = time.time) -> None:
        self.name = f"redis:{place}"
        self._reactor = reactor
        self._now = now
        found = _PLACE.fullmatch(place)
        if found is None or int(found["port"] or 1) not in range(1, 65536):
            raise StoreError(f"{self.name!r} is no store; there are {KINDS}")
        if found["path"]:
            endpoint: Any = UNIXClientEndpoint(reactor, found["path"], TIMEOUT)
        else:
            host = found["host"].strip("[]")
            endpoint = HostnameEndpoint(reactor, host, int(found["port"] or 6379), TIMEOUT)
        database = found["database"] or found["path_database"]
        self._database = None if database is None else int(database)
        self._endpoint = _Endpoint(endpoint, self._failed)
        self._factory: _Factory | None = None
        self._why = "not open"
        self._opening: Deferred[None] | None = None
        self._under_way: set[Deferred[Any]] = set()

    def _failed(self, why: str) -> None:
        self._why = why
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.errback(StoreError(f"{self.name}: {why}"))

    async def open(self) -> None:
        """See L{IStore}. After a failure it goes on trying to connect."""
        if self._factory is None:
            self._factory = _Factory(self._database, self._failed)
            opening: Deferred[None] = Deferred()
            self._opening = opening
            self._factory.deferred.addCallback(self._opened)
            self._factory.startConnecting(self._endpoint)
            await opening
        await self._call("return 'ready'")

    def _opened(self, _handler: Any) -> None:
        self._why = "connection lost"
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.callback(None)

    async def _call(
        self, script: str, keys: Sequence[str] = (), arguments: Sequence[object] = ()
    ) -> bytes:
        if self._factory is None or not self._factory.pool:
            raise StoreError(f"{self.name}: {self._why}")
        names = [(PREFIX + key).encode() for key in keys]
        asking = self._factory.pool[0].eval(script, names, [str(a).encode() for a in arguments])
        self._under_way.add(asking)
        try:
            return bytes(await asking)
        except RedisError as error:
            raise StoreError(f"{self.name}: {error}") from error
        finally:
            self._under_way.discard(asking)

    async def _read(self, keys: Sequence[str]) -> list[str]:
        """What is there, as text; empty where nothing is."""
        return _texts(await self._call(_READ, keys)) if keys else []

    async def transact(self, keys: Sequence[str], step: Step[T]) -> T:
        """See L{IStore}."""
        keys = list(dict.fromkeys(keys))
        texts = await self._read(keys)
        for tried in range(TRIES_MAX):
            now = self._now()
            result, changes = step(_alive(keys, texts, now))
            if not changes:
                return result
            said = await self._call(_WRITE, keys, [*texts, *_arguments(keys, changes, now)])
            if said == b"written":
                return result
            texts = _texts(said)
            # Not all at the same time again.
            await deferLater(self._reactor, random.uniform(0, 0.001 * min(tried, 50)))
        raise StoreError(f"{self.name}: {TRIES_MAX} times somebody else was faster")

    async def scan(self, prefix: str, cursor: str = "") -> Part:
        """See L{IStore}."""
        pattern = re.sub(r"([*?\[\]\\])", r"\\\1", PREFIX + prefix) + "*"
        said = await self._call(_SCAN, (), [cursor or "0", pattern, PART_MAX])
        cursor, found = json.loads(said)
        keys = [key.removeprefix(PREFIX) for key in found]
        alive = _alive(keys, await self._read(keys), self._now())
        return list(alive.items()), "" if cursor == "0" else cursor

    async def sweep(self) -> int:
        """See L{IStore}. Redis forgets by itself."""
        return 0

    async def count(self) -> int:
        """See L{IStore}."""
        return int(await self._call("return tostring(redis.call('DBSIZE'))"))

    async def close(self) -> None:
        """See L{IStore}."""
        if self._under_way:
            await DeferredList([_end_of(asking) for asking in self._under_way])
        factory, self._factory = self._factory, None
        self._failed("closed")
        if factory is not None:
            await factory.disconnect()


def _end_of(asking: Deferred[Any]) -> Deferred[None]:
    ended: Deferred[None] = Deferred()

    def end(result: T) -> T:
        ended.callback(None)
        return result

    asking.addBoth(end)
    return ended


def _texts(answer: bytes) -> list[str]:
    return [text or "" for text in json.loads(answer)]


def _alive(keys: Sequence[str], texts: Sequence[str], now: float) -> dict[str, Record]:
    found = {key: Record.read(text) for key, text in zip(keys, texts, strict=True) if text}
    return {key: record for key, record in found.items() if not record.is_over(now)}


def _arguments(keys: list[str], changes: Changes, now: float) -> list[object]:
    """
    For each change the number of its key, the record, and its life in milliseconds, 0 for
    ever. The life and not the end, for the clock of the server may be another one.
    """
    numbers = {key: number for number, key in enumerate(keys, 1)}
    arguments: list[object] = []
    for key, record in changes.items():
        if record is None or record.is_over(now):
            arguments += [numbers[key], "", 0]
        else:
            life = ceil((record.expires - now) * 1000) if record.expires else 0
            arguments += [numbers[key], record.written(), life]
    return arguments
