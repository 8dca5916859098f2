"""How much a client may do in a time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assess.question import Question, State
from mvmtr.assess.rates import Rates
from mvmtr.assess.settings import AssessSettings
from mvmtr.test.assess_memory import Memory

CLIENT = b"192.0.2.7"


def memory_of(**controls: int) -> Memory:
    """A memory with rates."""
    return Memory(Rates(AssessSettings(**controls)))


class RatesTests(SynchronousTestCase):
    def test_each_is_counted_at_its_point(self) -> None:
        points = {
            "rate_connections": State.CONNECT,
            "rate_recipients": State.RCPT,
            "rate_messages": State.DATA,
        }
        for name, point in points.items():
            memory = memory_of(**{name: 2})
            for state in State:
                said = [memory.ask(Question(state, CLIENT)) for _ in range(3)]
                self.assertEqual([one is None for one in said], [True, True, state is not point])
                if state is point:
                    what = name.removeprefix("rate_")
                    self.assertEqual((said[2].action, said[2].code), ("defer", 450))
                    self.assertEqual(said[2].reason, f"3 {what} in 60 s")
                    self.assertIn(f"4.7.1 3 {what} in 60 s", said[2].text)

    def test_without_a_limit_nothing_is_remembered(self) -> None:
        memory = memory_of()
        for state in State:
            self.assertIsNone(memory.ask(Question(state, CLIENT)))
        self.assertEqual(memory.records, {})

    def test_a_new_time_is_a_new_count(self) -> None:
        memory = memory_of(rate_connections=1, rate_time=10)
        question = Question(State.CONNECT, CLIENT)
        self.assertIsNone(memory.ask(question))
        memory.now += 9.9
        self.assertIsNotNone(memory.ask(question))
        memory.now += 0.2
        self.assertIsNone(memory.ask(question))

    def test_others_are_not_counted(self) -> None:
        memory = memory_of(rate_connections=1)
        for client in (CLIENT, b"192.0.2.8", b"2001:db8::1", b"2001:db8:0:1::1"):
            self.assertIsNone(memory.ask(Question(State.CONNECT, client)))

    def test_all_addresses_of_one_ipv6_client_are_counted_together(self) -> None:
        memory = memory_of(rate_connections=1)
        self.assertIsNone(memory.ask(Question(State.CONNECT, b"2001:db8::1")))
        self.assertIsNotNone(memory.ask(Question(State.CONNECT, b"2001:db8::2")))

    def test_clients_that_relay_and_that_are_unknown_are_not_counted(self) -> None:
        memory = memory_of(rate_connections=1)
        for question in (Question(State.CONNECT, CLIENT, relay=True), Question(State.CONNECT, b"")):
            for _ in range(3):
                self.assertIsNone(memory.ask(question))
        self.assertEqual(memory.records, {})

    def test_a_clock_that_was_wrong_blocks_nobody_for_long(self) -> None:
        memory = memory_of(rate_connections=1)
        question = Question(State.CONNECT, CLIENT)
        memory.now += 1e7
        memory.ask(question)
        memory.now -= 1e7
        self.assertIsNone(memory.ask(question))

    @settings(deadline=None, max_examples=100)
    @given(
        st.lists(st.floats(0, 30), min_size=1, max_size=60),
        st.integers(1, 5),
        st.integers(1, 20),
    )
    def test_in_each_time_just_the_limit_gets_through(
        self, pauses: list[float], limit: int, time: int
    ) -> None:
        memory = memory_of(rate_recipients=limit, rate_time=time)
        end, count = float("-inf"), 0
        for pause in pauses:
            memory.now += pause
            if memory.now >= end:
                end, count = memory.now + time, 0
            count += 1
            passed = memory.ask(Question(State.RCPT, CLIENT)) is None
            self.assertEqual(passed, count <= limit)
