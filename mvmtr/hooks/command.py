# -*- test-case-name: mvmtr.test.test_hooks_command -*-
"""
C{mvmtr mfl FILE}: runs a startup file against a message on disk, and shows what it says.

The session is the server's own, as in C{mvmtr explain}, but no other check is asked, and
every recipient that the file leaves alone is taken.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from difflib import unified_diff
from itertools import chain
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import react
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python import usage
from zope.interface import implementer, provider

from mvmtr.assemble import Assembly, ConfigurationError
from mvmtr.configuration import Configuration
from mvmtr.explain import Conversation, WitnessedPolicy, as_text, commands_of
from mvmtr.explain import Options as ExplainOptions
from mvmtr.hooks.message import end_of_header
from mvmtr.hooks.startfile import StartFile
from mvmtr.interfaces import ICheck, IQueue
from mvmtr.log import text_of
from mvmtr.options import file_last
from mvmtr.protocol.data import DataDecoder
from mvmtr.protocol.delivery import anonymous_portal
from mvmtr.protocol.smtp import Receiver
from mvmtr.session import Accept, Connection, Encryption, Session, Stage, Verdict


class Options(ExplainOptions):
    """The options of C{mvmtr mfl}."""

    synopsis = "Usage: mvmtr mfl FILE --ip=ADDRESS [--from=SENDER] [--to=RECIPIENT] [options]"

    def parseArgs(self, *files: str) -> None:
        """The file to run; of the configuration, nothing but what it sets itself."""
        if len(files) != 1:
            raise usage.UsageError("mfl wants one startup file")
        self["start-file"] = files[0]
        self["no-qmail"] = True

    def postOptions(self) -> None:
        """There is text, and no JSON."""
        super().postOptions()
        if self["json"]:
            raise usage.UsageError("mfl prints no JSON")


@implementer(ICheck)
class Anybody:
    """Takes every recipient."""

    name = "mfl command"
    stages = frozenset({Stage.RCPT})

    def check(self, session: Session, stage: Stage, argument: bytes) -> Verdict:
        """See L{ICheck}."""
        return Accept(reason="no hook was against it")


@implementer(IQueue)
class Shelf:
    """
    Keeps the one message that it is given.

    @ivar recipients: those of the message.
    @ivar text: the message as it would be queued, less the Received field; C{None} when it
        was not taken.
    """

    name = "mfl command"
    carries = frozenset({"SMTPUTF8", "BINARYMIME"})

    def __init__(self) -> None:
        self.recipients: list[bytes] = []
        self.text: bytes | None = None

    def put(self, session: Session) -> Deferred[Verdict]:
        """See L{IQueue}."""
        transaction = session.transaction
        assert transaction is not None and transaction.body is not None
        self.recipients = list(transaction.recipients)
        self.text = transaction.body.read()
        return succeed(Accept(text="2.0.0 ok (here the queue would decide)"))


async def run(options: Options, reactor: Any) -> Iterator[str]:
    """
    Play a session, with all hooks of the file.

    @return: the lines to print.
    @raise ConfigurationError: when the file has errors.
    @raise OSError: when the file with the message can't be read.
    """
    commands = commands_of(options)
    shelf = Shelf()
    assembly = Assembly(options.sources(), reactor, shelf)
    hooks = [each for each in assembly.configuration.policy.checks if isinstance(each, StartFile)]
    conversation = Conversation()

    def configure(_connection: Connection) -> Configuration:
        policy = WitnessedPolicy([*hooks, Anybody()], reactor, conversation.note)
        return replace(assembly.configuration, policy=policy)

    receiver = Receiver(configure, anonymous_portal(), lambda _raw: options.connection)
    if options["tls"]:
        receiver.encryption = Encryption("TLS", "unknown")
    with what_is_logged() as lines:
        steps = await conversation.hold(receiver, commands)
    (text,) = (data for shown, data in commands if shown == "message")
    return chain((as_text(steps).rstrip("\n"),), lines, _changes(options["to"], text, shelf))


@contextmanager
def what_is_logged() -> Iterator[list[str]]:
    """What hooks log meanwhile, as lines, and what goes wrong in them."""
    lines: list[str] = []

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        record = event.get("record", {})
        if record.get("event") == "mfl":
            kind = "error" if "error" in record else "log"
            text = record.get("text", record.get("error"))
            lines.append(f"{kind} {record['place']}: {text_of(text)}")

    globalLogPublisher.addObserver(observe)
    try:
        yield lines
    finally:
        globalLogPublisher.removeObserver(observe)


def _changes(recipients: list[str], sent: bytes, shelf: Shelf) -> Iterator[str]:
    """Recipients that were added, and the lines of the header that are not as they were."""
    if shelf.text is None:
        return
    for recipient in shelf.recipients:
        if os.fsdecode(recipient) not in recipients:
            yield f"redirected to {text_of(recipient)}"
    before, after = (
        text[: end_of_header(text)[0]].decode("utf-8", "backslashreplace").splitlines()
        for text in (DataDecoder().feed(sent), shelf.text)
    )
    changes = [*unified_diff(before, after, n=0, lineterm="")][2:]
    yield from (f"header {line}" for line in changes if not line.startswith("@"))


def main(arguments: list[str]) -> None:
    """Run C{mvmtr mfl}; see the module."""
    options = Options()
    options.parseOptions(file_last(arguments))

    async def show(reactor: Any) -> None:
        try:
            for line in await run(options, reactor):
                print(line)
        except (ConfigurationError, OSError) as error:
            print(f"mvmtr: {error}", file=sys.stderr)
            raise SystemExit(1) from None

    react(lambda reactor: Deferred.fromCoroutine(show(reactor)))
