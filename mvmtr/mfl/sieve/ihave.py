# -*- test-case-name: mvmtr.test.test_mfl_sieve -*-
"""
The command C{error} (RFC 5463). The test C{ihave} belongs to the language, since what it
answers decides how the rest of a file is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mvmtr.mfl.runtime import Run
from mvmtr.mfl.specs import Argument, CommandSpec, Extension, Kind, Needs, Use


def _error(use: Use) -> Callable[[Run, Sequence[Any]], None]:
    message = use.arguments["message"]

    def error(run: Run, values: Sequence[Any]) -> None:
        raise run.problem(message.get(values).decode("utf-8", "replace"))

    return error


EXTENSION = Extension(
    ("ihave",),
    commands=(
        CommandSpec(
            "error",
            _error,
            (Argument("message", Kind.STRING),),
            capabilities=("ihave",),
            needs=Needs.NOTHING,
        ),
    ),
)
