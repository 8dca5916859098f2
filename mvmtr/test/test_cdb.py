"""Tests for L{mvmtr.compat.cdb}, with files made by the program C{cdbmake}."""

from __future__ import annotations

import os
import signal
import struct
import subprocess

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.compat.cdb import Cdb
from mvmtr.compat.controlfile import ControlError
from mvmtr.test.support import folder

HEADER = 2048
EXAMPLES = [(b"key%d.example" % number, b"value %d" % number) for number in range(300)]
DAMAGE = st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 255)), max_size=8)


def make_cdb(path, pairs):
    """A constant database in a file."""
    records = (b"+%d,%d:%s->%s\n" % (len(key), len(value), key, value) for key, value in pairs)
    subprocess.run(
        ["cdbmake", str(path), f"{path}.tmp"], input=b"".join(records) + b"\n", check=True
    )
    return path


def pair(first, second):
    return struct.pack("<LL", first, second)


def hash_of(key):
    """The hash of the format's description."""
    hashed = 5381
    for byte in key:
        hashed = (hashed * 33 & 0xFFFFFFFF) ^ byte
    return hashed


class CdbTestCase(SynchronousTestCase):
    """Has a path, and ends a look-up that goes round for ever."""

    def setUp(self):
        self.path = folder(self) / "morercpthosts.cdb"

        def expired(_signal, _frame):
            raise AssertionError("a look-up does not end")

        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, expired))

    def write(self, content):
        self.path.write_bytes(content)
        return Cdb(str(self.path))

    def get(self, cdb, key):
        """The value of a key, or an error if that takes for ever."""
        signal.alarm(10)
        try:
            return cdb.get(key)
        finally:
            signal.alarm(0)

    def assertDamaged(self, cdb, *keys):
        for key in keys:
            error = self.assertRaises(ControlError, self.get, cdb, key)
            self.assertTrue(str(error).startswith(f"{self.path}: "), error)


class LookUpTests(CdbTestCase):
    """Whole files."""

    def cdb(self, pairs):
        return Cdb(str(make_cdb(self.path, pairs)))

    def test_every_key_has_its_value_and_no_other_key_has_any(self):
        cdb = self.cdb(EXAMPLES)
        for key, value in EXAMPLES:
            self.assertEqual(cdb.get(key), value)
            self.assertIsNone(cdb.get(key + b"x"))

    def test_an_empty_database_has_no_key(self):
        cdb = self.cdb([])
        self.assertIsNone(cdb.get(b"a"))
        self.assertIsNone(cdb.get(b""))

    def test_an_empty_value_is_a_hit(self):
        self.assertEqual(self.cdb([(b"a", b"")]).get(b"a"), b"")

    def test_the_first_value_of_a_key_counts(self):
        self.assertEqual(self.cdb([(b"a", b"1"), (b"a", b"2")]).get(b"a"), b"1")

    def test_large_values_are_read_whole(self):
        large = b"\0\n" * 100000
        self.assertEqual(self.cdb([(b"a", large), (b"b", b"2")]).get(b"a"), large)

    def test_the_descriptor_goes_with_the_object(self):
        before = os.listdir("/proc/self/fd")
        cdb = self.cdb(EXAMPLES)
        cdb.get(b"a")
        del cdb
        self.assertEqual(os.listdir("/proc/self/fd"), before)

    def test_an_open_database_outlives_its_replacement(self):
        cdb = self.cdb([(b"a", b"old")])
        make_cdb(self.path, [(b"a", b"new")])
        self.assertEqual(cdb.get(b"a"), b"old")
        self.assertEqual(Cdb(str(self.path)).get(b"a"), b"new")

    @settings(deadline=None, max_examples=15)
    @given(
        st.dictionaries(st.binary(max_size=8), st.binary(max_size=8), max_size=20),
        st.lists(st.binary(max_size=8), max_size=20),
    )
    def test_a_database_is_the_dictionary_that_it_was_made_of(self, pairs, others):
        cdb = self.cdb(pairs.items())
        for key in [*pairs, *others]:
            self.assertEqual(cdb.get(key), pairs.get(key))


class OpenTests(CdbTestCase):
    """Files that can't be opened are noticed when they are opened."""

    def assertNotOpened(self, pattern):
        error = self.assertRaises(ControlError, Cdb, str(self.path))
        self.assertRegex(str(error), f"^{self.path}: .*{pattern}")

    def test_a_missing_file_is_an_error(self):
        self.assertNotOpened("No such file")

    def test_a_symlink_loop_is_an_error(self):
        self.path.symlink_to(self.path)
        self.assertNotOpened("symbolic link")


class DamageTests(CdbTestCase):
    """Damage is noticed by the look-up that meets it."""

    def setUp(self):
        super().setUp()
        self.whole = make_cdb(self.path, EXAMPLES).read_bytes()
        self.keys = [key for key, _value in EXAMPLES]

    def test_an_empty_file_is_damaged(self):
        self.assertDamaged(self.write(b""), b"a", b"", *self.keys)

    def test_a_directory_is_damaged(self):
        self.path.unlink()
        self.path.mkdir()
        self.assertDamaged(Cdb(str(self.path)), b"a", *self.keys)

    def test_text_is_damaged(self):
        for lines in (3, 1000):
            self.assertDamaged(self.write(b"more.example\n" * lines), b"more.example", *self.keys)

    def test_half_a_header_is_damaged(self):
        self.assertDamaged(self.write(self.whole[: HEADER // 2 + 5]), *self.keys)

    def test_only_the_missing_half_of_a_header_is_damaged(self):
        cdb = self.write(pair(HEADER, 0) * 128)
        for key in self.keys:
            if hash_of(key) % 256 < 128:
                self.assertIsNone(cdb.get(key))
            else:
                self.assertDamaged(cdb, key)

    def test_without_tables_every_key_is_an_error_and_an_empty_table_is_a_miss(self):
        make_cdb(self.path, [(b"a", b"1")])
        table = min(struct.unpack("<512L", self.path.read_bytes()[:HEADER])[::2])
        os.truncate(self.path, table)
        cdb = Cdb(str(self.path))
        self.assertDamaged(cdb, b"a")
        self.assertIsNone(cdb.get(b"b"))

    def test_a_file_that_is_cut_short_while_it_is_open_is_damaged(self):
        for size in (len(self.whole) // 2, HEADER, 0):
            cdb = self.write(self.whole)
            self.assertEqual(cdb.get(self.keys[0]), EXAMPLES[0][1])
            os.truncate(self.path, size)
            self.assertDamaged(cdb, *self.keys)

    def test_a_table_without_an_empty_slot_is_damaged(self):
        # One full table for all keys; its slots lead to a record of another key.
        record = HEADER + 4 * 8
        table = pair(0, record) * 4
        self.assertDamaged(
            self.write(pair(HEADER, 4) * 256 + table + pair(1, 0) + b"z"), b"a", *self.keys
        )

    def test_a_full_table_whose_slots_all_have_the_hash_is_damaged(self):
        table = pair(hash_of(b"a"), HEADER + 32) * 4
        cdb = self.write(pair(HEADER, 4) * 256 + table + pair(1, 0) + b"z")
        self.assertDamaged(cdb, b"a")

    def test_a_full_table_within_the_header_is_damaged(self):
        self.assertDamaged(self.write(pair(0, 256) * 256), b"a")

    def test_tables_beyond_all_measure_are_damaged(self):
        for position, slots in ((0xFFFFFFFF, 1), (0xFFFFFFF8, 0xFFFFFFFF), (HEADER, 0xFFFFFFFF)):
            self.assertDamaged(self.write(pair(position, slots) * 256), b"a", b"b")

    def test_a_record_beyond_the_end_is_damaged(self):
        content = make_cdb(self.path, [(b"a", b"1")]).read_bytes()
        beyond = content.replace(pair(hash_of(b"a"), HEADER), pair(hash_of(b"a"), 0xFFFFFFF0))
        self.assertNotEqual(beyond, content)
        self.assertDamaged(self.write(beyond), b"a")

    def test_a_key_of_impossible_length_is_damaged(self):
        content = make_cdb(self.path, [(b"a", b"1")]).read_bytes()
        for length in (0xFFFFFFFF, 0x7FFFFFFF, len(content)):
            impossible = content.replace(pair(1, 1) + b"a1", pair(length, 0xFFFFFFFF) + b"a1")
            self.assertNotEqual(impossible, content)
            self.assertDamaged(self.write(impossible), b"a")

    # To look for a smaller example of a look-up without end would take as long.
    @settings(deadline=None, max_examples=60, phases=(Phase.reuse, Phase.generate))
    @given(DAMAGE, st.integers(0, 10**5))
    def test_whatever_is_damaged_a_look_up_ends(self, damage, size):
        content = bytearray(self.whole)
        for position, value in damage:
            content[position % len(content)] = value
        cdb = self.write(content[: size or None])
        for key in (*self.keys[:40], b"", b"none"):
            try:
                answer = self.get(cdb, key)
            except ControlError:
                continue
            self.assertIsInstance(answer, bytes | None)
