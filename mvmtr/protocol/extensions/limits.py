# -*- test-case-name: mvmtr.test.test_limits -*-
"""RFC 9422: how many messages a session may have, and how many recipients a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mvmtr.protocol import reply
from mvmtr.protocol.extensions import Extension
from mvmtr.session import Transaction, Verdict

if TYPE_CHECKING:
    from mvmtr.protocol.smtp import Receiver

RECIPIENTS_ALWAYS = 100
"""Recipients of a message that are taken however short memory is (RFC 5321, section
4.5.3.1.8)."""

_LARGEST = 999_999
"""RFC 9422, section 4: up to six digits."""


class Limits(Extension):
    """A client that knows the limits needs no refusals to find them."""

    keyword = b"LIMITS"

    def line(self, receiver: Receiver) -> bytes:
        """RFC 9422, section 4."""
        settings = receiver.session.settings
        return b"LIMITS MAILMAX=%d RCPTMAX=%d" % (
            min(settings.smtp_server_messages_max, _LARGEST),
            min(settings.smtp_server_recipients_max, _LARGEST),
        )

    def recipient_objection(
        self,
        receiver: Receiver,
        transaction: Transaction,
        recipient: bytes,
        parameters: Mapping[bytes, bytes | None],
    ) -> Verdict | None:
        """While memory is short, the client has to send the others a message of their own."""
        taken = len(transaction.recipients) + len(transaction.discarded)
        limit = receiver.session.settings.smtp_server_memory_max
        if taken >= RECIPIENTS_ALWAYS and receiver.load.memory > limit:
            return reply.TOO_MANY_RECIPIENTS.by("memory").because("memory is short")
        return None


EXTENSION = Limits()
