# -*- test-case-name: mvmtr.test.test_mfl_matching -*-
"""
POSIX extended regular expressions (draft-ietf-sieve-regex), by RE2: the leftmost longest match,
in linear time whatever the pattern. RE2 is imported with the first pattern.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import re2

_MEMORY = 1 << 20
"""How many bytes one compiled pattern may take."""


def _options(pattern: bytes, ignores_case: bool) -> re2.Options:
    import re2

    options = re2.Options()
    options.posix_syntax = True
    options.longest_match = True
    options.perl_classes = True
    options.word_boundary = True
    options.one_line = True
    options.dot_nl = True
    options.log_errors = False
    options.max_mem = _MEMORY
    options.case_sensitive = not ignores_case
    try:
        pattern.decode("utf-8")
    except UnicodeDecodeError:
        options.encoding = re2.Options.Encoding.LATIN1
    return options


@lru_cache(maxsize=64)
def compile_pattern(pattern: bytes, ignores_case: bool) -> Any:
    """
    A compiled pattern.

    @raise ValueError: when it is no regular expression, or one that is too large; with
        what is wrong with it.
    """
    import re2

    try:
        return re2.compile(pattern, _options(pattern, ignores_case))
    except re2.error as problem:
        reason = problem.args[0] if problem.args else ""
        if isinstance(reason, bytes):
            reason = reason.decode("utf-8", "replace")
        raise ValueError(str(reason)) from None


def search(compiled: Any, value: bytes) -> tuple[bytes, ...] | None:
    """
    Where a pattern matches: the part that it matched and then what each group took, an
    empty string for one that took no part; C{None} where it does not match.
    """
    found = compiled.search(value)
    if found is None:
        return None
    return (found.group(), *(group or b"" for group in found.groups()))
