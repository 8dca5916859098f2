# -*- test-case-name: mvmtr.test.test_mfl_sieve -*-
"""The base language (RFC 5228): its tags for comparing, its actions and two small tests."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from mvmtr.mfl.runtime import Run
from mvmtr.mfl.sieve import addresses, comparison, fields
from mvmtr.mfl.sieve.result import ACTIONS_MAX, REDIRECTS_MAX, Action, Conflict
from mvmtr.mfl.specs import (
    Argument,
    CommandSpec,
    Extension,
    Kind,
    Needs,
    Tag,
    TestSpec,
    Use,
    Value,
)

ADDRESS_PART = "address-part"
"""The family, and the group, of the tags that pick a part of an address."""
REDIRECT = "redirect"
"""The family of tags for C{redirect}."""

_ADDRESS_MAX = 1000
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


def act(run: Run, action: Action) -> None:
    """Add an action to the run's result, with the header as it is now (RFC 5293, section 6)."""
    message = run.edited
    if message is not None and message.edited:
        action = replace(action, header=message.header())
    redirects = _setting(run, b"sieve_max_redirects", REDIRECTS_MAX)
    try:
        run.result.add(action, redirects, _setting(run, b"sieve_max_actions", ACTIONS_MAX))
    except Conflict as problem:
        raise run.problem(str(problem)) from None


def _setting(run: Run, name: bytes, default: int) -> int:
    value = run.host.sieve_setting(name)
    return int(value) if value and value.isdigit() and len(value) < 10 else default


def _keep(use: Use) -> Callable[[Run, Sequence[Any]], None]:
    action = Action(use.name, place=use.place)
    return lambda run, values: act(run, action)


def _check_redirect(use: Use) -> None:
    address = use.arguments["address"]
    if address.constant is not None and not _is_address(address.constant):
        shown = address.constant.decode("utf-8", "replace")
        use.problem(f'"{shown}" is no address to redirect to', address.place)


def _is_address(text: bytes) -> bool:
    if len(text) > _ADDRESS_MAX or _CONTROL.search(text):
        return False
    found = addresses.parse(text)
    return len(found) == 1 and found[0].domain is not None


def _redirect(use: Use) -> Callable[[Run, Sequence[Any]], None]:
    address = use.arguments["address"]
    copy = "copy" in use.tags

    def redirect(run: Run, values: Sequence[Any]) -> None:
        text = address.get(values)
        if not _is_address(text):
            raise run.problem(f"{text[:80]!r} is no address to redirect to")
        found = addresses.parse(text)[0]
        act(run, Action("redirect", found.written, copy, use.place))

    return redirect


def _size(use: Use) -> Callable[[Run, Sequence[Any]], bool]:
    limit = use.arguments["limit"].constant
    if "over" in use.tags:
        return lambda run, values: run.message.size > limit
    return lambda run, values: run.message.size < limit


def _check_size(use: Use) -> None:
    if use.tag_of(("over", "under")) is None:
        use.problem("size needs :over or :under")


def check_header_names(use: Use, names: Value) -> None:
    """Report names that no header field can have."""
    for name in names.constant or ():
        if not fields.is_name(name):
            shown = name.decode("utf-8", "replace")
            use.problem(f'"{shown}" is no name of a header field', names.place)


def _check_exists(use: Use) -> None:
    check_header_names(use, use.arguments["header-names"])


def _exists(use: Use) -> Callable[[Run, Sequence[Any]], bool]:
    names = use.arguments["header-names"]

    def exists(run: Run, values: Sequence[Any]) -> bool:
        wanted = names.get(values)
        run.step(len(wanted))
        message = run.message
        return all(message.fields(name) for name in wanted)

    return exists


EXTENSION = Extension(
    tags=(
        *comparison.TAGS,
        *(
            Tag(name, group=ADDRESS_PART, family=ADDRESS_PART)
            for name in ("all", "localpart", "domain")
        ),
    ),
    tests=(
        TestSpec(
            "size",
            _size,
            (Argument("limit", Kind.NUMBER),),
            (Tag("over", group="size"), Tag("under", group="size")),
            check=_check_size,
        ),
        TestSpec("exists", _exists, (Argument("header-names", Kind.STRINGS),), check=_check_exists),
    ),
    commands=(
        CommandSpec("keep", _keep, needs=Needs.SESSION),
        CommandSpec("discard", _keep, needs=Needs.SESSION),
        CommandSpec(
            "redirect",
            _redirect,
            (Argument("address", Kind.STRING),),
            families=(REDIRECT,),
            check=_check_redirect,
            needs=Needs.TRANSACTION,
        ),
    ),
)
