# -*- test-case-name: mvmtr.test.test_mfl_mime -*-
"""The text of HTML, for tests that look for words. Pure and linear."""

from __future__ import annotations

import html
import re

_MARKUP = re.compile(
    rb"<!--(?P<comment>)"
    rb"|<(?P<hidden>script|style|title)(?=[\s/>])"
    rb"|<(?P<breaks>/?(?:address|article|blockquote|br|center|dd|div|dl|dt|form|h[1-6]|hr|li|ol|p"
    rb"|pre|section|table|tbody|td|tfoot|th|thead|tr|ul)(?=[\s/>]))"
    rb"|</?[a-z!?](?P<tag>)",
    re.IGNORECASE,
)
_TAG_REST = re.compile(rb"""(?:[^>"']|"[^"]*+"?|'[^']*+'?)*+>?""")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});?")


def to_text(data: bytes) -> bytes:
    """
    What a reader of the page would see, roughly: no tags, comments, scripts, styles or titles;
    entities as the characters that they mean.

    @param data: HTML in UTF-8.
    """
    kept: list[bytes] = []
    done = 0
    while (found := _MARKUP.search(data, done)) is not None:
        kept.append(data[done : found.start()])
        done = _end(data, found)
        if found["breaks"] is not None:
            kept.append(b"\n")
    kept.append(data[done:])
    text = b"".join(kept)
    if b"&" not in text:
        return text
    decoded = text.decode("utf-8", "replace")
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), decoded).encode("utf-8", "replace")


def _end(data: bytes, markup: re.Match[bytes]) -> int:
    """Where the markup that begins with a match ends."""
    if markup["comment"] is not None:
        end = data.find(b"-->", markup.end())
        return len(data) if end < 0 else end + 3
    rest = _TAG_REST.match(data, markup.end())
    end = rest.end() if rest else markup.end()
    if markup["hidden"] is None:
        return end
    close = re.compile(rb"</" + markup["hidden"], re.IGNORECASE).search(data, end)
    return close.start() if close else len(data)
