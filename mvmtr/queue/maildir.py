# -*- test-case-name: mvmtr.test.test_queue_maildir -*-
"""
A queue that is a Maildir: one file a message, on disk before the client hears 250.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import threading
import time
from typing import IO

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from zope.interface import implementer

from mvmtr.addresses import quote, safe
from mvmtr.interfaces import IQueue
from mvmtr.session import Accept, Defer, Session, Transaction, Verdict, taken

log = Logger()

FOLDERS = ("tmp", "new", "cur")

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@implementer(IQueue)
class Maildir:
    """
    A Maildir for all recipients together.

    @param path: the folder; it and its C{tmp}, C{new} and C{cur} are made for the first
        message where they are missing, when a server has dropped the rights of root.
    @raise OSError: when it can't be a Maildir.
    """

    carries = frozenset({"SMTPUTF8", "BINARYMIME"})

    def __init__(self, path: str) -> None:
        self.name = f"maildir:{path}"
        self.folder = self._path = path
        self._deliveries = itertools.count(1)
        self._making = threading.Lock()
        self._made = False
        host = os.uname().nodename
        self._host = host.replace("/", r"\057").replace(":", r"\072")
        there = os.path.join(path, "tmp")
        while not os.path.lexists(there):
            there = os.path.dirname(there)
        if not os.path.isdir(there):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), there)
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), there)

    def put(self, session: Session) -> Deferred[Verdict]:
        """Write the message in a thread, for the disk may take its time."""
        transaction = session.transaction
        assert transaction is not None
        return deferToThread(self._deliver, transaction)

    def _deliver(self, transaction: Transaction) -> Verdict:
        name = self._unique_name()
        temporary = os.path.join(self._path, "tmp", name)
        new = os.path.join(self._path, "new")
        head = head_of(transaction)
        try:
            with self._making:
                if not self._made:
                    self.make()
            try:
                with open(temporary, "xb", opener=_private) as file:
                    _write(file, head, transaction)
                os.rename(temporary, os.path.join(new, name))
                _sync_folder(new)
            except BaseException:
                _remove(temporary)
                raise
        except OSError as error:
            log.error("{queue}: {error}", queue=self.name, error=error)
            if error.errno in _FULL:
                return Defer(452, "4.3.1 insufficient system storage", reason=str(error))
            return Defer(451, "4.3.0 unable to write to the mailbox", reason=str(error))
        return Accept(text=taken(os.getpid()), reason=name)

    def make(self) -> None:
        """
        Make the folders, for their owner only.

        @raise OSError: when that fails.
        """
        for folder in ("", *FOLDERS):
            os.makedirs(os.path.join(self._path, folder), mode=0o700, exist_ok=True)
        for folder in (self._path, os.path.dirname(self._path)):
            _sync_folder(folder)
        self._made = True

    def _unique_name(self) -> str:
        """Time, process and count, as the Maildir specification asks for."""
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        return (
            f"{seconds}.M{nanoseconds // 1000}P{os.getpid()}Q{next(self._deliveries)}.{self._host}"
        )


def head_of(transaction: Transaction) -> bytes:
    """
    What stands in front of the message in the file: sender, recipients, Received.

    @raise UnsafeAddress: when an address holds NUL, CR or LF.
    """
    delivered = b"".join(
        b"Delivered-To: %s\n" % quote(safe(recipient)) for recipient in transaction.recipients
    )
    sender = quote(safe(transaction.reverse_path))
    return b"Return-Path: <%s>\n%s%s" % (sender, delivered, transaction.header)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write(file: IO[bytes], head: bytes, transaction: Transaction) -> None:
    assert transaction.body is not None
    file.write(head)
    shutil.copyfileobj(transaction.body, file)
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
