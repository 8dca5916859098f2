"""Tests of records as lines of JSON."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assess.engine import Engine
from mvmtr.assess.entries import KINDS, REASON_MAX, BadEntry, entry_of, line_of, read_line
from mvmtr.assess.question import Event, Feedback, Question, State
from mvmtr.assess.records import Record
from mvmtr.assess.rules import ACTIONS, BadSubject, rule, subject_of
from mvmtr.assess.settings import AssessSettings

EVERYTHING = AssessSettings(
    greylist=True,
    greylist_delay=10,
    greylist_auto_time=0,
    reputation=True,
    reputation_defer=0,
    reputation_reject=0,
    rate_connections=100,
    rate_recipients=100,
    rate_messages=100,
)


def round_trip(key, record):
    return read_line(line_of(entry_of(key, record)))


def everything_known():
    """Records of each kind, as the engine makes them."""
    engine = Engine(EVERYTHING)
    records = {}

    def note(changes):
        for key, change in changes.items():
            records.pop(key, None)
            if change is not None:
                records[key] = change

    for now in (1e9, 1e9 + 60):
        for state in State:
            question = Question(
                state, b"192.0.2.7", b"", b"x.example", b"s@y.example", b"r@ours.example"
            )
            note(engine.assess(question, records, now)[1])
        for event in Event:
            feedback = Feedback(event, b"192.0.2.7", b"", b"x.example", b"s@y.example", count=3)
            note(engine.learn(feedback, records, now))
    return records


texts = st.text(st.characters(codec="utf-8"), max_size=30)
words = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)
domains = st.lists(words, min_size=2, max_size=4).map(".".join)
_names = st.sampled_from(["rule", "subject", "reason", "until", "key", "values", "points", "at"])
subjects = st.one_of(
    st.ip_addresses().map(str),
    domains,
    st.tuples(words, domains).map("@".join),
    st.text("é:/@. a1", max_size=12),
)


class RoundTripTests(SynchronousTestCase):
    """What is exported can be imported."""

    @settings(deadline=None, max_examples=300)
    @given(subjects, st.sampled_from(ACTIONS), texts.filter(str.isprintable), st.integers(0, 4e9))
    def test_a_rule_stays_what_it_is(self, subject, action, reason, end):
        try:
            key = subject_of(subject, action)
        except BadSubject:
            return
        record = rule(action, reason, float(end))
        self.assertEqual(round_trip(key, record), (key, record))

    def test_a_subject_that_is_too_long_for_a_key_is_kept(self):
        key = subject_of("x" * 1000 + "@example.org", "block")
        record = rule("block", "")
        self.assertIn("key", entry_of(key, record))
        self.assertEqual(round_trip(key, record), (key, record))

    def test_all_that_the_engine_remembers_is_kept(self):
        records = everything_known()
        self.assertEqual({key.partition(" ")[0] for key in records}, set(KINDS))
        for key, record in records.items():
            found, copy = round_trip(key, record)
            self.assertEqual((found, copy.values), (key, record.values))
            self.assertLess(abs(copy.expires - record.expires), 0.001)

    def test_every_value_that_the_engine_looks_at_is_wanted(self):
        for key, record in everything_known().items():
            entry = entry_of(key, record)
            for name in KINDS[key.partition(" ")[0]]:
                values = {other: value for other, value in record.values.items() if other != name}
                error = self.assertRaises(BadEntry, read_line, line_of({**entry, "values": values}))
                self.assertIn(name, str(error))

    def test_lines_are_one_line_of_ascii(self):
        line = line_of(entry_of("rule domain x.example", rule("block", "é\u2028\n")))
        self.assertTrue(line.isascii())
        self.assertNotIn("\n", line)


class ReadTests(SynchronousTestCase):
    """What is no entry."""

    def assert_bad(self, entry, said=""):
        line = entry if isinstance(entry, str) else json.dumps(entry)
        self.assertIn(said, str(self.assertRaises(BadEntry, read_line, line)))

    def test_what_is_no_object_is_no_entry(self):
        for line in ("", "{", "[]", "1", '"x"', "null", "[" * 100000, "{}"):
            self.assert_bad(line)

    def test_either_a_rule_or_a_key(self):
        self.assert_bad({"rule": "block", "key": "client 192.0.2.1"})
        self.assert_bad({"subject": "192.0.2.1"})

    def test_a_name_that_is_not_known_is_told(self):
        self.assert_bad({"rule": "block", "subject": "x.example", "utnil": "2027-01-01"}, "utnil")

    def test_rules_that_cant_be(self):
        self.assert_bad({"rule": "bless", "subject": "x.example"}, "bless")
        self.assert_bad({"rule": "block", "subject": "x/y"}, "x/y")
        self.assert_bad({"rule": "block"}, "subject")
        self.assert_bad({"rule": "relay", "subject": "joe@example.org"}, "joe@example.org")
        self.assert_bad({"rule": "block", "subject": 1}, "subject")
        self.assert_bad({"rule": "block", "subject": "x.example", "until": "soon"}, "soon")
        self.assert_bad({"rule": "block", "subject": "x.example", "until": 5}, "until")
        self.assert_bad('{"rule": "block", "subject": "\\ud800.example"}', "UTF-8")

    def test_reasons_are_short_and_one_line(self):
        for reason in ("a\nb", "\x1b[2J", "x" * (REASON_MAX + 1), None):
            self.assert_bad({"rule": "block", "subject": "x.example", "reason": reason}, "reason")
            values = {"action": "block", "reason": reason}
            self.assert_bad({"key": "rule domain x.example", "values": values}, "reason")

    def test_records_that_cant_be(self):
        points = {"points": 1, "at": 2}
        self.assert_bad({"key": "client", "values": points})
        self.assert_bad({"key": "client " + "x" * 300, "values": points})
        self.assert_bad({"key": "clint x", "values": points}, "clint")
        self.assert_bad({"key": "client x", "values": [1]})
        self.assert_bad({"key": "client x"})
        self.assert_bad({"key": "rule domain x", "values": {"action": "bless", "reason": ""}})
        self.assert_bad({"key": "rule domain x", "values": {"action": "block"}})
        for value in ("1", None, True, [], 1e300):
            self.assert_bad({"key": "client x", "values": {"points": value, "at": 1}}, "points")
        self.assert_bad('{"key": "client x", "values": {"points": NaN, "at": 1}}', "points")
        self.assert_bad('{"key": "client x", "values": {"points": Infinity, "at": 1}}', "points")

    @settings(deadline=None, max_examples=300)
    @given(
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
            lambda inner: st.lists(inner) | st.dictionaries(_names, inner),
            max_leaves=8,
        )
    )
    def test_whatever_is_read_can_be_written_and_read_again(self, value):
        try:
            key, record = read_line(json.dumps(value))
        except BadEntry:
            return
        self.assertIsInstance(record, Record)
        self.assertEqual(round_trip(key, record), (key, record))
