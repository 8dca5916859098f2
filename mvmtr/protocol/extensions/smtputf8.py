# -*- test-case-name: mvmtr.test.test_smtputf8 -*-
"""RFC 6531: addresses and header fields in UTF-8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mvmtr.interfaces import carried_by
from mvmtr.protocol import reply
from mvmtr.protocol.extensions import Extension
from mvmtr.protocol.parameters import BadParameter
from mvmtr.session import Stage, Transaction, Verdict

if TYPE_CHECKING:
    from mvmtr.protocol.smtp import Receiver


def _no_value(value: bytes | None) -> None:
    """RFC 6531, section 3.4."""
    if value is not None:
        raise BadParameter("SMTPUTF8 has no value")


def _is_utf8(address: bytes) -> bool:
    try:
        address.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class SmtpUtf8(Extension):
    """
    Who says SMTPUTF8 at MAIL must mean it. Without it an address may hold any bytes, as
    with qmail-smtpd.
    """

    keyword = b"SMTPUTF8"
    mail = {b"SMTPUTF8": _no_value}

    def offered(self, receiver: Receiver) -> bool:
        """As the control says, otherwise as the queue says."""
        chosen = receiver.session.settings.smtp_server_smtputf8
        if chosen is None:
            return "SMTPUTF8" in carried_by(receiver.configuration.queue)
        return chosen

    def objection(
        self, receiver: Receiver, stage: Stage, transaction: Transaction
    ) -> Verdict | None:
        """RFC 6531, section 3.3: the sender is UTF-8."""
        said = b"SMTPUTF8" in transaction.parameters
        if stage is Stage.MAIL and said and not _is_utf8(transaction.reverse_path):
            return reply.SENDER_NOT_UTF8
        return None

    def recipient_objection(
        self,
        receiver: Receiver,
        transaction: Transaction,
        recipient: bytes,
        parameters: Mapping[bytes, bytes | None],
    ) -> Verdict | None:
        """RFC 6531, section 3.3: so is a recipient."""
        if b"SMTPUTF8" in transaction.parameters and not _is_utf8(recipient):
            return reply.RECIPIENT_NOT_UTF8
        return None


EXTENSION = SmtpUtf8()
