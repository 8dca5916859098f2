"""About the message."""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

from mvmtr.mfl.errors import RunError
from mvmtr.mfl.runtime import Run
from mvmtr.mfl.signatures import builtin
from mvmtr.mfl.specs import Needs


@builtin("header", Needs.MESSAGE)
def header(run: Run, name: bytes) -> bytes:
    """The first header field of that name, unfolded and decoded; empty when there is none."""
    values = run.made_all(run.message.values(name))
    return values[0] if values else b""


@builtin("headers", Needs.MESSAGE)
def headers(run: Run, name: bytes) -> tuple[bytes, ...]:
    """All header fields of that name, unfolded and decoded."""
    return run.made_all(run.message.values(name))


@builtin("body_size", Needs.MESSAGE)
def body_size(run: Run) -> int:
    """The length of the body in bytes."""
    return run.message.body_size


def _edit(run: Run) -> None:
    """An edit is as much work as there are fields."""
    run.step(20 + run.message.count)


@builtin("add_header", Needs.MESSAGE)
def add_header(run: Run, name: bytes, value: bytes) -> None:
    """Put a field at the top of the header."""
    _edit(run)
    try:
        run.message.add(name, run.made(value), last=False)
    except ValueError as error:
        raise RunError(str(error)) from None


@builtin("delete_header", Needs.MESSAGE)
def delete_header(run: Run, name: bytes) -> None:
    """Take away all header fields of that name."""
    _edit(run)
    run.message.delete(name)


async def _authentication(run: Run, kind: str) -> bytes:
    answer: Any = run.host.authentication(kind)
    if isawaitable(answer):
        answer = await answer
        run.clock()
    return run.made(answer)


@builtin("spf", Needs.SESSION)
async def spf(run: Run) -> bytes:
    """The result of SPF: C{pass}, C{fail}, C{softfail}, …"""
    return await _authentication(run, "spf")


@builtin("dkim", Needs.MESSAGE)
async def dkim(run: Run) -> bytes:
    """The result of DKIM: C{pass}, C{fail}, C{none}, …"""
    return await _authentication(run, "dkim")


@builtin("dmarc", Needs.MESSAGE)
async def dmarc(run: Run) -> bytes:
    """The result of DMARC: C{pass}, C{fail}, C{none}, …"""
    return await _authentication(run, "dmarc")
