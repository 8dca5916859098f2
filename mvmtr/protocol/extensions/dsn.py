# -*- test-case-name: mvmtr.test.test_dsn -*-
"""RFC 3461: what the sender wants to be told about the delivery of a message."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mvmtr.interfaces import carried_by
from mvmtr.protocol import xtext
from mvmtr.protocol.extensions import Extension
from mvmtr.protocol.parameters import BadParameter

if TYPE_CHECKING:
    from mvmtr.protocol.smtp import Receiver

_WHEN = rb"(?:SUCCESS|FAILURE|DELAY)"
_NOTIFY = re.compile(rb"NEVER|%s(?:,%s){0,2}" % (_WHEN, _WHEN), re.IGNORECASE)
_ADDRESS_TYPE = re.compile(rb"[-!#$%&'*+/=?^_`{|}~0-9A-Za-z]+")
_GRAPHIC = re.compile(rb"[\t -~]*")

ENVELOPE_ID_MAX = 100
RECIPIENT_MAX = 500
"""Longest values of ENVID and ORCPT in bytes (RFC 3461, sections 4.4 and 4.2)."""


def _ret(value: bytes | None) -> None:
    """RFC 3461, section 4.3."""
    if value is None or value.upper() not in (b"FULL", b"HDRS"):
        raise BadParameter("RET is FULL or HDRS")


def _envid(value: bytes | None) -> None:
    """RFC 3461, section 4.4."""
    if not value or len(value) > ENVELOPE_ID_MAX or not _is_graphic(value):
        raise BadParameter("ENVID wants up to 100 characters of xtext")


def _notify(value: bytes | None) -> None:
    """RFC 3461, section 4.1."""
    if value is None or not _NOTIFY.fullmatch(value):
        raise BadParameter("NOTIFY is NEVER, or some of SUCCESS, FAILURE and DELAY")


def _orcpt(value: bytes | None) -> None:
    """RFC 3461, section 4.2; and RFC 6533, section 3, for addresses in UTF-8."""
    kind, _semicolon, address = (value or b"").partition(b";")
    fits = _is_text if kind.lower() == b"utf-8" else _is_graphic
    good = _ADDRESS_TYPE.fullmatch(kind) and address and fits(address)
    if not good or len(value or b"") > RECIPIENT_MAX:
        raise BadParameter("ORCPT wants TYPE;ADDRESS of up to 500 characters, as xtext")


def _is_graphic(value: bytes) -> bool:
    try:
        return _GRAPHIC.fullmatch(xtext.decode(value)) is not None
    except ValueError:
        return False


def _is_text(value: bytes) -> bool:
    try:
        return value.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


class DeliveryStatusNotifications(Extension):
    """The queue finds the parameters in the transaction, as they came."""

    keyword = b"DSN"
    mail = {b"RET": _ret, b"ENVID": _envid}
    rcpt = {b"NOTIFY": _notify, b"ORCPT": _orcpt}

    def offered(self, receiver: Receiver) -> bool:
        """Only a queue can keep the promise."""
        return "DSN" in carried_by(receiver.configuration.queue)


EXTENSION = DeliveryStatusNotifications()
