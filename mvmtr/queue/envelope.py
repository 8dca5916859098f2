# -*- test-case-name: mvmtr.test.test_queue_qmail -*-
"""The envelope as qmail-queue reads it (qmail-queue.8). Pure."""

from __future__ import annotations

from mvmtr.addresses import safe
from mvmtr.session import Transaction


def qmail_envelope(transaction: Transaction) -> bytes:
    """
    Sender and recipients in the form that qmail-queue reads from descriptor 1.

    @raise UnsafeAddress: see L{safe}.
    """
    recipients = b"".join(b"T%s\0" % safe(recipient) for recipient in transaction.recipients)
    return b"F%s\0%s\0" % (safe(transaction.reverse_path), recipients)
