"""Tests for L{mvmtr.turns}."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.turns import Turns


class Crowd:
    """
    Clients that want work done.

    @ivar begun: client and number of each piece of work that has begun, in this order.
    @ivar works: those that are under way.
    """

    def __init__(self):
        self.turns = Turns()
        self.begun = []
        self.works = {}
        self.answers = {}

    def ask(self, client, number, limit):
        self.answers[client, number] = self.turns.run(
            client, limit, lambda: self.begin(client, number)
        )

    def begin(self, client, number):
        self.begun.append((client, number))
        work = self.works[client, number] = Deferred()
        return work

    def end(self, which=None):
        """Work ends, by default what began first."""
        which = which or next(iter(self.works))
        self.works.pop(which).callback(which)


class TurnsTests(SynchronousTestCase):
    """Who begins when."""

    def setUp(self):
        self.crowd = Crowd()
        self.turns = self.crowd.turns

    def ask(self, clients, limit=1):
        for client in clients:
            number = sum(asked == client for asked, _number in self.crowd.answers)
            self.crowd.ask(client, number, limit)

    @property
    def order(self):
        return "".join(client for client, _number in self.crowd.begun)

    def end_all(self):
        while self.crowd.works:
            self.crowd.end()

    def test_what_fits_begins_at_once_and_the_rest_waits(self):
        self.ask("aaa", limit=2)
        self.assertEqual((self.order, self.turns.running, self.turns.waiting), ("aa", 2, 1))

    def test_the_answer_is_that_of_the_work_whether_it_waited_or_not(self):
        self.ask("ab")
        self.end_all()
        for which in (("a", 0), ("b", 0)):
            self.assertEqual(self.successResultOf(self.crowd.answers[which]), which)
        self.assertEqual((self.turns.running, self.turns.waiting), (0, 0))

    def test_who_asks_for_much_does_not_keep_others_waiting(self):
        self.ask("aaaaaabbc")
        self.end_all()
        self.assertEqual(self.order, "aabcabaaa")

    def test_0_is_no_limit(self):
        self.ask("a" * 1000, limit=0)
        self.assertEqual(self.turns.running, 1000)

    def test_who_has_another_limit_does_not_overtake(self):
        self.ask("ab")
        self.ask("c", limit=0)
        self.assertEqual(self.order, "a")
        self.end_all()
        self.assertEqual(self.order, "abc")

    def test_work_that_cannot_begin_gives_its_place_back(self):
        def fails():
            raise ValueError("no")

        self.assertRaises(ValueError, self.turns.run, "a", 1, fails)
        self.ask("b")
        failing = self.turns.run("a", 1, fails)
        self.ask("c")
        self.crowd.end()
        self.failureResultOf(failing, ValueError)
        self.assertEqual(self.order, "bc")

    def test_what_is_cancelled_while_it_waits_never_begins(self):
        self.ask("abb")
        for number in range(2):
            answer = self.crowd.answers["b", number]
            answer.cancel()
            self.failureResultOf(answer, CancelledError)
        self.assertEqual((self.turns.running, self.turns.waiting), (1, 0))
        self.end_all()
        self.assertEqual(self.order, "a")

    def test_what_is_cancelled_later_on_cancels_the_work(self):
        self.ask("ab")
        self.crowd.end()
        self.crowd.answers["b", 0].cancel()
        self.failureResultOf(self.crowd.answers["b", 0], CancelledError)
        self.assertEqual(self.turns.running, 0)

    def test_thousands_that_end_at_once_are_no_depth(self):
        self.ask("a")
        for _ in range(5000):
            self.turns.run("b", 1, lambda: Deferred.fromCoroutine(nothing()))
        self.crowd.end()
        self.assertEqual((self.turns.running, self.turns.waiting), (0, 0))

    @settings(deadline=None, max_examples=200)
    @given(
        st.integers(1, 4),
        st.lists(st.sampled_from("abcd") | st.integers(0, 3), max_size=60),
    )
    def test_nobody_is_overtaken_more_than_once_by_each_for_each_place_in_line(self, limit, steps):
        crowd = Crowd()
        line = {client: [] for client in "abcd"}
        asked_when = {}
        asked = 0
        for step in steps:
            if isinstance(step, str):
                line[step].append(asked)
                asked_when[step, asked] = len(crowd.begun), len(line[step])
                crowd.ask(step, asked, limit)
                asked += 1
            elif crowd.works:
                crowd.end(list(crowd.works)[step % len(crowd.works)])
            for client, number in crowd.begun:
                if number in line[client]:
                    self.assertEqual(line[client].pop(0), number, "in the order of asking")
            waiting = sum(map(len, line.values()))
            self.assertEqual(
                (crowd.turns.running, crowd.turns.waiting), (len(crowd.works), waiting)
            )
            self.assertLessEqual(crowd.turns.running, limit)
            if waiting:
                self.assertEqual(crowd.turns.running, limit, "no place is left empty")
        while crowd.works:
            crowd.end()
        self.assertEqual(len(crowd.begun), asked)
        for (client, number), (begun, place) in asked_when.items():
            until = crowd.begun.index((client, number))
            before = [other for other, _number in crowd.begun[begun:until]]
            for other in set(before) - {client}:
                self.assertLessEqual(before.count(other), place)


async def nothing():
    """Ends at once."""
