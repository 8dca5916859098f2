# -*- test-case-name: mvmtr.test.test_settings -*-
"""
What may be written as the value of a control. Pure: text in, values out.

Each function raises L{SettingError} for what is no such value.
"""

from __future__ import annotations

import functools
import os
import pwd
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network

HANDOFF = "handoff"
"""The kind of endpoint at which other programs hand connections over."""


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


def users(text: str) -> tuple[int, ...]:
    """Users of the system, as names or numbers, separated by blanks or commas; their numbers."""
    return tuple(_user(word) for word in names(text))


def _user(word: str) -> int:
    if word.isascii() and word.isdigit():
        return number(word)
    try:
        return pwd.getpwnam(word).pw_uid
    except (KeyError, ValueError):
        raise SettingError(f"there is no user {word!r}") from None


def lines(text: str) -> tuple[bytes, ...]:
    """Any number of lines."""
    return tuple(_encoded(line) for line in text.splitlines())


def assignments(text: str) -> tuple[bytes, ...]:
    """Lines of C{NAME=VALUE}, without blanks around names and values."""
    parts = [line.partition("=") for line in text.splitlines() if line.strip()]
    for name, equals, _value in parts:
        if not equals or not name.strip():
            raise SettingError(f"{name.strip()!r} is not NAME=VALUE")
    return tuple(_encoded(f"{name.strip()}={value.strip()}") for name, _equals, value in parts)


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
    @ivar answers: the answers that count, each an IPv4 address whose numbers may be ranges,
        as in C{127.0.[0..255].[1;3]}; empty: all that L{means_listed}.
    @ivar score: the points.
    """

    zone: str
    answers: tuple[str, ...] = ()
    score: int = 1

    def __str__(self) -> str:
        answers = "=" + ";".join(self.answers) if self.answers else ""
        score = f"*{self.score}" if self.score != 1 else ""
        return self.zone + answers + score

    @property
    def label(self) -> str:
        """
        Its name for logs and clients: labels of 16 or more characters, which are keys of
        customers and not for everybody, are left out.
        """
        labels = self.zone.split(".")
        return ".".join([*(one for one in labels[:-2] if len(one) < 16), *labels[-2:]])

    def counts(self, answer: IPv4Address) -> bool:
        """Whether an answer of the list is one that counts."""
        if not self.answers:
            return means_listed(answer)
        return any(
            all(number in numbers for number, numbers in zip(answer.packed, octets, strict=True))
            for octets in map(_octets, self.answers)
        )


_ERRORS = IPv4Network("127.255.255.0/24")
_REFUSED = IPv4Address("127.0.0.1")


def means_listed(answer: IPv4Address) -> bool:
    """
    Whether an answer of a list means that something is on it (RFC 5782, section 2.1).

    Answers in 127.255.255.0/24 and 127.0.0.1 are how lists say that they do not talk to
    who asks; an answer outside of 127.0.0.0/8 comes from somebody else.
    """
    return answer.is_loopback and answer != _REFUSED and answer not in _ERRORS


_DNS_LIST = re.compile(
    r"(?P<zone>[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*)\.?"
    r"(?:=(?P<answers>[0-9.;\[\]]+))?"
    r"(?:\*(?P<score>-?[0-9]{1,6}))?",
    re.IGNORECASE,
)
_BETWEEN_ANSWERS = re.compile(r";(?![^\[]*\])")
_OCTET = r"(?:\[([0-9.;]+)\]|([0-9]+))"
_ANSWER = re.compile(r"\.".join([_OCTET] * 4))
_RANGE = re.compile(r"(\d{1,3})(?:\.\.(\d{1,3}))?")


def dns_lists(text: str) -> tuple[DnsList, ...]:
    """DNS lists, each C{ZONE[=ANSWER[;ANSWER]][*SCORE]}, separated by blanks or commas."""
    return tuple(_dns_list(word) for word in names(text))


def _dns_list(word: str) -> DnsList:
    match = _DNS_LIST.fullmatch(word)
    if match is None or len(match["zone"]) > 180:
        raise SettingError(f"{word!r} is not ZONE[=ANSWER][*SCORE]")
    answers = tuple(_BETWEEN_ANSWERS.split(match["answers"])) if match["answers"] else ()
    for answer in answers:
        _octets(answer)
    return DnsList(match["zone"].lower(), answers, int(match["score"] or 1))


@functools.lru_cache(maxsize=1000)
def _octets(answer: str) -> tuple[frozenset[int], ...]:
    """The numbers that each part of an answer may be."""
    match = _ANSWER.fullmatch(answer)
    if match is None:
        raise SettingError(f"{answer!r} is no IPv4 address")
    parts = match.groups()[::2], match.groups()[1::2]
    return tuple(
        frozenset(_numbers(several or one, answer)) for several, one in zip(*parts, strict=True)
    )


def _numbers(part: str, answer: str) -> Iterator[int]:
    for one in part.split(";"):
        match = _RANGE.fullmatch(one)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last <= 255:
            raise SettingError(f"{answer!r}: {one!r} is neither 0 to 255 nor FIRST..LAST")
        yield from range(first, last + 1)


def dns_server(text: str) -> str:
    """C{ADDRESS[:PORT]}, with brackets around an IPv6 address that has a port; may be empty."""
    if text:
        address_and_port(text)
    return text


_WITH_PORT = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+))(?::([0-9]{1,5}))?")


def address_and_port(text: str) -> tuple[str, int]:
    """
    The address, in its usual form, and the port of a DNS server.

    @raise SettingError: for what is neither.
    """
    match = _WITH_PORT.fullmatch(text)
    address, port = (match[1] or match[2], match[3]) if match else (text, None)
    try:
        address = str(ip_address(address))
        if not 0 < int(port or 53) < 65536:
            raise ValueError(port)
    except ValueError:
        raise SettingError(f"{text!r} is not ADDRESS[:PORT] of a DNS server") from None
    return address, int(port or 53)
