"""What questions and feedback tell of a session."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assess.attributes import STATES, VALUE_MAX, feedback_about, question_about
from mvmtr.assess.question import Event, feedback_of, question_of
from mvmtr.assess.wire import REQUEST_MAX, AttributeReader, written
from mvmtr.session import Connection, Encryption, Session, Stage, Transaction
from mvmtr.settings import Settings
from mvmtr.test.support import CLIENT

NAME = b"client.example"


def session_of(connection=CLIENT):
    session = Session(connection, Settings())
    session.helo, session.esmtp = b"c.example", True
    session.transaction = Transaction(b"s@c.example", {b"SIZE": b"1234"})
    session.transaction.recipients = [b"a@ours.example", b"b@ours.example"]
    return session


class QuestionTests(SynchronousTestCase):
    def asked(self, session, stage, argument=b""):
        return question_about(session, stage, argument, NAME, b"1")

    def test_senders_and_recipients_stage_by_stage(self):
        session = session_of()
        for stage, argument, expected in (
            (Stage.CONNECT, b"", (b"", b"", b"0", b"0")),
            (Stage.HELO, b"new", (b"", b"", b"0", b"0")),
            (Stage.MAIL, b"s@c.example", (b"s@c.example", b"", b"0", b"1234")),
            (Stage.RCPT, b"r@x", (b"s@c.example", b"r@x", b"0", b"1234")),
            (Stage.DATA, b"", (b"s@c.example", b"", b"2", b"1234")),
            (Stage.MESSAGE, b"", (b"s@c.example", b"", b"2", b"77")),
        ):
            session.transaction.size = 77
            asked = self.asked(session, stage, argument)
            names = (b"sender", b"recipient", b"recipient_count", b"size")
            self.assertEqual(tuple(asked[name] for name in names), expected, stage)
        session.transaction.recipients.pop()
        self.assertEqual(self.asked(session, Stage.DATA)[b"recipient"], b"a@ours.example")
        self.assertEqual(self.asked(session, Stage.HELO, b"new")[b"helo_name"], b"new")

    def test_who_it_is(self):
        session = session_of()
        session.user, session.relay = b"joe", "authenticated as joe"
        session.encryption = Encryption("TLSv1.3", "AES", client=b"joe@c.example")
        asked = self.asked(session, Stage.MAIL)
        expected = {
            b"client_name": NAME,
            b"reverse_client_name": b"client.example",
            b"sasl_username": b"joe",
            b"mvmcas_relay": b"yes",
            b"encryption_protocol": b"TLSv1.3",
            b"encryption_cipher": b"AES",
            b"ccert_subject": b"joe@c.example",
            b"server_address": b"198.51.100.1",
        }
        self.assertEqual({name: asked[name] for name in expected}, expected)

    def test_what_is_not_known(self):
        asked = question_about(session_of(Connection()), Stage.CONNECT, b"", b"", b"1")
        for name in (b"client_address", b"client_name", b"reverse_client_name"):
            self.assertEqual(asked[name], b"unknown")
        self.assertEqual(question_of(asked).client, b"")

    @given(st.sampled_from(list(STATES)), st.binary(max_size=3000), st.binary(max_size=3000))
    @settings(deadline=None, max_examples=100)
    def test_whatever_a_client_says_is_one_request_that_mvmcas_understands(self, stage, helo, what):
        session = session_of()
        session.helo, session.transaction.reverse_path = helo, what
        for attributes in (
            question_about(session, stage, what, NAME, b"1"),
            feedback_about(session, Event.GOOD_MAIL, what, NAME),
        ):
            data = written(attributes)
            self.assertLess(len(data), REQUEST_MAX / 2)
            (read,) = AttributeReader().feed(data)
            self.assertEqual(set(read), set(attributes))
            self.assertTrue(all(len(value) <= VALUE_MAX for value in read.values()))
        self.assertIs(question_of(question_about(session, stage, what, NAME, b"1")).extended, True)

    def test_feedback_is_what_mvmcas_understands(self):
        told = feedback_about(session_of(), Event.RELAY_DENIED, b"r@x", NAME)
        found = feedback_of({**told, b"mvmcas_count": b"7"})
        self.assertEqual(
            (found.event, found.client, found.client_name, found.sender, found.recipient),
            (Event.RELAY_DENIED, b"203.0.113.7", NAME, b"s@c.example", b"r@x"),
        )
        self.assertEqual((found.count, found.relay, found.helo), (7, False, b"c.example"))


class PrependTests(SynchronousTestCase):
    """Fields that checks put in front of a message."""

    def test_before_and_after_the_header_of_the_server(self):
        transaction = Transaction(b"")
        transaction.prepend(b"X-One: 1")
        self.assertEqual((transaction.prepended, transaction.header), ([b"X-One: 1"], b""))
        transaction.header = b"X-One: 1\nReceived: ...\n"
        transaction.prepend(b"X-One: 1")
        transaction.prepend(b"X-Two: 2")
        self.assertEqual(transaction.header, b"X-Two: 2\nX-One: 1\nReceived: ...\n")

    def test_there_is_an_end_to_them(self):
        transaction = Transaction(b"")
        for number in range(99):
            transaction.prepend(b"X: %d" % number)
        self.assertEqual(len(transaction.prepended), 50)

    def test_nothing_but_one_field(self):
        for field in (b"", b"X", b"X Y: z", b": x", b"X: y\nZ: 1", b"X: y\r\n", b"X: \0", b" X: y"):
            with self.assertRaises(ValueError):
                Transaction(b"").prepend(field)
