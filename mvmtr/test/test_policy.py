"""Tests for L{mvmtr.policy}."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from mvmtr.interfaces import ICheck
from mvmtr.policy import Policy
from mvmtr.session import Accept, Connection, Defer, Reject, Session, Stage
from mvmtr.settings import Settings


@implementer(ICheck)
class Fixed:
    """Answers the same whenever it is asked, and counts."""

    def __init__(self, name, answer, stages=(Stage.MAIL, Stage.RCPT)):
        self.name = name
        self.stages = frozenset(stages)
        self.answer = answer
        self.asked = 0

    def check(self, session, stage, argument):
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class PolicyTests(SynchronousTestCase):
    """The first verdict wins, however it comes."""

    def setUp(self):
        self.clock = Clock()
        self.session = Session(Connection(), Settings())
        self.seen = []
        self.session.witness = lambda *what: self.seen.append(what)

    def decide(self, *checks, stage=Stage.RCPT):
        return Policy(checks, self.clock).decide(self.session, stage, b"r@x.example")

    def test_the_first_verdict_keeps_later_checks_from_being_asked(self):
        last = Fixed("last", Reject())
        verdict = self.decide(Fixed("none", None), Fixed("yes", Accept()), last)
        self.assertEqual((verdict.name, verdict.check), ("accept", "yes"))
        self.assertEqual(last.asked, 0)

    def test_only_checks_of_the_stage_are_asked(self):
        other = Fixed("helo", Reject(), {Stage.HELO})
        self.assertIsNone(self.decide(other))
        self.assertEqual(other.asked, 0)

    def test_nobody_deciding_is_no_verdict(self):
        self.assertIsNone(self.decide(Fixed("a", None), Fixed("b", None)))

    def test_a_check_that_waits_holds_up_those_behind_it(self):
        waiting: Deferred = Deferred()
        behind = Fixed("behind", Reject(550))
        answer = self.decide(Fixed("waiting", waiting), behind)
        self.assertEqual(behind.asked, 0)
        waiting.callback(None)
        self.assertEqual(self.successResultOf(answer).check, "behind")

    def test_a_coroutine_is_a_check_as_well(self):
        async def answer():
            return Accept(reason="awaited")

        verdict = self.successResultOf(self.decide(Fixed("async", answer())))
        self.assertEqual((verdict.check, verdict.reason), ("async", "awaited"))

    def test_a_check_that_raises_is_a_451_and_no_yes(self):
        verdict = self.decide(Fixed("broken", RuntimeError("boom")), Fixed("yes", Accept()))
        self.assertEqual((type(verdict), verdict.code, verdict.check), (Defer, 451, "broken"))
        self.assertIn("boom", verdict.reason)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_a_check_that_fails_later_is_a_451_and_no_yes(self):
        waiting: Deferred = Deferred()
        answer = self.decide(Fixed("broken", waiting), Fixed("yes", Accept()))
        waiting.errback(RuntimeError("boom"))
        self.assertEqual(self.successResultOf(answer).code, 451)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_a_check_that_takes_too_long_is_a_451(self):
        answer = self.decide(Fixed("slow", Deferred()), Fixed("yes", Accept()))
        self.clock.advance(self.session.settings.smtp_server_check_timeout)
        verdict = self.successResultOf(answer)
        self.assertEqual((verdict.code, verdict.check), (451, "slow"))
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_an_answer_that_is_no_verdict_is_a_451(self):
        for wrong in (True, "250 ok", b"ok"):
            self.assertEqual(self.decide(Fixed("wrong", wrong)).code, 451)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 3)

    def test_a_witness_sees_every_check_that_is_asked(self):
        self.decide(Fixed("a", None), Fixed("b", Reject()), Fixed("c", Accept()))
        self.assertEqual(
            [(name, stage) for name, stage, _v in self.seen], [("a", Stage.RCPT), ("b", Stage.RCPT)]
        )
        self.assertEqual(self.seen[1][2].check, "b")
