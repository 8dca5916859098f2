"""C{ereject} (RFC 5429): what C{reject} does here too."""

from __future__ import annotations

from mvmtr.mfl.sieve.reject import command
from mvmtr.mfl.specs import Extension

EXTENSION = Extension(("ereject",), commands=(command("ereject"),))
