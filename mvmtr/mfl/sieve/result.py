# -*- test-case-name: mvmtr.test.test_mfl_result -*-
"""What the actions of a Sieve run come to (RFC 5228, section 2.10; RFC 5429)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mvmtr.mfl.errors import NOWHERE, Place
from mvmtr.mfl.runtime import Verdict
from mvmtr.mfl.sieve import addresses

REDIRECTS_MAX = 4
ACTIONS_MAX = 32
_REPLY_MAX = 400
_STATUS = re.compile(rb"5\.[0-9]{1,3}\.[0-9]{1,3} ")
_NOT_PRINTABLE = re.compile(rb"[^ -~]+")


class Conflict(ValueError):
    """An action that can't stand beside one that there is."""


@dataclass(frozen=True)
class Action:
    """
    @ivar name: C{keep}, C{discard}, C{redirect} or C{reject}; a test suite has more.
    @ivar text: an address for C{redirect}, a text for C{reject}.
    @ivar copy: whether the implicit keep stays.
    @ivar place: the command that asked for it.
    @ivar header: the header as it stood then; C{None} as long as it was not edited.
    """

    name: str
    text: bytes = b""
    copy: bool = False
    place: Place = NOWHERE
    header: bytes | None = None

    @property
    def delivers(self) -> bool:
        """Whether the message goes somewhere by it."""
        return self.name not in ("discard", "reject")


class Result:
    """
    The actions of one run.

    @ivar actions: in order, each once.
    @ivar implicit_keep: whether the message is kept although no action says so.
    """

    def __init__(self) -> None:
        self.actions: list[Action] = []
        self.implicit_keep = True

    def add(
        self, action: Action, redirects_max: int = REDIRECTS_MAX, actions_max: int = ACTIONS_MAX
    ) -> None:
        """
        Add an action. One that there is already changes nothing.

        @raise Conflict: when it can't stand beside another one, or there are too many.
        """
        if action.name == "reject" or self.rejected is not None:
            self._check_reject(action)
        if not action.copy:
            self.implicit_keep = False
        if any((action.name, action.text) == (each.name, each.text) for each in self.actions):
            return
        if len(self.actions) >= actions_max:
            raise Conflict(f"more than {actions_max} actions")
        if action.name == "redirect" and self._count("redirect") >= redirects_max:
            raise Conflict(f"more than {redirects_max} redirects")
        self.actions.append(action)

    def _check_reject(self, action: Action) -> None:
        if action.name == "reject" and self.rejected is not None:
            raise Conflict("the message is rejected already")
        for other in self.actions if action.name == "reject" else (action,):
            if other.delivers:
                raise Conflict(f"what is rejected can't be delivered by {other.name} as well")

    def _count(self, name: str) -> int:
        return sum(action.name == name for action in self.actions)

    @property
    def rejected(self) -> Action | None:
        """The rejection, if there is one."""
        return next((action for action in self.actions if action.name == "reject"), None)

    @property
    def redirects(self) -> tuple[bytes, ...]:
        """The addresses to which the message goes too, as an envelope has them: quotes off."""
        found = (addresses.parse(each.text) for each in self.actions if each.name == "redirect")
        return tuple(b"@".join((each.local or b"", each.domain or b"")) for (each,) in found)

    @property
    def kept(self) -> bool:
        """Whether the message goes to those whom it was sent to."""
        return self.implicit_keep or any(action.name == "keep" for action in self.actions)

    @property
    def discarded(self) -> Action | None:
        """The C{discard} that keeps the message from those whom it was sent to."""
        if self.kept:
            return None
        return next((action for action in self.actions if action.name == "discard"), None)

    def verdict(self) -> Verdict | None:
        """
        What to answer the client; C{None} where nothing is decided. A message that is only
        redirected is not discarded.
        """
        rejected = self.rejected
        if rejected is not None:
            return Verdict("reject", 550, _reply(rejected.text), rejected.place)
        discard = self.discarded
        if discard is None or self._count("redirect"):
            return None
        return Verdict("discard", 250, b"", discard.place)


def _reply(text: bytes) -> bytes:
    """A text as one line of a reply: printable ASCII behind an enhanced status code."""
    line = b" ".join(text.split()) or b"message refused"
    line = _NOT_PRINTABLE.sub(b"?", line)[:_REPLY_MAX]
    return line if _STATUS.match(line) else b"5.7.1 " + line
