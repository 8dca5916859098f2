"""Tests for L{mvmtr.session}."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.session import (
    REPLY_TEXT_MAX,
    Accept,
    Connection,
    Defer,
    Discard,
    Reject,
    Session,
    Stage,
    Transaction,
    Verdict,
    taken,
)
from mvmtr.settings import Settings

KINDS = [Accept, Discard, Reject, Defer]


class VerdictTests(SynchronousTestCase):
    """Codes, classes and texts agree."""

    def test_a_missing_enhanced_status_code_is_added(self):
        for kind, status in zip(KINDS, ["2.0.0", "2.0.0", "5.7.1", "4.7.1"], strict=True):
            self.assertEqual(kind(text="because").text, status + " because")

    def test_an_enhanced_status_code_is_kept(self):
        for kind, status in zip(KINDS, ["2.1.0", "2.100.999", "5.1.1", "4.2.2"], strict=True):
            self.assertEqual(kind(text=status + " because").text, status + " because")
            self.assertEqual(kind(text=status).text, status)

    def test_what_only_looks_like_an_enhanced_status_code_is_text(self):
        for text in "5.7", "5.7.1: no", "5.7.1000 no", "3.0.0 no", "10.5.7.1 no", "55.7.1 no":
            self.assertEqual(Reject(text=text).text, "5.7.1 " + text)

    def test_an_enhanced_status_code_of_another_class_is_an_error(self):
        for kind, text in (Reject, "4.7.1 no"), (Defer, "5.7.1 no"), (Accept, "5.0.0 ok"):
            self.assertRaises(ValueError, kind, text=text)
        self.assertRaises(ValueError, Reject, text="\r\n4.7.1 no")

    def test_a_reply_code_of_another_class_is_an_error(self):
        for kind, codes in {
            Accept: (199, 300, 354, 451, 550),
            Discard: (354, 451, 550),
            Reject: (250, 451, 499, 600, 55),
            Defer: (250, 399, 500, 550, -451),
        }.items():
            for code in codes:
                self.assertRaises(ValueError, kind, code)

    def test_reply_codes_of_the_class_are_kept(self):
        self.assertEqual([Accept(299).code, Reject(500).code, Defer(421).code], [299, 500, 421])

    def test_a_rejection_cannot_become_another_class(self):
        self.assertNotIsInstance(Defer(), Reject)
        self.assertNotIsInstance(Reject(), Defer)
        self.assertNotIsInstance(Discard(), Accept)

    def test_what_cannot_be_printed_becomes_a_blank(self):
        verdict = Reject(text="5.7.1 a\r\n250 b\0\x7fc\u00e9\u2028d\n")
        self.assertEqual(verdict.text, "5.7.1 a 250 b c d")

    @settings(deadline=None, max_examples=400)
    @given(st.sampled_from(KINDS), st.text(max_size=40) | st.text(min_size=470, max_size=600))
    def test_any_text_becomes_one_line_that_fits_a_reply(self, kind, text):
        try:
            verdict = kind(text=text)
        except ValueError:
            # It begins with an enhanced status code of another class.
            self.assertTrue(re.match(rf"[^!-~]*(?!{kind.hundred})[245]\.\d", text))
            return
        form = rf"{kind.hundred}\.\d+\.\d+( [ -~]*)?"
        self.assertTrue(re.fullmatch(form, verdict.text), verdict.text)
        self.assertLessEqual(len(verdict.text), 512 - len("250 \r\n"))

    @settings(deadline=None, max_examples=200)
    @given(st.sampled_from(KINDS), st.text(" a57\n", max_size=20))
    @example(Reject, "x" * (REPLY_TEXT_MAX - 1))
    @example(Reject, "x" * (REPLY_TEXT_MAX - 7) + " y")
    def test_a_check_and_a_reason_leave_the_text_as_it_is(self, kind, text):
        verdict = kind(text=text)
        self.assertEqual(verdict.by("one").because("two").text, verdict.text)

    def test_the_first_check_to_be_named_gave_the_verdict(self):
        verdict = Reject().by("one").by("two")
        self.assertEqual(verdict.check, "one")

    def test_naming_a_check_keeps_all_else(self):
        verdict = Reject(550, "5.1.1 no", at_rcpt=True).because("file:1").by("one")
        expected = Reject(550, "5.1.1 no", reason="file:1", check="one", at_rcpt=True)
        self.assertEqual(verdict, expected)

    def test_a_verdict_cannot_be_changed(self):
        verdict = Accept()
        self.assertRaises(FrozenInstanceError, setattr, verdict, "code", 550)
        self.assertEqual(verdict.by("one"), Accept(check="one"))
        self.assertEqual(verdict.check, "")

    def test_kinds_have_names(self):
        names = [kind().name for kind in KINDS]
        self.assertEqual(names, ["accept", "discard", "reject", "defer"])

    def test_a_taken_message_tells_time_and_number(self):
        self.assertTrue(re.fullmatch(r"2\.0\.0 ok \d{10} qp 17", taken(17)))
        self.assertEqual(Verdict(250, taken(17)).text[:9], "2.0.0 ok ")


class ConnectionTests(SynchronousTestCase):
    """Who talks to whom."""

    def test_what_is_not_known_is_in_no_environment(self):
        self.assertEqual(Connection().as_environment(), {})

    def test_what_is_known_is_named_as_tcpserver_names_it(self):
        connection = Connection(b"ip", b"host", b"info", b"lip", b"lhost")
        expected = {
            b"TCPREMOTEIP": b"ip",
            b"TCPREMOTEHOST": b"host",
            b"TCPREMOTEINFO": b"info",
            b"TCPLOCALIP": b"lip",
            b"TCPLOCALHOST": b"lhost",
        }
        self.assertEqual(connection.as_environment(), expected)

    def test_what_is_known_to_be_empty_is_there(self):
        self.assertEqual(Connection(remote_info=b"").as_environment(), {b"TCPREMOTEINFO": b""})

    def test_variables_of_the_connection_are_there_and_win(self):
        given = {b"RELAYCLIENT": b"", b"TCPREMOTEHOST": b"rule"}
        connection = Connection(b"ip", b"host", environment=given)
        expected = {b"TCPREMOTEIP": b"ip", b"TCPREMOTEHOST": b"rule", b"RELAYCLIENT": b""}
        self.assertEqual(connection.as_environment(), expected)

    def test_the_environment_that_is_given_out_is_a_copy(self):
        connection = Connection(environment={b"A": b"b"})
        connection.as_environment().clear()
        self.assertEqual(connection.environment, {b"A": b"b"})


class SessionTests(SynchronousTestCase):
    """A new session."""

    def session(self, **environment):
        variables = {name.encode(): value for name, value in environment.items()}
        return Session(Connection(environment=variables), Settings())

    def test_who_has_relayclient_may_relay_even_if_it_is_empty(self):
        self.assertIn("RELAYCLIENT", self.session(RELAYCLIENT=b"").relay)
        self.assertIn("RELAYCLIENT", self.session(RELAYCLIENT=b"@x").relay)

    def test_nobody_else_may_relay(self):
        self.assertEqual(self.session().relay, "")
        self.assertEqual(self.session(relayclient=b"", RELAYCLIENTS=b"1").relay, "")

    def test_sessions_have_ids_of_their_own_that_are_one_plain_word(self):
        ids = {self.session().id for _number in range(100)}
        self.assertEqual(len(ids), 100)
        for name in ids:
            self.assertTrue(re.fullmatch(r"[0-9a-f]+\.\d+\.\d+", name), name)

    def test_nothing_has_been_said_yet(self):
        session = self.session()
        self.assertEqual((session.helo, session.user, session.transaction), (None, None, None))
        self.assertFalse(session.esmtp)

    def test_transactions_share_nothing(self):
        first, second = Transaction(b"a"), Transaction(b"b")
        first.recipients.append(b"r")
        first.discarded.append(b"d")
        self.assertEqual((second.recipients, second.discarded), ([], []))

    def test_stages_come_in_the_order_of_a_session(self):
        names = "connect helo auth mail rcpt data message disconnect"
        self.assertEqual(" ".join(Stage), names)
