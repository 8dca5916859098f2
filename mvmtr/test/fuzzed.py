"""
The check and the queue of the fuzz tests: they answer by the words of L{mvmtr.test.model}.

A server of its own takes both by name; the queue then puts down what it gets in the folder that
L{FOLDER} in its environment names, see L{noted}.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from mvmtr.interfaces import ICheck, IQueue
from mvmtr.session import Accept, Session, Stage, Verdict
from mvmtr.test import model

FOLDER = "MVMTR_FUZZ_FOLDER"


def soon(late: bool, value: Any) -> Any:
    """The value at once; or, when it is to be late, after the reactor has done other things."""
    if not late:
        return value
    from twisted.internet import reactor

    waiting: Deferred[Any] = Deferred()
    reactor.callLater(0.002, waiting.callback, value)
    return waiting


def text_of(session: Session) -> bytes:
    """The message of a session's transaction."""
    transaction = session.transaction
    transaction.body.seek(0)
    return transaction.body.read()


@implementer(ICheck)
class ByName:
    """
    Answers by the word that it is given, on every stage.

    @param answer: makes an answer of whether it is to be late, and of the value.
    """

    name = "by-name"
    stages = frozenset(Stage)

    def __init__(self, answer: Callable[[bool, Any], Any] = soon) -> None:
        self._answer = answer

    def check(self, session: Session, stage: Stage, argument: bytes) -> Any:
        word = model.word_of
        if stage is Stage.DATA:
            argument, word = session.transaction.reverse_path, model.data_word_of
        elif stage is Stage.MESSAGE:
            argument = text_of(session)
        late = argument.startswith(model.LATE) or stage is Stage.CONNECT
        return self._answer(late, model.ANSWERS.get(word(argument)))


@implementer(IQueue)
class ByText:
    """
    Takes messages, or says what their text tells it to say.

    @param answer: as for L{ByName}.
    @param note: is told of each message that it is asked to take.
    """

    name = "by-text"
    carries = frozenset({"SMTPUTF8", "BINARYMIME", "DSN"})

    def __init__(
        self,
        answer: Callable[[bool, Any], Any] = soon,
        note: Callable[[Session, model.Delivery], None] | None = None,
    ) -> None:
        self._answer = answer
        self._note = note or _put_down

    def put(self, session: Session) -> Any:
        transaction = session.transaction
        text = text_of(session)
        assert len(text) == transaction.size
        assert transaction.header.startswith(b"Received: from ")
        delivery = model.Delivery(transaction.reverse_path, tuple(transaction.recipients), text)
        self._note(session, delivery)
        verdict: Verdict = model.QUEUE_ANSWERS.get(model.word_of(text), Accept())
        return self._put(self._answer(text.startswith(model.LATE), verdict))

    async def _put(self, answer: Any) -> Verdict:
        return await answer if isinstance(answer, Deferred) else answer


def _put_down(session: Session, delivery: model.Delivery) -> None:
    """Add a line to the file of a client."""
    connection = session.connection
    client = os.fsdecode(connection.forwarded_by or connection.remote_ip or b"unknown")
    with open(Path(os.environ[FOLDER]) / client, "a") as file:
        print((delivery.sender, delivery.recipients, delivery.text), file=file)


def noted(folder: Path, client: str) -> list[model.Delivery]:
    """What a queue in another process has been asked to take of a client, in that order."""
    path = folder / client
    lines = path.read_text().splitlines() if path.exists() else []
    return [model.Delivery(*ast.literal_eval(line)) for line in lines]
