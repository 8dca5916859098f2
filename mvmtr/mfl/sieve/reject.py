# -*- test-case-name: mvmtr.test.test_mfl_sieve -*-
"""The commands C{reject} and C{ereject} (RFC 5429). Here both refuse the message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mvmtr.mfl.runtime import Run
from mvmtr.mfl.sieve.base import act
from mvmtr.mfl.sieve.result import Action
from mvmtr.mfl.specs import Argument, CommandSpec, Extension, Kind, Needs, Use


def _reject(use: Use) -> Callable[[Run, Sequence[Any]], None]:
    reason = use.arguments["reason"]

    def reject(run: Run, values: Sequence[Any]) -> None:
        act(run, Action("reject", run.made(reason.get(values)), place=use.place))

    return reject


def command(name: str) -> CommandSpec:
    """One of the two."""
    return CommandSpec(
        name,
        _reject,
        (Argument("reason", Kind.STRING),),
        capabilities=(name,),
        needs=Needs.SESSION,
    )


EXTENSION = Extension(("reject",), commands=(command("reject"),))
