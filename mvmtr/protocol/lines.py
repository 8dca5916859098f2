# -*- test-case-name: mvmtr.test.test_lines -*-
"""
Cutting what a client sends into command lines. Pure: bytes in, values out.
"""

from __future__ import annotations

START = 16
"""How many bytes are known of a line that was dropped."""


class LineTooLong(ValueError):
    """
    A command line over the limit; it has been dropped up to its end.

    @ivar start: how it began.
    """

    def __init__(self, start: bytes) -> None:
        super().__init__(start)
        self.start = start


class LineReader:
    """
    Collects bytes and gives them back line by line, or all at once.

    A line ends in LF; one CR before it belongs to the end (C{commands} in qmail's
    commands.c). The cost is in proportion to the bytes, however they are cut. Lines that
    come whole are not copied before they are cut out.

    @ivar limit: longest line in bytes, its end not counted. Of longer ones no more
        than that is held.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        # What has come is the buffer, and then the latest piece from a place on.
        self._buffer = bytearray()
        self._piece = b""
        self._place = 0
        self._searched = 0
        self._dropping = False
        self._start = b""

    def __len__(self) -> int:
        return len(self._buffer) + len(self._piece) - self._place

    def feed(self, data: bytes) -> None:
        """Append bytes from the wire."""
        if self._place < len(self._piece):
            self._gather()
        self._piece = data
        self._place = 0

    def _forget_piece(self) -> bool:
        """Hold a piece no longer than there is something left of it; whether nothing is."""
        if self._place < len(self._piece):
            return False
        self._piece = b""
        self._place = 0
        return True

    def _gather(self) -> None:
        self._buffer += memoryview(self._piece)[self._place :]
        self._piece = b""
        self._place = 0

    def take(self, most: int | None = None) -> bytes:
        """
        All bytes that are there.

        @param most: take no more than so many.
        """
        self._searched = 0
        if not self._buffer:
            end = len(self._piece) if most is None else self._place + most
            data = self._piece[self._place : end]
            self._place += len(data)
            self._forget_piece()
            return data
        self._gather()
        data = bytes(self._buffer[:most])
        del self._buffer[:most]
        return data

    def line(self) -> bytes | None:
        """
        The next line without its end, or C{None} while there is no whole one.

        @raise LineTooLong: once for each line over the limit, when its end has come.
        """
        if not (self._buffer or self._dropping):
            if self._forget_piece():
                return None
            end = self._piece.find(b"\n", self._place)
            if end >= 0:
                line = self._piece[self._place : end]
                self._place = end + 1
                return self._whole(line)
        self._gather()
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            if self._dropping or len(self._buffer) > self.limit + 1:
                self._drop(bytes(self._buffer[:START]))
                self._buffer.clear()
            self._searched = len(self._buffer)
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return self._whole(line)

    def _whole(self, line: bytes) -> bytes:
        if line.endswith(b"\r"):
            line = line[:-1]
        if self._dropping or len(line) > self.limit:
            self._drop(line[:START])
            self._dropping = False
            raise LineTooLong(self._start)
        return line

    def _drop(self, start: bytes) -> None:
        if not self._dropping:
            self._dropping = True
            self._start = start
