# -*- test-case-name: mvmtr.test.test_load -*-
"""
What all sessions use together: places, rates, memory. Pure: counts, and no transport. What is
counted is bounded in memory, however many clients there are.

Here it is counted for one process; L{shared<mvmtr.protocol.shared>} does it for several.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from mvmtr.auth.failures import Failures
from mvmtr.protocol.reply import TOO_FAST, TOO_MANY
from mvmtr.session import Verdict
from mvmtr.settings import Settings

TALLY_ROOM = 50_000
"""Keys that a tally remembers at a time."""

NETWORK_BITS = {4: 24, 6: 64}
"""How much of an address tells the network, by version of IP."""


class Tally:
    """
    How often each of many keys was counted within a time. The time of a key begins when it
    is counted first; when it is over, the count begins anew.

    @param seconds: the clock.
    @param room: how many keys are remembered; beyond, the oldest is forgotten.
    """

    def __init__(
        self, seconds: Callable[[], float] = time.monotonic, room: int = TALLY_ROOM
    ) -> None:
        self._seconds = seconds
        self._room = room
        # In the order in which their times began.
        self._counts: dict[bytes, tuple[float, int]] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def number(self, key: bytes, period: float) -> int:
        """How often it was counted in the time that runs."""
        begin, count = self._counts.get(key, (0.0, 0))
        return count if count and self._seconds() - begin < period else 0

    def count(self, key: bytes, period: float) -> int:
        """Count it once more; how often that makes."""
        now = self._seconds()
        self._forget(now - period)
        begin, count = self._counts.get(key, (now, 0))
        if now - begin >= period:
            del self._counts[key]
            begin, count = now, 0
        self._counts[key] = begin, count + 1
        if len(self._counts) > self._room:
            del self._counts[next(iter(self._counts))]
        return count + 1

    def _forget(self, before: float) -> None:
        """Drop a few keys whose time is over: more than are added."""
        for _ in range(3):
            oldest = next(iter(self._counts), None)
            if oldest is None or self._counts[oldest][0] > before:
                return
            del self._counts[oldest]


class Held:
    """
    How much is held now, by key.

    @ivar full: there is no room for further keys.
    """

    full = False

    def __init__(self) -> None:
        self._counts: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def number(self, key: bytes) -> int:
        """How much is held of it."""
        return self._counts.get(key, 0)

    def add(self, key: bytes, number: int) -> None:
        """So much more is held of it."""
        left = self._counts.get(key, 0) + number
        if left:
            self._counts[key] = left
        else:
            del self._counts[key]


class Counts:
    """
    What counts, for one process.

    @param seconds: the clock.
    @ivar together: what is done within it is not mixed up with what other processes do.
    @ivar memory: bytes held.
    """

    together: AbstractContextManager[Any] = nullcontext()

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self.memory = 0

    def held(self, name: bytes) -> Held:
        """
        What counts how much is held.

        @param name: of what.
        """
        return Held()

    def tally(self, name: bytes) -> Tally:
        """
        What counts how often something was done in a time.

        @param name: what.
        """
        return Tally(self._seconds)

    def hold(self, size: int) -> None:
        """So many more bytes are held."""
        self.memory += size


_NO_ADDRESS = b"unknown"

_ALL = b"*"


class Places:
    """
    Who has a connection, and who may have one more.

    @param counts: what counts.
    """

    def __init__(self, counts: Counts) -> None:
        self._together = counts.together
        self._held = counts.held(b"places")
        self._rates = counts.tally(b"rates")

    def __len__(self) -> int:
        return len(self._held)

    @property
    def taken(self) -> int:
        """Connections that there are."""
        with self._together:
            return self._held.number(_ALL)

    def enter(self, address: bytes | None, settings: Settings) -> Verdict | None:
        """
        Take a place.

        @param address: of the client; C{None} if it has none.
        @return: why there is none; C{None} if it was taken.
        """
        with self._together:
            objection = self._objection(address, settings)
            if objection is None:
                self._take(address, settings)
            return objection

    def move(
        self, former: bytes | None, address: bytes | None, settings: Settings
    ) -> Verdict | None:
        """
        A connection becomes that of another client.

        @return: why it does not; it stays what it was then.
        """
        with self._together:
            self._add(former, -1)
            objection = self.enter(address, settings)
            if objection is not None:
                self._add(former, 1)
            return objection

    def give_back(self, address: bytes | None) -> None:
        """A connection is over."""
        with self._together:
            self._add(address, -1)

    def _objection(self, address: bytes | None, settings: Settings) -> Verdict | None:
        total = settings.smtp_server_connections_max
        if self._held.number(_ALL) >= total:
            return TOO_MANY.because(f"the limit is {total} at a time")
        if self._held.full:
            return TOO_MANY.because("there is no room to count further clients")
        rate_of_address = settings.smtp_server_rate_per_address
        rate_of_network = settings.smtp_server_rate_per_network
        period = settings.smtp_server_rate_time
        for who, key, places, rate in (
            ("client", address or _NO_ADDRESS, _per_address(address, settings), rate_of_address),
            ("network", network_of(address), _per_network(address, settings), rate_of_network),
        ):
            if places and self._held.number(key) >= places:
                return TOO_MANY.because(f"the limit for one {who} is {places} at a time")
            if rate and self._rates.number(key, period) >= rate:
                return TOO_FAST.because(f"the limit for one {who} is {rate} in {period} seconds")
        return None

    def _take(self, address: bytes | None, settings: Settings) -> None:
        self._add(address, 1)
        for key, rate in (
            (address or _NO_ADDRESS, settings.smtp_server_rate_per_address),
            (network_of(address), settings.smtp_server_rate_per_network),
        ):
            if rate:
                self._rates.count(key, settings.smtp_server_rate_time)

    def _add(self, address: bytes | None, number: int) -> None:
        add = self._held.add
        add(_ALL, number)
        add(address or _NO_ADDRESS, number)
        add(network_of(address), number)


def _per_address(address: bytes | None, settings: Settings) -> int:
    limit = settings.smtp_server_connections_per_address
    if limit is None:
        return 0 if _is_loopback(address) else _half(settings)
    return limit


def _per_network(address: bytes | None, settings: Settings) -> int:
    """A client of IPv6 has a whole /64 to itself."""
    limit = settings.smtp_server_connections_per_network
    ip = _ip(address)
    if ip is None:
        return 0
    if limit is None:
        return 0 if ip.version == 4 or ip.is_loopback else _half(settings)
    return limit


def _half(settings: Settings) -> int:
    return (settings.smtp_server_connections_max + 1) // 2


def _is_loopback(address: bytes | None) -> bool:
    ip = _ip(address)
    return address is None or (ip is not None and ip.is_loopback)


@lru_cache(maxsize=1024)
def network_of(address: bytes | None) -> bytes:
    """The network of an address: its /24, or /64 of IPv6; of no address, no network."""
    ip = _ip(address)
    if ip is None:
        return b"no network"
    return str(ip_network((ip, NETWORK_BITS[ip.version]), strict=False)).encode("ascii")


@lru_cache(maxsize=1024)
def _ip(address: bytes | None) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address((address or b"").decode("ascii").partition("%")[0])
    except ValueError:
        return None


class Memory:
    """
    What one holder keeps in memory, as part of the load.

    @param load: where it is accounted for.
    """

    __slots__ = ("_counts", "held")

    def __init__(self, load: Load) -> None:
        self._counts = load.counts
        self.held = 0

    def hold(self, size: int) -> None:
        """So many bytes are held from now on, instead of those before."""
        if size != self.held:
            self._counts.hold(size - self.held)
            self.held = size


_HANDSHAKES = b"handshakes"


class Load:
    """
    @param counts: what counts.
    @ivar counts: the same.
    @ivar places: who has a connection.
    @ivar auth_failures: who has failed to log in lately.
    """

    def __init__(self, counts: Counts | None = None) -> None:
        self.counts = counts = counts or Counts()
        self.places = Places(counts)
        self.auth_failures = Failures(
            counts.tally(b"auth failures"), counts.held(b"auth"), counts.together
        )
        self._handshakes = counts.held(_HANDSHAKES)

    @property
    def memory(self) -> int:
        """
        Bytes that are held in memory for clients: text of messages, addresses of recipients,
        and what has come in and was not worked on.
        """
        return self.counts.memory

    @property
    def handshakes(self) -> int:
        """TLS handshakes under way."""
        with self.counts.together:
            return self._handshakes.number(_HANDSHAKES)

    def begin_handshake(self, most: float) -> bool:
        """
        One more handshake begins, unless there are so many; C{end_handshake} must follow.

        @return: whether it does.
        """
        with self.counts.together:
            if self._handshakes.number(_HANDSHAKES) >= most:
                return False
            self._handshakes.add(_HANDSHAKES, 1)
            return True

    def end_handshake(self) -> None:
        """A handshake is over."""
        with self.counts.together:
            self._handshakes.add(_HANDSHAKES, -1)
