# -*- test-case-name: mvmtr.test.test_hooks_sessions -*-
"""The message of a transaction as hooks see it, and putting an edited header in its place."""

from __future__ import annotations

import re
import shutil
from tempfile import SpooledTemporaryFile
from typing import IO

from zope.interface import implementer

from mvmtr.mfl.host import IMessageSource
from mvmtr.protocol.extensions.binarymime import is_binary
from mvmtr.session import Transaction
from mvmtr.settings import Settings

HEADER_MAX = 1 << 20
"""Bytes of a header that hooks see; what is longer is no header of a message, but an attack."""

_PIECE = 1 << 16
_EMPTY_LINE = re.compile(rb"^\n", re.MULTILINE)
_EMPTY_LINE_OF_BINARY = re.compile(rb"^\r?\n", re.MULTILINE)
_WHOLE_FIELDS = re.compile(rb".*\n(?=[^ \t])", re.DOTALL)


@implementer(IMessageSource)
class StoredMessage:
    """
    Reads from the file that holds the message, and only as much as is asked for. The lines
    of a binary message, which is stored as it came, end in LF here as well.

    @param body_max: bytes of the body that hooks see.
    @ivar end_of_header: where the header ends in the file, once it was read.
    """

    def __init__(self, transaction: Transaction, body_max: int) -> None:
        assert transaction.body is not None
        self._binary = is_binary(transaction)
        self._file: IO[bytes] = transaction.body
        self._body_max = body_max
        self._header: bytes | None = None
        self._size: int | None = None
        self.end_of_header = self._begin_of_body = 0

    @property
    def header(self) -> bytes:
        """The lines up to the empty one; of a header that is too long, the first fields."""
        return self._read_header()

    def _read_header(self) -> bytes:
        if self._header is None:
            self._file.seek(0)
            data = self._file.read(HEADER_MAX)
            self.end_of_header, self._begin_of_body = end_of_header(data, self._binary)
            if self.end_of_header == HEADER_MAX:
                whole = _WHOLE_FIELDS.match(data)
                self.end_of_header = self._begin_of_body = whole.end() if whole else 0
            self._header = self._with_lf(data[: self.end_of_header])
        return self._header

    def _with_lf(self, text: bytes) -> bytes:
        return text.replace(b"\r\n", b"\n") if self._binary else text

    def as_stored(self, header: bytes) -> bytes:
        """A header with line ends as this message has them in the file."""
        return header.replace(b"\n", b"\r\n") if self._binary else header

    def body(self) -> bytes:
        """What comes after the empty line."""
        self._read_header()
        self._file.seek(self._begin_of_body)
        return self._with_lf(self._file.read(self._body_max))

    @property
    def size(self) -> int:
        """As it was sent: there each line end is two bytes."""
        if self._size is None:
            self._file.seek(0)
            pieces = iter(lambda: self._file.read(_PIECE), b"")
            of_ends = 0 if self._binary else 1
            self._size = sum(len(piece) + of_ends * piece.count(b"\n") for piece in pieces)
        return self._size


def end_of_header(data: bytes, binary: bool = False) -> tuple[int, int]:
    """
    Where the header in the beginning of a message ends, and where the body begins. A
    message without an empty line is all header.
    """
    empty = (_EMPTY_LINE_OF_BINARY if binary else _EMPTY_LINE).search(data)
    return empty.span() if empty else (len(data), len(data))


def put_header(
    transaction: Transaction, stored: StoredMessage, header: bytes, settings: Settings
) -> None:
    """
    Exchange the header of a message.

    @param stored: the message as it is.
    @raise OSError: when there is no room; the message is as it was then.
    """
    old = transaction.body
    assert old is not None
    old.seek(stored.end_of_header)
    new = SpooledTemporaryFile(
        settings.smtp_server_bodycache or 1, dir=settings.smtp_server_spool or None
    )
    try:
        new.write(stored.as_stored(header))
        shutil.copyfileobj(old, new, _PIECE)
    except OSError:
        new.close()
        raise
    transaction.size = new.tell()
    transaction.body = new
    old.close()
