# -*- test-case-name: mvmtr.test.test_users -*-
"""
Would qmail deliver to this recipient? Followed through as far as it goes without being
root, from control files over users/cdb and the system's users to the .qmail files.

Only what qmail would bounce for certain is refused: a recipient of a local or virtual
domain for whom there is neither a user nor a .qmail file. What can't be read or looked
at, and whatever qmail itself would try again later, is not known and left undecided.

An address without C{@} gets the host of control/envnoathost, and control/percenthack is
obeyed, both as qmail-send does it. qmail-send reads most of its control files only when
it starts or gets a SIGHUP, this check reads them when they change.

A directory service that fails looks to C{getpwnam} like one that does not have the user,
here as in qmail-getpw.

Source: qmail-send.8, qmail-users.5, qmail-getpw.8, dot-qmail.5 and what the programs do.
"""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from zope.interface import implementer

from mvmtr.compat.cdb import Cdb, open_if_there
from mvmtr.compat.controlfile import ControlError, Line, entries, read_lines
from mvmtr.interfaces import ICheck
from mvmtr.session import Reject, Session, Stage, Verdict

log = Logger()

BREAK = ord("-")
ALIAS = "alias"

USER_MAX = 31
"""Longest name of a user that qmail-getpw looks for, in bytes."""

_WRITABLE_OR_STICKY = 0o1002
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)

Passwd = Callable[[str], pwd.struct_passwd]


class NotKnown(Exception):
    """Whether a recipient exists can't be told; the message says why."""


@dataclass(frozen=True)
class Assignment:
    """
    Who is in charge of a local address.

    @ivar home: the folder with the .qmail files.
    @ivar dash: C{-}, or empty where no .qmail file is needed.
    @ivar ext: with C{dash}, what the name of the .qmail file ends in.
    """

    home: bytes
    dash: bytes
    ext: bytes


def _entries(lines: list[Line] | None) -> frozenset[bytes]:
    return frozenset(entries(lines or []))


def _virtual(lines: list[Line] | None) -> dict[bytes, bytes]:
    """Entries and what they prepend; the last one of several counts, as in constmap.c."""
    found: dict[bytes, bytes] = {}
    for line in lines or []:
        if not line.text.startswith(b"\0"):
            for part in line.text.split(b"\0"):
                entry, colon, prepend = part.partition(b":")
                if colon:
                    found[entry.lower()] = prepend
    return found


class Rewriting:
    """
    What qmail-send makes of a recipient.

    @param directory: the control folder.
    @ivar paths: the files that this was read from.
    @raise ControlError: when a file is there and can't be read, or there is neither locals
        nor me, without which qmail-send does not start.
    """

    def __init__(self, directory: str) -> None:
        names = ("me", "envnoathost", "locals", "percenthack", "virtualdomains")
        self.paths = tuple(os.path.join(directory, name) for name in names)
        me, envnoathost, local_hosts, percenthack, virtual = map(read_lines, self.paths)
        if local_hosts is None and me is None:
            raise ControlError(f"{self.paths[2]}: {os.strerror(2)}")
        my_name = me[:1] if me else []
        host = my_name if envnoathost is None else envnoathost[:1]
        default = b"envnoathost" if me is None and envnoathost is None else b""
        self._envnoathost = host[0].text if host else default
        self._locals = _entries(my_name if local_hosts is None else local_hosts)
        self._percenthack = _entries(percenthack)
        self._virtual = _virtual(virtual)

    def local_part(self, address: bytes) -> bytes | None:
        """The local address to deliver to; C{None} for one that is delivered elsewhere."""
        at = address.rfind(b"@")
        if at < 0:
            at = len(address)
            address += b"@" + self._envnoathost
        while address[at + 1 :].lower() in self._percenthack:
            percent = address.rfind(b"%", 0, at)
            if percent < 0:
                break
            address = address[:percent] + b"@" + address[percent + 1 : at]
            at = percent
        at = address.rfind(b"@")
        if address[at + 1 :].lower() in self._locals:
            return address[:at]
        for entry in self._virtual_entries(address.lower(), at):
            prepend = self._virtual.get(entry)
            if prepend is not None:
                return prepend + b"-" + address[:at] if prepend else None
        return None

    def _virtual_entries(self, address: bytes, at: int) -> Iterator[bytes]:
        yield address
        yield address[at + 1 :]
        dot = address.find(b".", at + 1)
        while dot >= 0:
            yield address[dot:]
            dot = address.find(b".", dot + 1)
        yield b""


def assigned(cdb: Cdb, local: bytes) -> Assignment | None:
    """
    Who is in charge of a local address by users/cdb; C{None} where it has nobody.

    @raise NotKnown: when the cdb is damaged.
    """
    key = b"!" + local.lower()
    try:
        wild_ends = cdb.get(b"")
        if wild_ends is None:
            raise NotKnown(f"{cdb.path}: no list of wildcard characters")
        value = cdb.get(key + b"\0")
        for end in range(len(key), 0, -1):
            if value is not None:
                break
            if end == 1 or key[end - 1] in wild_ends:
                value = cdb.get(key[:end])
                if value is not None:
                    value += key[end:]
    except ControlError as error:
        raise NotKnown(str(error)) from error
    if value is None:
        return None
    fields = value.split(b"\0")
    if len(fields) < 6:
        raise NotKnown(f"{cdb.path}: malformed entry for {local!r}")
    _user, uid, _gid, home, dash, ext = fields[:6]
    if uid.lstrip(b"0") == b"":
        raise NotKnown(f"{cdb.path}: {local!r} belongs to root")
    return Assignment(home, dash, ext)


def owned(passwd: Passwd, local: bytes) -> Assignment:
    """
    Who is in charge of a local address by the system's users: the user of that name, or
    of the longest part of it that a break character ends, else alias.

    @raise NotKnown: when a home can't be looked at, or there is no user alias.
    """
    for end in range(min(len(local), USER_MAX), -1, -1):
        if end == len(local) or local[end] == BREAK:
            home = _home_of(passwd, local[:end].lower())
            if home is not None:
                return Assignment(home, local[end : end + 1], local[end + 1 :])
    try:
        return Assignment(os.fsencode(passwd(ALIAS).pw_dir), b"-", local)
    except KeyError:
        raise NotKnown(f"there is no user {ALIAS}") from None


def _home_of(passwd: Passwd, name: bytes) -> bytes | None:
    """The home of a user who may get mail: not root, and owner of that home."""
    try:
        user = passwd(os.fsdecode(name))
    except KeyError:
        return None
    except OSError as error:
        raise NotKnown(f"user {name!r}: {error}") from error
    if user.pw_uid == 0:
        return None
    try:
        owner = os.stat(user.pw_dir).st_uid
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise NotKnown(str(error)) from error
    return os.fsencode(user.pw_dir) if owner == user.pw_uid else None


def instructions(dash: bytes, ext: bytes) -> Iterator[bytes]:
    """The names of .qmail files for an extension, in the order of qmail-local. Pure."""
    ext = ext.lower().replace(b".", b":")
    stem = b".qmail" + dash
    yield stem + ext
    for end in range(len(ext), -1, -1):
        if end == 0 or ext[end - 1] == BREAK:
            yield stem + ext[:end] + b"default"


def has_instructions(assignment: Assignment) -> bool:
    """
    Whether there is a .qmail file, or anything of its name, or none is needed.

    @raise NotKnown: when that can't be seen, or when qmail-local would try again later.
    """
    if not assignment.dash:
        return True
    mode = _mode(assignment.home)
    if mode is None or mode & _WRITABLE_OR_STICKY or not assignment.home.startswith(b"/"):
        raise NotKnown(f"qmail delivers nothing to {assignment.home!r} now")
    names = instructions(assignment.dash, assignment.ext)
    return any(_mode(os.path.join(assignment.home, name)) is not None for name in names)


def _mode(path: bytes) -> int | None:
    try:
        return os.stat(path).st_mode
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise NotKnown(str(error)) from error


@implementer(ICheck)
class Users:
    """
    Refuses recipients for whom qmail has no mailbox; about the others it has no opinion.
    Recipients of clients that may relay are left alone.

    @param home: the qmail folder, with C{control} and C{users} below it.
    @param passwd: looks a user up by name, and raises C{KeyError} for unknown ones.
    @param in_thread: runs what may have to wait for a disk or a directory service.
    @ivar paths: the files whose change wants a new object.
    @raise ControlError: when a control file or users/cdb is there and can't be read.
    """

    name = "users"
    stages = frozenset({Stage.RCPT})

    def __init__(
        self,
        home: str,
        passwd: Passwd = pwd.getpwnam,
        in_thread: Callable[..., Deferred[Any]] = deferToThread,
    ) -> None:
        self._rewriting = Rewriting(os.path.join(home, "control"))
        assignments = os.path.join(home, "users", "cdb")
        self._cdb = open_if_there(assignments)
        self.paths: tuple[str, ...] = (*self._rewriting.paths, assignments)
        self._passwd = passwd
        self._in_thread = in_thread

    def check(
        self, session: Session, stage: Stage, argument: bytes
    ) -> Deferred[Verdict | None] | None:
        """See L{ICheck}."""
        if session.relay:
            return None
        local = self._rewriting.local_part(argument)
        if not local:
            # An empty local part is thrown away by qmail-lspawn.
            return None
        try:
            assignment = None if self._cdb is None else assigned(self._cdb, local)
        except NotKnown as why:
            log.warn("recipient not checked: {why}", why=why)
            return None
        return self._in_thread(self._look, local, assignment)

    def _look(self, local: bytes, assignment: Assignment | None) -> Verdict | None:
        try:
            assignment = assignment or owned(self._passwd, local)
            if has_instructions(assignment):
                return None
        except NotKnown as why:
            log.debug("recipient not checked: {why}", why=why)
            return None
        wanted = next(instructions(assignment.dash, assignment.ext))
        path = os.path.join(assignment.home, wanted).decode("utf-8", "backslashreplace")
        return Reject(
            550,
            "5.1.1 sorry, no mailbox here by that name (#5.1.1)",
            reason=f"neither {path} nor a default for it",
        )
