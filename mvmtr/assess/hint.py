# -*- test-case-name: mvmtr.test.test_assess_hint -*-
"""
How to treat a client, and how that is said in the policy protocol (Postfix's access(5)).
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_CODE = re.compile(r"([45]\d\d)(?: +|$)")


class BadAction(ValueError):
    """An action that is not known."""


@dataclass(frozen=True)
class Hint:
    """
    @ivar action: one of C{dunno}, C{ok}, C{reject}, C{defer}, C{defer_if_permit},
        C{defer_if_reject}, C{discard}, C{prepend}, C{warn}.
    @ivar code: of the reply, for C{reject} and C{defer}.
    @ivar text: of the reply, the warning, or the header field to put in front.
    @ivar reason: why, for the log.
    @ivar parameters: for this connection, C{relay}, C{timeout}, C{msgsize_max},
        C{tarpit} and C{greet_delay} (seconds), by name.
    """

    action: str = "dunno"
    code: int = 0
    text: str = ""
    reason: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


DUNNO = Hint()

_PLAIN = ("dunno", "ok", "discard", "warn")
_CODES = {"reject": 554, "defer": 450, "defer_if_permit": 450, "defer_if_reject": 450}
_PARAMETERS = ("relay", "timeout", "msgsize_max", "tarpit", "greet_delay")


def hint_of(attributes: Mapping[bytes, bytes]) -> Hint:
    """
    The hint in a reply.

    @raise BadAction: when there is none that is known.
    """
    said = attributes.get(b"action", b"").decode("utf-8", "replace").strip()
    word, _blank, rest = said.partition(" ")
    word = word.lower()
    text = rest.strip()
    parameters = {
        name: attributes[b"mvmcas_" + name.encode()].decode("utf-8", "replace")
        for name in _PARAMETERS
        if b"mvmcas_" + name.encode() in attributes
    }
    reason = attributes.get(b"mvmcas_reason", b"").decode("utf-8", "replace")
    action, code = word, 0
    numbered = _CODE.match(said)
    if numbered is not None:
        code = int(numbered[1])
        action, text = ("defer" if code < 500 else "reject"), said[numbered.end() :].strip()
    elif word in _CODES:
        code = _CODES[word]
        named = _CODE.match(text)
        if named is not None and (int(named[1]) < 500) == (code < 500):
            code, text = int(named[1]), text[named.end() :].strip()
    elif word in ("permit", "permit_auth_destination"):
        action = "ok" if word == "permit" else "dunno"
    elif word == "prepend":
        if not re.match(r"[!-9;-~]+:", text):
            raise BadAction(f"PREPEND wants a header field, not {text[:40]!r}")
    elif word not in _PLAIN:
        raise BadAction(f"{said[:40]!r} is no action that is known")
    return Hint(action, code, text, reason or text, parameters)


def action_of(hint: Hint, extended: bool) -> dict[bytes, bytes]:
    """
    The reply that gives a hint.

    @param extended: whether to say more than Postfix asks for.
    """
    action = hint.action.upper()
    if hint.action in ("reject", "defer"):
        action = str(hint.code)
    attributes = {b"action": f"{action} {hint.text}".strip().encode("utf-8", "replace")}
    if extended:
        if hint.reason:
            attributes[b"mvmcas_reason"] = hint.reason.encode("utf-8", "replace")
        for name, value in hint.parameters.items():
            attributes[b"mvmcas_" + name.encode()] = value.encode("utf-8", "replace")
    return attributes
