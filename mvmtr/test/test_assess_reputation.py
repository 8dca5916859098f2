"""Points for what clients did, and what comes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assess.question import Event, Feedback, Question, State
from mvmtr.assess.reputation import SHARES, Reputation
from mvmtr.assess.rules import rule, trap_of
from mvmtr.assess.settings import AssessSettings
from mvmtr.test.assess_memory import Memory

CLIENT = b"192.0.2.7"
DAY = 86400
QUESTION = Question(State.RCPT, CLIENT, recipient=b"ann@example.com")


def memory_of(**controls: int) -> Memory:
    """A memory with a reputation."""
    return Memory(Reputation(AssessSettings(**controls)))


def did(event: Event, count: int = 1, **who: Any) -> Feedback:
    """Feedback about one client."""
    return Feedback(event, **{"client": CLIENT, "count": count, **who})


class PointsTests(SynchronousTestCase):
    def test_each_event_has_its_points(self) -> None:
        for event in Event:
            memory = memory_of(points_saved_max=1000, points_max=1000)
            memory.tell(did(event, 10))
            worth = getattr(AssessSettings(), f"points_{event}")
            sign = -1 if event is Event.GOOD_MAIL else 1
            record = memory.records["client 192.0.2.7"]
            self.assertEqual(record.values["points"], sign * worth * 10)

    def test_a_part_goes_to_all_that_is_shared(self) -> None:
        memory = memory_of()
        memory.tell(did(Event.SPAM_TRAP, helo=b"h.example", sender=b"joe@d.example"))
        points = {key: record.values["points"] for key, record in memory.records.items()}
        self.assertEqual(
            points,
            {
                "client 192.0.2.7": 20,
                "network 192.0.2.0/24": 4,
                "helo h.example": 4,
                "domain d.example": 4,
            },
        )

    def test_an_ipv6_client_is_a_network_of_its_own(self) -> None:
        memory = memory_of()
        memory.tell(did(Event.SPAM_TRAP, client=b"2001:db8:1:2::7"))
        self.assertEqual(
            sorted(memory.records), ["client 2001:db8:1:2::/64", "network 2001:db8:1::/48"]
        )

    def test_points_halve_with_time(self) -> None:
        memory = memory_of(reputation_half_life=DAY)
        memory.tell(did(Event.SPAM_TRAP))
        record = memory.records["client 192.0.2.7"]
        for days, points in ((0, 20), (1, 10), (2, 5), (3, 2.5)):
            left = memory.assessor.points(record, memory.now + days * DAY)
            self.assertAlmostEqual(left, points)

    def test_what_is_left_of_nothing_is_forgotten(self) -> None:
        memory = memory_of()
        memory.tell(did(Event.SPAM_TRAP))
        memory.now += 30 * DAY
        self.assertIsNone(memory.ask(QUESTION))
        self.assertEqual(memory.records, {})

    def test_good_mail_makes_good(self) -> None:
        memory = memory_of()
        memory.tell(did(Event.REJECTED_CONTENT))
        memory.tell(did(Event.GOOD_MAIL, 5))
        self.assertEqual(memory.records, {})

    def test_good_mail_saves_up_no_more_than_the_limit(self) -> None:
        memory = memory_of(points_saved_max=10)
        memory.tell(did(Event.GOOD_MAIL, 1000))
        self.assertEqual(memory.records["client 192.0.2.7"].values["points"], -10)
        self.assertEqual(memory.records["network 192.0.2.0/24"].values["points"], -2)

    def test_nobody_has_more_points_than_the_limit(self) -> None:
        memory = memory_of(points_max=100)
        for _ in range(5):
            memory.tell(did(Event.SPAM_TRAP, 1000))
        for record in memory.records.values():
            self.assertLessEqual(record.values["points"], 100)

    def test_of_clients_that_relay_and_that_are_unknown_nothing_is_learned(self) -> None:
        memory = memory_of()
        memory.tell(did(Event.SPAM_TRAP, relay=True, helo=b"h.example"))
        memory.tell(did(Event.SPAM_TRAP, client=b"", helo=b"h.example"))
        self.assertEqual(memory.records, {})

    @settings(deadline=None, max_examples=100)
    @given(
        st.lists(
            st.tuples(st.sampled_from(list(Event)), st.integers(1, 50), st.floats(0, 10 * DAY)),
            max_size=30,
        )
    )
    def test_points_stay_within_their_limits(self, events: list[tuple[Event, int, float]]) -> None:
        memory = memory_of()
        for event, count, pause in events:
            memory.tell(did(event, count, helo=b"h.example", sender=b"joe@d.example"))
            for key, record in memory.records.items():
                share = SHARES[key.partition(" ")[0]]
                points = record.values["points"]
                self.assertTrue(-10 * share <= points <= 100, (key, points))
                self.assertGreater(record.expires, memory.now)
                # It is forgotten when next to nothing is left, and not before.
                left = memory.assessor.points(record, record.expires)
                self.assertAlmostEqual(abs(left), 0.05, 3)
            memory.now += pause

    @settings(deadline=None, max_examples=50)
    @given(st.floats(0, 5 * DAY), st.floats(0, 5 * DAY), st.integers(1, 100))
    def test_it_makes_no_difference_when_points_are_looked_at(
        self, first: float, second: float, count: int
    ) -> None:
        memory = memory_of()
        memory.tell(did(Event.SPAM_TRAP, count))
        record = memory.records["client 192.0.2.7"]
        direct = memory.assessor.points(record, memory.now + first + second)
        memory.now += first
        # Something worth nothing, so that the points are written anew.
        quiet = memory_of(points_protocol_error=0)
        quiet.records, quiet.now = memory.records, memory.now
        quiet.tell(did(Event.PROTOCOL_ERROR))
        again = quiet.records.get("client 192.0.2.7")
        left = quiet.assessor.points(again, quiet.now + second) if again else 0.0
        self.assertLess(abs(left - direct), 0.06)


class HintTests(SynchronousTestCase):
    def ask_with(self, points: int, **controls: int) -> Any:
        memory = memory_of(points_protocol_error=1, reputation_shared_max=0, **controls)
        memory.tell(did(Event.PROTOCOL_ERROR, points))
        return memory.ask(QUESTION)

    def test_thresholds(self) -> None:
        self.assertIsNone(self.ask_with(9))
        for points, action, code, parameters in (
            (10, "dunno", 0, {"tarpit": "5"}),
            (19, "dunno", 0, {"tarpit": "5"}),
            (20, "defer", 450, {}),
            (39, "defer", 450, {}),
            (40, "reject", 554, {}),
            (99, "reject", 554, {}),
        ):
            hint = self.ask_with(points)
            self.assertEqual((hint.action, hint.code, hint.parameters), (action, code, parameters))
            self.assertIn(f"{points} points for what this client did", hint.reason)

    def test_a_threshold_of_none_is_none(self) -> None:
        self.assertEqual(self.ask_with(99, reputation_reject=0).action, "defer")
        self.assertEqual(self.ask_with(99, reputation_reject=0, reputation_defer=0).action, "dunno")
        nothing = {"reputation_reject": 0, "reputation_defer": 0, "reputation_tarpit": 0}
        self.assertIsNone(self.ask_with(99, **nothing))

    def test_the_reason_tells_how_long(self) -> None:
        self.assertEqual(
            self.ask_with(80).reason,
            f"80 points for what this client did, refused for {DAY + 1} s",
        )

    @settings(deadline=None, max_examples=100)
    @given(st.integers(1, 100), st.integers(0, 40), st.integers(0, 50))
    def test_it_is_for_as_long_as_the_reason_tells(self, own: int, others: int, most: int) -> None:
        memory = memory_of(reputation_shared_max=most, points_protocol_error=1)
        memory.tell(did(Event.PROTOCOL_ERROR, own))
        memory.tell(did(Event.SPAM_TRAP, others or 1, client=b"192.0.2.9"))
        hint = memory.ask(QUESTION)
        if hint is None or hint.action == "dunno":
            return
        seconds = int(hint.reason.split()[-2])
        memory.now += max(0, seconds - 30)
        self.assertEqual(memory.ask(QUESTION).action, hint.action)
        memory.now += 60
        later = memory.ask(QUESTION)
        self.assertNotEqual(later and later.action, hint.action)

    def test_every_block_has_an_end(self) -> None:
        memory = memory_of()
        for _ in range(100):
            memory.tell(did(Event.SPAM_TRAP, 1000))
        memory.now += 2.1 * DAY
        self.assertEqual(memory.ask(QUESTION).action, "defer")

    def test_clients_that_relay_are_never_slow(self) -> None:
        memory = memory_of()
        memory.tell(did(Event.SPAM_TRAP, 10))
        self.assertIsNone(memory.ask(replace(QUESTION, relay=True)))


class SharedTests(SynchronousTestCase):
    def test_a_neighbour_is_slowed_down(self) -> None:
        memory = memory_of()
        memory.tell(did(Event.SPAM_TRAP, 3))
        hint = memory.ask(replace(QUESTION, client=b"192.0.2.8"))
        self.assertEqual((hint.action, hint.parameters), ("dunno", {"tarpit": "5"}))

    def test_the_same_name_from_elsewhere_is_slowed_down(self) -> None:
        memory = memory_of()
        memory.tell(did(Event.SPAM_TRAP, 3, helo=b"spam.example"))
        elsewhere = replace(QUESTION, client=b"198.51.100.1", helo=b"spam.example")
        self.assertEqual(memory.ask(elsewhere).parameters, {"tarpit": "5"})

    def test_whoever_lies_about_a_domain_gets_nobody_refused(self) -> None:
        memory = memory_of()
        for number in range(200):
            liar = b"198.51.100.%d" % number
            memory.tell(
                did(Event.SPAM_TRAP, 10, client=liar, helo=b"big.example", sender=b"x@big.example")
            )
        honest = Question(State.MAIL, CLIENT, helo=b"big.example", sender=b"joe@big.example")
        self.assertEqual(memory.ask(honest).action, "dunno")
        memory.assessor = Reputation(AssessSettings(reputation_shared_max=100))
        self.assertEqual(memory.ask(honest).action, "reject")

    def test_shared_points_come_on_top_of_the_clients_own(self) -> None:
        memory = memory_of()
        memory.tell(did(Event.SPAM_TRAP, 3, client=b"192.0.2.8"))
        memory.tell(did(Event.REJECTED_CONTENT, 2))
        self.assertEqual(memory.ask(QUESTION).action, "defer")


class TrapTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.memory = memory_of()
        self.trap = replace(QUESTION, recipient=b"Trap@example.com")
        self.memory.records[trap_of(b"trap@example.com")] = rule("trap", "old address")

    def test_mail_to_a_trap_counts_at_once(self) -> None:
        self.assertIsNone(self.memory.ask(QUESTION))
        hint = self.memory.ask(self.trap)
        self.assertEqual((hint.action, hint.code), ("defer", 450))
        self.assertEqual(self.memory.records["client 192.0.2.7"].values["points"], 20)
        self.assertEqual(self.memory.ask(QUESTION).action, "defer")

    def test_it_counts_each_time(self) -> None:
        self.memory.ask(self.trap)
        self.assertEqual(self.memory.ask(self.trap).action, "reject")

    def test_only_recipients_are_trapped(self) -> None:
        for question in (
            replace(self.trap, state=State.DATA),
            replace(self.trap, relay=True),
            replace(self.trap, client=b""),
            replace(self.trap, recipient=b"xtrap@example.com"),
            replace(QUESTION, sender=b"trap@example.com"),
        ):
            self.assertIsNone(self.memory.ask(question))

    def test_a_trap_has_an_end(self) -> None:
        key = trap_of(b"trap@example.com")
        self.memory.records[key] = rule("trap", "for a day", self.memory.now + DAY)
        self.memory.now += DAY
        self.assertIsNone(self.memory.ask(self.trap))
