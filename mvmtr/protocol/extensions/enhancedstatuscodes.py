# -*- test-case-name: mvmtr.test.test_extensions -*-
"""RFC 2034: every reply but the greetings has an enhanced status code."""

from __future__ import annotations

from mvmtr.protocol.extensions import Extension


class EnhancedStatusCodes(Extension):
    """There is nothing more to it than the promise."""

    keyword = b"ENHANCEDSTATUSCODES"


EXTENSION = EnhancedStatusCodes()
