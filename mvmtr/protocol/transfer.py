# -*- test-case-name: mvmtr.test.test_smtp -*-
"""The part of a session in which the input is not commands but the text of a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mvmtr.protocol import reply
from mvmtr.protocol.data import BareLineFeed, DataDecoder
from mvmtr.protocol.delivery import IncomingMessage

if TYPE_CHECKING:
    from mvmtr.protocol.smtp import Receiver


class Transfer(Protocol):
    """What takes the input of a session for as long as it is the session's C{transfer}."""

    def step(self) -> bool:
        """Use some of the input; C{False} when there is not enough of it."""


class DataTransfer:
    """
    Text up to a line with nothing but a dot (RFC 5321, section 4.1.1.4).
    """

    def __init__(self, receiver: Receiver, message: IncomingMessage) -> None:
        self._receiver = receiver
        self._message = message
        self._decoder = DataDecoder()

    def step(self) -> bool:
        """Take what is there of a message; at its end, hand it over."""
        source = self._receiver.input
        if not source:
            return False
        try:
            self._message.write(self._decoder.feed(source.take()))
        except BareLineFeed:
            self._receiver.refuse("message", reply.BARE_LINE_FEED)
            self._receiver.close(linger=True)
            return False
        if self._decoder.finished:
            source.feed(self._decoder.rest)
            self._message.hops = self._decoder.hops
            self._receiver.transfer = None
            self._receiver.hand_over()
        return True
