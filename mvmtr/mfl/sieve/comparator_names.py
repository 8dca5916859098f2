"""The capabilities by which comparators are required (RFC 5228, section 2.7.3)."""

from __future__ import annotations

from mvmtr.mfl.sieve.comparators import COMPARATORS
from mvmtr.mfl.specs import Extension

EXTENSION = Extension(tuple(f"comparator-{name}" for name in COMPARATORS))
