# -*- test-case-name: mvmtr.test.test_assess_engine -*-
"""What is remembered: small records under keys, each with an end. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KEY_MAX = 400
"""Characters of a key; of longer names only the beginning counts."""


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
        """The values as JSON."""
        return json.dumps(self.values, separators=(",", ":"), sort_keys=True)


Records = Mapping[str, Record]
"""Those that there are, by key."""

Changes = dict[str, Record | None]
"""What is to be remembered, by key; C{None} is to forget it."""


def key_of(kind: str, *parts: bytes) -> str:
    """
    The key for something: its kind, and what is known of it.

    Blanks in the parts become C{?}, so that no part can look like two.
    """
    texts = (part.decode("utf-8", "backslashreplace").replace(" ", "?") for part in parts)
    return " ".join((kind, *texts))[:KEY_MAX]
