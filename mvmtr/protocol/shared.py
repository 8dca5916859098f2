# -*- test-case-name: mvmtr.test.test_shared -*-
"""
What several processes count together, in memory that they share.

There is one table of how much is held of each key, and a section for each process. What a
process holds, it notes in its section as well; so when it is killed, the table can be made
anew from the sections of the others. All is done under one lock, which the kernel takes back
from a process that dies with it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from types import TracebackType

from mvmtr.protocol.load import Counts, Held, Tally

_PAGE = mmap.PAGESIZE
_ENTRY = 16
"""Bytes for a key and its number."""

ENTRIES = 1 << 18
"""Keys for which the table has room. Memory is taken only for what is used."""

_WAYS = 8
"""Keys of a tally that compete for the same room; of those the oldest is forgotten."""

_SETS = 1 << 13

SECTIONS_MAX = _PAGE // 8 - 4
"""How many processes there can be."""

# Words of the first page.
_SECRET, _SECTIONS, _USED, _MEMORY = slice(0, 2), 2, 3, 4


class Table:
    """
    Numbers by key, in words that were zero at first. A key has its place by its lowest bits, or
    the next free one behind it.

    @param words: for a key and its number in turn; as many as a power of two.
    """

    def __init__(self, words: memoryview) -> None:
        self._words = words
        self._mask = len(words) // 2 - 1

    def number(self, key: int) -> int:
        """The number of a key, which is no zero."""
        return int(self._words[2 * self._find(key) + 1])

    def add(self, key: int, number: int) -> int:
        """Add to the number of a key; how many keys more there are then."""
        at = 2 * self._find(key)
        words = self._words
        is_new = words[at] == 0
        left = words[at + 1] + number
        if left > 0:
            words[at], words[at + 1] = key, left
            return int(is_new)
        if not is_new:
            self._remove(at // 2)
        return int(is_new) - 1

    def _find(self, key: int) -> int:
        """Where it is, or could be."""
        words, mask = self._words, self._mask
        at = key & mask
        while words[2 * at] not in (0, key):
            at = at + 1 & mask
        return at

    def _remove(self, hole: int) -> None:
        """Those behind it close up, so that they are found from their places on."""
        words, mask = self._words, self._mask
        at = hole
        while key := words[2 * (at := at + 1 & mask)]:
            if (at - key & mask) >= (at - hole & mask):
                words[2 * hole], words[2 * hole + 1] = key, words[2 * at + 1]
                hole = at
        words[2 * hole] = words[2 * hole + 1] = 0


class Section:
    """
    What one process holds: the number of entries, then keys and numbers without a gap.

    @param words: where it stands.
    """

    def __init__(self, words: memoryview) -> None:
        self._words = words
        self._places: dict[int, int] = {}

    def add(self, key: int, number: int) -> None:
        """Add to the number of a key."""
        words = self._words
        at = self._places.get(key)
        if at is None:
            at = self._places[key] = 2 + 2 * words[0]
            words[at], words[at + 1] = key, 0
            words[0] += 1
        words[at + 1] += number
        if not words[at + 1]:
            last = 2 * words[0]
            words[at], words[at + 1] = words[last], words[last + 1]
            self._places[words[at]] = at
            del self._places[key]
            words[0] -= 1

    def entries(self) -> list[tuple[int, int]]:
        """All keys and their numbers."""
        words = self._words[2 : 2 + 2 * self._words[0]].tolist()
        return list(zip(words[::2], words[1::2], strict=True))


class Lock:
    """
    Held by one process at a time; the same process may take it again within.

    @param descriptor: of the file on which the lock is.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._depth = 0

    def __enter__(self) -> None:
        if not self._depth:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        self._depth += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._depth -= 1
        if not self._depth:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


class SharedTally(Tally):
    """
    As L{Tally}, for all processes. It has sets of a few keys each; a new key takes the place of
    the oldest one of its set.

    @param words: for a key, when its time began, and how often it was counted.
    @param hashed: gives the number that stands for a key.
    """

    def __init__(
        self, words: memoryview, hashed: Callable[[bytes], int], seconds: Callable[[], float]
    ) -> None:
        super().__init__(seconds)
        self._words = words
        self._hashed = hashed

    def __len__(self) -> int:
        return sum(map(bool, self._words[::3].tolist()))

    def number(self, key: bytes, period: float) -> int:
        """See L{Tally.number}."""
        at, known = self._find(self._hashed(key))
        return self._words[at + 2] if known and self._passed(at) < period else 0

    def count(self, key: bytes, period: float) -> int:
        """See L{Tally.count}."""
        number = self._hashed(key)
        words = self._words
        at, known = self._find(number)
        if not known or self._passed(at) >= period:
            words[at], words[at + 1], words[at + 2] = number, self._now(), 0
        words[at + 2] += 1
        return int(words[at + 2])

    def _find(self, key: int) -> tuple[int, bool]:
        """Where it is, or is to be."""
        words = self._words
        begin = key % (len(words) // (3 * _WAYS)) * 3 * _WAYS
        places = range(begin, begin + 3 * _WAYS, 3)
        for at in places:
            if words[at] == key:
                return at, True
        return min(places, key=lambda at: int(words[at + 1])), False

    def _now(self) -> int:
        return int(self._seconds() * 1e6)

    def _passed(self, at: int) -> float:
        return float(self._now() - self._words[at + 1]) / 1e6


class SharedHeld(Held):
    """As L{Held}, for all processes."""

    def __init__(self, memory: SharedMemory, section: Section, name: bytes) -> None:
        super().__init__()
        self._memory = memory
        self._section = section
        self._name = name + b" "

    def __len__(self) -> int:
        return self._memory.used

    @property
    def full(self) -> bool:  # type: ignore[override]
        """See L{Held}."""
        return self._memory.used > ENTRIES * 3 // 4

    def number(self, key: bytes) -> int:
        """See L{Held.number}."""
        return self._memory.table.number(self._memory.hashed(self._name + key))

    def add(self, key: bytes, number: int) -> None:
        """See L{Held.add}. The section comes first: it is what counts after a kill."""
        hashed = self._memory.hashed(self._name + key)
        self._section.add(hashed, number)
        self._memory.used += self._memory.table.add(hashed, number)


class SharedCounts(Counts):
    """
    As L{Counts}, for all processes.

    @param memory: where they count.
    @param section: the number of this process's section.
    @param seconds: the clock, which must be the same for all.
    """

    def __init__(
        self, memory: SharedMemory, section: int, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._shared = memory
        self._number = section
        self._section = memory.section(section)
        self.together = memory.lock

    def held(self, name: bytes) -> Held:
        """See L{Counts.held}."""
        return SharedHeld(self._shared, self._section, name)

    def tally(self, name: bytes) -> Tally:
        """See L{Counts.tally}."""
        return SharedTally(self._shared.tally_words(name), self._shared.hashed, self._seconds)

    @property
    def memory(self) -> int:  # type: ignore[override]
        """See L{Counts}."""
        return self._shared.held_memory()

    def hold(self, size: int) -> None:
        """See L{Counts.hold}."""
        self._shared.hold(self._number, size)


class SharedMemory:
    """
    The memory that processes share, by its descriptor.

    @ivar lock: held while anything but the held memory is looked at or changed.
    @ivar table: how much is held of each key.
    @ivar hashed: gives the number that stands for a key. Which keys are neighbours is a secret.
    """

    TALLIES = (b"rates", b"auth failures")

    def __init__(self, descriptor: int) -> None:
        self.lock = Lock(descriptor)
        self._map = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        self._words = memoryview(self._map).cast("Q")
        secret = self._words[_SECRET].tobytes()

        @lru_cache(maxsize=4096)
        def hashed(key: bytes) -> int:
            digest = blake2b(key, digest_size=8, key=secret).digest()
            # Zero is no key.
            return int.from_bytes(digest) or 1

        self.hashed = hashed
        self.table = Table(self._part(*_table()))

    def _part(self, begin: int, size: int) -> memoryview:
        return self._words[begin // 8 : (begin + size) // 8]

    def section(self, number: int) -> Section:
        """What one process holds."""
        return Section(self._part(*_section(number)))

    def tally_words(self, name: bytes) -> memoryview:
        """Where something is counted."""
        return self._part(*_tally(self.TALLIES.index(name)))

    @property
    def used(self) -> int:
        """How many keys the table has."""
        return int(self._words[_USED])

    @used.setter
    def used(self, number: int) -> None:
        self._words[_USED] = number

    def held_memory(self) -> int:
        """Bytes that all processes hold."""
        return sum(self._words[_MEMORY : _MEMORY + self._words[_SECTIONS]])

    def hold(self, section: int, size: int) -> None:
        """A process holds so many bytes more."""
        self._words[_MEMORY + section] += size

    def forget(self, section: int) -> None:
        """A process is gone, and with it all that it held."""
        with self.lock:
            self._zero(*_section(section))
            self._words[_MEMORY + section] = 0
            self._zero(*_table())
            self.used = 0
            for number in range(self._words[_SECTIONS]):
                for key, held in self.section(number).entries():
                    self.used += self.table.add(key, held)

    def _zero(self, begin: int, size: int) -> None:
        """The system takes the memory back, and gives zeros."""
        self._map.madvise(mmap.MADV_REMOVE, begin, size)


def _table() -> tuple[int, int]:
    return _PAGE, ENTRIES * _ENTRY


def _tally(number: int) -> tuple[int, int]:
    size = _SETS * _WAYS * 3 * 8
    return sum(_table()) + number * size, size


def _section(number: int) -> tuple[int, int]:
    """With room for the number of entries."""
    size = ENTRIES * _ENTRY + _PAGE
    return sum(_tally(len(SharedMemory.TALLIES) - 1)) + number * size, size


def create(sections: int) -> int:
    """
    New memory for so many processes, L{SECTIONS_MAX} at most.

    @return: its descriptor, which is closed in programs that are started.
    @raise OSError: when there is none.
    """
    descriptor = os.memfd_create("mvmtr")
    begin, _size = _section(sections)
    os.ftruncate(descriptor, begin)
    with mmap.mmap(descriptor, _PAGE) as memory, memoryview(memory).cast("Q") as words:
        memory[:16] = os.urandom(16)
        words[_SECTIONS] = sections
    return descriptor
