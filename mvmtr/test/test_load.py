"""Tests for L{mvmtr.protocol.load}: places, rates, memory; all of them bounded."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol.load import Counts, Load, Memory, Places, Tally, network_of
from mvmtr.settings import Settings

_steps = st.lists(st.tuples(st.sampled_from((b"a", b"b", b"c", b"d")), st.integers(0, 4)))


def with_(**values):
    """Settings with other limits; 10 connections in all, unless stated."""
    values = {"smtp_server_connections_max": 10, **values}
    return Settings().with_(values, {})


class TallyTests(SynchronousTestCase):
    """How often something was counted in a time."""

    def setUp(self):
        self.clock = Clock()
        self.tally = Tally(self.clock.seconds, room=3)

    def test_each_key_is_counted_by_itself(self):
        counts = [self.tally.count(key, 60) for key in (b"a", b"b", b"a", b"a")]
        self.assertEqual(counts, [1, 1, 2, 3])
        self.assertEqual([self.tally.number(key, 60) for key in (b"a", b"b", b"c")], [3, 1, 0])

    def test_the_time_begins_with_the_first_and_is_not_made_longer(self):
        self.tally.count(b"a", 60)
        self.clock.advance(59)
        self.assertEqual(self.tally.count(b"a", 60), 2)
        self.clock.advance(1)
        self.assertEqual(self.tally.number(b"a", 60), 0)
        self.assertEqual(self.tally.count(b"a", 60), 1)

    def test_a_shorter_time_holds_at_once(self):
        self.tally.count(b"a", 60)
        self.clock.advance(10)
        self.assertEqual((self.tally.number(b"a", 60), self.tally.number(b"a", 5)), (1, 0))

    def test_of_too_many_keys_the_oldest_is_forgotten(self):
        for key in (b"a", b"b", b"c", b"d"):
            self.tally.count(key, 60)
        self.assertEqual([self.tally.number(key, 60) for key in (b"a", b"b", b"d")], [0, 1, 1])
        self.assertEqual(len(self.tally), 3)

    def test_keys_whose_time_is_over_go_away(self):
        for key in (b"a", b"b"):
            self.tally.count(key, 60)
        self.clock.advance(60)
        self.tally.count(b"c", 60)
        self.assertEqual(len(self.tally), 1)

    @settings(deadline=None, max_examples=200)
    @given(_steps)
    def test_it_counts_what_a_plain_list_of_times_would(self, steps):
        clock, began, counts = Clock(), {}, {}
        tally = Tally(clock.seconds)
        for key, pause in steps:
            clock.advance(pause)
            if key not in began or clock.seconds() - began[key] >= 5:
                began[key], counts[key] = clock.seconds(), 0
            counts[key] += 1
            self.assertEqual(tally.count(key, 5), counts[key])

    @settings(deadline=None, max_examples=200)
    @given(st.lists(st.tuples(st.binary(max_size=2), st.integers(0, 4))))
    def test_it_never_holds_more_than_there_is_room_for(self, steps):
        clock = Clock()
        tally = Tally(clock.seconds, room=5)
        for key, pause in steps:
            clock.advance(pause)
            tally.count(key, 5)
            self.assertLessEqual(len(tally), 5)


class NetworkTests(SynchronousTestCase):
    """Which addresses belong together."""

    def test_the_network_is_a_24_or_a_64(self):
        for address, network in (
            (b"192.0.2.77", b"192.0.2.0/24"),
            (b"2001:db8:1:2:3:4:5:6", b"2001:db8:1:2::/64"),
            (b"fe80::1%eth0", b"fe80::/64"),
            (b"garbage \xff", b"no network"),
            (b"", b"no network"),
            (None, b"no network"),
        ):
            self.assertEqual(network_of(address), network)


class PlacesTests(SynchronousTestCase):
    """Who may have one more connection."""

    def setUp(self):
        self.clock = Clock()
        self.places = Places(Counts(self.clock.seconds))

    def come(self, address, times=1, **values):
        """Connect so often; the reason why it did not go on."""
        for _ in range(times):
            objection = self.places.enter(address, with_(**values))
            if objection is not None:
                self.assertEqual(objection.code, 421)
                return objection.reason
        return None

    def test_there_are_so_many_places(self):
        for last in range(10):
            self.assertIsNone(self.come(b"192.0.%d.1" % last))
        self.assertEqual(self.come(b"203.0.113.1"), "the limit is 10 at a time")
        self.places.give_back(b"192.0.1.1")
        self.assertIsNone(self.come(b"203.0.113.1"))

    def test_unless_stated_one_address_has_half_of_them(self):
        self.assertIsNone(self.come(b"192.0.2.1", 5))
        self.assertEqual(self.come(b"192.0.2.1"), "the limit for one client is 5 at a time")
        self.assertIsNone(self.come(b"192.0.2.2", 5))

    def test_unless_stated_this_machine_has_all_of_them(self):
        for address in (b"127.0.0.1", b"::1", None):
            places = Places(Counts())
            for _ in range(10):
                self.assertIsNone(places.enter(address, with_()))

    def test_a_stated_limit_holds_for_this_machine_as_well(self):
        for address in (b"127.0.0.1", b"::1", None):
            self.assertIsNone(self.come(address, 2, smtp_server_connections_per_address=2))
            reason = self.come(address, smtp_server_connections_per_address=2)
            self.assertEqual(reason, "the limit for one client is 2 at a time")

    def test_0_is_no_limit(self):
        self.assertIsNone(self.come(b"192.0.2.1", 10, smtp_server_connections_per_address=0))

    def test_the_addresses_of_a_network_share_its_limit(self):
        limit = {"smtp_server_connections_per_network": 3}
        for last in range(3):
            self.assertIsNone(self.come(b"192.0.2.%d" % last, **limit))
        reason = "the limit for one network is 3 at a time"
        self.assertEqual(self.come(b"192.0.2.9", **limit), reason)
        self.assertIsNone(self.come(b"192.0.3.9", **limit))
        self.places.give_back(b"192.0.2.0")
        self.assertIsNone(self.come(b"192.0.2.9", **limit))

    def test_unless_stated_a_network_of_ipv6_counts_as_one_client(self):
        for last in range(5):
            self.assertIsNone(self.come(b"2001:db8::%d" % last))
        reason = "the limit for one network is 5 at a time"
        self.assertEqual(self.come(b"2001:db8::9"), reason)
        self.assertIsNone(self.come(b"2001:db8:0:1::9"))

    def test_unless_stated_a_network_of_ipv4_has_all_places(self):
        for last in range(10):
            self.assertIsNone(self.come(b"192.0.2.%d" % last))

    def test_clients_without_an_address_are_no_network(self):
        self.assertIsNone(self.come(None, 5, smtp_server_connections_per_network=1))

    def test_a_rate_counts_connections_that_are_over(self):
        limit = {"smtp_server_rate_per_address": 3, "smtp_server_rate_time": 20}
        for _ in range(3):
            self.assertIsNone(self.come(b"192.0.2.1", **limit))
            self.places.give_back(b"192.0.2.1")
        reason = "the limit for one client is 3 in 20 seconds"
        self.assertEqual(self.come(b"192.0.2.1", **limit), reason)
        self.assertIsNone(self.come(b"192.0.2.2", **limit))
        self.clock.advance(20)
        self.assertIsNone(self.come(b"192.0.2.1", **limit))

    def test_connections_that_were_refused_do_not_count(self):
        limit = {"smtp_server_rate_per_address": 1}
        self.come(b"192.0.2.1", **limit)
        for _ in range(5):
            self.clock.advance(13)
            reason = self.come(b"192.0.2.1", **limit)
        self.assertIsNone(reason)

    def test_a_rate_can_be_that_of_a_network(self):
        limit = {"smtp_server_rate_per_network": 2}
        self.assertIsNone(self.come(b"2001:db8::1", **limit))
        self.assertIsNone(self.come(b"2001:db8::2", **limit))
        reason = "the limit for one network is 2 in 60 seconds"
        self.assertEqual(self.come(b"2001:db8::3", **limit), reason)

    def test_a_connection_can_become_that_of_another_client(self):
        limits = with_(smtp_server_connections_per_address=1, smtp_server_rate_per_address=2)
        for address in (b"192.0.2.1", b"192.0.2.2"):
            self.assertIsNone(self.places.enter(address, limits))
        reason = "the limit for one client is 1 at a time"
        refusal = self.places.move(b"192.0.2.1", b"192.0.2.2", limits)
        self.assertEqual(refusal.reason, reason)
        self.assertEqual(self.places.enter(b"192.0.2.1", limits).reason, reason)
        self.assertIsNone(self.places.move(b"192.0.2.1", b"192.0.2.3", limits))
        self.assertEqual(self.places.enter(b"192.0.2.3", limits).reason, reason)
        self.assertEqual(self.places.taken, 2)
        self.assertIsNone(self.places.enter(b"192.0.2.1", limits))

    def test_nothing_is_left_of_those_that_have_gone(self):
        addresses = [b"192.0.2.%d" % last for last in range(5)]
        for address in [*addresses, None]:
            self.come(address)
        for address in [*addresses, None]:
            self.places.give_back(address)
        self.assertEqual((len(self.places), self.places.taken), (0, 0))


class MemoryTests(SynchronousTestCase):
    """What is held is accounted for."""

    def test_the_load_is_the_sum_of_what_is_held_now(self):
        load = Load()
        first, second = Memory(load), Memory(load)
        first.hold(100)
        second.hold(10)
        first.hold(50)
        self.assertEqual((load.memory, first.held), (60, 50))
        second.hold(0)
        first.hold(0)
        self.assertEqual(load.memory, 0)
