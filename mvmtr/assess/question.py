# -*- test-case-name: mvmtr.test.test_assess_question -*-
"""What is asked about a client, and what is told of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
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

    CONNECTED = "connected"
    GOOD_MAIL = "good_mail"
    REJECTED_CONTENT = "rejected_content"
    UNKNOWN_RECIPIENT = "unknown_recipient"
    SPAM_TRAP = "spam_trap"
    RELAY_DENIED = "relay_denied"
    PROTOCOL_ERROR = "protocol_error"
    EARLY_TALKER = "early_talker"
    AUTH_FAILED = "auth_failed"


_OTHER_NAMES = {"EHLO": State.HELO, "": State.RCPT, "VRFY": State.RCPT, "ETRN": State.RCPT}


@dataclass(frozen=True)
class Question:
    """
    Who wants to do what. Empty is "not known"; domains are in lower case.

    @ivar client: the address of the client.
    @ivar client_name: its name, if the DNS confirms that (name to address and back).
    @ivar relay: whether the client may relay anyway, or is authenticated.
    @ivar spf_domain: the domain that SPF has found this client to be allowed to use.
    @ivar recipient_count: how many recipients the message has, at DATA and after it.
    @ivar extended: whether the questioner understands more than Postfix's actions.
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

    @property
    def network(self) -> bytes:
        """See L{network_of}."""
        return network_of(self.client)

    @property
    def sender_domain(self) -> bytes:
        """The domain of the sender; empty for the null sender."""
        return self.sender.rpartition(b"@")[2].lower()


def network_of(client: bytes, bits4: int = 24, bits6: int = 64) -> bytes:
    """The network of an address; what is no address is a network of its own."""
    try:
        address = ip_address(client.decode("ascii").partition("%")[0])
    except ValueError:
        return client
    address = getattr(address, "ipv4_mapped", None) or address
    bits = bits4 if address.version == 4 else bits6
    network: IPv4Network | IPv6Network = ip_network((address, bits), strict=False)
    return str(network).encode()


def _number(value: bytes) -> int:
    return int(value) if value.isdigit() and len(value) < 20 else 0


def question_of(attributes: Mapping[bytes, bytes]) -> Question:
    """The question that the attributes of a request ask; unknown attributes mean nothing."""

    def value(name: bytes) -> bytes:
        found = attributes.get(name, b"")
        return b"" if found == b"unknown" else found

    state = attributes.get(b"protocol_state", b"").decode("ascii", "replace").upper()
    return Question(
        state=_OTHER_NAMES.get(state) or State(state),
        client=value(b"client_address"),
        client_name=value(b"client_name").lower(),
        helo=value(b"helo_name").lower(),
        sender=value(b"sender"),
        recipient=value(b"recipient"),
        relay=bool(value(b"sasl_username")) or value(b"mvmcas_relay") == b"yes",
        spf_domain=value(b"mvmcas_spf_domain").lower(),
        recipient_count=_number(value(b"recipient_count")),
        size=_number(value(b"size")),
        extended=b"mvmcas_version" in attributes,
    )


@dataclass(frozen=True)
class Feedback:
    """
    What became of a client's doing.

    @ivar count: how often it happened.
    """

    event: Event
    client: bytes
    client_name: bytes = b""
    helo: bytes = b""
    sender: bytes = b""
    recipient: bytes = b""
    count: int = 1

    @property
    def sender_domain(self) -> bytes:
        """The domain of the sender."""
        return self.sender.rpartition(b"@")[2].lower()


def feedback_of(attributes: Mapping[bytes, bytes]) -> Feedback:
    """
    The feedback in a request.

    @raise ValueError: when it tells of no event that is known.
    """
    values: dict[str, Any] = {
        "client": attributes.get(b"client_address", b""),
        "client_name": attributes.get(b"client_name", b"").lower(),
        "helo": attributes.get(b"helo_name", b"").lower(),
        "sender": attributes.get(b"sender", b""),
        "recipient": attributes.get(b"recipient", b""),
        "count": min(1000, max(1, _number(attributes.get(b"mvmcas_count", b"1")))),
    }
    name = attributes.get(b"mvmcas_event", b"").decode("ascii", "replace")
    return Feedback(event=Event(name), **values)
