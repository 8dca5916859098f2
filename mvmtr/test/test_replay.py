"""
Conversations that were recorded with qmail-smtpd, each of them replayed over loopback TCP
with the server in this process and a real program in the place of qmail-queue.
"""

from __future__ import annotations

import socket
import time
from dataclasses import asdict
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mvmtr.assemble import Assembly, ConfigurationError
from mvmtr.compat.tcpserver import connection_from_environment
from mvmtr.protocol.delivery import anonymous_portal
from mvmtr.protocol.server import ReceiverFactory
from mvmtr.protocol.smtp import Receiver
from mvmtr.session import Connection
from mvmtr.test import support
from mvmtr.test.differences import DIFFERENCES, MEANING, expected, steps_of
from mvmtr.test.replay import (
    Client,
    Outcome,
    cases,
    control_folder_of,
    environment_of,
    method_name,
    observed,
    recorded,
    recorder_of,
)

CASES = dict(cases())


class Watched(ReceiverFactory):
    """
    A factory for one session.

    @ivar began: fires with the session.
    @ivar read: how many bytes the session has worked on or kept.
    """

    def __init__(self, assembly: Assembly, connection: Connection) -> None:
        super().__init__(assembly.for_connection, anonymous_portal(), lambda _transport: connection)
        self.began: Deferred[Receiver] = Deferred()
        self.read = 0

    def buildProtocol(self, addr: Any) -> Receiver:
        receiver = super().buildProtocol(addr)
        receive = receiver.dataReceived

        def counted(data: bytes) -> None:
            receive(data)
            self.read += len(data)

        receiver.dataReceived = counted
        self.began.callback(receiver)
        return receiver


class Replay(TestCase):
    """What the tests of this module share."""

    maxDiff = None
    timeout = 120

    async def replay(self, case: dict[str, Any], steps: Any, wanted: Outcome) -> None:
        home = support.folder(self).resolve()
        control = control_folder_of(case, home)
        recorder = recorder_of(case, home)
        if wanted.replies[0].startswith("421"):
            self.assertRaises(ConfigurationError, support.assemble, control, queue="qmail")
            return
        connection = connection_from_environment({**environment_of(case), **recorder.environment})
        factory = Watched(support.assemble(control, queue="qmail"), connection)
        server = support.LoopbackServer(factory)
        self.addCleanup(lambda: Deferred.fromCoroutine(server.stop()))
        begin = time.time()
        client = Client(
            socket.create_connection(("127.0.0.1", server.port)), lambda sent: factory.read >= sent
        )
        closed_by = await support.in_thread(client.converse, steps)
        receiver = await factory.began
        await receiver.finished
        outcome = observed(begin, client, closed_by, 0 if receiver.quit else 1, recorder)
        self.assertEqual(asdict(outcome), asdict(wanted))


class ReplayTests(Replay):
    """
    One test for each case. Where mvmtr does something else on purpose, it must do just
    what L{mvmtr.test.differences} says.
    """


def _replayed(name: str, case: dict[str, Any]) -> Any:
    async def test(self: ReplayTests) -> None:
        await self.replay(case, steps_of(name, case), expected(name, case))

    test.__doc__ = case["purpose"]
    return test


for _name, _case in CASES.items():
    setattr(ReplayTests, method_name(_name), _replayed(_name, _case))


class NoQueueProgramTests(Replay):
    """Without a queue program, mail is put off when it has come, not before."""

    async def without(self, what: str) -> None:
        case = {**CASES["queue-exit/rejected"], "qmail_queue_exit": what}
        replies = ["220", "250", "250", "354", "451 unable to exec qq (#4.3.0)", "221"]
        await self.replay(case, case["steps"], Outcome(replies, "server", 0, []))

    async def test_a_program_that_is_not_there(self):
        await self.without("missing")

    async def test_a_program_that_can_not_be_run(self):
        await self.without("not-executable")


class CasesTests(SynchronousTestCase):
    """The cases are all there, and so is what is said about them."""

    def test_no_case_is_missing(self):
        topics = {name.partition("/")[0] for name in CASES}
        self.assertEqual((len(CASES), len(topics)), (288, 17))

    def test_each_case_has_a_test(self):
        tests = [name for name in dir(ReplayTests) if name.startswith("test_")]
        self.assertEqual(len(tests), len(CASES))

    def test_each_difference_is_one_and_has_a_known_number(self):
        for name, difference in DIFFERENCES.items():
            self.assertNotEqual(expected(name, CASES[name]), recorded(CASES[name]), name)
            self.assertLessEqual(set(difference.numbers), set(MEANING), name)
