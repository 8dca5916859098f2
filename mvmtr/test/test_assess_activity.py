"""Tests of the table of clients."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assess import activity
from mvmtr.assess.activity import ORDERS, REASON_MAX, Activity
from mvmtr.assess.hint import DUNNO, Hint
from mvmtr.assess.question import Question, State

PUT_OFF = Hint("defer", 450, "", "greylist: x")
REFUSED = Hint("reject", 554, "", "rules: y")


def question(client=b"192.0.2.7", name=b""):
    return Question(State.RCPT, client, client_name=name)


class ActivityTests(SynchronousTestCase):
    """Questions in, a table out."""

    def setUp(self):
        self.activity = Activity()

    def clients(self, order="rate", now=100.0, number=100):
        return [one.client for one in self.activity.first(number, order, now)]

    def test_questions_and_hints_are_counted_for_each_client(self):
        for hint in (DUNNO, PUT_OFF, PUT_OFF, REFUSED):
            self.activity.note(question(), hint, 100.0)
        self.activity.note(question(b"192.0.2.8"), DUNNO, 100.0)
        (one,) = self.activity.first(1, "asked", 100.0)
        self.assertEqual((one.client, one.asked, one.put_off, one.refused), ("192.0.2.7", 4, 2, 1))
        total = self.activity.total
        self.assertEqual((total.asked, total.put_off, total.refused), (5, 2, 1))

    def test_the_last_reason_and_name_are_kept(self):
        self.activity.note(question(name=b"mx.example"), REFUSED, 100.0)
        self.activity.note(question(), DUNNO, 101.0)
        (one,) = self.activity.first(1, "at", 101.0)
        self.assertEqual((one.reason, one.name, one.at), ("rules: y", "mx.example", 101.0))

    def test_a_reason_is_cut(self):
        self.activity.note(question(), Hint(reason="x" * 1000), 1.0)
        (one,) = self.activity.first(1, "at", 1.0)
        self.assertEqual(len(one.reason), REASON_MAX)

    def test_a_network_that_is_one_client_is_one_line(self):
        self.activity.note(question(b"2001:db8::1"), DUNNO, 1.0)
        self.activity.note(question(b"2001:db8::2"), DUNNO, 1.0)
        self.assertEqual(self.clients(), ["2001:db8::/64"])

    def test_a_client_without_an_address_has_a_line(self):
        self.activity.note(question(b""), DUNNO, 1.0)
        self.assertEqual(self.clients(), ["unknown"])

    def test_a_steady_rate_is_told_as_it_is(self):
        for second in range(3600):
            self.activity.note(question(), DUNNO, float(second))
        (one,) = self.activity.first(1, "rate", 3600.0)
        self.assertLess(abs(one.per_minute(3600.0) - 60), 1)
        self.assertLess(one.per_minute(3600.0 + 3600), 0.001)

    def test_a_clock_that_is_set_back_does_no_harm(self):
        self.activity.note(question(), DUNNO, 1e9)
        self.activity.note(question(), DUNNO, 1.0)
        (one,) = self.activity.first(1, "rate", 0.0)
        self.assertLess(one.per_minute(0.0), 10)

    def test_clients_are_sorted_by_what_is_asked_for(self):
        self.activity.note(question(b"192.0.2.1"), REFUSED, 100.0)
        for _time in range(3):
            self.activity.note(question(b"192.0.2.2"), PUT_OFF, 200.0)
        self.activity.note(question(b"192.0.2.3"), DUNNO, 300.0)
        first = {order: self.clients(order, 300.0)[0] for order in ORDERS}
        self.assertEqual(
            first,
            {
                "rate": "192.0.2.3",
                "asked": "192.0.2.2",
                "put_off": "192.0.2.2",
                "refused": "192.0.2.1",
                "at": "192.0.2.3",
            },
        )

    @settings(deadline=None, max_examples=100)
    @given(st.lists(st.integers(0, 20), max_size=60))
    def test_only_so_many_are_kept_and_those_seen_last(self, numbers):
        self.patch(activity, "CLIENTS_MAX", 5)
        self.activity = Activity()
        for now, number in enumerate(numbers):
            self.activity.note(question(b"192.0.2.%d" % number), DUNNO, float(now))
        latest = list(dict.fromkeys(f"192.0.2.{number}" for number in reversed(numbers)))[:5]
        self.assertEqual(self.clients("at"), latest)
        self.assertEqual(len(self.activity), len(latest))
        self.assertEqual(self.activity.total.asked, len(numbers))
