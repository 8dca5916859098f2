"""
Random conversations against the whole protocol, in pieces that break anywhere, with checks
and a queue that answer when they like, and ends that come at any time.

MVMTR_FUZZ_EXAMPLES in the environment says how many of each kind to play.
"""

from __future__ import annotations

import os
import re
from types import SimpleNamespace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.compat.badmailfrom import BadMailFrom
from mvmtr.compat.rcpthosts import RcptHosts
from mvmtr.configuration import Configuration
from mvmtr.policy import Policy
from mvmtr.settings import Settings
from mvmtr.test import model
from mvmtr.test.conversations import conversations, cut, noise
from mvmtr.test.fuzzed import ByName, ByText
from mvmtr.test.support import Talk
from mvmtr.values import networks

EXAMPLES = int(os.environ.get("MVMTR_FUZZ_EXAMPLES", "400"))

MOVES = ("nothing", "nothing", "answer", "answer", "congest", "relieve", "wait")
ENDS = ("half close", "loss", "silence", "stop")

SETTINGS = Settings(
    usehostname=b"mx.example",
    smtp_server_session_timeout=10**9,
    smtp_server_command_max=model.COMMAND_MAX,
    smtp_server_msgsize_max=model.MESSAGE_MAX,
    smtp_server_hops_max=model.HOPS_MAX,
    smtp_server_bodycache=40,
    smtp_server_xclient_networks=networks("203.0.113.7"),
)


class Later:
    """Answers that are given when the test says so."""

    def __init__(self) -> None:
        self._pending: list[tuple[Deferred[Any], Any]] = []

    def answer(self, late: bool, value: Any) -> Any:
        """The value, or a Deferred of it."""
        if not late:
            return value
        waiting: Deferred[Any] = Deferred()
        self._pending.append((waiting, value))
        return waiting

    def give(self) -> bool:
        """Give the oldest answer that is waited for, if there is one."""
        if not self._pending:
            return False
        waiting, value = self._pending.pop(0)
        waiting.callback(value)
        return True


class Game:
    """One conversation."""

    def __init__(self) -> None:
        self.later = Later()
        self.asked: list[model.Delivery] = []
        queue = ByText(self.later.answer, lambda _session, delivery: self.asked.append(delivery))
        checks = (
            ByName(self.later.answer),
            BadMailFrom("badmailfrom", {model.BADMAILFROM: 1}),
            RcptHosts("rcpthosts", dict.fromkeys(model.RCPTHOSTS, 1)),
        )
        configuration = Configuration(SETTINGS, Policy(checks, Clock()), queue)
        self.talk = Talk(SimpleNamespace(for_connection=lambda _connection: configuration))
        self.heard = b""
        self.lost = self.ended = False
        self.talk.receiver.finished.addCallback(self._finished)

    def _finished(self, _none: None) -> None:
        self.ended = True

    @property
    def closed(self) -> bool:
        return self.talk.closed

    @property
    def codes(self) -> list[int]:
        """The codes of all replies so far, of which none may be cut off."""
        self.heard += self.talk.said
        assert self.heard[-2:] in (b"", b"\r\n")
        lines = self.heard.split(b"\r\n")[:-1]
        for line in lines:
            assert re.fullmatch(rb"[2-5]\d\d[ -][ -~]*", line) and len(line) <= 510, line
        return [int(line[:3]) for line in lines if line[3:4] == b" "]

    def move(self, what: str) -> None:
        """Something happens beside the bytes that come."""
        producer = self.talk.transport.producer
        if what == "answer":
            self.later.give()
        elif what == "congest" and producer is not None:
            producer.pauseProducing()
        elif what == "relieve" and producer is not None:
            producer.resumeProducing()
        elif what == "wait":
            self.talk.clock.advance(SETTINGS.smtp_server_timeout - 1)

    def settle(self) -> None:
        """All that was waited for comes."""
        self.move("relieve")
        while self.later.give():
            pass

    def end(self, how: str) -> None:
        """The client goes away or falls silent, or the server stops."""
        if how == "half close":
            self.talk.receiver.readConnectionLost()
        elif how == "loss":
            self.lose()
        elif how == "stop":
            self.talk.receiver.stop()
        self.settle()
        is_silent = how == "silence"
        if how == "stop" and not self.closed:
            # It waits for the rest of a transaction, which does not come.
            assert self.talk.receiver.session.transaction is not None
            is_silent = True
        if is_silent:
            self.talk.clock.advance(SETTINGS.smtp_server_timeout)

    def lose(self) -> None:
        """The connection is gone."""
        self.lost = True
        self.talk.receiver.connectionLost()


class FuzzTests(SynchronousTestCase):
    """Whatever a client sends, and whenever things happen."""

    def play(self, pieces: list[bytes], moves: list[str], how: str, settled: bool) -> None:
        self.flushLoggedErrors()
        expected = model.Model(b"".join(pieces))
        game = Game()
        for place, piece in enumerate(pieces):
            if not game.closed:
                game.talk.receiver.dataReceived(piece)
                game.move(moves[place % len(moves)])
            self.assertEqual(game.codes, expected.codes[: len(game.codes)])
        if settled:
            game.settle()
            self.assertEqual(game.codes, expected.codes)
            self.assertEqual(game.asked, expected.deliveries)
        else:
            game.move("relieve")
        self.finish(game, expected, how)

    def finish(self, game: Game, expected: model.Model, how: str) -> None:
        before = game.codes
        if not game.closed:
            game.end(how)
        self.settled(game, expected, how, before)
        if not game.lost:
            self.assertTrue(game.closed)
            game.lose()
        game.settle()
        self.assertTrue(game.ended)
        self.assertEqual(game.talk.clock.getDelayedCalls(), [])
        self.assertEqual(game.asked, expected.deliveries[: len(game.asked)])
        for delivery in game.asked:
            self.assertTrue(all(map(model.is_ours, delivery.recipients)))
        self.assertEqual(self.flushLoggedErrors(), [])

    def settled(self, game: Game, expected: model.Model, how: str, before: list[int]) -> None:
        """What was said in the end."""
        if how == "loss":
            self.assertEqual(game.codes, before)
        elif how == "half close" or (expected.closed and game.codes == expected.codes):
            self.assertEqual(game.codes, expected.codes)
        elif how == "silence":
            self.assertEqual(game.codes, [*expected.codes, 451])
        else:
            *codes, last = game.codes
            self.assertIn(last, (421, 451))
            wanted = expected.codes if last == 451 else expected.codes[: len(codes)]
            self.assertEqual(codes, wanted)


def _played(sent: Any) -> Any:
    @settings(
        deadline=None,
        max_examples=EXAMPLES,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(
        cut(sent),
        st.lists(st.sampled_from(MOVES), min_size=1, max_size=6),
        st.sampled_from(ENDS),
        st.booleans(),
    )
    def test(
        self: FuzzTests, pieces: list[bytes], moves: list[str], how: str, settled: bool
    ) -> None:
        try:
            self.play(pieces, moves, how, settled)
        except Exception as error:
            # Trial does not show what hypothesis notes on an exception.
            example = f"{pieces=}\n{moves=} {how=} {settled=}"
            raise self.failureException(f"{error}\n{example}") from error

    return test


FuzzTests.test_conversations_go_as_the_model_says = _played(conversations)
FuzzTests.test_noise_goes_as_the_model_says = _played(noise)
