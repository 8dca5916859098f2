# -*- test-case-name: mvmtr.test.test_extensions -*-
"""RFC 2920: commands may come in groups."""

from __future__ import annotations

from mvmtr.protocol.extensions import Extension


class Pipelining(Extension):
    """There is nothing more to it than the promise."""

    keyword = b"PIPELINING"


EXTENSION = Pipelining()
