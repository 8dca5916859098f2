# -*- test-case-name: mvmtr.test.test_parameters -*-
"""
The parameters of MAIL and RCPT (RFC 5321, section 4.1.1.11).

Pure: bytes in, values out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class UnknownParameter(ValueError):
    """A parameter of no announced extension; the reply is 555."""


class BadParameter(ValueError):
    """A parameter with a value that it can't have; the reply is 501."""


def parse_parameters(words: Iterable[bytes], known: Mapping) -> dict[bytes, bytes | None]:
    """
    Take ESMTP parameters apart.

    @param words: what stands behind the path, split at blanks.
    @param known: keywords, in capitals, and a function each that looks at the value.
    @raise UnknownParameter: for a word whose keyword is not known.
    @raise BadParameter: for a keyword that comes twice, or a value that it can't have.
    """
    parameters: dict[bytes, bytes | None] = {}
    for word in words:
        keyword, equals, value = word.partition(b"=")
        keyword = keyword.upper()
        if keyword not in known:
            raise UnknownParameter(word[:40].decode("ascii", "replace"))
        if keyword in parameters:
            raise BadParameter(f"{keyword.decode()} comes twice")
        known[keyword](value if equals else None)
        parameters[keyword] = value if equals else None
    return parameters
