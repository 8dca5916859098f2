"""C{:regex} (draft-ietf-sieve-regex), and with variables the modifier C{:quoteregex}."""

from __future__ import annotations

from mvmtr.mfl.sieve.comparison import MATCH
from mvmtr.mfl.sieve.variables import MODIFIER, QUOTING
from mvmtr.mfl.specs import Extension, Tag

EXTENSION = Extension(
    ("regex",),
    tags=(
        Tag("regex", group=MATCH, capabilities=("regex",), family=MATCH),
        Tag("quoteregex", group=QUOTING, capabilities=("regex",), family=MODIFIER),
    ),
)
