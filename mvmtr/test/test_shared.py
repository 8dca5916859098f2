"""Tests for L{mvmtr.protocol.shared}: several processes count together, also when some die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol import shared
from mvmtr.protocol.load import Load, Memory
from mvmtr.protocol.shared import Section, SharedCounts, SharedMemory, SharedTally, Table
from mvmtr.settings import Settings
from mvmtr.test.support import environment

_changes = st.lists(st.tuples(st.integers(1, 40), st.sampled_from((1, 1, -1))), max_size=80)


def words(number):
    return memoryview(bytearray(8 * number)).cast("Q")


def with_(**values):
    return Settings().with_({"smtp_server_connections_max": 10, **values}, {})


class TableTests(SynchronousTestCase):
    """Table and section are as a dictionary, whichever keys collide."""

    @settings(deadline=None, max_examples=300)
    @given(_changes)
    def test_they_hold_what_a_dictionary_would(self, changes):
        table, section, plain = Table(words(128)), Section(words(256)), {}
        used = 0
        for key, number in changes:
            # Many keys have the same place, the last one of all.
            key = key << 3 | 7 | 56
            if plain.get(key, 0) + number < 0:
                continue
            plain[key] = plain.get(key, 0) + number
            if not plain[key]:
                del plain[key]
            used += table.add(key, number)
            section.add(key, number)
            self.assertEqual({key: table.number(key) for key in plain}, plain)
            self.assertEqual(dict(section.entries()), plain)
            self.assertEqual(used, len(plain))
            self.assertEqual(len(section.entries()), len(plain))

    def test_what_is_not_there_can_not_be_taken_away(self):
        table = Table(words(16))
        self.assertEqual(table.add(3, -1), 0)
        self.assertEqual(table.number(3), 0)


class TallyTests(SynchronousTestCase):
    """How often something was counted in a time."""

    def setUp(self):
        self.clock = Clock()
        self.clock.advance(1000)

    def tally(self, sets):
        return SharedTally(words(sets * 24), lambda key: 1 + int(key), self.clock.seconds)

    def test_the_time_begins_with_the_first_and_is_not_made_longer(self):
        tally = self.tally(2)
        tally.count(b"1", 60)
        self.clock.advance(59)
        self.assertEqual(tally.count(b"1", 60), 2)
        self.assertEqual((tally.number(b"1", 60), tally.number(b"2", 60)), (2, 0))
        self.clock.advance(1)
        self.assertEqual(tally.number(b"1", 60), 0)
        self.assertEqual(tally.count(b"1", 60), 1)

    def test_of_too_many_keys_the_oldest_is_forgotten(self):
        tally = self.tally(1)
        for key in range(9):
            tally.count(b"%d" % key, 60)
            self.clock.advance(1)
        self.assertEqual([tally.number(b"%d" % key, 60) for key in range(9)], [0] + [1] * 8)
        self.assertEqual(len(tally), 8)


class SharedLoadTests(SynchronousTestCase):
    """Two loads in the same memory, as two processes have them."""

    def setUp(self):
        descriptor = shared.create(2)
        self.addCleanup(os.close, descriptor)
        self.memory = SharedMemory(descriptor)
        self.clock = Clock()
        self.clock.advance(1000)
        self.first, self.second = (
            Load(SharedCounts(SharedMemory(descriptor), number, self.clock.seconds))
            for number in (0, 1)
        )

    def test_places_are_those_of_both(self):
        limits = with_(smtp_server_connections_max=3, smtp_server_connections_per_address=2)
        first, second = self.first.places, self.second.places
        self.assertIsNone(first.enter(b"192.0.2.1", limits))
        self.assertIsNone(second.enter(b"192.0.2.1", limits))
        for places in (first, second):
            self.assertIn("one client is 2", places.enter(b"192.0.2.1", limits).reason)
        self.assertIsNone(first.enter(b"192.0.2.2", limits))
        self.assertIn("limit is 3 at", second.enter(b"192.0.2.3", limits).reason)
        self.assertEqual(first.taken, 3)
        second.give_back(b"192.0.2.1")
        self.assertIsNone(first.enter(b"192.0.2.1", limits))

    def test_a_client_is_moved_unless_there_is_no_place(self):
        limits = with_(smtp_server_connections_per_address=1)
        self.first.places.enter(b"192.0.2.1", limits)
        self.second.places.enter(b"192.0.2.2", limits)
        self.assertIsNotNone(self.second.places.move(b"192.0.2.2", b"192.0.2.1", limits))
        self.assertIsNone(self.second.places.move(b"192.0.2.2", b"192.0.2.3", limits))
        self.assertIsNone(self.first.places.enter(b"192.0.2.2", limits))

    def test_rates_are_those_of_both(self):
        limits = with_(smtp_server_rate_per_address=2)
        for load in (self.first, self.second):
            self.assertIsNone(load.places.enter(b"192.0.2.1", limits))
            load.places.give_back(b"192.0.2.1")
        self.assertIn("2 in 60 seconds", self.first.places.enter(b"192.0.2.1", limits).reason)
        self.clock.advance(60)
        self.assertIsNone(self.first.places.enter(b"192.0.2.1", limits))

    def test_failures_and_tries_are_those_of_both(self):
        first, second = self.first.auth_failures, self.second.auth_failures
        self.assertTrue(first.begin(b"a", 2, 60))
        self.assertTrue(second.begin(b"a", 2, 60))
        self.assertFalse(second.begin(b"a", 2, 60))
        first.end(b"a", True, 60)
        self.assertFalse(second.begin(b"a", 2, 60))
        second.end(b"a", False, 60)
        self.assertTrue(second.begin(b"a", 2, 60))
        self.assertTrue(first.begin(b"b", 2, 60))

    def test_handshakes_are_those_of_both(self):
        self.assertTrue(self.first.begin_handshake(1))
        self.assertFalse(self.second.begin_handshake(1))
        self.first.end_handshake()
        self.assertTrue(self.second.begin_handshake(1))
        self.assertEqual(self.first.handshakes, 1)

    def test_memory_is_that_of_both(self):
        mine, other = Memory(self.first), Memory(self.second)
        mine.hold(1000)
        other.hold(500)
        mine.hold(200)
        self.assertEqual((self.first.memory, self.second.memory), (700, 700))

    def test_what_a_process_held_goes_with_it(self):
        limits = with_()
        for load, address in ((self.first, b"192.0.2.1"), (self.second, b"192.0.2.2")):
            load.places.enter(address, limits)
            load.places.enter(b"192.0.2.3", limits)
            load.begin_handshake(10)
            load.auth_failures.begin(b"a", 10, 60)
            Memory(load).hold(100)
        self.memory.forget(0)
        left = self.second
        self.assertEqual((left.places.taken, left.handshakes, left.memory), (2, 1, 100))
        left.places.give_back(b"192.0.2.2")
        left.places.give_back(b"192.0.2.3")
        left.end_handshake()
        left.auth_failures.end(b"a", False, 60)
        self.assertEqual((left.places.taken, len(left.places)), (0, 0))

    def test_a_table_that_is_full_takes_no_further_clients(self):
        self.patch(shared, "ENTRIES", 4)
        self.first.places.enter(b"192.0.2.1", with_())
        self.first.places.enter(b"198.51.100.1", with_())
        self.assertIn("no room", self.second.places.enter(b"192.0.2.2", with_()).reason)


CROWD = """
import sys
from mvmtr.protocol.load import Load
from mvmtr.protocol.shared import SharedCounts, SharedMemory
from mvmtr.settings import Settings
settings = Settings().with_({"smtp_server_connections_max": 500}, {})
descriptor, section, address, rounds = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
places = Load(SharedCounts(SharedMemory(descriptor), section)).places
taken = 0
print("begin", flush=True)
sys.stdin.readline()
for number in range(int(rounds)):
    if places.enter(b"%s.%d" % (address.encode(), number % 250), settings) is None:
        taken += 1
        if number % 3 == 0:
            places.give_back(b"%s.%d" % (address.encode(), number % 250))
            taken -= 1
print(taken, flush=True)
sys.stdin.readline()
"""


class ProcessTests(SynchronousTestCase):
    """The same with processes."""

    def setUp(self):
        self.descriptor = shared.create(4)
        self.addCleanup(os.close, self.descriptor)
        self.memory = SharedMemory(self.descriptor)
        self.places = Load(SharedCounts(self.memory, 3)).places

    def crowd(self, section, rounds):
        """A process that takes places as soon as it is told to begin."""
        program = (str(self.descriptor), str(section), f"10.0.{section}", str(rounds))
        process = subprocess.Popen(
            [sys.executable, "-c", CROWD, *program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(self.descriptor,),
            env=environment(),
            text=True,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), "begin\n")
        return process

    def go(self, process):
        process.stdin.write("go\n")
        process.stdin.flush()

    def test_processes_that_hurry_do_not_exceed_a_limit_and_lose_no_count(self):
        crowds = [self.crowd(section, 1000) for section in range(3)]
        for process in crowds:
            self.go(process)
        taken = [int(process.stdout.readline()) for process in crowds]
        self.assertEqual(sum(taken), 500)
        self.assertEqual(self.places.taken, 500)
        crowds[0].kill()
        crowds[0].wait()
        self.memory.forget(0)
        self.assertEqual(self.places.taken, taken[1] + taken[2])

    def test_a_process_that_is_killed_at_any_moment_leaves_nothing_behind(self):
        for round in range(5):
            one, other = self.crowd(0, 10**9), self.crowd(1, 1000)
            self.go(one)
            self.go(other)
            taken = int(other.stdout.readline())
            one.send_signal(signal.SIGKILL)
            one.wait()
            self.memory.forget(0)
            self.assertEqual(self.places.taken, taken, round)
            other.kill()
            other.wait()
            self.memory.forget(1)
            self.assertEqual((self.places.taken, len(self.places)), (0, 0))
