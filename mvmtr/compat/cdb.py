# -*- test-case-name: mvmtr.test.test_cdb -*-
"""
Reading constant databases, with C{cdblib} of the package pure-cdb.

The file is read piece by piece and never mapped: one that is cut short while mvmtr runs
gives an error at a look-up, as with qmail, and does not take the whole server down.
"""

from __future__ import annotations

import os
import struct

from mvmtr.compat.controlfile import ControlError

_HEADER = 2048
# An entry for a hash table that lies beyond the end of any file.
_BEYOND = struct.pack("<LL", 0xFFFFFFFF, 1)


class _File:
    """A file as the sequence of bytes that C{cdblib.Reader} wants."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            header = os.pread(self._descriptor, _HEADER, 0)
        except IsADirectoryError:
            header = b""
        self._size = os.fstat(self._descriptor).st_size
        self.reads_left = 0
        whole = header[: len(header) & ~7]
        self._header = whole + _BEYOND * ((_HEADER - len(whole)) // 8)

    def __len__(self) -> int:
        return max(_HEADER, self._size)

    def __getitem__(self, part: slice) -> bytes:
        if part.stop <= _HEADER:
            return self._header[part]
        self.reads_left -= 1
        if self.reads_left < 0:
            raise OSError("a hash table without an empty slot")
        return os.pread(self._descriptor, min(part.stop, self._size) - part.start, part.start)

    def close(self) -> None:
        """Give the descriptor back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Cdb:
    """
    A constant database, open for as long as this object lives.

    @raise ControlError: when the file can't be opened. One that is damaged is noticed at
        the first look-up that meets the damage.
    """

    def __init__(self, path: str) -> None:
        # Only sites that have a cdb need to load its reader.
        import cdblib

        self.path = path
        try:
            self._file = _File(path)
            self._reader = cdblib.Reader(data=self._file)
        except OSError as error:
            raise ControlError(f"{path}: {error.strerror}") from error

    def get(self, key: bytes) -> bytes | None:
        """
        The first value of a key.

        @raise ControlError: when the database is damaged.
        """
        _key, hashed = self._reader.hash_key(key)
        _position, slots = self._reader.index[hashed % 256]
        # Each slot costs at most three reads; cdblib itself would go round for ever.
        self._file.reads_left = 3 * slots
        try:
            value: bytes | None = self._reader.get(key)
        except (OSError, ValueError, struct.error) as error:
            raise ControlError(f"{self.path}: damaged: {error}") from error
        return value
