# -*- test-case-name: mvmtr.test.test_mfl_builtins -*-
"""
Regular expressions of the C-like side.

They are matched by RE2, in time that grows with the text and not with what the pattern
makes of it. Bytes are matched; C{.} is a character where text and pattern are UTF-8.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

PATTERN_MAX = 8192
"""Longest pattern in bytes."""

_MEMORY = 2 << 20


@lru_cache(maxsize=128)
def pattern(text: bytes) -> Any:
    """
    A compiled pattern: its C{search} takes bytes.

    @raise ValueError: when it is none.
    """
    import re2

    if len(text) > PATTERN_MAX:
        raise ValueError(f"a regular expression of more than {PATTERN_MAX} bytes")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    options.encoding = re2.Options.Encoding.UTF8 if _is_utf8(text) else re2.Options.Encoding.LATIN1
    try:
        return re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "it can't be compiled"
        shown = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else reason
        raise ValueError(f"not a regular expression: {shown}") from None


def work(compiled: Any, text: bytes) -> int:
    """
    How many steps a search takes at the worst.

    RE2 is linear in the text, but what a byte costs may grow with the pattern.
    """
    steps: int = len(text) * compiled.programsize >> 12
    return steps


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
