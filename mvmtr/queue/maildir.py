# -*- test-case-name: mvmtr.test.test_queue_maildir -*-
"""
A queue that is a Maildir: one file a message, on disk before the client hears 250.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from twisted.internet.defer import Deferred, DeferredSemaphore, maybeDeferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mvmtr.addresses import quote, safe
from mvmtr.interfaces import IQueue
from mvmtr.session import Accept, Defer, Session, Transaction, Verdict, process_id, taken

log = Logger()

FOLDERS = ("tmp", "new", "cur")

BATCH_MAX = 32
"""Messages that are brought to the disk together, at most; each is an open file meanwhile."""

TOGETHER = 4
"""Messages from which on one flush of the file system is quicker than one for each file."""

ALONE = 262144
"""Bytes of a message beyond which it is no part of a batch."""

ALONE_MAX = 4
"""Such messages that are written at a time; there are threads left for a batch."""

PIECE = 65536
"""Bytes of a message that are copied at a time."""

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
        self._alone = DeferredSemaphore(ALONE_MAX)
        self._file_system: Callable[[int], bool] | None = None
        self._at_work = False
        self._waiting: list[tuple[Transaction, Deferred[Verdict]]] = []
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
        """Write the message in a thread, with the others that come while the disk works."""
        transaction = session.transaction
        assert transaction is not None
        if transaction.size > ALONE:
            # Smaller ones need not wait for it.
            alone = self._alone.run(deferToThread, self._deliver, [transaction])
            return alone.addCallback(lambda outcomes: outcomes[0])
        answer: Deferred[Verdict] = Deferred()
        self._waiting.append((transaction, answer))
        if not self._at_work:
            self._next_batch()
        return answer

    def _next_batch(self) -> None:
        batch = self._waiting[:BATCH_MAX]
        del self._waiting[:BATCH_MAX]
        self._at_work = bool(batch)
        if not batch:
            return

        def done(outcomes: list[Verdict | Failure]) -> None:
            self._next_batch()
            for (_transaction, answer), outcome in zip(batch, outcomes, strict=True):
                answer.callback(outcome)

        def failed(failure: Failure) -> None:
            done([failure] * len(batch))

        transactions = [transaction for transaction, _answer in batch]
        # A thread that can't be had is trouble as well.
        work = maybeDeferred(deferToThread, self._deliver, transactions)
        work.addCallbacks(done, failed)

    def _deliver(self, transactions: list[Transaction]) -> list[Verdict | Failure]:
        """
        Bring messages to the disk together: all of the files, and then the folder once.

        @return: what became of each of them, a failure where that is not the disk's fault.
        """
        messages = [_Message(self._path, self._unique_name(), each) for each in transactions]
        try:
            with self._making:
                if not self._made:
                    self.make()
            with _opened(os.path.join(self._path, "tmp")) as folder:
                _each(messages, _Message.write)
                if len(messages) < TOGETHER or not self._flush(folder):
                    _each(messages, _Message.sync)
            _each(messages, _Message.publish)
            if any(message.is_good for message in messages):
                _sync_folder(os.path.join(self._path, "new"))
        except Exception:
            for message in messages:
                message.fail(Failure())
        return [self._outcome(message) for message in messages]

    def _flush(self, folder: int) -> bool:
        """Flush the file system, if that will do for the files."""
        if self._file_system is None:
            # Most sessions with --stdio need none of it.
            from mvmtr.queue.filesystem import Flush

            self._file_system = Flush()
        return self._file_system(folder)

    def _outcome(self, message: _Message) -> Verdict | Failure:
        if message.failure is None:
            return Accept(text=taken(process_id()), reason=message.name)
        error = message.failure.value
        if not isinstance(error, OSError):
            return message.failure
        log.error("{queue}: {error}", queue=self.name, error=error)
        if error.errno in _FULL:
            return Defer(452, "4.3.1 insufficient system storage", reason=str(error))
        return Defer(451, "4.3.0 unable to write to the mailbox", reason=str(error))

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
            f"{seconds}.M{nanoseconds // 1000}P{process_id()}Q{next(self._deliveries)}.{self._host}"
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


class _Message:
    """
    A message on its way into a Maildir.

    @ivar name: of its file.
    @ivar failure: why it is not there; nothing is left of it then.
    """

    def __init__(self, maildir: str, name: str, transaction: Transaction) -> None:
        self.name = name
        self.failure: Failure | None = None
        self._transaction = transaction
        self._path = os.path.join(maildir, "tmp", name)
        self._new = os.path.join(maildir, "new", name)
        self._descriptor = -1

    @property
    def is_good(self) -> bool:
        """Whether nothing went wrong with it so far."""
        return self.failure is None

    def take(self, step: Callable[[_Message], None]) -> None:
        """Take a step, unless one before went wrong. It concerns this message alone."""
        if self.failure is None:
            try:
                step(self)
            except Exception:
                self.fail(Failure())

    def write(self) -> None:
        """Write the file."""
        body = self._transaction.body
        assert body is not None
        piece = head_of(self._transaction)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        piece += body.read(PIECE)
        while piece:
            piece = piece[os.write(self._descriptor, piece) :] or body.read(PIECE)

    def sync(self) -> None:
        """Wait until the file is on the disk."""
        os.fsync(self._descriptor)

    def publish(self) -> None:
        """Show it to readers."""
        self._close()
        os.rename(self._path, self._new)
        self._path = self._new

    def fail(self, failure: Failure) -> None:
        """Give up, unless that has happened already, and leave nothing behind."""
        if self.failure is None:
            self.failure = failure
            self._close()
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _each(messages: Iterable[_Message], step: Callable[[_Message], None]) -> None:
    for message in messages:
        message.take(step)


@contextlib.contextmanager
def _opened(folder: str) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sync_folder(path: str) -> None:
    with _opened(path) as descriptor:
        os.fsync(descriptor)
