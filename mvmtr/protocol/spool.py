# -*- test-case-name: mvmtr.test.test_spool -*-
"""Where the text of a message is held until it is whole: in memory, or in a file without a name."""

from __future__ import annotations

import errno
import os
from tempfile import SpooledTemporaryFile
from typing import Any

from mvmtr.protocol.load import Load, Memory
from mvmtr.protocol.storage import shortage_of
from mvmtr.settings import Settings

LOOK_EVERY = 1 << 20
"""Bytes that are written to the file between two looks at the room that is left."""


class Spool(SpooledTemporaryFile):
    """
    In memory up to the body cache, and only while all sessions together leave room.

    @param load: where memory is accounted for.
    """

    def __init__(self, load: Load, settings: Settings) -> None:
        # To tempfile, 0 would be no limit.
        super().__init__(
            settings.smtp_server_bodycache or 1, dir=settings.smtp_server_spool or None
        )
        self._load = load
        self._memory = Memory(load)
        self._memory_max = settings.smtp_server_memory_max
        self._free = settings.smtp_server_spool_free
        self._in_file = False
        self._unlooked = 0

    def write(self, text: Any) -> int:
        """Append; raises L{OSError} when the file can't take it, or the disk gets too full."""
        size = len(text)
        if self._in_file:
            self._unlooked += size
            if self._unlooked >= LOOK_EVERY:
                self._look(size)
        else:
            self._memory.hold(self._memory.held + size)
        written = super().write(text)
        if not self._in_file and self._load.memory > self._memory_max:
            self.rollover()
        return written

    def rollover(self) -> None:
        """Go on in a file."""
        super().rollover()
        if not self._in_file:
            self._in_file = True
            self._look(self._memory.held)
            self._memory.hold(0)

    def _look(self, size: int) -> None:
        self._unlooked = 0
        reason = shortage_of(os.fstatvfs(self.fileno()), size, self._free)
        if reason is not None:
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {reason}")

    def close(self) -> None:
        """Let go of memory or file."""
        self._memory.hold(0)
        super().close()
