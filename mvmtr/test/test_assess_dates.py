"""Tests of ends of rules as a postmaster writes them."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assess.dates import BadDate, read, short, until, written

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC).timestamp()


def at(*fields):
    return datetime(*fields, tzinfo=UTC).timestamp()


class UntilTests(SynchronousTestCase):
    """What can be written as an end."""

    def test_a_date_is_its_first_second_in_utc(self):
        self.assertEqual(until("2026-12-31", NOW), at(2026, 12, 31))

    def test_a_time_without_a_zone_is_utc(self):
        self.assertEqual(until("2026-12-31T18:30", NOW), at(2026, 12, 31, 18, 30))

    def test_a_zone_counts(self):
        self.assertEqual(until("2026-12-31T18:30:05+02:00", NOW), at(2026, 12, 31, 16, 30, 5))

    def test_a_length_of_time_begins_now(self):
        for text, seconds in (("9s", 9), ("3m", 180), ("2h", 7200), ("7d", 604800), ("1w", 604800)):
            self.assertEqual(until(text, NOW), NOW + seconds)

    def test_never_is_0(self):
        self.assertEqual(until("never", NOW), 0.0)

    def test_what_is_over_is_no_end(self):
        for text in ("2026-11-22", "2026-11-22T12:00", "0s"):
            self.assertRaises(BadDate, until, text, NOW)

    def test_other_texts_are_no_end(self):
        for text in (
            "", "soon", "31.12.2026", "2026-13-01", "2026-12-31 18:30", "7 d", "7", "-7d",
            "999999999w", "2026-12-31T25:00", "20261231", "\u0667d\n", "2027-01-01\n",
        ):  # fmt: skip
            self.assertRaises(BadDate, until, text, NOW)

    def test_years_before_1970_are_no_date(self):
        for text in ("1969-12-31", "1970-01-01", "0001-01-01T00:00+14:00"):
            self.assertRaises(BadDate, read, text)

    def test_the_error_says_what_can_be_written(self):
        self.assertIn("2026-12-31", str(self.assertRaises(BadDate, until, "soon", NOW)))


class WrittenTests(SynchronousTestCase):
    """Times as text."""

    @settings(deadline=None, max_examples=300)
    @given(st.floats(1, at(9999, 1, 1)))
    def test_what_is_written_can_be_read(self, seconds):
        self.assertLess(abs(read(written(seconds)) - seconds), 1e-4)

    def test_the_text_is_in_utc(self):
        self.assertEqual(written(at(2026, 12, 31, 1, 2, 3)), "2026-12-31T01:02:03Z")

    def test_times_that_no_calendar_has_are_an_error(self):
        for seconds in (-1.0, 1e15, float("inf"), float("nan")):
            self.assertRaises(BadDate, written, seconds)


class ShortTests(SynchronousTestCase):
    """Lengths of time for people."""

    def test_the_largest_unit_of_which_there_are_two(self):
        found = [short(seconds) for seconds in (-5, 0, 119, 120, 7199, 7200, 172799, 172800)]
        wanted = ["0 s", "0 s", "119 s", "2 min", "120 min", "2 h", "48 h", "2 d"]
        self.assertEqual(found, wanted)
