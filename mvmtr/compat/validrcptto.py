# -*- test-case-name: mvmtr.test.test_validrcptto -*-
"""
validrcptto: the list of all recipients that exist, as a cdb or as a text file.

Look-ups are in lower case, the part before the C{@} as well: first the address as it is,
then with the part behind each C{-} replaced by C{default}, from the last C{-} to the
first, then C{@domain}. The first entry that is there decides. C{a-b@x.example} is looked
up as C{a-b@x.example}, C{a-default@x.example}, C{@x.example}.

In a cdb a key whose data begin with C{-} is refused, every other one exists. In a text
file each line has one entry, and what follows a blank are its data; an entry that begins
with C{-} is refused as well. An address that stands there both ways exists. Comments,
blank lines and backslashes are as in every control file.

What is not in the list does not exist, also when nothing of its domain is in there: a
domain whose recipients are not known needs an C{@domain}. An address without C{@} is
looked up as it stands; only C{postmaster} alone always exists (RFC 5321, section 4.5.1).

Source: C{vrtcheck} of the combined patch for qmail-smtpd by John M. Simpson, which knows
the cdb; the text file and its C{-} entries are those of Roberto Puzzanghera's qmail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from zope.interface import implementer

from mvmtr.compat.cdb import Cdb
from mvmtr.compat.controlfile import ControlError, parse_lines
from mvmtr.interfaces import ICheck
from mvmtr.policy import accepted
from mvmtr.session import Defer, Reject, Session, Stage, Verdict

BREAK = b"-"


def keys_of(address: bytes) -> Iterator[bytes]:
    """The entries that cover an address, in the order in which they are tried. Pure."""
    address = address.lower()
    yield address
    user, at, domain = address.rpartition(b"@")
    if not at:
        return
    end = user.rfind(BREAK)
    while end >= 0:
        yield user[: end + 1] + b"default@" + domain
        end = user.rfind(BREAK, 0, end)
    yield b"@" + domain


def _numbered(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines of a control file; fast where no backslash joins or protects one."""
    if b"\\" in content:
        for line in parse_lines(content):
            yield line.number, line.text
        return
    for number, raw in enumerate(content.split(b"\n"), 1):
        text = raw.rstrip(b" \t\r")
        if text and not text.startswith(b"#"):
            yield number, text


class TextList:
    """
    The entries of a text file.

    @raise ControlError: when the file can't be read, is no text, or has no entry, which
        would refuse everybody.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._valid: dict[bytes, int] = {}
        self._refused: dict[bytes, int] = {}
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError as error:
            raise ControlError(f"{path}: {error.strerror}") from error
        if b"\0" in content:
            raise ControlError(f"{path}: is no text file")
        for number, text in _numbered(content.lower().replace(b"\t", b" ")):
            entry, _blank, data = text.lstrip().partition(b" ")
            if entry.startswith(b"-"):
                self._refused.setdefault(entry[1:], number)
            elif data.lstrip(b" ").startswith(b"-"):
                self._refused.setdefault(entry, number)
            else:
                self._valid.setdefault(entry, number)
        if not (self._valid or self._refused):
            raise ControlError(f"{path}: has no entry")

    def find(self, key: bytes) -> tuple[bool, str] | None:
        """Whether a key exists, and where that stands; C{None} when there is no entry."""
        for entries, exists in ((self._valid, True), (self._refused, False)):
            if key in entries:
                return exists, f"{self.path}:{entries[key]}"
        return None


class CdbList:
    """
    The entries of a cdb.

    @raise ControlError: when the file can't be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._cdb = Cdb(path)

    def find(self, key: bytes) -> tuple[bool, str] | None:
        """
        See L{TextList.find}.

        @raise ControlError: when the cdb is damaged.
        """
        data = self._cdb.get(key)
        return None if data is None else (not data.startswith(b"-"), self.path)


@implementer(ICheck)
class ValidRcptTo:
    """
    Refuses recipients that are not in the list; about the others it has no opinion.
    Recipients of clients that may relay are left alone.

    @param path: the list; a cdb when it ends in C{.cdb}.
    @param ours: checks that answer at once, and tell which recipients mail is taken for at
        all, such as L{RcptHosts<mvmtr.compat.rcpthosts.RcptHosts>}. What none of them
        accepts is left to them. Without any, the list speaks for all domains.
    @ivar paths: the files whose change wants a new object.
    @raise ControlError: when the list can't be read.
    """

    name = "validrcptto"
    stages = frozenset({Stage.RCPT})

    def __init__(self, path: str, ours: Sequence[ICheck] = ()) -> None:
        self.paths: tuple[str, ...] = (path,)
        self._list = CdbList(path) if path.endswith(".cdb") else TextList(path)
        self._ours = ours

    def check(self, session: Session, stage: Stage, argument: bytes) -> Verdict | None:
        """See L{ICheck}."""
        if session.relay or argument.lower() == b"postmaster":
            return None
        if self._ours and not accepted(self._ours, session, stage, argument):
            return None
        try:
            exists, where = self._find(argument)
        except ControlError as error:
            return Defer(451, "4.3.0 unable to read controls (#4.3.0)", reason=str(error))
        if exists:
            return None
        return Reject(550, "5.1.1 sorry, no mailbox here by that name (#5.1.1)", reason=where)

    def _find(self, address: bytes) -> tuple[bool, str]:
        for key in keys_of(address):
            found = self._list.find(key)
            if found is not None:
                return found
        return False, f"not in {self._list.path}"
