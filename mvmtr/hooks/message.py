# -*- test-case-name: mvmtr.test.test_hooks_message -*-
"""The message of a transaction as hooks see it, and putting an edited header in its place."""

from __future__ import annotations

import re
import shutil
from tempfile import SpooledTemporaryFile
from typing import IO

from zope.interface import implementer

from mvmtr.mfl.host import IMessageSource
from mvmtr.session import Transaction
from mvmtr.settings import Settings

HEADER_MAX = 1 << 20
"""Bytes of a header that hooks see; what is longer is no header of a message, but an attack."""

_PIECE = 1 << 16
_WHOLE_FIELDS = re.compile(rb".*\n(?=[^ \t])", re.DOTALL)


@implementer(IMessageSource)
class StoredMessage:
    """
    Reads from the file that holds the message, and only as much as is asked for.

    @param body_max: bytes of the body that hooks see.
    """

    def __init__(self, transaction: Transaction, body_max: int) -> None:
        assert transaction.body is not None
        self.transaction = transaction
        self._file: IO[bytes] = transaction.body
        self._body_max = body_max
        self._header: bytes | None = None
        self._size: int | None = None
        self._begin_of_body = 0

    @property
    def header(self) -> bytes:
        """The lines up to the empty one; of a header that is too long, the first fields."""
        if self._header is None:
            self._file.seek(0)
            data = self._file.read(HEADER_MAX)
            header, self._begin_of_body = header_of(data)
            if len(header) == HEADER_MAX:
                whole = _WHOLE_FIELDS.match(data)
                header = whole[0] if whole else b""
                self._begin_of_body = len(header)
            self._header = header
        return self._header

    def body(self) -> bytes:
        """What comes after the empty line."""
        _read_first = self.header
        self._file.seek(self._begin_of_body)
        return self._file.read(self._body_max)

    @property
    def size(self) -> int:
        """As it was sent: each line end is two bytes there."""
        if self._size is None:
            self._file.seek(0)
            pieces = iter(lambda: self._file.read(_PIECE), b"")
            self._size = sum(len(piece) + piece.count(b"\n") for piece in pieces)
        return self._size


def header_of(data: bytes) -> tuple[bytes, int]:
    """
    The header in the beginning of a message, and where the body begins. A message
    without an empty line is all header.
    """
    if data.startswith(b"\n"):
        return b"", 1
    end = data.find(b"\n\n")
    if end < 0:
        return data, len(data)
    return data[: end + 1], end + 2


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
    old.seek(len(stored.header))
    new = SpooledTemporaryFile(
        settings.smtp_server_bodycache or 1, dir=settings.smtp_server_spool or None
    )
    try:
        new.write(header)
        shutil.copyfileobj(old, new, _PIECE)
    except OSError:
        new.close()
        raise
    transaction.size = new.tell()
    transaction.body = new
    old.close()
