# -*- test-case-name: mvmtr.test.test_mfl_sieve -*-
"""Which part of an address a test wants."""

from __future__ import annotations

from collections.abc import Callable

from mvmtr.mfl.runtime import Run
from mvmtr.mfl.sieve import addresses
from mvmtr.mfl.sieve.addresses import Address
from mvmtr.mfl.specs import Use

Take = Callable[[Address], "bytes | None"]

_SPLIT = {"user": addresses.user, "detail": addresses.detail}


def part_of(use: Use) -> Callable[[Run], Take]:
    """
    From a run to the function that takes the wanted part of an address. C{:user} and
    C{:detail} depend on the setting C{recipient_delimiter}, C{+} by default.
    """
    split = _SPLIT.get(use.tag_of(_SPLIT) or "")
    if split is None:
        part = addresses.PARTS[use.tag_of(addresses.PARTS) or "all"]
        return lambda run: part

    def with_separators(run: Run) -> Take:
        separators = run.host.sieve_setting(b"recipient_delimiter")
        wanted = b"+" if separators is None else separators
        return lambda address: split(address, wanted)

    return with_separators
