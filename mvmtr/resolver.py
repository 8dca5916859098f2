# -*- test-case-name: mvmtr.test.test_resolver -*-
"""
Asks the DNS: C{twisted.names}, with a cache that is filled and bounded, for all who have
questions.

That of C{twisted.names.client.createResolver} is never filled, and one who gives up on a
question there gives up for all who wait for the same.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.names import cache, client, dns
from twisted.python.failure import Failure

from mvmtr.values import SettingError, address_and_port

TIMEOUTS = (2, 4)
"""Seconds for each try of a question at each server."""

QUESTIONS_MAX = 250
"""Questions, and sockets for them, at a time; further ones wait."""

ANSWERS_MAX = 2000
"""Answers that are kept, each for as long as it says itself."""

RECORDS_MAX = 20
"""Records in an answer that is kept."""

RESOLV_CONF = "/etc/resolv.conf"

Records = tuple[list[Any], list[Any], list[Any]]


class Cache(cache.CacheResolver):
    """Keeps no more than so much, whatever others would like it to keep."""

    cache: Any

    def cacheResult(self, query: dns.Query, payload: Records, cacheTime: Any = None) -> None:
        """See L{cache.CacheResolver}."""
        if payload[0] and sum(map(len, payload)) <= RECORDS_MAX:
            while len(self.cache) >= ANSWERS_MAX:
                oldest = next(iter(self.cache))
                self.cancel[oldest].cancel()
                self.clearEntry(oldest)
            super().cacheResult(query, payload, cacheTime)


class Resolver(client.Resolver):
    """
    An L{IResolver<twisted.internet.interfaces.IResolver>}.

    A look-up that is cancelled, by a time limit say, is nobody else's loss. It fails with
    L{DNSNameError<twisted.names.error.DNSNameError>} when there is no such name, and with
    another error when there is no answer; see L{trouble}.
    """

    def __init__(self, resolv: str | None = None, servers: Any = None, reactor: Any = None) -> None:
        super().__init__(resolv, servers, TIMEOUTS, reactor)
        self.answers = Cache(reactor=self._reactor)
        self._sockets = DeferredSemaphore(QUESTIONS_MAX)
        self._asking: dict[dns.Query, list[Deferred[Records]]] = {}

    def _lookup(
        self, name: bytes, cls: int, type: int, timeout: Sequence[int] | None
    ) -> Deferred[Records]:
        """All look-ups come here."""
        query = dns.Query(name, type, cls)
        known: Deferred[Records] = self.answers.query(query)
        return known.addErrback(lambda _miss: self._join(query, timeout))

    def _join(self, query: dns.Query, timeout: Sequence[int] | None) -> Deferred[Records]:
        """Wait for an answer together with all who have the same question."""
        waiter: Deferred[Records] = Deferred()
        if query in self._asking:
            self._asking[query].append(waiter)
        else:
            self._asking[query] = [waiter]
            asking = self._sockets.run(self.queryUDP, [query], timeout)
            asking.addCallback(self.filterAnswers).addCallback(self._keep, query)
            asking.addBoth(self._answered, query)
        return waiter

    def _keep(self, records: Records, query: dns.Query) -> Records:
        self.answers.cacheResult(query, records)
        return records

    def _answered(self, result: Records | Failure, query: dns.Query) -> None:
        for waiter in self._asking.pop(query):
            waiter.callback(result)


_CODES = {
    dns.EFORMAT: "FORMERR",
    dns.ESERVER: "SERVFAIL",
    dns.ENAME: "NXDOMAIN",
    dns.ENOTIMP: "NOTIMP",
    dns.EREFUSED: "REFUSED",
}


def trouble(error: BaseException) -> str:
    """Why a look-up failed, in a few words for the log."""
    message = error.args[0] if error.args else None
    if isinstance(message, dns.Message):
        return _CODES.get(message.rCode, f"code {message.rCode}")
    return "no answer" if isinstance(error, defer.TimeoutError) else type(error).__name__


@functools.lru_cache(maxsize=8)
def resolver_for(server: str, reactor: Any) -> Resolver:
    """
    The resolver that all share who ask the same server.

    @param server: see L{address_and_port<mvmtr.values.address_and_port>}; empty for those
        of the system.
    @raise SettingError: when it can't be read which those are.
    """
    if server:
        return Resolver(servers=[address_and_port(server)], reactor=reactor)
    try:
        return Resolver(RESOLV_CONF, reactor=reactor)
    except Exception as error:
        # Whatever a line of that file makes of it.
        raise SettingError(f"{RESOLV_CONF}: {error}") from error
