# -*- test-case-name: mvmtr.test.test_mfl_mime -*-
"""Encoded words in header fields (RFC 2047). Pure."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from mvmtr.mfl.sieve.charsets import to_utf8

_WORD = re.compile(rb"=\?([^?\s*=]{1,40})(?:\*[^?\s]{0,20})?\?([bBqQ])\?([^?\n]{0,1000})\?=")
_NOT_BASE64 = bytes(
    sorted(
        set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    )
)
_LONGEST = 128 << 10
"""A longer value is taken as it is."""
_PIECE = 42
"""So many bytes, as base64 and with what stands around them, fit into an encoded word."""


def unquote(data: bytes) -> bytes:
    """What quoted-printable means; what is wrong in it stays."""
    return binascii.a2b_qp(data)


def unbase64(data: bytes) -> bytes:
    """What base64 means, without minding what does not belong into it."""
    digits = data.translate(None, _NOT_BASE64)
    whole = len(digits) - (len(digits) % 4 == 1)
    return binascii.a2b_base64(digits[:whole] + b"=" * (-whole % 4))


def _pieces(value: bytes) -> Iterator[tuple[str, bytes]]:
    """The text in pieces, each with its character set; it is empty for what is not encoded."""
    done = 0
    after_word = False
    for found in _WORD.finditer(value):
        between = value[done : found.start()]
        if between and not (after_word and between.isspace()):
            yield "", between
        charset, encoding, text = found.groups()
        base64 = encoding in b"bB"
        decoded = unbase64(text) if base64 else unquote(text.replace(b"_", b" "))
        known = to_utf8(b"", charset.decode("latin-1")) is not None
        yield (charset.decode("latin-1").lower(), decoded) if known else ("", found.group())
        after_word = known
        done = found.end()
    if done < len(value):
        yield "", value[done:]


def decode(value: bytes) -> bytes:
    """
    A field's value in UTF-8, its encoded words decoded. A word in an unknown character set
    stays as it is. Neighbours in one character set are joined before they are decoded, since
    some programs cut characters in two.
    """
    if b"=?" not in value or len(value) > _LONGEST:
        return value
    joined: list[tuple[str, list[bytes]]] = []
    for charset, piece in _pieces(value):
        if joined and joined[-1][0] == charset:
            joined[-1][1].append(piece)
        else:
            joined.append((charset, [piece]))
    texts = ((charset, b"".join(pieces)) for charset, pieces in joined)
    return b"".join(
        text if not charset else to_utf8(text, charset) or b"" for charset, text in texts
    )


def encode(value: bytes) -> bytes:
    """
    UTF-8 text as it may stand in a field: as it is when it is ASCII, otherwise as encoded
    words with a fold between them.
    """
    if value.isascii():
        return value
    words = []
    text = value.decode("utf-8", "replace")
    piece = b""
    for letter in text:
        letter_bytes = letter.encode("utf-8")
        if len(piece) + len(letter_bytes) > _PIECE:
            words.append(piece)
            piece = b""
        piece += letter_bytes
    words.append(piece)
    return b"\n ".join(
        b"=?utf-8?b?" + binascii.b2a_base64(word, newline=False) + b"?=" for word in words
    )
