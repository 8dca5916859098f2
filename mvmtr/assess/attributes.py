# -*- test-case-name: mvmtr.test.test_assess_attributes -*-
"""What is told about a session in questions and feedback. Pure."""

from __future__ import annotations

from mvmtr.assess.question import Event, State
from mvmtr.assess.wire import Attributes
from mvmtr.session import Session, Stage

STATES = {
    Stage.CONNECT: State.CONNECT,
    Stage.HELO: State.HELO,
    Stage.MAIL: State.MAIL,
    Stage.RCPT: State.RCPT,
    Stage.DATA: State.DATA,
    Stage.MESSAGE: State.MESSAGE,
}

VALUE_MAX = 1024
"""Bytes of a value; clients may give very long names for themselves."""


def _who(session: Session, name: bytes) -> Attributes:
    connection = session.connection
    return {
        b"client_address": connection.remote_ip or b"unknown",
        b"client_name": name or b"unknown",
        b"helo_name": session.helo or b"",
        b"sasl_username": session.user or b"",
        b"mvmcas_version": b"1",
        b"mvmcas_relay": b"yes" if session.relay else b"no",
    }


def _bounded(attributes: Attributes) -> Attributes:
    return {name: value[:VALUE_MAX] for name, value in attributes.items()}


def question_about(
    session: Session, stage: Stage, argument: bytes, name: bytes, instance: bytes
) -> Attributes:
    """
    A question as Postfix would ask it (SMTPD_POLICY_README), and what mvmcas wants besides.

    @param argument: see L{ICheck.check<mvmtr.interfaces.ICheck.check>}.
    @param name: of the client, if it is confirmed.
    @param instance: the same for all questions about one message, and for no others.
    """
    connection, transaction = session.connection, session.transaction
    attributes = {
        b"request": b"smtpd_access_policy",
        b"protocol_state": STATES[stage].encode(),
        b"protocol_name": b"ESMTP" if session.esmtp else b"SMTP",
        **_who(session, name),
        b"reverse_client_name": connection.remote_host or b"unknown",
        b"sender": b"",
        b"recipient": b"",
        b"recipient_count": b"0",
        b"size": b"0",
        b"instance": instance,
        b"server_address": connection.local_ip or b"unknown",
    }
    if stage is Stage.HELO:
        attributes[b"helo_name"] = argument
    if transaction is not None and stage not in (Stage.CONNECT, Stage.HELO):
        recipients = transaction.recipients
        attributes[b"sender"] = transaction.reverse_path
        attributes[b"size"] = transaction.parameters.get(b"SIZE") or b"0"
        if stage is Stage.RCPT:
            attributes[b"recipient"] = argument
        elif stage is not Stage.MAIL:
            attributes[b"recipient_count"] = b"%d" % len(recipients)
            attributes[b"recipient"] = recipients[0] if len(recipients) == 1 else b""
        if stage is Stage.MESSAGE:
            attributes[b"size"] = b"%d" % transaction.size
    if session.encryption is not None:
        attributes[b"encryption_protocol"] = session.encryption.protocol.encode()
        attributes[b"encryption_cipher"] = session.encryption.cipher.encode()
        attributes[b"ccert_subject"] = session.encryption.client or b""
    return _bounded(attributes)


def feedback_about(session: Session, event: Event, recipient: bytes, name: bytes) -> Attributes:
    """What a client did; the attribute C{mvmcas_count} is yet to come."""
    sender = b"" if session.transaction is None else session.transaction.reverse_path
    return _bounded(
        {
            b"request": b"mvmcas_feedback",
            b"mvmcas_event": event.encode(),
            **_who(session, name),
            b"sender": sender,
            b"recipient": recipient,
        }
    )
