"""
Where accepted mail goes. Each queue provides L{IQueue<mvmtr.interfaces.IQueue>}.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorFDSet
from twisted.python.reflect import namedAny
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from mvmtr.interfaces import IQueue, carried_by

CAPABILITIES = frozenset({"SMTPUTF8", "BINARYMIME", "DSN"})
"""What a queue may say that it carries."""


class QueueError(ValueError):
    """A description of a queue that can't be understood or used."""


def _qmail(rest: str, home: str, reactor: IReactorFDSet) -> IQueue:
    from mvmtr.queue.qmail import QmailQueue

    return QmailQueue(rest or os.path.join(home, "bin", "qmail-queue"), home, reactor)


def _maildir(rest: str, home: str, reactor: IReactorFDSet) -> IQueue:
    from mvmtr.queue.maildir import Maildir

    if not rest:
        raise QueueError("maildir: wants a folder, as in maildir:/var/mail/in")
    try:
        return Maildir(os.path.abspath(rest))
    except OSError as error:
        raise QueueError(f"maildir:{rest}: {error.strerror}") from error


def _discard(rest: str, home: str, reactor: IReactorFDSet) -> IQueue:
    from mvmtr.queue.discard import DiscardQueue

    if rest:
        raise QueueError("discard: wants nothing behind it")
    return DiscardQueue()


def _python(rest: str, home: str, reactor: IReactorFDSet) -> IQueue:
    make = _named(rest)
    try:
        queue: IQueue = make()
        verifyObject(IQueue, queue)
        unknown = set(carried_by(queue)) - CAPABILITIES
    except Invalid as error:
        raise QueueError(f"python:{rest} is no queue: {' '.join(str(error).split())}") from error
    except Exception as error:
        raise QueueError(f"python:{rest}: {type(error).__name__}: {error}") from error
    if unknown:
        known = ", ".join(sorted(CAPABILITIES))
        raise QueueError(f"python:{rest} carries {min(unknown)!r}, which is none of {known}")
    return queue


def _named(name: str) -> Any:
    """What a dotted name names."""
    if not name:
        raise QueueError("python: wants the name of a class, as in python:package.module.Name")
    try:
        return namedAny(name)
    except Exception as error:
        raise QueueError(f"python:{name}: {type(error).__name__}: {error}") from error


_KINDS: dict[str, Callable[[str, str, IReactorFDSet], IQueue]] = {
    "qmail": _qmail,
    "maildir": _maildir,
    "discard": _discard,
    "python": _python,
}


def problem_with(description: str, home: str) -> str | None:
    """
    What is wrong with a queue, as far as can be seen without making it.

    @raise QueueError: when the description is no queue.
    """
    kind, rest = _parse(description)
    if kind == "qmail":
        program = os.path.join(home, rest or "bin/qmail-queue")
        if not os.access(program, os.X_OK):
            return f"{program}: there is no such program that can be run"
    if kind == "python":
        _named(rest)
    if kind == "maildir" and not os.path.isdir(os.path.join(rest, "new")):
        return f"{rest}: there is no Maildir yet; it will be made"
    return None


def _parse(description: str) -> tuple[str, str]:
    kind, _colon, rest = description.partition(":")
    if kind not in _KINDS:
        known = ", ".join(sorted(_KINDS))
        raise QueueError(f"{description!r} is no queue; there are {known}")
    return kind, rest


def queue_from_string(description: str, home: str, reactor: IReactorFDSet) -> IQueue:
    """
    Make a queue.

    @param description: C{qmail}, C{qmail:/path/to/program}, C{maildir:/path},
        C{discard:} or C{python:package.module.Name}.
    @param home: the qmail home, in which a qmail-queue program runs.
    @raise QueueError: when the description is none of these, or the folder can't be used.
    """
    kind, rest = _parse(description)
    return _KINDS[kind](rest, home, reactor)


def carried(description: str) -> frozenset[str]:
    """
    What a queue can carry besides plain messages, without making the queue.

    @raise QueueError: when the description is no queue.
    """
    kind, rest = _parse(description)
    if kind == "python":
        return carried_by(_named(rest))
    if kind == "maildir":
        from mvmtr.queue.maildir import Maildir

        return Maildir.carries
    if kind == "discard":
        from mvmtr.queue.discard import DiscardQueue

        return DiscardQueue.carries
    return frozenset()
