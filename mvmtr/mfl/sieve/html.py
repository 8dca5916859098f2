# -*- test-case-name: mvmtr.test.test_mfl_mime -*-
"""The text of HTML, for tests that look for words. Pure and linear."""

from __future__ import annotations

import html
import re

_HIDDEN = re.compile(
    rb"<!--.*?(?:-->|\Z)|<(script|style|title)(?=[\s/>]).*?(?:(?=</\1)|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_REST = rb"""(?:[^>"']|"[^"]*+"?|'[^']*+'?)*+>?"""
_BREAKS = re.compile(
    rb"</?(?:address|article|blockquote|br|center|dd|div|dl|dt|form|h[1-6]|hr|li|ol|p|pre"
    rb"|section|table|tbody|td|tfoot|th|thead|tr|ul)(?=[\s/>])" + _REST,
    re.IGNORECASE,
)
_TAG = re.compile(rb"</?[a-z!?]" + _REST, re.IGNORECASE)
_ENTITY = re.compile(
    rb"&(?:#[0-9]{1,9}(?![0-9])|#[xX][0-9a-fA-F]{1,8}(?![0-9a-fA-F])|[A-Za-z][A-Za-z0-9]{1,31});?"
)
_LONGEST = 8 << 20
"""More than this of one page is not looked at."""


def to_text(data: bytes) -> bytes:
    """
    What a reader of the page would see, roughly: no tags, comments, scripts, styles or titles;
    entities as the characters that they mean.

    @param data: HTML in UTF-8.
    """
    text = _HIDDEN.sub(b"", data[:_LONGEST])
    text = _TAG.sub(b"", _BREAKS.sub(b"\n", text))
    return _ENTITY.sub(_character, text) if b"&" in text else text


def _character(entity: re.Match[bytes]) -> bytes:
    return html.unescape(entity[0].decode("ascii")).encode("utf-8", "replace")
