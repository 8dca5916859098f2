"""What tests of sessions share: a check and a queue that say what they are told to."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from mvmtr.interfaces import ICheck, IQueue
from mvmtr.session import Accept, Stage
from mvmtr.test.support import Talk, assemble

MAIL = b"MAIL FROM:<s@client.example>"
RCPT = b"RCPT TO:<r@mvmtr.example>"
TEXT = b"Subject: x\r\n\r\nhello\r\n.\r\n"


@implementer(ICheck)
class Says:
    """A check that answers what it was told to say at each stage, and notes what it was asked."""

    def __init__(self, name="own", **answers):
        self.name = name
        self.answers = {Stage(stage): answer for stage, answer in answers.items()}
        self.stages = frozenset(self.answers)
        self.asked = []

    def check(self, session, stage, argument):
        self.asked.append((stage, argument))
        answer = self.answers[stage]
        return answer() if callable(answer) else answer


@implementer(IQueue)
class Takes:
    """
    A queue that notes what it gets, and answers what it was told to.

    @param carries: what it says that it can carry.
    """

    name = "takes:"

    def __init__(self, answer=None, carries=()):
        self.carries = frozenset(carries)
        self.messages = []
        self._answer = answer

    def put(self, session):
        transaction = session.transaction
        self.messages.append((tuple(transaction.recipients), transaction.body.read()))
        if self._answer is None:
            return succeed(Accept(text="2.0.0 taken"))
        return self._answer() if callable(self._answer) else self._answer


def talk_with(*checks, queue=None, control=None, **overrides):
    """A session with these checks in front, whose recipients in mvmtr.example are accepted."""
    overrides.setdefault("smtp_server_rcpt_domains", "mvmtr.example")
    assembly = assemble(control, checks=checks, clock=Clock(), **overrides)
    assembly.configuration = replace(assembly.configuration, queue=queue or Takes())
    return Talk(assembly)


def conversation(talk):
    """The reply codes to a message, sent as far as the server lets it come."""
    codes = talk.codes
    for line in (b"EHLO client.example", MAIL, RCPT, b"DATA"):
        if talk.closed:
            return codes
        codes += talk.send(line)
    return codes + talk.feed(TEXT) if codes[-1] == 354 else codes
