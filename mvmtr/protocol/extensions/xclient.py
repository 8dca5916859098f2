# -*- test-case-name: mvmtr.test.test_xclient -*-
"""
XCLIENT: a client that is trusted says for whom it speaks (XCLIENT_README of Postfix).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from mvmtr.protocol import reply
from mvmtr.protocol.extensions import Extension
from mvmtr.protocol.parameters import BadParameter
from mvmtr.protocol.peer import is_within, plain_ip
from mvmtr.protocol.xtext import decode
from mvmtr.session import Connection

if TYPE_CHECKING:
    from mvmtr.protocol.smtp import Receiver

VALUE_MAX = 255
"""The longest value of an attribute, as it is sent, in bytes."""

_NOT_KNOWN = (b"[UNAVAILABLE]", b"[TEMPUNAVAIL]")
_IPV6 = b"IPV6:"
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_HOST = re.compile(rb"(?=.*[A-Za-z_-])[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")

Attributes = Mapping[bytes, bytes | None]


def _host(value: bytes) -> bytes:
    if not _HOST.fullmatch(value):
        raise BadParameter(f"{value!r} is no host name")
    return value.lower()


def _address(value: bytes) -> bytes:
    """In the form that sockets have for it."""
    text = value.decode("latin-1")
    family = socket.AF_INET
    if value.upper().startswith(_IPV6):
        text, family = text[len(_IPV6) :], socket.AF_INET6
    elif ":" in text:
        family = socket.AF_INET6
    try:
        packed = socket.inet_pton(family, text)
    except (OSError, UnicodeEncodeError, ValueError):
        raise BadParameter(f"{value!r} is no IP address") from None
    return plain_ip(socket.inet_ntop(family, packed)).encode("ascii")


def _port(value: bytes) -> bytes:
    if not value.isdigit() or len(value) > 5 or int(value) > 65535:
        raise BadParameter(f"{value!r} is no port")
    return value


def _protocol(value: bytes) -> bytes:
    if value.upper() not in (b"SMTP", b"ESMTP"):
        raise BadParameter("PROTO is SMTP or ESMTP")
    return value.upper()


def _any(value: bytes) -> bytes:
    return value


ATTRIBUTES: Mapping[bytes, Callable[[bytes], bytes]] = {
    b"NAME": _host,
    b"ADDR": _address,
    b"PORT": _port,
    b"PROTO": _protocol,
    b"HELO": _any,
    b"LOGIN": _any,
    b"DESTADDR": _address,
    b"DESTPORT": _port,
    b"REVERSE_NAME": _host,
}


def parse_attributes(argument: bytes) -> dict[bytes, bytes | None]:
    """
    The attributes of a command, by name in capitals; C{None} for a value that the client
    does not know. Pure. A value that is no xtext is taken as it is, for so do old clients
    send it.

    @raise BadParameter: when they are not well-formed.
    """
    attributes: dict[bytes, bytes | None] = {}
    for word in argument.split(b" "):
        name, _equals, sent = word.partition(b"=")
        parse = ATTRIBUTES.get(name.upper())
        if not word:
            continue
        if parse is None:
            raise BadParameter(f"there is no attribute {name[:40]!r}")
        if not 0 < len(sent) <= VALUE_MAX:
            raise BadParameter(f"{name.decode()} wants a value of up to {VALUE_MAX} bytes")
        try:
            value = decode(sent)
        except ValueError:
            value = sent
        if _CONTROL.search(value):
            raise BadParameter(f"{name.decode()} with a control character")
        attributes[name.upper()] = None if value.upper() in _NOT_KNOWN else parse(value)
    if not attributes:
        raise BadParameter("no attribute")
    return attributes


def introduced(front: Connection, attributes: Attributes) -> Connection:
    """
    The connection of the client that is spoken for. Pure.

    @param front: the connection of the client that speaks. Of its own only the address
        may hold for the other, and that only when no other is given.
    """
    named = b"ADDR" in attributes
    host = attributes.get(b"NAME", None if named else front.remote_host)
    return Connection(
        remote_ip=attributes[b"ADDR"] if named else front.remote_ip,
        remote_host=host,
        local_ip=attributes.get(b"DESTADDR") or front.local_ip,
        local_host=front.local_host,
        forwarded_by=front.remote_ip,
    )


def is_trusted(receiver: Receiver) -> bool:
    """Whether the client may speak for others. Those that it speaks for may not by that."""
    networks = receiver.session.settings.smtp_server_xclient_networks
    return is_within(receiver.session.connection.remote_ip, networks)


def do_XCLIENT(receiver: Receiver, argument: bytes) -> None:
    """The session ends, and that of the other client begins."""
    if not receiver.session.settings.smtp_server_xclient_networks:
        receiver.do_UNKNOWN(argument)
    elif not is_trusted(receiver):
        receiver.refuse("xclient", reply.XCLIENT_NOT_ALLOWED, argument)
    elif receiver.session.transaction is not None:
        receiver.refuse("xclient", reply.IN_TRANSACTION, argument)
    else:
        try:
            attributes = parse_attributes(argument)
        except BadParameter as error:
            receiver.refuse("xclient", reply.BAD_PARAMETER.because(str(error)), argument)
        else:
            _speak_for(receiver, attributes)


def _speak_for(receiver: Receiver, attributes: Attributes) -> None:
    connection = introduced(receiver.session.connection, attributes)
    objection = receiver.factory.move(receiver, connection.remote_ip)
    if objection is not None:
        receiver.refuse("xclient", objection.by("connections"))
        return
    receiver.vouched = True
    if receiver.encryption is not None:
        # The certificate is that of the client that speaks.
        receiver.encryption = replace(receiver.encryption, client=None)

    def log_in() -> None:
        user = attributes.get(b"LOGIN")
        if user is not None:
            receiver.become(user)

    def greet() -> None:
        name = attributes.get(b"HELO")
        if name is None:
            receiver.greet()
        else:
            receiver.meet(name, attributes.get(b"PROTO") == b"ESMTP", receiver.greet)

    receiver.start_session(connection, log_in, greet)


class XClient(Extension):
    """Only clients that are trusted are told that there is such a thing."""

    keyword = b"XCLIENT"
    commands = {b"XCLIENT": do_XCLIENT}

    def offered(self, receiver: Receiver) -> bool:
        """To those who may use it."""
        return is_trusted(receiver)

    def line(self, receiver: Receiver) -> bytes:
        """With all attributes."""
        return b" ".join([self.keyword, *ATTRIBUTES])


EXTENSION = XClient()
