"""
The capability C{include} (RFC 6609). Its commands belong to the language, since they decide
which files are read.
"""

from __future__ import annotations

from mvmtr.mfl.specs import Extension

EXTENSION = Extension(("include",))
