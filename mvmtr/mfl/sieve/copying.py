"""C{:copy} (RFC 3894)."""

from __future__ import annotations

from mvmtr.mfl.sieve.base import REDIRECT
from mvmtr.mfl.specs import Extension, Tag

EXTENSION = Extension(("copy",), tags=(Tag("copy", capabilities=("copy",), family=REDIRECT),))
