# -*- test-case-name: mvmtr.test.test_mfl_sieve -*-
"""The tests C{header} and C{address} (RFC 5228, sections 5.1 and 5.7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mvmtr.mfl.runtime import Run
from mvmtr.mfl.sieve import addresses, comparison
from mvmtr.mfl.sieve.addresses import Address
from mvmtr.mfl.sieve.base import ADDRESS_PART, check_header_names
from mvmtr.mfl.sieve.fields import Field
from mvmtr.mfl.sieve.index import INDEX, check_index, picker
from mvmtr.mfl.sieve.message import Message
from mvmtr.mfl.sieve.parts import part_of
from mvmtr.mfl.specs import Argument, Extension, Kind, TestSpec, Use

_WITH_ADDRESSES = frozenset(
    b"""
    from to cc bcc sender reply-to
    resent-from resent-to resent-cc resent-bcc resent-sender resent-reply-to
    return-path delivered-to x-original-to envelope-to apparently-to errors-to for-approval
    for-comment for-handling return-receipt-to read-receipt-to disposition-notification-to
    return-receipt-requested registered-mail-reply-requested-by x-confirm-reading-to
    mail-followup-to mail-reply-to mail-copies-to abuse-reports-to x-complaints-to
    x-report-abuse-to x-admin x-beenthere list-post
    """.split()
)
"""The fields that hold addresses; others are refused by C{address} (RFC 5228, section 5.1)."""


def _check_header(use: Use) -> None:
    check_header_names(use, use.arguments["header-names"])
    check_index(use)
    comparison.check(use, use.arguments["keys"])


def _header(use: Use) -> Callable[[Run, Sequence[Any]], bool]:
    names, keys = use.arguments["header-names"], use.arguments["keys"]
    compare = comparison.build(use, keys)
    if not use.tags.keys() & {"index"} and names.constant is not None and len(names.constant) == 1:
        name = names.constant[0].lower()
        return lambda run, values: compare(run, run.message.values(name), values)
    pick = picker(use)

    def header(run: Run, values: Sequence[Any]) -> bool:
        message = run.message
        found: list[bytes] = []
        for name in names.get(values):
            found += pick(message.values(name))
        return compare(run, found, values)

    return header


def _check_address(use: Use) -> None:
    names = use.arguments["header-names"]
    check_header_names(use, names)
    check_index(use)
    for name in names.constant or ():
        if name.lower() not in _WITH_ADDRESSES:
            shown = name.decode("utf-8", "replace")
            use.problem(f'the header field "{shown}" holds no addresses', names.place)
    comparison.check(use, use.arguments["keys"])


def _parsed(run: Run, message: Message, name: bytes) -> list[list[Address]]:
    """The addresses of each field of a name; parsed once, as long as the header stays."""
    known: dict[Sequence[Field], list[list[Address]]] = run.state.setdefault("addresses", {})
    found = tuple(message.fields(name))
    parsed = known.get(found)
    if parsed is None:
        run.step(1 + (sum(len(field.written) for field in found) >> 4))
        parsed = known[found] = [addresses.parse(field.raw) for field in found]
    return parsed


def _address(use: Use) -> Callable[[Run, Sequence[Any]], bool]:
    names, keys = use.arguments["header-names"], use.arguments["keys"]
    compare = comparison.build(use, keys)
    pick, part = picker(use), part_of(use)

    def address(run: Run, values: Sequence[Any]) -> bool:
        message = run.message
        take = part(run)
        found: list[bytes] = []
        for name in names.get(values):
            for field in pick(_parsed(run, message, name)):
                found += [text for each in field if (text := take(each)) is not None]
        return compare(run, found, values)

    return address


_ARGUMENTS = (Argument("header-names", Kind.STRINGS), Argument("keys", Kind.STRINGS))

EXTENSION = Extension(
    tests=(
        TestSpec(
            "header",
            _header,
            _ARGUMENTS,
            families=(*comparison.FAMILIES, INDEX),
            check=_check_header,
        ),
        TestSpec(
            "address",
            _address,
            _ARGUMENTS,
            families=(*comparison.FAMILIES, ADDRESS_PART, INDEX),
            check=_check_address,
        ),
    ),
)
