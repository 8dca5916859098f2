# -*- test-case-name: mvmtr.test.test_assess_greylist -*-
"""Who a host belongs to, by its name. Pure."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any


@cache
def _suffixes() -> Any:
    # Reading the list takes a while, and most who start mvmtr never need it.
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


@lru_cache(maxsize=4096)
def registered_domain(name: bytes) -> bytes:
    """
    The part of a host name that somebody registered: C{example.co.uk} of
    C{mx1.mail.example.co.uk}; empty where that can't be told.
    """
    try:
        text = name.decode("ascii").strip(".").lower()
    except UnicodeDecodeError:
        return b""
    found = _suffixes().privatesuffix(text) if "." in text else None
    return found.encode() if found else b""
