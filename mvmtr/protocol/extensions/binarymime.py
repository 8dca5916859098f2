# -*- test-case-name: mvmtr.test.test_chunking -*-
"""RFC 3030, section 3: messages that are not lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mvmtr.interfaces import carried_by
from mvmtr.protocol import reply
from mvmtr.protocol.extensions import Extension
from mvmtr.protocol.parameters import BadParameter
from mvmtr.session import Stage, Transaction, Verdict

if TYPE_CHECKING:
    from mvmtr.protocol.smtp import Receiver


def is_binary(transaction: Transaction) -> bool:
    """Whether a message was announced as one."""
    return (transaction.parameters.get(b"BODY") or b"").upper() == b"BINARYMIME"


def _body(value: bytes | None) -> None:
    """RFC 3030, section 3."""
    if value is None or value.upper() != b"BINARYMIME":
        raise BadParameter("BODY is 7BIT, 8BITMIME or BINARYMIME")


class BinaryMime(Extension):
    """For queues that keep every byte as it came."""

    keyword = b"BINARYMIME"
    mail = {b"BODY": _body}

    def offered(self, receiver: Receiver) -> bool:
        """Only a queue knows."""
        return "BINARYMIME" in carried_by(receiver.configuration.queue)

    def objection(
        self, receiver: Receiver, stage: Stage, transaction: Transaction
    ) -> Verdict | None:
        """DATA is for lines."""
        if stage is Stage.DATA and receiver.verb == b"DATA" and is_binary(transaction):
            return reply.BDAT_ONLY
        return None


EXTENSION = BinaryMime()
