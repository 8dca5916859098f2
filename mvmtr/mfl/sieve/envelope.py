# -*- test-case-name: mvmtr.test.test_mfl_sieve -*-
"""The test C{envelope} (RFC 5228, section 5.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mvmtr.mfl.runtime import Run
from mvmtr.mfl.sieve import addresses, comparison
from mvmtr.mfl.sieve.base import ADDRESS_PART
from mvmtr.mfl.sieve.parts import part_of
from mvmtr.mfl.specs import Argument, Extension, Kind, Needs, TestSpec, Use

_PARTS: dict[bytes, Callable[[Run], Sequence[bytes]]] = {
    b"from": lambda run: (run.host.sender,),
    b"to": lambda run: run.host.recipients,
    b"auth": lambda run: (run.host.auth_user,) if run.host.auth_user else (),
}


def _check(use: Use) -> None:
    parts = use.arguments["envelope-parts"]
    for part in parts.constant or ():
        if part.lower() not in _PARTS:
            shown = part.decode("utf-8", "replace")
            known = ", ".join(name.decode() for name in _PARTS)
            use.problem(f'the envelope has no "{shown}"; it has {known}', parts.place)
    comparison.check(use, use.arguments["keys"])


def _envelope(use: Use) -> Callable[[Run, Sequence[Any]], bool]:
    parts, keys = use.arguments["envelope-parts"], use.arguments["keys"]
    compare = comparison.build(use, keys)
    part = part_of(use)

    def envelope(run: Run, values: Sequence[Any]) -> bool:
        take = part(run)
        found: list[bytes] = []
        for name in parts.get(values):
            read = _PARTS.get(name.lower())
            if read is None:
                raise run.problem(f"the envelope has no {name[:80]!r}")
            for path in read(run):
                text = take(addresses.envelope_address(path))
                if text is not None:
                    found.append(text)
        return compare(run, found, values)

    return envelope


EXTENSION = Extension(
    ("envelope",),
    tests=(
        TestSpec(
            "envelope",
            _envelope,
            (Argument("envelope-parts", Kind.STRINGS), Argument("keys", Kind.STRINGS)),
            families=(*comparison.FAMILIES, ADDRESS_PART),
            capabilities=("envelope",),
            needs=Needs.TRANSACTION,
            check=_check,
        ),
    ),
)
