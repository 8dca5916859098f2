# -*- test-case-name: mvmtr.test.test_chunking -*-
"""RFC 3030: the text of a message in chunks of known length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mvmtr.protocol import reply
from mvmtr.protocol.chunks import BadChunk, ChunkDecoder, parse_chunk
from mvmtr.protocol.delivery import IncomingMessage
from mvmtr.protocol.extensions import Extension
from mvmtr.protocol.extensions.binarymime import is_binary
from mvmtr.session import Verdict

if TYPE_CHECKING:
    from mvmtr.protocol.smtp import Receiver


class _Message:
    """
    A message that comes in chunks.

    @ivar incoming: where its text goes.
    """

    def __init__(self, incoming: IncomingMessage, binary: bool) -> None:
        self.incoming = incoming
        self._decoder = ChunkDecoder(binary)

    def append(self, raw: bytes) -> None:
        """More of its text has come."""
        self.incoming.write(self._decoder.feed(raw))
        self.incoming.hops = self._decoder.hops

    def finish(self) -> None:
        """All of it has come."""
        self.incoming.write(self._decoder.end())


class _Chunk:
    """
    Takes the input of a session for the length of one chunk.

    @param left: the length of the chunk.
    """

    def __init__(self, receiver: Receiver, left: int) -> None:
        self._receiver = receiver
        self._left = left

    def step(self) -> bool:
        """Take what is there of the chunk."""
        if self._left:
            raw = self._receiver.input.take(self._left)
            if not raw:
                return False
            self._left -= len(raw)
            self.take(raw)
        if not self._left:
            self._receiver.transfer = None
            self.end()
        return True

    def take(self, raw: bytes) -> None:
        """Some of its bytes have come."""

    def end(self) -> None:
        """All of them have."""


class _Refused(_Chunk):
    """A chunk that is dropped; why, is told when it is over (RFC 3030, section 2)."""

    def __init__(self, receiver: Receiver, left: int, verdict: Verdict) -> None:
        super().__init__(receiver, left)
        self._verdict = verdict

    def end(self) -> None:
        """Tell."""
        self._receiver.refuse("bdat", self._verdict)


class _Part(_Chunk):
    """A chunk of a message."""

    def __init__(self, receiver: Receiver, left: int, last: bool, message: _Message) -> None:
        super().__init__(receiver, left)
        self._last = last
        self._message = message

    def take(self, raw: bytes) -> None:
        """Append to the message."""
        self._message.append(raw)

    def end(self) -> None:
        """Hand over the message, or wait for more of it."""
        receiver = self._receiver
        if self._last:
            self._message.finish()
            receiver.hand_over()
            return
        refusal = self._message.incoming.refusal
        if refusal is not None:
            receiver.end_message(refusal)
        else:
            receiver.unfinished = self._message
            receiver.write(reply.reply_of(reply.CHUNK_OK))


def do_BDAT(receiver: Receiver, argument: bytes) -> None:
    """
    RFC 3030, section 2. Where the chunk ends must be known, whatever is thought of it.

    Who has not said EHLO can't know of it, and gets qmail-smtpd's answer.
    """
    if not receiver.session.esmtp:
        receiver.do_UNKNOWN(argument)
        return
    try:
        size, last = parse_chunk(argument)
    except BadChunk:
        receiver.refuse("bdat", reply.BAD_CHUNK, argument)
        receiver.close(linger=True)
        return
    if receiver.unfinished is not None:
        receiver.transfer = _Part(receiver, size, last, receiver.unfinished)
        return

    def opened(incoming: IncomingMessage) -> None:
        transaction = receiver.session.transaction
        assert transaction is not None
        message = _Message(incoming, is_binary(transaction))
        receiver.transfer = _Part(receiver, size, last, message)

    def refused(verdict: Verdict) -> None:
        receiver.transfer = _Refused(receiver, size, verdict)

    receiver.open_message(opened, refused)


class Chunking(Extension):
    """Works with every queue, for what it gets is the same message as after DATA."""

    keyword = b"CHUNKING"
    commands = {b"BDAT": do_BDAT}
    payload = frozenset({b"BDAT"})


EXTENSION = Chunking()
