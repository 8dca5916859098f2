"""C{:user} and C{:detail} of an address (RFC 5233)."""

from __future__ import annotations

from mvmtr.mfl.sieve.base import ADDRESS_PART
from mvmtr.mfl.specs import Extension, Tag

EXTENSION = Extension(
    ("subaddress",),
    tags=tuple(
        Tag(name, group=ADDRESS_PART, capabilities=("subaddress",), family=ADDRESS_PART)
        for name in ("user", "detail")
    ),
)
