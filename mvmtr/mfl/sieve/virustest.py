"""The test C{virustest} (RFC 5235)."""

from __future__ import annotations

from mvmtr.mfl.sieve import status
from mvmtr.mfl.sieve.spamtest import spec
from mvmtr.mfl.specs import Extension

EXTENSION = Extension(("virustest",), tests=(spec("virustest", status.VIRUS, (), "virustest"),))
