# -*- test-case-name: mvmtr.test.test_extensions -*-
"""RFC 6152: text of a message may have the eighth bit."""

from __future__ import annotations

from mvmtr.protocol.extensions import Extension
from mvmtr.protocol.parameters import BadParameter


def _body(value: bytes | None) -> None:
    """RFC 6152, section 2."""
    if value is None or value.upper() not in (b"7BIT", b"8BITMIME"):
        raise BadParameter("BODY is 7BIT or 8BITMIME")


class EightBitMime(Extension):
    """Nothing is converted, whatever the client says about its text."""

    keyword = b"8BITMIME"
    mail = {b"BODY": _body}


EXTENSION = EightBitMime()
