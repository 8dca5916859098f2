"""The engine at work on stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mvmtr.assess.engine import Engine
from mvmtr.assess.hint import DUNNO
from mvmtr.assess.question import Event, Feedback, Question, State
from mvmtr.assess.records import Record
from mvmtr.assess.rules import rule, subject_of
from mvmtr.assess.service import SWEEP_EVERY, Assessment
from mvmtr.assess.settings import AssessSettings
from mvmtr.assess.stores import IStore, Step, StoreError, store_from_string
from mvmtr.assess.stores.memory import MemoryStore
from mvmtr.test.assess_stores import Now, get, put
from mvmtr.test.redis_server import RedisServer
from mvmtr.test.support import folder

QUESTION = Question(
    State.RCPT, b"192.0.2.7", sender=b"joe@sender.example", recipient=b"ann@example.com"
)


class Broken:
    """A store that may fail."""

    name = "broken:"

    def __init__(self) -> None:
        self.error: Exception | None = StoreError("broken: no disk")
        self.calls: list[str] = []

    def _do(self, name: str) -> None:
        self.calls.append(name)
        if self.error is not None:
            raise self.error

    async def open(self) -> None:
        """See L{IStore}."""
        self._do("open")

    async def transact(self, keys: Sequence[str], step: Step[Any]) -> Any:
        """See L{IStore}."""
        self._do("transact")
        return step({})[0]

    async def sweep(self) -> int:
        """See L{IStore}."""
        self._do("sweep")
        return 0

    async def close(self) -> None:
        """See L{IStore}."""
        self.calls.append("close")


class ServiceTests(SynchronousTestCase):
    """With a memory, which answers at once."""

    def setUp(self) -> None:
        self.now = Now()
        self.clock = Clock()
        self.store = MemoryStore(self.clock, now=self.now)

    def assessment(self, store: Any = None, more: Any = dict, **controls: Any) -> Assessment:
        engine = Engine(AssessSettings(**controls), more)
        return Assessment(engine, store or self.store, self.clock, self.now)

    def result(self, coroutine: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def test_it_remembers_from_one_question_to_the_next(self) -> None:
        assessment = self.assessment(greylist=True)
        self.assertEqual(self.result(assessment.ask(QUESTION)).action, "defer_if_permit")
        self.now.time += 301
        self.assertIs(self.result(assessment.ask(QUESTION)), DUNNO)
        self.assertEqual(assessment.answered, 2)

    def test_it_learns_from_feedback(self) -> None:
        assessment = self.assessment(reputation=True)
        self.result(assessment.tell(Feedback(Event.SPAM_TRAP, b"192.0.2.7", count=4)))
        self.assertEqual(self.result(assessment.ask(QUESTION)).action, "reject")

    def test_feedback_that_nobody_wants_asks_no_store(self) -> None:
        store = Broken()
        self.result(self.assessment(store).tell(Feedback(Event.SPAM_TRAP, b"192.0.2.7")))
        self.assertEqual(store.calls, [])

    def test_rules_from_elsewhere_hold(self) -> None:
        more = {subject_of("192.0.2.7", "block"): rule("block", "in a file")}
        assessment = self.assessment(more=lambda: more)
        self.assertEqual(self.result(assessment.ask(QUESTION)).action, "reject")
        more.clear()
        self.assertIs(self.result(assessment.ask(QUESTION)), DUNNO)

    def test_watchers_see_each_question_and_its_hint(self) -> None:
        seen: list[Any] = []
        assessment = self.assessment(greylist=True)
        assessment.watchers.append(lambda *what: seen.append(what))
        hint = self.result(assessment.ask(QUESTION))
        self.assertEqual(seen, [(QUESTION, hint, self.now.time)])

    def test_a_question_for_show_leaves_no_trace(self) -> None:
        seen: list[Any] = []
        assessment = self.assessment(greylist=True, rate_recipients=1)
        assessment.watchers.append(lambda *what: seen.append(what))
        for _ in range(3):
            hint = self.result(assessment.ask(replace(QUESTION, dry=True)))
            self.assertEqual(hint.reason, "greylist: greylisted for 300 s, not seen before")
        self.assertEqual(self.result(self.store.count()), 0)
        self.assertEqual((seen, assessment.answered), ([], 0))

    def test_times_are_no_finer_than_milliseconds(self) -> None:
        self.now.time = 1_800_000_000.123456789
        self.assertEqual(self.assessment().now(), 1_800_000_000.123)

    def test_what_the_store_fails_with_comes_back(self) -> None:
        store = Broken()
        assessment = self.assessment(store, reputation=True)
        for doing in (
            assessment.open(),
            assessment.ask(QUESTION),
            assessment.tell(Feedback(Event.GOOD_MAIL, b"192.0.2.7")),
        ):
            self.failureResultOf(Deferred.fromCoroutine(doing), StoreError)
        self.assertEqual(assessment.answered, 0)

    def test_what_is_over_goes_by_itself(self) -> None:
        assessment = self.assessment()
        assessment.startService()
        self.result(put(self.store, {"a": Record({}, self.now.time + 30), "b": Record({})}))
        self.now.time += SWEEP_EVERY
        self.clock.pump([SWEEP_EVERY, 0.1, 0.1])
        self.assertEqual(self.result(self.store.count()), 1)
        self.successResultOf(assessment.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_store_that_fails_is_tried_again(self) -> None:
        store = Broken()
        assessment = self.assessment(store)
        assessment.startService()
        self.clock.advance(SWEEP_EVERY)
        self.assertEqual(store.calls, ["open", "open"])
        store.error = ZeroDivisionError("a defect")
        self.clock.advance(SWEEP_EVERY)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        store.error = None
        self.clock.advance(SWEEP_EVERY)
        self.clock.advance(SWEEP_EVERY)
        self.assertEqual(store.calls, ["open"] * 4 + ["sweep"] * 2)
        self.successResultOf(assessment.stopService())
        self.assertEqual(store.calls[-1], "close")

    def test_it_is_opened_once(self) -> None:
        store = Broken()
        store.error = None
        assessment = self.assessment(store)
        self.result(assessment.open())
        assessment.startService()
        self.assertEqual(store.calls, ["open", "sweep"])
        self.successResultOf(assessment.stopService())


class StoresTests(TestCase):
    """With each real store, and several engines in front of one Redis."""

    def assessment(self, store: IStore, **controls: Any) -> Assessment:
        assessment = Assessment(Engine(AssessSettings(**controls)), store, reactor)
        self.addCleanup(assessment.stopService)
        return assessment

    def stores(self) -> list[str]:
        home = folder(self)
        server = RedisServer(home)
        self.addCleanup(server.end)
        return ["memory:", f"sqlite:{home}/test.db", f"redis:{server.place}"]

    async def test_all_stores_give_the_same_hints(self) -> None:
        said = []
        for description in self.stores():
            store = store_from_string(description, reactor)
            assessment = self.assessment(store, greylist=True, reputation=True, rate_recipients=3)
            await assessment.open()
            hints = [(await assessment.ask(QUESTION)).action]
            await assessment.tell(Feedback(Event.SPAM_TRAP, b"192.0.2.7", count=3))
            for client in (b"192.0.2.7", b"192.0.2.8", b"192.0.2.7", b"192.0.2.7"):
                hint = await assessment.ask(replace(QUESTION, client=client))
                hints.append((hint.action, hint.code, hint.parameters, hint.reason[:30]))
            said.append(hints)
        self.assertEqual(said[0], said[1])
        self.assertEqual(said[0], said[2])
        self.assertEqual(len({repr(hint) for hint in said[0]}), 4)

    async def test_what_is_told_at_the_same_time_all_counts(self) -> None:
        for description in self.stores():
            many = 4 if description.startswith("redis") else 1
            several = [
                self.assessment(store, reputation=True, points_max=1000, points_protocol_error=1)
                for store in (store_from_string(description, reactor) for _ in range(many))
            ]
            for one in several:
                await one.open()
            feedback = Feedback(Event.PROTOCOL_ERROR, b"192.0.2.7", helo=b"h", sender=b"a@b.c")
            telling = [
                Deferred.fromCoroutine(several[number % many].tell(feedback))
                for number in range(100)
            ]
            await gatherResults(telling)
            keys = ("client 192.0.2.7", "helo h", "domain b.c")
            found = await get(several[0].store, *keys)
            points = [round(found[key].values["points"]) for key in keys]
            self.assertEqual(points, [100, 20, 20], description)

    async def test_an_ordinary_limit_holds_for_all_receivers_together(self) -> None:
        place = self.stores()[2]
        several = [
            self.assessment(store_from_string(place, reactor), rate_connections=10, rate_time=600)
            for _ in range(3)
        ]
        for one in several:
            await one.open()
        question = Question(State.CONNECT, b"192.0.2.7")
        asking = [Deferred.fromCoroutine(several[n % 3].ask(question)) for n in range(30)]
        hints = await gatherResults(asking)
        self.assertEqual([hint.action for hint in hints].count("dunno"), 10)
