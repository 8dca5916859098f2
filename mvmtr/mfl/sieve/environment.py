# -*- test-case-name: mvmtr.test.test_mfl_sieve -*-
"""The test C{environment} (RFC 5183)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mvmtr.mfl.runtime import Run
from mvmtr.mfl.sieve import comparison
from mvmtr.mfl.specs import Argument, Extension, Kind, Needs, TestSpec, Use


def _check(use: Use) -> None:
    comparison.check(use, use.arguments["keys"])


def _environment(use: Use) -> Callable[[Run, Sequence[Any]], bool]:
    item = use.arguments["item"]
    compare = comparison.build(use, use.arguments["keys"])

    def environment(run: Run, values: Sequence[Any]) -> bool:
        # An item that is not known fails every test (RFC 5183, section 4).
        found = run.host.environment(item.get(values).lower())
        return found is not None and compare(run, (found,), values)

    return environment


EXTENSION = Extension(
    ("environment",),
    tests=(
        TestSpec(
            "environment",
            _environment,
            (Argument("item", Kind.STRING), Argument("keys", Kind.STRINGS)),
            families=comparison.FAMILIES,
            capabilities=("environment",),
            needs=Needs.SESSION,
            check=_check,
        ),
    ),
)
