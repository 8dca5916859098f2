# -*- test-case-name: mvmtr.test.test_cdb -*-
"""
Reading constant databases, with C{cdblib} of the package pure-cdb.

The file is read piece by piece and never mapped: one that is cut short while mvmtr runs
gives an error at a look-up, as with qmail, and does not take the whole server down.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

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
        self.reads_left = _HEADER // 8
        whole = header[: len(header) & ~7]
        self._header = whole + _BEYOND * ((_HEADER - len(whole)) // 8)

    def __len__(self) -> int:
        return max(_HEADER, self._size)

    def __getitem__(self, part: slice) -> bytes:
        self.reads_left -= 1
        if self.reads_left < 0:
            raise OSError("a hash table without an empty slot")
        if part.stop <= _HEADER:
            return self._header[part]
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

    def verify(self) -> None:
        """
        See whether the file is as long as its tables say.

        @raise ControlError: when it is not.
        """
        ends = (start + 8 * slots for start, slots in self._reader.index if slots)
        if max(ends, default=_HEADER) > len(self._file):
            raise ControlError(f"{self.path}: damaged: cut short")

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """
        All keys and values in the order of the file, as often as they were put in.

        @raise ControlError: when the database is damaged; what comes before the damage is
            given first.
        """
        tables = [(start, start + 8 * slots) for start, slots in self._reader.index if slots]
        position = _HEADER
        records_end = min((start for start, _end in tables), default=position)
        try:
            if max((end for _start, end in tables), default=position) > len(self._file):
                raise ValueError("cut short")
            if records_end < position:
                raise ValueError("a hash table that lies in the header")
            while position < records_end:
                # One for the lengths, one for what they are the lengths of.
                self._file.reads_left = 2
                lengths = self._file[position : position + 8]
                key_length, value_length = struct.unpack("<LL", lengths)
                position += 8
                following = position + key_length + value_length
                if following > records_end:
                    raise ValueError("a record that does not fit")
                record = self._file[position:following]
                if len(record) < key_length + value_length:
                    raise ValueError("cut short")
                position = following
                yield record[:key_length], record[key_length:]
        except (OSError, ValueError, struct.error) as error:
            raise ControlError(f"{self.path}: damaged: {error}") from error


def open_if_there(path: str) -> Cdb | None:
    """
    A constant database, or C{None} when there is no such file.

    @raise ControlError: when it is there and can't be opened.
    """
    try:
        os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ControlError(f"{path}: {error.strerror}") from error
    return Cdb(path)
