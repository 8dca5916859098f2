"""Mail of unknown origin is put off once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assess.domains import registered_domain
from mvmtr.assess.greylist import Greylist, folded, names_address
from mvmtr.assess.question import Question, State
from mvmtr.assess.settings import AssessSettings
from mvmtr.test.assess_memory import Memory

QUESTION = Question(
    State.RCPT, b"192.0.2.7", sender=b"joe@sender.example", recipient=b"ann@example.com"
)


def memory_of(**controls: Any) -> Memory:
    """A memory with a greylist."""
    return Memory(Greylist(AssessSettings(**controls)))


class GreylistTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.memory = memory_of(greylist_auto=0)

    def is_put_off(self, **changes: Any) -> bool:
        return self.memory.ask(replace(QUESTION, **changes)) is not None

    def make_known(self, **changes: Any) -> None:
        self.assertTrue(self.is_put_off(**changes))
        self.memory.now += 300
        self.assertFalse(self.is_put_off(**changes))

    def test_the_first_try_is_put_off(self) -> None:
        hint = self.memory.ask(QUESTION)
        self.assertEqual((hint.action, hint.code), ("defer_if_permit", 450))
        self.assertEqual(hint.reason, "greylisted for 300 s, not seen before")
        self.assertEqual(hint.text, "4.7.1 greylisted for 300 s, not seen before, try again later")

    def test_a_try_too_early_is_put_off(self) -> None:
        self.memory.ask(QUESTION)
        self.memory.now += 12
        self.assertEqual(self.memory.ask(QUESTION).reason, "greylisted for 300 s, seen 12 s ago")
        self.memory.now += 287.9
        self.assertTrue(self.is_put_off())

    def test_tries_too_early_prolong_nothing(self) -> None:
        for _ in range(30):
            self.assertTrue(self.is_put_off())
            self.memory.now += 10
        self.assertFalse(self.is_put_off())

    def test_a_later_try_is_taken_and_so_are_all_after_it(self) -> None:
        self.make_known()
        for pause in (0, 1, 86400, 3023999):
            self.memory.now += pause
            self.assertFalse(self.is_put_off())

    def test_a_try_too_late_is_a_first_one(self) -> None:
        self.memory.ask(QUESTION)
        self.memory.now += 172800
        self.assertTrue(self.is_put_off())

    def test_one_that_was_not_seen_for_long_is_forgotten(self) -> None:
        self.make_known()
        self.memory.now += 3024000 * 1.1
        self.assertTrue(self.is_put_off())

    def test_each_sender_and_each_recipient_counts_by_itself(self) -> None:
        self.make_known()
        self.assertTrue(self.is_put_off(sender=b"x@sender.example"))
        self.assertTrue(self.is_put_off(recipient=b"x@example.com"))
        self.assertTrue(self.is_put_off(client=b"192.0.3.7"))

    def test_addresses_are_the_same_in_any_case(self) -> None:
        self.make_known()
        self.assertFalse(
            self.is_put_off(sender=b"Joe@Sender.Example", recipient=b"ANN@example.com")
        )

    def test_the_null_sender_is_one_too(self) -> None:
        self.make_known(sender=b"")

    def test_it_is_asked_for_recipients_only(self) -> None:
        for state in State:
            if state is not State.RCPT:
                self.assertFalse(self.is_put_off(state=state))
        self.assertFalse(self.is_put_off(recipient=b""))
        self.assertEqual(self.memory.records, {})

    def test_clients_that_relay_and_that_are_unknown_are_not_put_off(self) -> None:
        self.assertFalse(self.is_put_off(relay=True))
        self.assertFalse(self.is_put_off(client=b""))

    def test_recipients_that_are_spared_are_not_put_off(self) -> None:
        self.assertFalse(self.is_put_off(recipient=b"Postmaster@example.com"))
        self.assertFalse(self.is_put_off(recipient=b"abuse@example.com"))
        self.memory = memory_of(greylist_spared=(b"ann",))
        self.assertTrue(self.is_put_off(recipient=b"postmaster@example.com"))
        self.assertFalse(self.is_put_off())

    def test_a_clock_that_was_set_back_puts_nobody_off_for_long(self) -> None:
        self.memory.now += 1e7
        self.memory.ask(QUESTION)
        self.memory.now -= 1e7
        self.make_known()

    def test_what_is_known_is_not_written_each_time(self) -> None:
        self.make_known()
        before = dict(self.memory.records)
        self.memory.now += 86400
        self.assertFalse(self.is_put_off())
        self.assertEqual(self.memory.records, before)
        self.memory.now += 6 * 86400
        self.assertFalse(self.is_put_off())
        self.assertNotEqual(self.memory.records, before)


class OriginTests(SynchronousTestCase):
    def origin(self, controls: dict[str, Any] | None = None, **changes: Any) -> bytes:
        greylist = Greylist(AssessSettings(**(controls or {})))
        return greylist.origin(replace(QUESTION, **changes))

    def test_a_client_is_known_by_its_network(self) -> None:
        self.assertEqual(self.origin(), b"192.0.2.0/24")
        self.assertEqual(self.origin(client=b"2001:db8:1:2:3::4"), b"2001:db8:1:2::/64")
        bits = {"greylist_network4": 32, "greylist_network6": 48}
        self.assertEqual(self.origin(bits), b"192.0.2.7")
        self.assertEqual(self.origin(bits, client=b"2001:db8:1:2:3::4"), b"2001:db8:1::/48")

    def test_or_by_the_domain_of_its_confirmed_name(self) -> None:
        for name, domain in (
            (b"mail-ej1-f41.google.com", b"google.com"),
            (b"mail-dm6nam12on2045.outbound.protection.outlook.com", b"outlook.com"),
            (b"mx1.example.co.uk", b"example.co.uk"),
            (b"example.co.uk", b"example.co.uk"),
            (b"a8-7.smtp-out.amazonses.com", b"amazonses.com"),
        ):
            self.assertEqual(self.origin(client_name=name), domain)

    def test_or_by_the_domain_that_spf_confirms(self) -> None:
        origin = self.origin(client_name=b"mx.pool.example", spf_domain=b"sender.example")
        self.assertEqual(origin, b"sender.example")

    def test_a_name_that_nobody_registered_says_nothing(self) -> None:
        for name in (b"localhost", b"co.uk", b"", b"\xff.example"):
            self.assertEqual(self.origin(client_name=name), b"192.0.2.0/24")

    def test_a_name_made_of_the_address_stands_for_that_address_only(self) -> None:
        for name in (
            *(
                b"192-0-2-7.dsl.isp.example",
                b"7.2.0.192.dyn.isp.example",
                b"host-0-2-7.isp.example",
            ),
            *(b"p192.0.2.7.isp.example", b"c0000207.isp.example", b"ip192000002007.isp.example"),
            *(b"7-2-0.pool.isp.example", b"192-000-002-007.isp.example"),
        ):
            self.assertTrue(names_address(name, b"192.0.2.7"), name)
            self.assertEqual(self.origin(client_name=name), b"192.0.2.7")

    def test_other_numbers_in_a_name_mean_nothing(self) -> None:
        for name in (b"mx7.example", b"mail2-7.example", b"a0-2.mx8.example", b"192.example", b""):
            self.assertFalse(names_address(name, b"192.0.2.7"), name)
        self.assertFalse(names_address(b"192-0-2-7.example", b"2001:db8::1"))

    def test_domains_can_be_left_out(self) -> None:
        controls = {"greylist_domains": False}
        for changes in ({"client_name": b"mx.example.org"}, {"spf_domain": b"example.org"}):
            self.assertEqual(self.origin(controls, **changes), b"192.0.2.0/24")

    def test_a_pool_comes_back_from_anywhere(self) -> None:
        memory = memory_of(greylist_auto=0)
        names = {b"198.51.100.1": b"out1.pool.example", b"203.0.113.9": b"out2.pool.example"}
        first, second = (replace(QUESTION, client=c, client_name=n) for c, n in names.items())
        self.assertIsNotNone(memory.ask(first))
        memory.now += 301
        self.assertIsNone(memory.ask(second))

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=60) | st.text("ab.-0123456789", max_size=60).map(str.encode))
    def test_any_name_has_a_domain_or_none(self, name: bytes) -> None:
        domain = registered_domain(name)
        self.assertTrue(name.lower().strip(b".").endswith(domain))


class AutoTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.memory = memory_of(greylist_auto=3)
        self.number = 0

    def come_back(self) -> bool:
        """A new sender twice; whether it was put off."""
        self.number += 1
        sender = b"%s@sender.example" % b"abcdefgh"[self.number : self.number + 1]
        first = self.memory.ask(replace(QUESTION, sender=sender))
        self.memory.now += 300
        self.assertIsNone(self.memory.ask(replace(QUESTION, sender=sender)))
        return first is not None

    def test_one_that_came_back_often_is_not_put_off_any_more(self) -> None:
        put_off = []
        for _ in range(5):
            put_off.append(self.come_back())
            self.memory.now += 3600
        self.assertEqual(put_off, [True, True, True, False, False])

    def test_coming_back_with_many_at_once_counts_once(self) -> None:
        questions = [replace(QUESTION, recipient=b"u%d@example.com" % n) for n in range(20)]
        for question in questions:
            self.assertIsNotNone(self.memory.ask(question))
        self.memory.now += 300
        for question in questions:
            self.assertIsNone(self.memory.ask(question))
        self.assertTrue(self.come_back())
        self.assertEqual(self.memory.records["known 192.0.2.0/24"].values["times"], 1)

    def test_one_that_stays_away_is_forgotten(self) -> None:
        for _ in range(3):
            self.come_back()
            self.memory.now += 3600
        self.memory.now += 3024000 * 1.1
        self.assertTrue(self.come_back())

    def test_none_is_never(self) -> None:
        self.memory = memory_of(greylist_auto=0)
        for _ in range(6):
            self.assertTrue(self.come_back())
            self.memory.now += 3600


class FoldingTests(SynchronousTestCase):
    def test_what_changes_from_message_to_message_is_left_out(self) -> None:
        for one, other in (
            (b"list-return-123-ann=example.com@l.example", b"list-return-99-ann=x.org@l.example"),
            (b"bounces+ann=example.com@l.example", b"bounces+bob=example.org@l.example"),
            (b"b.0123456789abcdef.x@l.example", b"b.fedcba98765.x@l.example"),
            (b"msprvs1=18612abc@l.example", b"msprvs1=18613def@l.example"),
            (b"prvs=1234567890=joe@l.example", b"prvs=0987654321=joe@l.example"),
            (b"SRS0=abcd=EF=d.example=joe@f.example", b"srs0=efgh=EG=d.example=ann@f.example"),
            (b"Joe@L.example", b"joe@l.EXAMPLE"),
        ):
            self.assertEqual(folded(one), folded(other))

    def test_what_does_not_change_stays(self) -> None:
        for sender in (b"joe@l.example", b"deadbeefs@l.example", b"", b"mail@1.example"):
            self.assertEqual(folded(sender), sender)
        self.assertNotEqual(folded(b"joe@l.example"), folded(b"ann@l.example"))

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=80))
    def test_folding_again_changes_nothing(self, sender: bytes) -> None:
        self.assertEqual(folded(folded(sender)), folded(sender))


class Machine(RuleBasedStateMachine):
    """Any tries at any times, against what the manual says."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = memory_of(
            greylist_delay=10, greylist_window=100, greylist_keep=1000, greylist_auto=0
        )
        self.first: dict[bytes, float] = {}
        self.seen: dict[bytes, float] = {}

    @rule(seconds=st.sampled_from((0, 1, 5, 9, 10, 50, 99, 100, 500, 999, 1100)))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.memory.now += seconds

    @rule(sender=st.sampled_from((b"a@s.example", b"b@s.example")))
    def try_once(self, sender: bytes) -> None:
        """A client tries."""
        now = self.memory.now
        known = sender in self.seen and now < self.seen[sender] + 1000
        forgotten = sender in self.seen and now >= self.seen[sender] + 1100
        if forgotten:
            del self.seen[sender]
        put_off = self.memory.ask(replace(QUESTION, sender=sender)) is not None
        if known:
            assert not put_off
        elif sender not in self.seen:
            if sender not in self.first or now >= self.first[sender] + 100:
                self.first[sender] = now
            assert put_off == (now < self.first[sender] + 10)
        if put_off:
            self.seen.pop(sender, None)
        else:
            self.seen[sender] = now
            self.first.pop(sender, None)

    @invariant()
    def everything_has_an_end(self) -> None:
        """Nothing stays for ever."""
        for record in self.memory.records.values():
            assert 0 < record.expires <= self.memory.now + 1100


class MachineTests(SynchronousTestCase):
    def test_it_does_what_the_manual_says(self) -> None:
        from hypothesis.stateful import run_state_machine_as_test

        run_state_machine_as_test(
            Machine, settings=settings(deadline=None, max_examples=60, stateful_step_count=40)
        )
