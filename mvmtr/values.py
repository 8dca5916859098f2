# -*- test-case-name: mvmtr.test.test_settings -*-
"""
What may be written as the value of a control. Pure: text in, values out.

Each function raises L{SettingError} for what is no such value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network


class SettingError(ValueError):
    """A control that does not exist, or a value that it can't take."""


def number(text: str) -> int:
    """A whole number of up to twenty digits."""
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise SettingError(f"{text[:40]!r} is not a whole number of up to 20 digits")
    return int(text)


def positive(text: str) -> int:
    """A whole number that is not 0."""
    value = number(text)
    if value == 0:
        raise SettingError("must be at least 1")
    return value


def folder(text: str) -> str:
    """A path, made absolute; empty: none."""
    return os.path.abspath(text) if text else ""


def switch(text: str) -> bool:
    """C{on} or C{off}."""
    if text not in ("on", "off"):
        raise SettingError(f"{text!r} is neither on nor off")
    return text == "on"


def host_name(text: str) -> bytes:
    """Printable ASCII without blanks."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise SettingError(f"{text!r} is not a host name")
    return text.encode("ascii")


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise SettingError(f"{text!r} is not UTF-8") from None


def names(text: str) -> tuple[str, ...]:
    """Words as text, separated by blanks or commas."""
    return tuple(text.replace(",", " ").split())


def words(text: str) -> tuple[bytes, ...]:
    """Words as bytes, separated by blanks or commas."""
    return tuple(_encoded(word) for word in names(text))


def lines(text: str) -> tuple[bytes, ...]:
    """Any number of lines."""
    return tuple(_encoded(line) for line in text.splitlines())


Network = IPv4Network | IPv6Network


def networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks (C{192.0.2.0/24}), separated by blanks or commas."""
    return tuple(_network(word) for word in names(text))


def _network(word: str) -> Network:
    try:
        return ip_network(word, strict=False)
    except ValueError:
        raise SettingError(f"{word!r} is neither an address nor ADDRESS/BITS") from None


def some_of(*known: str) -> Callable[[str], tuple[str, ...]]:
    """What reads any of some words."""

    def parse(text: str) -> tuple[str, ...]:
        chosen = tuple(word.lower() for word in names(text))
        for word in chosen:
            if word not in known:
                raise SettingError(f"{word!r} is none of {', '.join(known)}")
        return chosen

    return parse


@dataclass(frozen=True)
class DnsList:
    """
    A list in the DNS, and what being on it counts.

    @ivar zone: its domain.
    @ivar answers: the answers that count; empty: all within 127.0.0.0/8.
    @ivar score: the points.
    """

    zone: str
    answers: tuple[str, ...] = ()
    score: int = 1


_DNS_LIST = re.compile(
    r"(?P<zone>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?"
    r"(?:=(?P<answers>[0-9.]+(?:;[0-9.]+)*))?"
    r"(?:\*(?P<score>-?[0-9]{1,6}))?",
    re.IGNORECASE,
)


def dns_lists(text: str) -> tuple[DnsList, ...]:
    """DNS lists, each C{ZONE[=ANSWER[;ANSWER]][*SCORE]}, separated by blanks or commas."""
    return tuple(_dns_list(word) for word in names(text))


def _dns_list(word: str) -> DnsList:
    match = _DNS_LIST.fullmatch(word)
    if match is None:
        raise SettingError(f"{word!r} is not ZONE[=ANSWER][*SCORE]")
    answers = tuple(match["answers"].split(";")) if match["answers"] else ()
    for answer in answers:
        _network(answer)
    return DnsList(match["zone"].lower(), answers, int(match["score"] or 1))
