"""Look-ups. They may wait; other sessions go on meanwhile."""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

from mvmtr.mfl.runtime import Run
from mvmtr.mfl.signatures import builtin
from mvmtr.mfl.specs import Needs

_COST = 50
"""Steps that a look-up counts; it is more work than most."""


async def _answer(run: Run, answer: Any) -> Any:
    run.step(_COST)
    if isawaitable(answer):
        answer = await answer
        run.clock()
    return answer


async def _dns(run: Run, kind: str, name: bytes) -> tuple[bytes, ...]:
    return run.made_all(await _answer(run, run.host.dns(kind, name)))


@builtin("dns_a", Needs.SESSION)
async def dns_a(run: Run, name: bytes) -> tuple[bytes, ...]:
    """The addresses of a name."""
    return await _dns(run, "a", name)


@builtin("dns_mx", Needs.SESSION)
async def dns_mx(run: Run, name: bytes) -> tuple[bytes, ...]:
    """The mail exchangers of a domain, the preferred one first."""
    return await _dns(run, "mx", name)


@builtin("dns_txt", Needs.SESSION)
async def dns_txt(run: Run, name: bytes) -> tuple[bytes, ...]:
    """The texts of a name."""
    return await _dns(run, "txt", name)


@builtin("dns_ptr", Needs.SESSION)
async def dns_ptr(run: Run, address: bytes) -> tuple[bytes, ...]:
    """The names of an address."""
    return await _dns(run, "ptr", address)


@builtin("dnsbl", Needs.SESSION)
async def dnsbl(run: Run, zone: bytes) -> bytes:
    """What a DNS list says of the client, as C{127.0.0.2}; empty when it is not listed."""
    return run.made(await _answer(run, run.host.dnsbl(zone)))


@builtin("cdb_has", Needs.SESSION)
async def cdb_has(run: Run, file: bytes, key: bytes) -> int:
    """1 when a cdb has a key, otherwise 0."""
    return int(await _answer(run, run.host.cdb(file, key)) is not None)


@builtin("cdb", Needs.SESSION)
async def cdb(run: Run, file: bytes, key: bytes) -> bytes:
    """The value of a key in a cdb; empty when it has no such key."""
    return run.made(await _answer(run, run.host.cdb(file, key)) or b"")


@builtin("file_has", Needs.SESSION)
async def file_has(run: Run, file: bytes, line: bytes) -> int:
    """1 when a text file has a line, otherwise 0."""
    return int(await _answer(run, run.host.file_has(file, line)))


@builtin("assess", Needs.SESSION)
async def assess(run: Run, topic: bytes) -> bytes:
    """A part of what the assessment server says: action, code, text, reason, a parameter."""
    return run.made(await _answer(run, run.host.assess(topic)))
