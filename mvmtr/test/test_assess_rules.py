"""What the postmaster has said about clients, senders and recipients."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assess.question import Question, State
from mvmtr.assess.records import Record
from mvmtr.assess.rules import (
    ACTIONS,
    LABELS_MAX,
    NETWORK_LENGTHS,
    BadSubject,
    Rules,
    rule,
    subject_of,
    trap_of,
)

QUESTION = Question(
    state=State.RCPT,
    client=b"192.0.2.7",
    client_name=b"mx1.mail.example.org",
    sender=b"Joe@Lists.example.net",
    recipient=b"ann@example.com",
)


def rules(**actions: str) -> dict[str, Record]:
    """Records from subjects and actions."""
    return {
        subject_of(subject, action): rule(action, f"{action} {subject}")
        for subject, action in actions.items()
    }


class SubjectTests(SynchronousTestCase):
    def test_subjects(self) -> None:
        subjects = {
            "192.0.2.7": "rule network 192.0.2.7",
            "192.0.2.7/24": "rule network 192.0.2.0/24",
            "2001:DB8::7": "rule network 2001:db8::7",
            "2001:db8::7/48": "rule network 2001:db8::/48",
            "::ffff:192.0.2.7": "rule network 192.0.2.7",
            "Example.Org": "rule domain example.org",
            "example.org.": "rule domain example.org",
            "org": "rule domain org",
            "Joe@Example.Org": "rule sender joe@example.org",
            " example.org\n": "rule domain example.org",
        }
        for text, key in subjects.items():
            self.assertEqual(subject_of(text, "block"), key)

    def test_a_trap_is_a_recipient(self) -> None:
        key = subject_of("Trap@Example.Org", "trap")
        self.assertEqual(key, "rule recipient trap@example.org")
        self.assertEqual(key, trap_of(b"trap@EXAMPLE.org"))

    def test_nobody_is_the_trap_of_a_network_or_domain(self) -> None:
        for text in ("192.0.2.7", "example.org", "@example.org", "a b@example.org"):
            with self.assertRaisesRegex(BadSubject, "is no address of a recipient"):
                subject_of(text, "trap")

    def test_nobody_relays_for_being_a_sender(self) -> None:
        with self.assertRaisesRegex(BadSubject, "anybody can claim"):
            subject_of("joe@example.org", "relay")

    def test_what_is_no_subject_is_refused(self) -> None:
        for text in (
            *("", ".", "a b", ".example.org", "example..org", "@example.org", "joe@", "a@b@c"),
            *("1.2.3", "300.1.2.3", "192.0.2.0/33", "192.0.2.0/x", "example.org/24", "[::1]"),
        ):
            with self.assertRaises(BadSubject, msg=text):
                subject_of(text, "block")

    def test_a_network_of_a_length_that_is_not_looked_at_is_refused(self) -> None:
        for text in ("192.0.2.0/7", "0.0.0.0/0", "2001:db8::/63", "::/0"):
            with self.assertRaisesRegex(BadSubject, "one of these lengths"):
                subject_of(text, "block")

    def test_an_unknown_action_is_refused(self) -> None:
        with self.assertRaisesRegex(BadSubject, "none of block, allow, relay, trap"):
            rule("kill", "no reason")
        for action in ACTIONS:
            self.assertEqual(rule(action, "r", 5.0), Record({"action": action, "reason": "r"}, 5.0))

    @settings(deadline=None, max_examples=300)
    @given(st.text(max_size=40), st.sampled_from(ACTIONS))
    def test_any_text_is_a_subject_or_refused(self, text: str, action: str) -> None:
        try:
            key = subject_of(text, action)
        except BadSubject:
            return
        self.assertTrue(key.startswith("rule "))
        self.assertEqual(len(key.split(" ")), 3)

    @settings(deadline=None, max_examples=200)
    @given(st.ip_addresses(), st.data())
    def test_a_rule_for_a_network_is_found_for_each_address_in_it(
        self, address: object, data: st.DataObject
    ) -> None:
        bits = data.draw(st.sampled_from(list(NETWORK_LENGTHS[address.version])))
        if getattr(address, "ipv4_mapped", None):
            return
        key = subject_of(f"{address}/{bits}", "block")
        keys = Rules().keys(replace(QUESTION, client=str(address).encode()))
        self.assertIn(key, keys)


class RulesTests(SynchronousTestCase):
    def ask(self, records: dict[str, Record], **changes: object) -> tuple[str, str]:
        question = replace(QUESTION, **changes)
        keys = Rules().keys(question)
        found = {key: record for key, record in records.items() if key in keys}
        opinion = Rules().assess(question, found, 0)
        self.assertEqual(opinion.changes, {})
        if opinion.hint is None:
            return "", ""
        self.assertTrue(opinion.is_last)
        return opinion.hint.action, opinion.hint.reason

    def test_no_rule_is_no_opinion(self) -> None:
        self.assertEqual(self.ask({}), ("", ""))

    def test_what_is_blocked_is_refused(self) -> None:
        for subject in (
            *("192.0.2.7", "192.0.2.0/24", "192.0.0.0/8", "mx1.mail.example.org", "example.org"),
            *("org", "joe@lists.example.net", "lists.example.net", "example.net"),
        ):
            action, reason = self.ask(rules(**{subject: "block"}))
            self.assertEqual(action, "reject", subject)
            self.assertIn(f": block {subject}", reason)

    def test_others_are_not(self) -> None:
        others = (
            *("192.0.2.8", "192.0.3.0/24", "mail.example", "ample.org", "x.mx1.mail.example.org"),
            *("ann@lists.example.net", "joe@example.net", "ists.example.net"),
        )
        self.assertEqual(self.ask(rules(**dict.fromkeys(others, "block"))), ("", ""))

    def test_the_reply_tells_the_reason(self) -> None:
        question = replace(QUESTION)
        hint = Rules().assess(question, rules(**{"192.0.2.7": "block"}), 0).hint
        self.assertEqual((hint.code, hint.text), (554, "5.7.1 blocked: block 192.0.2.7"))

    def test_the_most_special_rule_holds(self) -> None:
        order = (
            *("joe@lists.example.net", "192.0.2.7", "192.0.2.4/30", "192.0.2.0/24", "192.0.0.0/8"),
            *("mx1.mail.example.org", "example.org", "org", "lists.example.net", "net"),
        )
        for number, subject in enumerate(order[:-1]):
            found = rules(**{subject: "allow"}, **dict.fromkeys(order[number + 1 :], "block"))
            self.assertEqual(self.ask(found)[0], "dunno", subject)
            found = rules(**{subject: "block"}, **dict.fromkeys(order[number + 1 :], "allow"))
            self.assertEqual(self.ask(found)[0], "reject", subject)

    def test_who_is_allowed_gets_no_more_than_others(self) -> None:
        opinion = Rules().assess(QUESTION, rules(**{"192.0.2.7": "allow"}), 0)
        self.assertTrue(opinion.is_last)
        self.assertEqual(opinion.hint.action, "dunno")
        self.assertEqual(opinion.hint.parameters, {})

    def test_who_may_relay_is_told_in_words_that_the_questioner_knows(self) -> None:
        for extended, action in ((False, "ok"), (True, "dunno")):
            for subject in ("192.0.2.7", "192.0.2.0/24", "example.org"):
                question = replace(QUESTION, extended=extended)
                hint = Rules().assess(question, rules(**{subject: "relay"}), 0).hint
                self.assertEqual((hint.action, hint.parameters), (action, {"relay": "yes"}))

    def test_no_sender_makes_a_client_relay(self) -> None:
        found = rules(**{"lists.example.net": "relay", "example.net": "relay"})
        self.assertEqual(self.ask(found), ("", ""))
        found["rule sender joe@lists.example.net"] = rule("relay", "written by hand")
        self.assertEqual(self.ask(found), ("", ""))

    def test_a_claim_does_not_hide_a_rule_that_is_more_general(self) -> None:
        found = rules(**{"lists.example.net": "relay", "example.net": "block"})
        self.assertEqual(self.ask(found)[0], "reject")

    def test_a_sender_of_the_clients_own_domain_may_relay(self) -> None:
        found = rules(**{"example.org": "relay"})
        action, _reason = self.ask(found, sender=b"joe@example.org")
        self.assertEqual(action, "ok")

    def test_the_end_of_a_long_name_is_looked_at(self) -> None:
        name = b"a." * 60 + b"example.org"
        for changes in ({"client_name": name}, {"sender": b"joe@" + name}):
            self.assertEqual(self.ask(rules(**{"example.org": "block"}), **changes)[0], "reject")
            question = replace(QUESTION, client=b"", **changes)
            self.assertLessEqual(len(Rules().keys(question)), 2 * LABELS_MAX + 3)

    def test_a_client_of_which_nothing_is_known(self) -> None:
        unknown = Question(State.CONNECT, b"")
        self.assertEqual(Rules().keys(unknown), [])
        self.assertIsNone(Rules().assess(unknown, {}, 0).hint)
