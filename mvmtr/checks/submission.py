# -*- test-case-name: mvmtr.test.test_submission -*-
"""
Submission of new mail (RFC 6409): who sends must have said who they are, and must be who
they say.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from zope.interface import implementer

from mvmtr.addresses import domain_of
from mvmtr.interfaces import ICheck
from mvmtr.log import text_of
from mvmtr.session import Reject, Session, Stage, Verdict
from mvmtr.values import SettingError

ANY = b"*"
"""The sender that stands for all senders, in a map."""

_AUTH_FIRST = Reject(530, "5.7.0 authentication required (#5.7.0)")
_NOT_QUALIFIED = Reject(554, "5.1.7 sender's domain must be a full name (#5.1.7)")
_RECIPIENT_NOT_QUALIFIED = Reject(554, "5.1.2 recipient's domain must be a full name (#5.1.2)")
_NOT_YOURS = Reject(550, "5.7.1 sorry, this sender address is not yours (#5.7.1)")


@implementer(ICheck)
class Submission:
    """
    Refuses MAIL without AUTH, unless the client may relay for another reason, and addresses
    without a full domain.

    @ivar paths: the files whose change wants a new object: none.
    """

    name = "submission"
    stages = frozenset({Stage.MAIL, Stage.RCPT})
    paths: tuple[str, ...] = ()

    def check(self, session: Session, stage: Stage, argument: bytes) -> Verdict | None:
        """See L{ICheck}; RFC 6409, sections 4.2 and 4.3."""
        if stage is Stage.MAIL:
            if session.user is None and not session.relay:
                return _AUTH_FIRST
            return None if not argument or _is_qualified(argument) else _NOT_QUALIFIED
        if argument.lower() == b"postmaster" or _is_qualified(argument):
            return None
        return _RECIPIENT_NOT_QUALIFIED


def _is_qualified(address: bytes) -> bool:
    """Whether there is a domain of more than one name, or an address literal."""
    domain = domain_of(address) or b""
    if domain.startswith(b"["):
        return domain.endswith(b"]")
    return b"." in domain.strip(b".")


Senders = Mapping[bytes, frozenset[bytes]]


def parse_map(content: bytes) -> Senders:
    """
    The senders of each user, from lines of C{USER: SENDER...}. A sender is an address,
    C{@domain} for all in a domain, or C{*} for all. Blank lines and those that begin with
    C{#} are skipped. Pure.

    @raise SettingError: with the number of a line that is none.
    """
    found: dict[bytes, frozenset[bytes]] = {}
    for number, raw in enumerate(content.split(b"\n"), 1):
        line = raw.strip()
        if not line or line.startswith(b"#"):
            continue
        name, colon, rest = line.partition(b":")
        user = name.strip()
        senders = rest.replace(b",", b" ").lower().split()
        if not colon or not user:
            raise SettingError(f"line {number} is not USER: SENDER...")
        for sender in senders:
            if sender != ANY and b"@" not in sender:
                raise SettingError(f"line {number}: {text_of(sender)} is no sender")
        found[user] = found.get(user, frozenset()) | frozenset(senders)
    return found


def read_map(path: str) -> Senders:
    """
    The same from a file.

    @raise SettingError: when it can't be read, or makes no sense.
    """
    try:
        with open(path, "rb") as file:
            return parse_map(file.read())
    except OSError as error:
        raise SettingError(f"{path}: {error.strerror}") from error
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from None


@implementer(ICheck)
class SenderMap:
    """
    Refuses senders that do not belong to the user. The null sender belongs to everybody, and
    a user whose name is an address has that one in any case.

    Who has not authenticated is not looked at.

    @param path: the file of the map; empty for none.
    @ivar paths: the files whose change wants a new object.
    @raise SettingError: when it can't be read, or makes no sense.
    """

    name = "sender_map"
    stages = frozenset({Stage.MAIL})

    def __init__(self, path: str) -> None:
        self.paths: tuple[str, ...] = (path,) if path else ()
        self._path = path
        self._senders = read_map(path) if path else {}

    def check(self, session: Session, stage: Stage, argument: bytes) -> Verdict | None:
        """See L{ICheck}."""
        user = session.user
        if user is None or not argument:
            return None
        sender = argument.lower()
        if b"@" in user and sender == user.lower():
            return None
        entries = self._senders.get(user, frozenset())
        if any(entry in entries for entry in _entries_for(sender)):
            return None
        where = self._path or "the name of the user"
        return _NOT_YOURS.because(f"{where} does not give it to {text_of(user)}")


def _entries_for(sender: bytes) -> Iterable[bytes]:
    domain = domain_of(sender)
    return (sender, ANY) if domain is None else (sender, b"@" + domain, ANY)


def submission_checks(
    control_dir: str | None, name: str, required: bool
) -> list[Submission | SenderMap]:
    """
    The checks of this module, as far as they are switched on.

    @param name: the file of the map, in the control folder; empty for none.
    @param required: whether the server is for submission and nothing else.
    @raise SettingError: when the map can't be read, or makes no sense.
    """
    checks: list[Submission | SenderMap] = []
    if required:
        checks.append(Submission())
    if required or name:
        path = os.path.abspath(os.path.join(control_dir or "", name)) if name else ""
        checks.append(SenderMap(path))
    return checks
