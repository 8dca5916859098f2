# -*- test-case-name: mvmtr.test.test_assess_hint -*-
"""
How to treat a client, and how that is said in the policy protocol (Postfix's access(5)).
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

TEXT_MAX = 1000
"""Characters of a text; of longer ones the rest is left out."""

VERSION = b"1"
"""Of what is said beyond Postfix's protocol; each side tells it."""

_UNPRINTABLE = re.compile(rb"[^ -~]")
_NUMBERED = re.compile(r"[45]\d\d(?=\s|$)")
_ENHANCED = re.compile(r"[245](?=\.\d{1,3}\.\d{1,3}(?:\s|$))")
_FIELD = re.compile(r"[!-9;-~]+:")
_NUMBER = re.compile(r"[0-9]{1,12}")


class BadAction(ValueError):
    """A reply that gives no hint that is known; the text says why."""


class NoHint(ValueError):
    """A server that could not find out; the text says why."""


@dataclass(frozen=True)
class Hint:
    """
    @ivar action: one of C{dunno}, C{ok}, C{reject}, C{defer}, C{defer_if_permit},
        C{defer_if_reject}, C{discard}, C{prepend}, C{warn}.
    @ivar code: of the reply, for C{reject} and the kinds of C{defer}; else 0.
    @ivar text: of the reply, the warning, or the header field to put in front.
    @ivar reason: why, for the log.
    @ivar parameters: for this connection, C{relay} (C{yes} or C{no}), C{timeout},
        C{msgsize_max}, C{tarpit} and C{greet_delay} (whole numbers), by name.
    """

    action: str = "dunno"
    code: int = 0
    text: str = ""
    reason: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


DUNNO = Hint()

_CODES = {"reject": 554, "defer": 450, "defer_if_permit": 450, "defer_if_reject": 450}
_PLAIN = {
    "dunno": "dunno",
    "ok": "ok",
    "permit": "ok",
    "permit_auth_destination": "dunno",
    "discard": "discard",
    "prepend": "prepend",
    "warn": "warn",
    "info": "warn",
}
_NUMBERS = ("timeout", "msgsize_max", "tarpit", "greet_delay")


def hint_of(attributes: Mapping[bytes, bytes]) -> Hint:
    """
    The hint in a reply.

    What can't stand in a reply to a client is mended: characters that are not printable
    ASCII, and an enhanced status code of another class than the reply.

    @raise BadAction: when there is none that is known.
    @raise NoHint: when the server says that it does not know.
    """
    if b"mvmcas_error" in attributes:
        raise NoHint(_words(attributes, b"mvmcas_error"))
    action, code, text = _action(_words(attributes, b"action"))
    reason = _words(attributes, b"mvmcas_reason") or text
    return Hint(action, code, text, reason, _parameters(attributes))


def _words(attributes: Mapping[bytes, bytes], name: bytes) -> str:
    value = attributes.get(name, b"")[:TEXT_MAX]
    return _UNPRINTABLE.sub(b"?", value.replace(b"\t", b" ")).decode("ascii").strip()


def _action(said: str) -> tuple[str, int, str]:
    word, _blank, text = said.partition(" ")
    text = text.strip()
    action = word.lower()
    if _NUMBERED.match(word):
        return "defer" if word < "500" else "reject", int(word), _matching(text, word)
    if action in _CODES:
        return action, _CODES[action], _matching(text, str(_CODES[action]))
    if action.isdigit():
        # Postfix takes any other number for a permission.
        return "ok", 0, ""
    if action == "prepend" and not _FIELD.match(text):
        raise BadAction(f"PREPEND wants a header field, not {text[:40]!r}")
    if action not in _PLAIN:
        raise BadAction(f"{said[:40]!r} is no action that is known")
    return _PLAIN[action], 0, text


def _matching(text: str, code: str) -> str:
    """A text whose enhanced status code is of the class of the reply."""
    return _ENHANCED.sub(code[0], text, count=1) if _ENHANCED.match(text) else text


def _parameters(attributes: Mapping[bytes, bytes]) -> dict[str, str]:
    found = {}
    for name in ("relay", *_NUMBERS):
        key = b"mvmcas_" + name.encode()
        if key not in attributes:
            continue
        value = _words(attributes, key)
        if not (value in ("yes", "no") if name == "relay" else _NUMBER.fullmatch(value)):
            raise BadAction(f"{key.decode()}={value[:40]!r} makes no sense")
        found[name] = value
    return found


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
        attributes[b"mvmcas_version"] = VERSION
        if hint.reason:
            attributes[b"mvmcas_reason"] = hint.reason.encode("utf-8", "replace")
        for name, value in hint.parameters.items():
            attributes[b"mvmcas_" + name.encode()] = value.encode("utf-8", "replace")
    return attributes


def no_hint(error: str, extended: bool) -> dict[bytes, bytes]:
    """
    The reply when there is no hint: to go on as if nobody had been asked.

    @param extended: whether to say why, so that the questioner may do something else.
    """
    reply = {b"action": b"DUNNO"}
    if extended:
        reply[b"mvmcas_version"] = VERSION
        reply[b"mvmcas_error"] = error.encode("utf-8", "replace")
    return reply
