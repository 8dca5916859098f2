# -*- test-case-name: mvmtr.test.test_assess_engine -*-
"""What is remembered: small records under keys, each with an end. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

KEY_MAX = 300
"""Characters of a key; of longer ones the end is replaced by a hash of the whole."""

_HASH = 32


@dataclass(frozen=True)
class Record:
    """
    @ivar values: numbers and texts by name.
    @ivar expires: when it is forgotten, in seconds since 1970; 0 is never.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    expires: float = 0.0

    def is_over(self, now: float) -> bool:
        """Whether its time is over."""
        return bool(self.expires) and self.expires <= now

    def written(self) -> str:
        """As text, in ASCII: the end and the values."""
        values = json.dumps(self.values, separators=(",", ":"), sort_keys=True)
        return f"{self.expires!r} {values}"

    @classmethod
    def read(cls, text: str) -> Record:
        """The opposite of L{written}."""
        expires, _blank, values = text.partition(" ")
        return cls(json.loads(values), float(expires))


Records = Mapping[str, Record]
"""Those that there are, by key."""

Changes = Mapping[str, Record | None]
"""What is to be remembered, by key; C{None} is to forget it."""


def key_of(kind: str, *parts: bytes) -> str:
    """
    The key for something: its kind, and what is known of it.

    Blanks in the parts become C{?}, so that one part can't look like two.
    """
    texts = [part.decode("utf-8", "backslashreplace").replace(" ", "?") for part in parts]
    key = " ".join((kind, *texts))
    if len(key) <= KEY_MAX:
        return key
    return key[: KEY_MAX - _HASH] + sha256(key.encode()).hexdigest()[:_HASH]
