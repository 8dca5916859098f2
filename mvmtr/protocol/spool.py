# -*- test-case-name: mvmtr.test.test_spool -*-
"""Where the text of a message is held until it is whole: in memory, or in a file without a name."""

from __future__ import annotations

from tempfile import SpooledTemporaryFile
from typing import Any

from mvmtr.protocol.load import Load
from mvmtr.settings import Settings


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
        self._room = settings.smtp_server_memory_max
        self._held = 0

    def write(self, text: Any) -> int:
        """Append; raises L{OSError} when the file can't take it."""
        self._held += len(text)
        self._load.memory += len(text)
        written = super().write(text)
        if self._held and self._load.memory > self._room:
            self.rollover()
        return written

    def rollover(self) -> None:
        """Go on in a file."""
        self._release()
        super().rollover()

    def close(self) -> None:
        """Let go of memory or file."""
        self._release()
        super().close()

    def _release(self) -> None:
        self._load.memory -= self._held
        self._held = 0
