# -*- test-case-name: mvmtr.test.test_assess_question -*-
"""What is asked about a client, and what is told of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any


class State(StrEnum):
    """The points of a session at which a question is asked, by Postfix's names."""

    CONNECT = "CONNECT"
    HELO = "HELO"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    MESSAGE = "END-OF-MESSAGE"


class Event(StrEnum):
    """What a client did, as receivers tell it."""

    GOOD_MAIL = "good_mail"
    REJECTED_CONTENT = "rejected_content"
    UNKNOWN_RECIPIENT = "unknown_recipient"
    SPAM_TRAP = "spam_trap"
    RELAY_DENIED = "relay_denied"
    PROTOCOL_ERROR = "protocol_error"
    EARLY_TALKER = "early_talker"
    AUTH_FAILED = "auth_failed"


Address = IPv4Address | IPv6Address

_ADDRESS_MAX = 64
_NAME_MAX = 255

_OTHER_NAMES = {"EHLO": State.HELO, "": State.RCPT, "VRFY": State.HELO, "ETRN": State.HELO}

COUNT_MAX = 1000
"""How often something can have happened in one piece of feedback."""


@dataclass(frozen=True)
class Question:
    """
    Who wants to do what. Empty is "not known"; domains are in lower case.

    @ivar client: the address of the client, in its usual form.
    @ivar client_name: its name, if the DNS confirms that (name to address and back).
    @ivar relay: whether the client may relay anyway, or is authenticated.
    @ivar spf_domain: the domain that SPF has found this client to be allowed to use.
    @ivar recipient_count: how many recipients the message has, at DATA and after it.
    @ivar extended: whether the questioner understands more than Postfix's actions.
    @ivar dry: whether the question is only for show, and is not to be remembered.
    """

    state: State
    client: bytes
    client_name: bytes = b""
    helo: bytes = b""
    sender: bytes = b""
    recipient: bytes = b""
    relay: bool = False
    spf_domain: bytes = b""
    recipient_count: int = 0
    size: int = 0
    extended: bool = False
    dry: bool = False

    @property
    def sender_domain(self) -> bytes:
        """The domain of the sender; empty for the null sender."""
        return _domain(self.sender)


@dataclass(frozen=True)
class Feedback:
    """
    What a client did.

    @ivar relay: as in L{Question}.
    @ivar count: how often it happened.
    """

    event: Event
    client: bytes
    client_name: bytes = b""
    helo: bytes = b""
    sender: bytes = b""
    recipient: bytes = b""
    relay: bool = False
    count: int = 1

    @property
    def sender_domain(self) -> bytes:
        """The domain of the sender; empty for the null sender."""
        return _domain(self.sender)


def _domain(address: bytes) -> bytes:
    _local, at, domain = address.rpartition(b"@")
    return domain.lower().rstrip(b".") if at else b""


def address_of(client: bytes) -> Address | None:
    """An address, if it is one; IPv4 that is written as IPv6 is IPv4."""
    return _address_of(client) if len(client) <= _ADDRESS_MAX else None


@lru_cache(maxsize=4096)
def _address_of(client: bytes) -> Address | None:
    try:
        address = ip_address(client.decode("ascii").partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def network_of(client: bytes, bits4: int = 24, bits6: int = 64) -> bytes:
    """
    The network of an address: C{192.0.2.0/24}, and without a length where that is all of
    it. What is no address is a network of its own.
    """
    address = address_of(client)
    if address is None:
        return client
    bits = min(bits4 if address.version == 4 else bits6, address.max_prefixlen)
    if bits == address.max_prefixlen:
        return str(address).encode()
    rest = address.max_prefixlen - bits
    return f"{type(address)(int(address) >> rest << rest)}/{bits}".encode()


def client_of(client: bytes) -> bytes:
    """What one client is counted by: an IPv4 address, or the /64 that IPv6 gives to one."""
    return network_of(client, 32, 64)


def _number(value: bytes) -> int:
    return int(value) if value.isdigit() and len(value) < 20 else 0


def _host_name(value: bytes) -> bytes:
    return value.lower().rstrip(b".") if len(value) <= _NAME_MAX else b""


def _who(attributes: Mapping[bytes, bytes]) -> dict[str, Any]:
    """What questions and feedback have in common. Postfix says "unknown" where it knows nothing."""

    def value(name: bytes) -> bytes:
        found = attributes.get(name, b"")
        return b"" if found == b"unknown" else found

    return {
        "client": network_of(value(b"client_address"), 32, 128),
        "client_name": _host_name(value(b"client_name")),
        "helo": value(b"helo_name").lower().rstrip(b"."),
        "sender": value(b"sender"),
        "recipient": value(b"recipient"),
        "relay": bool(value(b"sasl_username")) or value(b"mvmcas_relay") == b"yes",
    }


def question_of(attributes: Mapping[bytes, bytes]) -> Question:
    """
    The question that the attributes of a request ask; unknown attributes mean nothing.

    @raise ValueError: when it is about a point of the session that is not known.
    """
    state = attributes.get(b"protocol_state", b"").decode("ascii", "replace").upper()
    return Question(
        state=_OTHER_NAMES.get(state) or State(state),
        spf_domain=_host_name(attributes.get(b"mvmcas_spf_domain", b"")),
        recipient_count=_number(attributes.get(b"recipient_count", b"")),
        size=_number(attributes.get(b"size", b"")),
        extended=b"mvmcas_version" in attributes,
        dry=attributes.get(b"mvmcas_dry") == b"yes",
        **_who(attributes),
    )


def feedback_of(attributes: Mapping[bytes, bytes]) -> Feedback:
    """
    The feedback in a request.

    @raise ValueError: when it tells of no event that is known.
    """
    event = Event(attributes.get(b"mvmcas_event", b"").decode("ascii", "replace"))
    count = _number(attributes.get(b"mvmcas_count", b"1"))
    return Feedback(event=event, count=min(COUNT_MAX, max(1, count)), **_who(attributes))
