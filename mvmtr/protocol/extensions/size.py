# -*- test-case-name: mvmtr.test.test_extensions -*-
"""RFC 1870: the largest message, and whether there is room for the client's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mvmtr.protocol import reply
from mvmtr.protocol.extensions import Extension
from mvmtr.protocol.parameters import BadParameter
from mvmtr.protocol.storage import shortage, spool_folder
from mvmtr.session import Stage, Transaction, Verdict

if TYPE_CHECKING:
    from mvmtr.protocol.smtp import Receiver


def _size(value: bytes | None) -> None:
    """RFC 1870, section 4: a number of up to twenty digits."""
    if value is None or not value.isdigit() or len(value) > 20:
        raise BadParameter("SIZE wants a number")


class Size(Extension):
    """A message that can't be taken is refused before it is sent."""

    keyword = b"SIZE"
    mail = {b"SIZE": _size}

    def line(self, receiver: Receiver) -> bytes:
        """With the limit; 0 is no limit."""
        return b"SIZE %d" % receiver.session.settings.smtp_server_msgsize_max

    def objection(
        self, receiver: Receiver, stage: Stage, transaction: Transaction
    ) -> Verdict | None:
        """RFC 1870, section 6.1."""
        if stage is not Stage.MAIL:
            return None
        settings = receiver.session.settings
        size = int(transaction.parameters.get(b"SIZE") or 0)
        limit = settings.smtp_server_msgsize_max
        if limit and size > limit:
            return reply.TOO_LARGE.by("size").because(f"the limit is {limit} bytes")
        queue = getattr(receiver.configuration.queue, "folder", None)
        folders = (spool_folder(settings.smtp_server_spool), queue)
        reason = shortage(folders, size, settings.smtp_server_spool_free)
        return None if reason is None else reply.NO_STORAGE.by("storage").because(reason)


EXTENSION = Size()
