# -*- test-case-name: mvmtr.test.test_extensions -*-
"""
The service extensions (RFC 5321, section 2.2), one module each.

A module here says C{EXTENSION = ...}, an L{Extension}; that is all it takes to add one.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mvmtr.protocol.parameters import BadParameter
from mvmtr.session import Stage, Transaction, Verdict

if TYPE_CHECKING:
    from mvmtr.protocol.smtp import Receiver

ParameterCheck = Callable[[bytes | None], None]


class Extension:
    """
    One extension; a subclass states what it has of these.

    @cvar keyword: what EHLO announces.
    @cvar mail: parameters of MAIL by keyword, in capitals, each with a function that looks
        at the value and raises L{BadParameter}. Of several extensions that state the same
        keyword it is enough if one takes the value.
    @cvar rcpt: the same for RCPT.
    @cvar commands: its verbs, in capitals, each with a function of the receiver and the
        argument. It is called whether or not the extension is offered.
    @cvar payload: those of its verbs behind whose line come bytes that are no lines. When
        such a line can't be read the session ends.
    """

    keyword: bytes
    mail: Mapping[bytes, ParameterCheck] = {}
    rcpt: Mapping[bytes, ParameterCheck] = {}
    commands: Mapping[bytes, Callable[[Any, bytes], None]] = {}
    payload: frozenset[bytes] = frozenset()

    def offered(self, receiver: Receiver) -> bool:
        """Whether this session has it now."""
        return True

    def line(self, receiver: Receiver) -> bytes:
        """The line of EHLO, when it is offered."""
        return self.keyword

    def objection(
        self, receiver: Receiver, stage: Stage, transaction: Transaction
    ) -> Verdict | None:
        """
        What it has against a well-formed MAIL or DATA, before the policy is asked.

        @param transaction: at MAIL, the one that would begin.
        """
        return None

    def recipient_objection(
        self,
        receiver: Receiver,
        transaction: Transaction,
        recipient: bytes,
        parameters: Mapping[bytes, bytes | None],
    ) -> Verdict | None:
        """What it has against a well-formed RCPT, before the policy is asked."""
        return None


def found() -> tuple[Extension, ...]:
    """All extensions, by name of their modules."""
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return tuple(import_module(f"{__name__}.{name}").EXTENSION for name in modules)


def having(extensions: Iterable[Extension], method: str) -> tuple[Extension, ...]:
    """Those that have a method of their own; to ask the others is of no use."""
    none = getattr(Extension, method)
    return tuple(one for one in extensions if getattr(type(one), method) is not none)


def known_parameters(
    receiver: Receiver, extensions: Iterable[Extension], command: str
) -> dict[bytes, ParameterCheck]:
    """
    The parameters that the offered extensions have for C{mail} or C{rcpt}.
    """
    known: dict[bytes, list[ParameterCheck]] = {}
    for extension in extensions:
        stated: Mapping[bytes, ParameterCheck] = getattr(extension, command)
        if stated and extension.offered(receiver):
            for keyword, check in stated.items():
                known.setdefault(keyword, []).append(check)
    return {keyword: _any_of(checks) for keyword, checks in known.items()}


def _any_of(checks: list[ParameterCheck]) -> ParameterCheck:
    def check(value: bytes | None) -> None:
        problem = None
        for one in checks:
            try:
                one(value)
            except BadParameter as error:
                problem = problem or error
            else:
                return
        assert problem is not None
        raise problem

    return check
