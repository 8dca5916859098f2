"""Tests for L{mvmtr.protocol.received}."""

from __future__ import annotations

import os
import re
import time
from calendar import timegm
from email.utils import formatdate
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol.received import HELO_MAX, date, received_field
from mvmtr.session import Connection, Session
from mvmtr.settings import Settings
from mvmtr.test.support import CLIENT

NOW = timegm((2025, 11, 5, 16, 42, 1))

BY = b"\n  by mx.example with SMTP; 5 Nov 2025 16:42:01 -0000\n"
"""The end of the field for L{CLIENT}."""

MAYBE = st.none() | st.binary(max_size=20)


def field(connection=CLIENT, helo=None, esmtp=False):
    session = Session(connection, Settings())
    session.helo = helo
    session.esmtp = esmtp
    return received_field(session, NOW)


class ReceivedFieldTests(SynchronousTestCase):
    """The field says what qmail's says."""

    def test_a_name_other_than_that_of_the_host_is_told(self):
        expected = b"Received: from client.example (HELO other.example) (203.0.113.7)" + BY
        self.assertEqual(field(helo=b"other.example"), expected)

    def test_without_helo_there_is_no_helo_part(self):
        self.assertEqual(field(), b"Received: from client.example (203.0.113.7)" + BY)

    def test_names_are_compared_without_regard_to_case(self):
        self.assertEqual(field(helo=b"CLIENT.Example"), field())
        self.assertIn(b" (HELO client.example.) ", field(helo=b"client.example."))

    def test_an_empty_name_is_told(self):
        self.assertIn(b"client.example (HELO ) (203", field(helo=b""))

    def test_after_ehlo_it_is_with_esmtp(self):
        found = field(helo=b"client.example", esmtp=True)
        self.assertEqual(found, field().replace(b"with SMTP;", b"with ESMTP;"))

    def test_the_remote_user_is_told(self):
        found = field(Connection(b"203.0.113.7", b"client.example", b"us er"))
        self.assertIn(b"from client.example (us?er@203.0.113.7)\n", found)

    def test_what_is_not_known_is_unknown(self):
        expected = b"Received: from unknown (unknown)\n  by unknown with SMTP; "
        self.assertEqual(field(Connection()), expected + BY.partition(b"; ")[2])

    def test_helo_unknown_from_an_unknown_host_is_not_told(self):
        self.assertEqual(field(Connection(), helo=b"unknown"), field(Connection()))
        self.assertIn(b"unknown (HELO other.example) (", field(Connection(), b"other.example"))

    def test_without_a_local_name_the_local_address_is_told(self):
        found = field(Connection(b"2001:db8::7", b"client.example", local_ip=b"2001:db8::1"))
        self.assertIn(b"from client.example (2001:db8::7)\n  by 2001:db8::1 with", found)
        self.assertIn(b"  by mx.example with", field(Connection(local_host=b"mx.example")))

    def test_what_is_known_to_be_empty_stays_empty(self):
        found = field(Connection(b"", b"", b"", b"", b""), helo=b"other.example")
        self.assertTrue(found.startswith(b"Received: from  (HELO other.example) (@)\n  by  with"))

    def test_every_unsafe_byte_becomes_a_question_mark(self):
        helo = b"a(b)c<d>e\"f\\g,h;i!j#k$l&m'n*o?p^q`r{s|t}u~v[1]w_x"
        safe = b"a?b?c?d?e?f?g?h?i?j?k?l?m?n?o?p?q?r?s?t?u?v?1?w?x"
        self.assertIn(b" (HELO " + safe + b") ", field(helo=helo))
        self.assertIn(b" (HELO ????x??) ", field(helo=b"\xe9\x01\x7f\tx\xc3\xa9"))
        found = field(Connection(b"::1%lo_0", b"ho st\n", None, None, b"mx_1\xe9"))
        self.assertTrue(found.startswith(b"Received: from ho?st? (::1%lo?0)\n  by mx?1? with"))

    def test_every_safe_byte_stays(self):
        safe = b".@%+/=:-azAZ09"
        self.assertIn(b" (HELO " + safe + b") ", field(helo=safe))

    def test_a_long_name_is_cut(self):
        self.assertIn(b" (HELO " + b"x" * HELO_MAX + b") ", field(helo=b"x" * 60000))
        self.assertIn(b" (HELO " + b"x" * 255 + b") ", field(helo=b"x" * 255))

    @settings(deadline=None, max_examples=300)
    @given(st.builds(Connection, MAYBE, MAYBE, MAYBE, MAYBE, MAYBE), MAYBE)
    def test_whatever_clients_say_it_is_one_field_of_two_lines(self, connection, helo):
        safe = rb"[-.@%+/=:?0-9A-Za-z]*"
        form = rb"Received: from %s( \(HELO %s\))? \(%s\)\n  by %s with SMTP; [^\n]+\n"
        self.assertTrue(re.fullmatch(form % (safe, safe, safe, safe), field(connection, helo)))


class DateTests(SynchronousTestCase):
    """Dates are in UTC whatever the time zone is."""

    @settings(deadline=None, max_examples=200)
    @given(st.floats(0, 2**32))
    def test_a_date_is_that_of_rfc_5322_without_weekday_and_padding(self, now):
        expected = formatdate(int(now)).partition(", ")[2].removeprefix("0")
        self.assertEqual(date(now).decode(), expected)

    def test_the_time_zone_of_the_machine_does_not_count(self):
        self.addCleanup(time.tzset)
        with patch.dict(os.environ, TZ="EAST-05:30"):
            time.tzset()
            self.assertEqual(date(NOW), b"5 Nov 2025 16:42:01 -0000")
