"""Tests of what the postmaster sees."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assess import display
from mvmtr.assess.dates import written

NOW = 1_800_000_000.0

SUMS = {
    "store": "memory:", "records": 3, "clients": 1, "since": NOW - 300, "now": NOW,
    "rate": 1.5, "asked": 7, "put_off": 2, "refused": 1,
}  # fmt: skip
CLIENT = {
    "client": "192.0.2.7", "name": "mx.example", "asked": 7, "put_off": 2, "refused": 1,
    "rate": 1.5, "at": NOW - 3, "reason": "rules: x", "points": 4.5,
}  # fmt: skip


class PlainTests(SynchronousTestCase):
    """Nothing that clients say reaches the terminal as it is."""

    def test_words_stay_what_they_are(self):
        for text in ("x", "two words", "", 'a "quoted" word', "back\\slash", "é", "a=b"):
            self.assertEqual(display.plain(text), text)

    def test_what_a_terminal_obeys_is_shown(self):
        self.assertEqual(display.plain("\x1b[2J"), "\\x1b[2J")
        self.assertEqual(display.plain(b"a\nb"), "a\\x0ab")

    @settings(deadline=None, max_examples=300)
    @given(st.text())
    def test_no_control_characters_are_left(self, text):
        self.assertNotRegex(display.plain(text), "[\x00-\x1f\x7f-\x9f\u202e]")


class RulesTests(SynchronousTestCase):
    """The table of rules."""

    def test_one_line_for_each_rule(self):
        lines = list(
            display.rules(
                [
                    {"rule": "block", "subject": "192.0.2.0/24", "reason": "two words",
                     "until": "2027-01-01T00:00:00.500000Z"},
                    {"rule": "allow", "subject": "x.example", "reason": "",
                     "file": "mvmcas-allow:3"},
                ]
            )
        )  # fmt: skip
        self.assertEqual(
            lines,
            [
                "ACTION  SUBJECT       UNTIL                REASON",
                "block   192.0.2.0/24  2027-01-01 00:00:00  two words",
                "allow   x.example                          (mvmcas-allow:3)",
            ],
        )

    def test_no_rules_are_a_heading(self):
        self.assertEqual(list(display.rules([])), ["ACTION  SUBJECT  UNTIL  REASON"])

    def test_a_rule_whose_subject_is_too_long_is_shown_by_its_key(self):
        values = {"action": "block", "reason": "r"}
        (_heading, line) = display.rules([{"key": "rule sender x", "values": values}])
        self.assertEqual(line.split(), ["block", "rule", "sender", "x", "r"])


class KnownTests(SynchronousTestCase):
    """One record."""

    def assert_line(self, entry, wanted):
        self.assertEqual(display.known(entry, NOW), wanted)

    def test_a_rule(self):
        rule = {"rule": "block", "subject": "x.example", "reason": ""}
        self.assert_line(rule, "block x.example: no reason given")
        rule |= {"until": "2027-01-01T00:00:00Z", "reason": "spam"}
        self.assert_line(rule, "block x.example until 2027-01-01 00:00:00: spam")

    def test_points(self):
        values = {"points": 9, "at": NOW - 60}
        end = written(NOW + 7200)
        entry = {"key": "client 192.0.2.7", "values": values, "points_now": 8.2, "until": end}
        self.assert_line(entry, "client 192.0.2.7: 8.2 points; forgotten in 2 h")

    def test_greylisting(self):
        values = {"first": NOW - 120}
        entry = {"key": "grey 192.0.2.0/24 s@x r@y", "values": values}
        name = "grey 192.0.2.0/24 s@x r@y: first seen 2 min ago"
        self.assert_line(entry, f"{name}, has to come back")
        entry["values"] = {**values, "passed": 1}
        self.assert_line(entry, f"{name}, mail is taken")
        entry = {"key": "known x.example", "values": {"times": 3, "at": NOW - 5}}
        self.assert_line(entry, "known x.example: came back 3 times, last 5 s ago")

    def test_counts(self):
        entry = {"key": "messages 192.0.2.7", "values": {"count": 3}}
        self.assert_line(entry, "messages 192.0.2.7: count 3")


class TopTests(SynchronousTestCase):
    """The table of clients."""

    def test_sums_a_heading_and_a_line_for_each_client(self):
        store, sums, heading, line = display.top([SUMS, CLIENT], 1000)
        self.assertEqual(store, "memory: has 3 records")
        self.assertEqual(
            sums,
            "up 5 min: 1 clients, 1.5 questions/min, 7 in all, 2 put off, 1 refused",
        )
        self.assertEqual(heading.split("  ")[0], "CLIENT")
        self.assertEqual(
            line.split(),
            [
                "192.0.2.7",
                "mx.example",
                "1.5",
                "7",
                "2",
                "1",
                "4.5",
                "3",
                "s",
                "ago",
                "rules:",
                "x",
            ],
        )

    def test_a_client_without_points_has_a_dash(self):
        client = {name: value for name, value in CLIENT.items() if name != "points"}
        line = list(display.top([SUMS, client], 1000))[-1]
        self.assertIn("-", line.split())

    def test_no_line_is_wider_than_the_terminal(self):
        client = {**CLIENT, "reason": "x" * 500, "name": "n" * 200}
        for line in display.top([SUMS, client], 80):
            self.assertLessEqual(len(line), 80)

    def test_nothing_reaches_the_terminal_as_it_is(self):
        client = {**CLIENT, "reason": "\x1b[2J", "name": "\x9b2J"}
        self.assertNotRegex("".join(display.top([SUMS, client], 1000)), "[\x1b\x9b]")

    def test_no_clients_are_a_heading(self):
        self.assertEqual(len(list(display.top([SUMS], 80))), 3)
