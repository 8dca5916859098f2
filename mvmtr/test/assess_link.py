"""A stand-in for the way to an assessor: it says what it is told to."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mvmtr.assemble import Assembly, Sources
from mvmtr.assess.hint import DUNNO, hint_of
from mvmtr.assess.link import Link, NoAnswer
from mvmtr.test.support import CLIENT, Talk


class SaidLink(Link):
    """
    @ivar replies: by the point of the session as Postfix calls it, the action, or the whole
        reply, or an exception; C{DUNNO} where there is nothing.
    @ivar asked: the questions.
    @ivar told: the feedback.
    @ivar holding: while it is set, feedback waits.
    """

    def __init__(self, replies=None, is_mvmcas=True):
        super().__init__("tcp:127.0.0.1:1")
        self.replies = replies or {}
        self.asked = []
        self.told = []
        self.holding = None
        self.said_mvmcas = is_mvmcas

    @property
    def is_mvmcas(self):
        return self.said_mvmcas

    async def hint(self, attributes, timeout):
        self.asked.append(attributes)
        self.timeout = timeout
        reply = self.replies.get(attributes[b"protocol_state"].decode(), DUNNO)
        if isinstance(reply, Deferred):
            reply = await reply
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, str):
            reply = {"action": reply}
        if isinstance(reply, dict):
            reply = hint_of({name.encode(): value.encode() for name, value in reply.items()})
        return reply

    async def tell(self, attributes, timeout):
        self.told.append(dict(attributes))
        if self.holding is not None:
            await self.holding

    @property
    def states(self):
        """The points of the session that it was asked at."""
        return [attributes[b"protocol_state"].decode() for attributes in self.asked]

    @property
    def events(self):
        """What it was told, and how often that happened."""
        return [(told[b"mvmcas_event"].decode(), int(told[b"mvmcas_count"])) for told in self.told]


AWAY = NoAnswer("it is away")


def assembly_with(link, control=None, checks=(), clock=None, **overrides):
    """A configuration that asks it; mail for ours.example is taken."""
    overrides.setdefault("smtp_server_rcpt_domains", "ours.example")
    sources = Sources(
        control_dir=None if control is None else str(control),
        queue="discard:",
        checks=checks,
        overrides=overrides,
        assess=link,
    )
    return Assembly(sources, clock or Clock())


def talk_with(link, connection=CLIENT, **options):
    """A session that asks it; its clock is that of all."""
    clock = Clock()
    talk = Talk(assembly_with(link, clock=clock, **options), connection)
    talk.checks_clock = clock
    return talk
