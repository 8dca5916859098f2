# -*- test-case-name: mvmtr.test.test_journal -*-
"""What a session leaves in the log: a line for it, and one for each refusal and message."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from twisted.logger import Logger, LogLevel

from mvmtr.log import Record
from mvmtr.session import Accept, Session, Verdict

log = Logger()

REFUSALS_MAX = 100
"""Refused commands that get a line of their own; of further ones only the number is told."""

RECIPIENTS_MAX = 50
"""Recipients that are named in the line of a message."""


def refuse_connection(client: bytes | None, verdict: Verdict) -> None:
    """A connection was turned away before it became a session."""
    record = Record(event="refused", client=client or b"unknown", command="connect")
    record.update(_words_of(verdict))
    _log(record)


def _log(record: Record) -> None:
    """What C{log.info} does, but for a look at whether that level exists, which costs more."""
    log.observer(
        {
            "record": record,
            "log_logger": log,
            "log_level": LogLevel.info,
            "log_namespace": log.namespace,
            "log_source": None,
            "log_format": "{record}",
            "log_time": time.time(),
        }
    )


def _words_of(verdict: Verdict) -> dict[str, object]:
    return {
        "verdict": verdict.name,
        "code": verdict.code,
        "text": verdict.text,
        "check": verdict.check or "protocol",
        "reason": verdict.reason or None,
    }


class Follower(Protocol):
    """Somebody who wants to know what becomes of sessions. It must not wait."""

    def refused(
        self, session: Session, command: str, argument: bytes | None, verdict: Verdict
    ) -> None:
        """A command was refused; see L{Journal.refused}."""

    def message(self, session: Session, verdict: Verdict) -> None:
        """A message was received whole, and this came of it."""


class Journal:
    """
    Writes about one session.

    @param followers: others that are told.
    """

    def __init__(self, session: Session, followers: Sequence[Follower] = ()) -> None:
        self._session = session
        self._followers = followers
        self._begin = time.monotonic()
        self._accepted = self._refused_messages = self._refused = 0

    def refused(self, command: str, argument: bytes | None, verdict: Verdict) -> None:
        """A command was refused."""
        self._refused += 1
        if self._refused <= REFUSALS_MAX:
            self._emit("refused", {"command": command, "argument": argument}, verdict)
        for follower in self._followers:
            follower.refused(self._session, command, argument, verdict)

    def message(self, verdict: Verdict) -> None:
        """A message was received whole, and this came of it."""
        if isinstance(verdict, Accept):
            self._accepted += 1
        else:
            self._refused_messages += 1
        transaction = self._session.transaction
        assert transaction is not None
        recipients = transaction.recipients + transaction.discarded
        named = b",".join(recipients[:RECIPIENTS_MAX])
        if len(recipients) > RECIPIENTS_MAX:
            named += b",..."
        self._emit(
            "message",
            {"recipients": len(recipients), "recipient": named, "size": transaction.size},
            verdict,
        )
        for follower in self._followers:
            follower.message(self._session, verdict)

    def ended(self, quit: bool) -> None:
        """The session is over."""
        encryption = self._session.encryption
        self._emit(
            "connection",
            {
                "host": self._session.connection.remote_host,
                "tls": encryption and f"{encryption.protocol} {encryption.cipher}",
                "quit": "yes" if quit else "no",
                "messages": self._accepted,
                "refused_messages": self._refused_messages,
                "refused": self._refused,
                "seconds": f"{time.monotonic() - self._begin:.3f}",
            },
        )

    def _emit(self, event: str, values: dict[str, object], verdict: Verdict | None = None) -> None:
        session = self._session
        record = Record(
            event=event,
            session=session.id,
            client=session.connection.remote_ip or b"unknown",
            via=session.connection.forwarded_by,
            helo=session.helo,
            user=session.user,
        )
        if session.transaction is not None:
            record["sender"] = session.transaction.reverse_path
        record.update(values)
        if verdict is not None:
            record.update(_words_of(verdict))
        _log(record)
