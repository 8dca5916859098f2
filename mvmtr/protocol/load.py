# -*- test-case-name: mvmtr.test.test_load -*-
"""What all sessions of a process use together. Pure: counts, and no transport."""

from __future__ import annotations


class Load:
    """
    @ivar handshakes: TLS handshakes under way.
    @ivar memory: bytes of message text that are held in memory.
    """

    def __init__(self) -> None:
        self.handshakes = 0
        self.memory = 0
