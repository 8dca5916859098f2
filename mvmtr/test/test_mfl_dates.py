"""Tests for dates in header fields and their parts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl.sieve import dates

quickly = settings(deadline=None, max_examples=200)


def part(name: str, value: bytes) -> str:
    """A part of a date in its own zone."""
    date = dates.parse(value)
    assert date is not None
    return dates.PARTS[name](date)


class PartTests(SynchronousTestCase):
    """The parts of RFC 5260."""

    def test_each_part_of_a_date(self) -> None:
        value = b"Tue, 01 Apr 1997 09:06:31 -0800 (Pacific Standard Time)"
        expected = {
            "year": "1997",
            "month": "04",
            "day": "01",
            "date": "1997-04-01",
            "julian": "50539",
            "hour": "09",
            "minute": "06",
            "second": "31",
            "time": "09:06:31",
            "iso8601": "1997-04-01T09:06:31-08:00",
            "std11": "Tue, 01 Apr 1997 09:06:31 -0800",
            "zone": "-0800",
            "weekday": "2",
        }
        self.assertEqual({name: part(name, value) for name in expected}, expected)
        self.assertEqual(set(expected), set(dates.PARTS))

    def test_the_modified_julian_day_is_the_one_of_the_astronomers(self) -> None:
        self.assertEqual(part("julian", b"17 Nov 1858 00:00:00 +0000"), "0")
        self.assertEqual(part("julian", b"1 Jan 2000 12:00 +0000"), "51544")

    def test_the_week_begins_on_sunday(self) -> None:
        self.assertEqual(part("weekday", b"Sun, 22 Nov 2026 12:00:00 +0000"), "0")
        self.assertEqual(part("weekday", b"21 Nov 2026 12:00:00 +0000"), "6")


class ParseTests(SynchronousTestCase):
    """From a field's value to a date."""

    def test_obsolete_forms_are_known(self) -> None:
        self.assertEqual(part("date", b"Fri, 21 Nov 97 09:55 EST"), "1997-11-21")
        self.assertEqual(part("zone", b"Fri, 21 Nov 97 09:55 EST"), "-0500")
        self.assertEqual(part("year", b"1 Jan 49 00:00 UT"), "2049")
        self.assertEqual(part("year", b"1 Jan 50 00:00 UT"), "1950")
        self.assertEqual(part("year", b"1 Jan 104 00:00 UT"), "2004")
        self.assertEqual(part("zone", b"1 Jan 2004 00:00 QQQ"), "+0000")

    def test_what_follows_the_last_semicolon_is_the_date_of_received(self) -> None:
        value = b"from x (y; z) by w with SMTP id 1; Sat, 10 May 2008 17:46:55 +0200"
        self.assertEqual(part("time", value), "17:46:55")

    def test_a_leap_second_is_the_one_before(self) -> None:
        self.assertEqual(part("second", b"30 Jun 2012 23:59:60 +0000"), "59")

    def test_what_is_no_date_is_none(self) -> None:
        for value in (
            b"",
            b"today",
            b"32 Jan 2004 00:00 UT",
            b"1 Foo 2004 00:00 UT",
            b"1 Jan 2004 25:00 UT",
            b"1 Jan 2004 00:00:00 +0000 junk",
        ):
            self.assertIsNone(dates.parse(value), value)

    def test_zones_are_hours_and_minutes(self) -> None:
        self.assertEqual(dates.parse_zone("-0130"), timezone(timedelta(minutes=-90)))
        for text in ("0100", "+01", "+2400", "+0160", "UTC", "+01:00"):
            self.assertIsNone(dates.parse_zone(text), text)

    def test_a_date_in_another_zone_is_the_same_moment(self) -> None:
        date = dates.parse(b"31 Dec 2004 23:30:00 +0000")
        assert date is not None
        there = dates.in_zone(date, dates.parse_zone("+0100"))
        assert there is not None
        self.assertEqual(dates.PARTS["date"](there), "2005-01-01")

    def test_the_end_of_time_is_no_trap(self) -> None:
        date = dates.parse(b"31 Dec 9999 23:30:00 -0100")
        assert date is not None
        self.assertIsNone(dates.in_zone(date, UTC))

    @quickly
    @given(st.datetimes(min_value=datetime(1900, 1, 1), timezones=st.just(UTC)))
    def test_what_is_written_is_read(self, date: datetime) -> None:
        date = date.replace(microsecond=0)
        self.assertEqual(dates.parse(format_datetime(date).encode()), date)
        self.assertEqual(part("std11", format_datetime(date).encode()), format_datetime(date))

    @quickly
    @given(st.binary(max_size=60))
    def test_any_bytes_can_be_read(self, value: bytes) -> None:
        dates.parse(value)
