# -*- test-case-name: mvmtr.test.test_path -*-
"""
Parsing the arguments of MAIL and RCPT: the path, and the ESMTP parameters behind it.

Pure: bytes in, values out. What is taken for an address is what qmail-smtpd takes
(C{addrparse} in qmail-smtpd.c), which is far more than RFC 5321 allows.
"""

from __future__ import annotations

import re

PATH_MAX = 899
"""Longest address in bytes, quotes off, own literals replaced: qmail-smtpd's limit of
900 counts a closing NUL."""

_SPECIAL = re.compile(rb'[\\"> ]')


class PathError(ValueError):
    """Not a path; the message says what is wrong with it."""


def parse_path(argument: bytes, keyword: bytes) -> tuple[bytes, list[bytes]]:
    """
    Take the argument of MAIL or RCPT apart.

    @param argument: what stands after the verb and its blanks.
    @param keyword: C{b"FROM:"} or C{b"TO:"}, in capitals.
    @return: the address, source route and quotes off; and the words after the path.
    @raise PathError: when there is no keyword, no path, no closing bracket, an open quote,
        or a source route without a colon.
    """
    if argument[: len(keyword)].upper() != keyword:
        raise PathError(f"no {keyword.decode()}")
    _before, bracket, path = argument.partition(b"<")
    if not bracket:
        path = argument[len(keyword) :].lstrip(b" ")
        if not path:
            raise PathError("no path")
    if path.startswith(b"@"):
        _route, colon, path = path.partition(b":")
        if not colon:
            raise PathError("a source route without a colon")
    address, rest = _unquote(path, b">" if bracket else b" ")
    if rest is None:
        if bracket:
            raise PathError("no closing bracket")
        rest = b""
    return address, rest.split()


def _unquote(path: bytes, terminator: bytes) -> tuple[bytes, bytes | None]:
    """Take quotes and backslashes off, up to the terminator; then what is behind it."""
    pieces = []
    quoted = False
    position = 0
    while (match := _SPECIAL.search(path, position)) is not None:
        pieces.append(path[position : match.start()])
        position = match.end()
        if match[0] == b"\\":
            pieces.append(path[position : position + 1])
            position += 1
        elif match[0] == b'"':
            quoted = not quoted
        elif match[0] == terminator and not quoted:
            return b"".join(pieces), path[position:]
        else:
            pieces.append(match[0])
    if quoted:
        raise PathError("an open quote")
    pieces.append(path[position:])
    return b"".join(pieces), None
