# -*- test-case-name: mvmtr.test.test_mfl_sieve -*-
"""Characters by their numbers in strings: C{${hex: …}} and C{${unicode: …}} (RFC 5228, 2.4.2.4)."""

from __future__ import annotations

import re

from mvmtr.mfl.specs import Extension

_BLANK = rb"[ \t\r\n]"
_ENCODED = re.compile(
    rb"\$\{(?:(?P<hex>hex):(?P<octets>"
    + _BLANK
    + rb"*+(?:[0-9a-f]{1,2}(?:"
    + _BLANK
    + rb"++|(?=\}))"
    rb")+)|unicode:(?P<points>" + _BLANK + rb"*+(?:[0-9a-f]++(?:" + _BLANK + rb"++|(?=\})))+))\}",
    re.IGNORECASE,
)
_HIGHEST = 0x10FFFF


def decode(text: bytes) -> bytes:
    """
    The string with such characters decoded. What only looks like one stays.

    @raise ValueError: for a number that no character has.
    """
    return _ENCODED.sub(_decode, text) if b"${" in text else text


def _decode(found: re.Match[bytes]) -> bytes:
    if found["hex"] is not None:
        return bytes(int(octet, 16) for octet in found["octets"].split())
    return b"".join(map(_character, found["points"].split()))


def _character(digits: bytes) -> bytes:
    digits = digits.lstrip(b"0") or b"0"
    point = int(digits, 16) if len(digits) < 8 else _HIGHEST + 1
    if point > _HIGHEST or 0xD800 <= point <= 0xDFFF:
        raise ValueError(f"there is no character with the number {digits[:20].decode()}")
    return chr(point).encode("utf-8")


EXTENSION = Extension(("encoded-character",), strings=decode)
