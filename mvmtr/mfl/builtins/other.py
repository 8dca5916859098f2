"""The log, and what a hook returns."""

from __future__ import annotations

import re

from mvmtr.mfl.errors import Place, RunError
from mvmtr.mfl.runtime import Run, Verdict
from mvmtr.mfl.signatures import builtin
from mvmtr.mfl.specs import Needs

_ENHANCED = re.compile(rb"([0-9])\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9.])")
LOG_MAX = 4000
_LOG_COST = 100


@builtin("log", placed=True)
def log(run: Run, place: Place, text: bytes) -> None:
    """Write a line to the log."""
    run.step(_LOG_COST)
    run.host.log(text[:LOG_MAX], place)


def _wrong(hundred: int, code: int | None, text: bytes | None) -> str | None:
    if code is not None and code // 100 != hundred:
        return f"the code is from {hundred}00 to {hundred}99, not {code}"
    enhanced = _ENHANCED.match(text or b"")
    if enhanced is not None and int(enhanced[1]) != hundred:
        return f"{enhanced[0].decode()} does not go with a code from {hundred}00 to {hundred}99"
    return None


def _wrong_reject(code: int | None = None, text: bytes | None = None) -> str | None:
    return _wrong(5, code, text)


def _wrong_defer(code: int | None = None, text: bytes | None = None) -> str | None:
    return _wrong(4, code, text)


@builtin("accept", Needs.SESSION, placed=True)
def accept(run: Run, place: Place) -> int:
    """Yes; nobody else is asked at this stage."""
    return Verdict("accept", 250, b"", place)


@builtin("discard", Needs.SESSION, placed=True)
def discard(run: Run, place: Place) -> int:
    """Say yes to the client and throw away."""
    return Verdict("discard", 250, b"", place)


@builtin("reject", Needs.SESSION, placed=True, check=_wrong_reject)
def reject(run: Run, place: Place, code: int, text: bytes) -> int:
    """No, for good; the text may begin with an enhanced status code."""
    wrong = _wrong_reject(code, text)
    if wrong:
        raise RunError(wrong)
    return Verdict("reject", code, text, place)


@builtin("defer", Needs.SESSION, placed=True, check=_wrong_defer)
def defer(run: Run, place: Place, code: int, text: bytes) -> int:
    """Not now; the text may begin with an enhanced status code."""
    wrong = _wrong_defer(code, text)
    if wrong:
        raise RunError(wrong)
    return Verdict("defer", code, text, place)
