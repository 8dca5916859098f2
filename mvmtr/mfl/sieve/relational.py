"""C{:value} and C{:count} (RFC 5231)."""

from __future__ import annotations

from mvmtr.mfl.sieve.comparison import MATCH
from mvmtr.mfl.specs import Extension, Kind, Tag

EXTENSION = Extension(
    ("relational",),
    tags=tuple(
        Tag(name, MATCH, Kind.STRING, ("relational",), MATCH, constant=True)
        for name in ("value", "count")
    ),
)
