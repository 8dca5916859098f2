# -*- test-case-name: mvmtr.test.test_xtext -*-
"""
Values in which some bytes are written as C{+} and two hexadecimal digits (RFC 3461,
section 4). Pure: bytes in, bytes out.
"""

from __future__ import annotations

import re

_XTEXT = re.compile(rb"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_HEXCHAR = re.compile(rb"\+([0-9A-F]{2})")
_ENCODED = re.compile(rb"[^!-*,-<>-~]")


def decode(value: bytes) -> bytes:
    """
    What the value stands for; any bytes may come of it.

    @raise ValueError: when it is no xtext.
    """
    if not _XTEXT.fullmatch(value):
        raise ValueError(f"{value[:40]!r} is no xtext")
    return _HEXCHAR.sub(lambda match: bytes.fromhex(match[1].decode()), value)


def encode(value: bytes) -> bytes:
    """The xtext for some bytes."""
    return _ENCODED.sub(lambda match: b"+%02X" % ord(match[0]), value)
