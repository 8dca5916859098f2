"""Tests for L{mvmtr.protocol.journal}: what is logged of a session."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import succeed
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol.journal import RECIPIENTS_MAX, REFUSALS_MAX
from mvmtr.session import Accept, Connection, Defer, Discard, Encryption, Reject
from mvmtr.test.stand_ins import MAIL, RCPT, TEXT, Says, Takes, conversation, talk_with
from mvmtr.test.support import Talk, assemble, control_folder, folder


class JournalTests(SynchronousTestCase):
    """A line for each refusal, each message and each session."""

    def journal(self, act, *checks, **options):
        """The events of a session, in which C{act} is what the client does."""
        with capturedLogs() as captured:
            talk = talk_with(*checks, **options)
            act(talk)
            talk.receiver.connectionLost()
        self.id = talk.receiver.session.id
        self.lines = [formatEvent(event) for event in captured if "record" in event]
        return [event["record"] for event in captured if "record" in event]

    def assert_has(self, record, **values):
        self.assertEqual({name: record.get(name) for name in values}, values)

    def test_a_session_is_a_line(self):
        def act(talk):
            talk.send(b"EHLO name.example", b"NONSENSE", b"DATA")
            talk.send(b"QUIT")

        *_refused, record = self.journal(act)
        self.assert_has(
            record,
            event="connection",
            session=self.id,
            client=b"203.0.113.7",
            host=b"client.example",
            helo=b"name.example",
            quit="yes",
            messages=0,
            refused_messages=0,
            refused=2,
        )
        self.assertRegex(record["seconds"], r"\A\d+\.\d{3}\Z")

    def test_a_session_that_only_came_and_went_is_a_line_as_well(self):
        (record,) = self.journal(lambda talk: None)
        self.assert_has(record, event="connection", quit="no", helo=None, refused=0)

    def test_proxy_user_and_encryption_are_told(self):
        def act(talk):
            session = talk.receiver.session
            session.connection = replace(session.connection, forwarded_by=b"192.0.2.9")
            session.encryption = Encryption("TLSv1.3", "TLS_AES_256_GCM_SHA384")
            session.user = b"joe"
            talk.send(b"NONSENSE")

        refused, connection = self.journal(act)
        for record in (refused, connection):
            self.assert_has(record, via=b"192.0.2.9", user=b"joe")
        self.assert_has(connection, tls="TLSv1.3 TLS_AES_256_GCM_SHA384")

    def test_a_refused_recipient_is_a_line_with_the_check_and_its_reason(self):
        control = control_folder(folder(self), {"rcpthosts": "ours.example\n"})
        refused, _connection = self.journal(
            lambda talk: talk.send(MAIL, b"RCPT TO:<r@elsewhere.example>"), control=control
        )
        self.assert_has(
            refused,
            event="refused",
            session=self.id,
            client=b"203.0.113.7",
            sender=b"s@client.example",
            command="rcpt",
            argument=b"r@elsewhere.example",
            verdict="reject",
            code=553,
            check="rcpthosts",
            reason=f"not in {control}/rcpthosts",
        )

    def test_a_sender_in_badmailfrom_is_a_line_for_each_recipient_with_file_and_line(self):
        control = control_folder(folder(self), {"badmailfrom": "# why\n\n@client.example\n"})
        *refused, _connection = self.journal(
            lambda talk: talk.send(MAIL, RCPT, RCPT), control=control
        )
        self.assertEqual(len(refused), 2)
        for record in refused:
            self.assert_has(record, check="badmailfrom", reason=f"{control}/badmailfrom:3")

    def test_refusals_at_each_stage_name_what_was_refused(self):
        for stage, command, argument in (
            ("connect", "connect", None),
            ("helo", "helo", b"client.example"),
            ("mail", "mail", b"s@client.example"),
            ("rcpt", "rcpt", b"r@mvmtr.example"),
            ("data", "data", None),
        ):
            check = Says(**{stage: Defer(450, "4.7.1 later", reason="too early")})
            record = self.journal(conversation, check)[0]
            self.assert_has(
                record,
                event="refused",
                command=command,
                argument=argument,
                verdict="defer",
                code=450,
                text="4.7.1 later",
                check="own",
                reason="too early",
            )

    def test_what_the_protocol_refuses_says_so(self):
        table = {
            b"RCPT TO:<x@y>": ("rcpt", b"TO:<x@y>", 503),
            b"MAIL FROM:<x": ("mail", b"FROM:<x", 555),
            b"NOOP \0": ("line", b"NOOP \0", 501),
            b"NONSENSE": ("command", None, 502),
        }
        for line, (command, argument, code) in table.items():
            record, _connection = self.journal(lambda talk, line=line: talk.send(line))
            self.assert_has(record, command=command, argument=argument, code=code, check="protocol")

    def test_an_accepted_message_is_a_line(self):
        queue = Takes(succeed(Accept(text="2.0.0 taken", reason="file 7")))

        def act(talk):
            talk.send(MAIL, RCPT, b"RCPT TO:<r2@mvmtr.example>", b"DATA")
            talk.feed(TEXT)

        message, connection = self.journal(act, queue=queue)
        self.assert_has(
            message,
            event="message",
            session=self.id,
            client=b"203.0.113.7",
            sender=b"s@client.example",
            recipients=2,
            recipient=b"r@mvmtr.example,r2@mvmtr.example",
            size=len(b"Subject: x\n\nhello\n"),
            verdict="accept",
            code=250,
            text="2.0.0 taken",
            check="takes:",
            reason="file 7",
        )
        self.assert_has(connection, messages=1, refused_messages=0, refused=0)

    def test_a_refused_message_is_a_line(self):
        for options, check, verdict in (
            ({"queue": Takes(succeed(Reject(554, "5.3.0 no")))}, "takes:", "reject"),
            ({"smtp_server_msgsize_max": "3"}, "size", "reject"),
            ({"smtp_server_hops_max": "1"}, "hops", "reject"),
        ):

            def act(talk):
                talk.send(MAIL, RCPT, b"DATA")
                talk.feed(b"Received: " + TEXT)

            message, connection = self.journal(act, **options)
            self.assert_has(message, event="message", verdict=verdict, check=check)
            self.assert_has(connection, messages=0, refused_messages=1)

    def test_a_discarded_message_is_told_from_an_accepted_one(self):
        message, connection = self.journal(conversation, Says(rcpt=Discard(reason="a trap")))
        self.assert_has(message, verdict="discard", recipients=1, recipient=b"r@mvmtr.example")
        self.assert_has(connection, messages=0)

    def test_a_timeout_is_a_line(self):
        record, _connection = self.journal(lambda talk: talk.clock.advance(300))
        self.assert_has(record, command="timeout", code=451)

    def test_very_many_refusals_are_only_counted(self):
        *refused, connection = self.journal(lambda talk: talk.send(*[b"X"] * (REFUSALS_MAX + 50)))
        self.assertEqual(len(refused), REFUSALS_MAX)
        self.assert_has(connection, refused=REFUSALS_MAX + 50)

    def test_very_many_recipients_are_not_all_named(self):
        def act(talk):
            talk.send(MAIL, *[RCPT] * (RECIPIENTS_MAX + 1), b"DATA")
            talk.feed(TEXT)

        message, _connection = self.journal(act)
        self.assert_has(message, recipients=RECIPIENTS_MAX + 1)
        self.assertEqual(message["recipient"].count(b"r@mvmtr.example"), RECIPIENTS_MAX)
        self.assertTrue(message["recipient"].endswith(b",..."))

    def test_nothing_that_a_client_sends_can_look_like_another_line_or_value(self):
        def act(talk):
            talk.send(b"EHLO a\x1b[31m\x0b quit=yes", b'MAIL FROM:<"a b" verdict=accept\xff@x>')
            talk.send(b"RCPT TO:<x@elsewhere.example\x85>")

        self.journal(act)
        for line in self.lines:
            self.assertTrue(line.isprintable() and line.isascii(), repr(line))
        self.assertIn(r'helo="a\x1b[31m\x0b quit=yes"', self.lines[-1])
        self.assertRegex(self.lines[-1], r' sender="a b verdict=accept[^" ]+@x" ')

    def test_a_client_without_an_address_is_called_unknown(self):
        with capturedLogs() as captured:
            Talk(assemble(), Connection()).receiver.connectionLost()
        records = [event["record"] for event in captured if "record" in event]
        self.assertEqual([record["client"] for record in records], [b"unknown"])
