# -*- test-case-name: mvmtr.test.test_mfl_sieve -*-
"""The test C{spamtest} (RFC 5235), and what C{virustest} shares with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mvmtr.mfl.runtime import Run
from mvmtr.mfl.sieve import comparison, status
from mvmtr.mfl.sieve.status import Scale
from mvmtr.mfl.specs import Argument, Extension, Kind, Tag, TestSpec, Use


def _check(use: Use) -> None:
    comparison.check(use, use.arguments["keys"])


def _build(use: Use, scale: Scale) -> Callable[[Run, Sequence[Any]], bool]:
    compare = comparison.build(use, use.arguments["keys"])
    percent = "percent" in use.tags
    counts = comparison.match_type(use) == "count"

    def test(run: Run, values: Sequence[Any]) -> bool:
        run.step(20)
        try:
            found = status.result(scale, run.host.sieve_setting, run.message.values, percent)
        except status.BadSetting as problem:
            raise run.problem(str(problem)) from None
        return compare(run, () if counts and found == b"0" else (found,), values)

    return test


def spec(name: str, scale: Scale, tags: tuple[Tag, ...], *capabilities: str) -> TestSpec:
    """A test of one of the two kinds."""
    return TestSpec(
        name,
        lambda use: _build(use, scale),
        (Argument("keys", Kind.STRINGS),),
        tags,
        families=comparison.FAMILIES,
        capabilities=capabilities,
        check=_check,
    )


_PERCENT = Tag("percent", capabilities=("spamtestplus",))

EXTENSION = Extension(
    ("spamtest", "spamtestplus"),
    tests=(spec("spamtest", status.SPAM, (_PERCENT,), "spamtest", "spamtestplus"),),
)
