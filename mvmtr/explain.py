# -*- test-case-name: mvmtr.test.test_explain -*-
"""
C{mvmtr explain}: what would be said to a client, by which check, and why.

There is no network, but all else is the server's own: a session over a transport in memory.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import react
from twisted.python import usage
from zope.interface import implementer

from mvmtr.assemble import Assembly, ConfigurationError, inherited
from mvmtr.auth.portal import portal_for
from mvmtr.compat.controlfile import ControlError
from mvmtr.configuration import Configuration
from mvmtr.interfaces import ICheck, IQueue
from mvmtr.log import text_of
from mvmtr.options import ConfigurationOptions
from mvmtr.policy import Answer, Policy
from mvmtr.protocol.smtp import Receiver
from mvmtr.queue import QueueError, carried
from mvmtr.session import Accept, Connection, Encryption, Session, Stage, Verdict


class Options(ConfigurationOptions):
    """The options of C{mvmtr explain}."""

    synopsis = "Usage: mvmtr explain --ip=ADDRESS --from=SENDER --to=RECIPIENT [options]"

    optFlags = [
        ["json", None, "Print JSON."],
        ["relay", None, "The client has RELAYCLIENT."],
        ["tls", None, "The client uses TLS."],
    ]

    optParameters = [
        ["ip", None, None, "Address of the client."],
        ["host", None, None, "Name of the client."],
        ["user", None, None, "User as whom the client has authenticated."],
        ["info", None, None, "What the client's ident server says (TCPREMOTEINFO)."],
        ["helo", None, None, "Name that the client gives. [default: its host name]"],
        ["from", None, "", "The sender; empty: the null sender. [default: empty]"],
        ["size", None, None, "Announced size of the message in bytes."],
        ["message", None, None, "A file with the message. [default: a short one]"],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["to"] = []

    def opt_to(self, recipient: str) -> None:
        """A recipient; may be repeated."""
        self["to"].append(recipient)

    def postOptions(self) -> None:
        """Look at the options together."""
        super().postOptions()
        if self["ip"] is None:
            raise usage.UsageError("--ip is needed")
        try:
            ip_address(self["ip"])
        except ValueError as error:
            raise usage.UsageError(f"--ip: {error}") from error
        for name in ("helo", "host", "from", "size", "to", "user"):
            if any(end in text for text in (self[name] or "") for end in "\r\n"):
                raise usage.UsageError(f"--{name} holds the end of a line")

    @property
    def connection(self) -> Connection:
        """Who is thought to talk to us."""

        def value(name: str) -> bytes | None:
            return None if self[name] is None else os.fsencode(self[name])

        return Connection(
            remote_ip=value("ip"),
            remote_host=value("host"),
            remote_info=value("info"),
            environment={**inherited(), **({b"RELAYCLIENT": b""} if self["relay"] else {})},
        )


@dataclass
class Asked:
    """A check that was asked, and what it said; C{verdict} is empty for "not mine to say"."""

    stage: str
    check: str
    verdict: str = ""
    code: int = 0
    text: str = ""
    reason: str = ""


@dataclass
class Step:
    """One command: the checks that were asked, and the reply."""

    command: str
    asked: list[Asked] = field(default_factory=list)
    reply: list[str] = field(default_factory=list)


class WitnessedPolicy(Policy):
    """The same checks in the same order, and somebody who takes notes."""

    def __init__(self, checks: Iterable[ICheck], clock: Any, note: Callable[[Asked], None]) -> None:
        super().__init__(checks, clock)
        self._note = note

    def decide(self, session: Session, stage: Stage, argument: bytes = b"") -> Answer:
        """See L{Policy.decide}."""
        session.remark = ""
        session.witness = partial(self._witness, session)
        return super().decide(session, stage, argument)

    def _witness(self, session: Session, check: str, stage: Stage, verdict: Verdict | None) -> None:
        asked = Asked(stage=str(stage), check=check, reason=session.remark)
        session.remark = ""
        if verdict is not None:
            asked.verdict, asked.code, asked.text, asked.reason = (
                verdict.name,
                verdict.code,
                verdict.text,
                verdict.reason,
            )
        self._note(asked)


@implementer(IQueue)
class NoQueue:
    """
    Takes messages to nowhere.

    @param carries: what the queue can carry in whose place it is.
    """

    name = "explain"

    def __init__(self, carries: frozenset[str] = frozenset()) -> None:
        self.carries = carries

    def put(self, session: Session) -> Awaitable[Verdict]:
        """Say what would be done."""
        return succeed(Accept(text="2.0.0 ok (here the queue would decide)"))


class Conversation:
    """
    A transport in memory, and a client that says one command after the other.

    @ivar steps: what came of each.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.closed = False
        self._replied: Deferred[None] = Deferred()

    async def hold(self, receiver: Receiver, commands: list[tuple[str, bytes]]) -> list[Step]:
        """Open a connection and say commands until the server has enough."""
        self.steps.append(Step("connect"))
        receiver.makeConnection(self)
        await self._replied
        for shown, data in commands:
            if self.closed:
                break
            if shown == "message" and not self.steps[-1].reply[-1].startswith("354"):
                continue
            self._replied = Deferred()
            self.steps.append(Step(shown))
            receiver.dataReceived(data)
            await self._replied
        receiver.connectionLost()
        return self.steps

    def note(self, asked: Asked) -> None:
        """A check was asked in the step at hand."""
        self.steps[-1].asked.append(asked)

    def write(self, data: bytes) -> None:
        """The server replies."""
        self.steps[-1].reply += data.decode("ascii", "replace").splitlines()
        if not self._replied.called:
            self._replied.callback(None)

    def getPeer(self) -> None:
        """There is no other end."""

    getHost = getPeer

    def loseConnection(self) -> None:
        """The server closes."""
        self.closed = True

    abortConnection = loseWriteConnection = loseConnection

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """There is no end to this buffer."""

    def unregisterProducer(self) -> None:
        """See L{registerProducer}."""

    def pauseProducing(self) -> None:
        """Nothing comes but what was asked for."""

    def resumeProducing(self) -> None:
        """See L{pauseProducing}."""


def commands_of(options: Options) -> list[tuple[str, bytes]]:
    """
    What the client says, each command as it is shown and as it is sent.

    @raise OSError: when the file with the message can't be read.
    """
    helo = options["helo"] or options["host"] or f"[{options['ip']}]"
    size = "" if options["size"] is None else f" SIZE={options['size']}"
    lines = [f"EHLO {helo}", f"MAIL FROM:<{options['from']}>{size}"]
    lines += [f"RCPT TO:<{recipient}>" for recipient in options["to"]]
    lines.append("DATA")
    return [
        *((line, os.fsencode(line) + b"\r\n") for line in lines),
        ("message", _message(options["message"])),
        ("QUIT", b"QUIT\r\n"),
    ]


def _message(path: str | None) -> bytes:
    text = b"Subject: test\n\ntest\n"
    if path is not None:
        with open(path, "rb") as file:
            text = file.read()
    lines = text.replace(b"\r\n", b"\n").split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    stuffed = (b"." + line if line.startswith(b".") else line for line in lines)
    return b"".join(line + b"\r\n" for line in stuffed) + b".\r\n"


async def explain(options: Options, reactor: Any) -> list[Step]:
    """
    Play a session.

    @raise ConfigurationError: when there is no configuration to explain.
    @raise ControlError: when the rules file is damaged.
    @raise OSError: when the file with the message can't be read.
    """
    sources = options.sources()
    if options.link is not None:
        options.link.is_dry = True
    assembly = Assembly(sources, reactor, NoQueue(carried(sources.queue)))
    conversation = Conversation()

    def configure(connection: Connection) -> Configuration:
        found = assembly.for_connection(connection)
        policy = WitnessedPolicy(found.policy.checks, reactor, conversation.note)
        return replace(found, policy=policy)

    connection = assembly.ruled(options.connection)
    user = None if options["user"] is None else os.fsencode(options["user"])
    portal = portal_for(options["auth"], user)
    receiver = Receiver(configure, portal, lambda _raw: connection)
    if options["tls"]:
        receiver.encryption = Encryption("TLS", "unknown")
    if options.link is None:
        return await conversation.hold(receiver, commands_of(options))
    try:
        await _open(options.link)
        return await conversation.hold(receiver, commands_of(options))
    finally:
        await options.link.close()


async def _open(link: Any) -> None:
    from mvmtr.assess.stores import StoreError

    # What can't be opened shows in the steps.
    with suppress(StoreError):
        await link.open()


def as_text(steps: list[Step]) -> str:
    """Steps for people to read."""
    lines = []
    for step in steps:
        lines.append(step.command)
        for asked in step.asked:
            answer = "no opinion"
            if asked.verdict:
                answer = f"{asked.verdict} {asked.code}"
            why = f" ({asked.reason})" if asked.reason else ""
            lines.append(f"    {asked.check} at {asked.stage}: {answer}{why}")
        lines += [f"  {reply}" for reply in step.reply]
    return "\n".join(text if text.isprintable() else text_of(text) for text in lines) + "\n"


def main(arguments: list[str]) -> None:
    """Run C{mvmtr explain}; see the module."""
    options = Options()
    options.parseOptions(arguments)

    async def run(reactor: Any) -> None:
        try:
            steps = await explain(options, reactor)
        except (ConfigurationError, ControlError, QueueError, OSError) as error:
            print(f"mvmtr: {error}", file=sys.stderr)
            raise SystemExit(1) from None
        if options["json"]:
            print(json.dumps([asdict(step) for step in steps], indent=2))
        else:
            print(as_text(steps), end="")

    react(lambda reactor: Deferred.fromCoroutine(run(reactor)))
