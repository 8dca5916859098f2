"""All assessors together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assess.engine import Engine
from mvmtr.assess.hint import DUNNO
from mvmtr.assess.question import Event, Feedback, Question, State
from mvmtr.assess.records import Record
from mvmtr.assess.rules import rule, subject_of, trap_of
from mvmtr.assess.settings import AssessSettings
from mvmtr.test.assess_memory import Memory

QUESTION = Question(
    State.RCPT,
    b"192.0.2.7",
    client_name=b"mx.client.example",
    helo=b"mx.client.example",
    sender=b"joe@sender.example",
    recipient=b"ann@example.com",
)
ALL: dict[str, Any] = {"greylist": True, "reputation": True, "rate_recipients": 2}


def memory_of(more: dict[str, Record] | None = None, **controls: Any) -> Memory:
    """A memory with an engine."""
    return Memory(Engine(AssessSettings(**controls), lambda: more or {}))


class EngineTests(SynchronousTestCase):
    def test_where_nothing_is_switched_on_there_are_only_rules(self) -> None:
        memory = memory_of()
        for state in State:
            self.assertIs(memory.ask(replace(QUESTION, state=state)), DUNNO)
        memory.tell(Feedback(Event.SPAM_TRAP, b"192.0.2.7"))
        self.assertEqual(memory.records, {})
        memory.records[subject_of("192.0.2.7", "block")] = rule("block", "r")
        self.assertEqual(memory.ask(QUESTION).action, "reject")

    def test_the_reason_begins_with_who_gave_it(self) -> None:
        self.assertEqual(
            memory_of(greylist=True).ask(QUESTION).reason,
            "greylist: greylisted for 300 s, not seen before",
        )
        memory = memory_of(rate_recipients=1)
        memory.ask(QUESTION)
        self.assertEqual(memory.ask(QUESTION).reason, "rates: 2 recipients in 60 s")
        memory = memory_of(reputation=True)
        memory.tell(Feedback(Event.SPAM_TRAP, b"192.0.2.7"))
        self.assertIn("reputation: 2", memory.ask(QUESTION).reason)
        memory = memory_of({subject_of("192.0.2.7", "block"): rule("block", "by hand")})
        self.assertEqual(memory.ask(QUESTION).reason, "rules: network 192.0.2.7: by hand")

    def test_a_rule_comes_before_all_else(self) -> None:
        for action, said in (("allow", "dunno"), ("block", "reject"), ("relay", "ok")):
            memory = memory_of(**ALL)
            memory.tell(Feedback(Event.SPAM_TRAP, b"192.0.2.7", count=5))
            before = dict(memory.records)
            memory.records[subject_of("192.0.2.7", action)] = rule(action, "r")
            for _ in range(5):
                self.assertEqual(memory.ask(QUESTION).action, said)
            self.assertEqual({**memory.records, **before}, memory.records)
            self.assertEqual(len(memory.records), len(before) + 1)

    def test_a_rule_has_an_end(self) -> None:
        memory = memory_of()
        key = subject_of("192.0.2.7", "block")
        memory.records[key] = rule("block", "for a minute", memory.now + 60)
        memory.now += 59
        self.assertEqual(memory.ask(QUESTION).action, "reject")
        memory.now += 1
        self.assertIs(memory.ask(QUESTION), DUNNO)

    def test_rules_from_elsewhere_come_before_those_of_the_store(self) -> None:
        key = subject_of("192.0.2.7", "block")
        more = {key: rule("allow", "in a file"), trap_of(b"trap@example.com"): rule("trap", "")}
        memory = memory_of(more, reputation=True)
        memory.records[key] = rule("block", "in the store")
        self.assertEqual(memory.ask(QUESTION).action, "dunno")
        more[key] = rule("allow", "in a file", memory.now)
        self.assertEqual(memory.ask(QUESTION).action, "reject")

    def test_traps_may_come_from_elsewhere(self) -> None:
        memory = memory_of({trap_of(b"trap@example.com"): rule("trap", "")}, reputation=True)
        self.assertEqual(memory.ask(QUESTION), DUNNO)
        trapped = memory.ask(replace(QUESTION, recipient=b"trap@example.com"))
        self.assertEqual(trapped.action, "defer")

    def test_a_slow_client_is_greylisted_too(self) -> None:
        memory = memory_of(greylist=True, reputation=True)
        memory.tell(Feedback(Event.REJECTED_CONTENT, b"192.0.2.7", count=2))
        hint = memory.ask(QUESTION)
        self.assertEqual((hint.action, hint.parameters), ("defer_if_permit", {"tarpit": "5"}))
        memory.now += 301
        hint = memory.ask(QUESTION)
        self.assertEqual((hint.action, hint.parameters), ("dunno", {"tarpit": "5"}))

    def test_one_that_is_put_off_by_another_is_not_greylisted(self) -> None:
        memory = memory_of(greylist=True, reputation=True)
        memory.tell(Feedback(Event.SPAM_TRAP, b"192.0.2.7"))
        self.assertIn("reputation:", memory.ask(QUESTION).reason)
        self.assertFalse([key for key in memory.records if key.startswith("grey")])

    def test_no_key_is_asked_for_twice(self) -> None:
        engine = Engine(AssessSettings(**ALL))
        keys = engine.keys(QUESTION)
        self.assertEqual(len(keys), len(set(keys)))

    @settings(deadline=None, max_examples=150)
    @given(
        st.lists(
            st.builds(
                Question,
                state=st.sampled_from(list(State)),
                client=st.sampled_from([b"192.0.2.7", b"2001:db8::1", b"", b"\xff x"]),
                client_name=st.sampled_from(
                    [b"", b"mx.client.example", b"\xff..", b"192-0-2-7.a.b"]
                ),
                helo=st.sampled_from([b"", b"h", b"a b", b"x" * 1000]),
                sender=st.sampled_from([b"", b"a@b.example", b"@", b"\x00 =+@"])
                | st.binary(max_size=50),
                recipient=st.sampled_from([b"", b"trap@example.com", b"@"])
                | st.binary(max_size=50),
                relay=st.booleans(),
                spf_domain=st.sampled_from([b"", b"b.example"]),
                extended=st.booleans(),
            )
            | st.builds(
                Feedback,
                event=st.sampled_from(list(Event)),
                client=st.sampled_from([b"192.0.2.7", b"2001:db8::1", b"", b"\xff x"]),
                helo=st.sampled_from([b"", b"h", b"a b"]),
                sender=st.binary(max_size=50),
                count=st.integers(1, 1000),
                relay=st.booleans(),
            )
            | st.floats(-1000, 1e6),
            max_size=30,
        )
    )
    def test_whatever_is_asked_and_told_it_goes_on(self, doings: list[Any]) -> None:
        memory = memory_of({trap_of(b"trap@example.com"): rule("trap", "")}, **ALL)
        for what in doings:
            if isinstance(what, Question):
                hint = memory.ask(what)
                if what.relay:
                    self.assertIs(hint, DUNNO)
                self.assertEqual(hint.code // 100, {"reject": 5, "dunno": 0}.get(hint.action, 4))
            elif isinstance(what, Feedback):
                memory.tell(what)
            else:
                memory.now += what
            for key, record in memory.records.items():
                self.assertTrue(record.expires, f"{key} has no end")
                self.assertNotIn("\n", record.written())
