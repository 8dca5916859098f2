"""Tests for L{mvmtr.protocol.smtp}: commands, their states, their parameters."""

from __future__ import annotations

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.session import Defer, Reject
from mvmtr.test.stand_ins import MAIL, RCPT, TEXT, Takes, conversation, talk_with
from mvmtr.test.support import control_folder, folder

STATES = {
    "fresh": (),
    "greeted": (b"EHLO client.example",),
    "mail": (b"EHLO client.example", MAIL),
    "rcpt": (b"EHLO client.example", MAIL, RCPT),
}


class CommandTests(SynchronousTestCase):
    """Each command in each state."""

    # command: its codes when fresh, after EHLO, after MAIL, after RCPT
    table = {
        b"HELO client.example": (250, 250, 250, 250),
        b"EHLO client.example": (250, 250, 250, 250),
        b"HELO": (250, 250, 250, 250),
        b"mail from:<s@client.example>": (250, 250, 250, 250),
        MAIL: (250, 250, 250, 250),
        RCPT: (503, 503, 250, 250),
        b"DATA": (503, 503, 503, 354),
        b"RSET": (250, 250, 250, 250),
        b"VRFY r@mvmtr.example": (252, 252, 252, 252),
        b"HELP": (214, 214, 214, 214),
        b"NOOP anything": (250, 250, 250, 250),
        b"QUIT": (221, 221, 221, 221),
        b"STARTTLS": (502, 502, 502, 502),
        b"AUTH PLAIN": (502, 502, 502, 502),
        b"BDAT 0 LAST": (502, 503, 503, 250),
        b"": (502, 502, 502, 502),
        b"MAIL FROM:<s@x\0>": (501, 501, 501, 501),
        b"NOOP \r": (501, 501, 501, 501),
        b"MAIL FROM:": (555, 555, 555, 555),
        b"RCPT TO:<r": (503, 503, 555, 555),
        b"RCPT TO:<r@elsewhere.example>": (503, 503, 553, 553),
    }

    def test_every_command_has_its_code_in_every_state(self):
        for command, codes in self.table.items():
            for (state, before), code in zip(STATES.items(), codes, strict=True):
                talk = talk_with()
                talk.send(*before)
                self.assertEqual(talk.send(command), [code], (command, state))
                self.assertEqual(talk.closed, command == b"QUIT", (command, state))

    def test_recipients_beyond_the_limit_are_put_off_and_the_others_served(self):
        queue = Takes()
        talk = talk_with(queue=queue, smtp_server_recipients_max="2")
        talk.send(MAIL)
        self.assertEqual(talk.send(RCPT, RCPT, RCPT, RCPT), [250, 250, 452, 452])
        self.assertEqual(talk.send(b"DATA") + talk.feed(TEXT), [354, 250])
        ((recipients, _text),) = queue.messages
        self.assertEqual(len(recipients), 2)

    def test_some_commands_end_a_transaction_and_others_leave_it(self):
        for command, code in (
            (b"RSET", 503),
            (b"EHLO again.example", 503),
            (b"HELO again.example", 503),
            (MAIL, 503),
            (b"NOOP", 354),
            (b"VRFY x", 354),
            (b"NONSENSE", 354),
            (b"MAIL FROM:<too@long" + b"g" * 900 + b">", 354),
            (b"MAIL FROM:<s@client.example> FOO=BAR", 354),
            (b"RCPT TO:<r@elsewhere.example>", 354),
        ):
            talk = talk_with()
            talk.send(*STATES["rcpt"], command)
            self.assertEqual(talk.send(b"DATA"), [code], command)

    def test_a_message_ends_its_transaction(self):
        for queue in (Takes(), Takes(succeed(Reject(554))), Takes(succeed(Defer(451)))):
            talk = talk_with(queue=queue)
            conversation(talk)
            self.assertEqual(
                talk.send(RCPT, b"DATA", MAIL, RCPT, b"DATA"), [503, 503, 250, 250, 354]
            )

    def test_a_refused_recipient_leaves_the_others(self):
        queue = Takes()
        talk = talk_with(queue=queue)
        talk.send(*STATES["rcpt"], b"RCPT TO:<x@elsewhere.example>", b"RCPT TO:<R2@MVMTR.example>")
        self.assertEqual(talk.send(b"DATA"), [354])
        self.assertEqual(talk.feed(TEXT), [250])
        recipients, text = queue.messages[0]
        self.assertEqual(recipients, (b"r@mvmtr.example", b"R2@MVMTR.example"))
        self.assertEqual(text, b"Subject: x\n\nhello\n")

    def test_only_refused_recipients_are_no_recipients(self):
        talk = talk_with()
        talk.send(MAIL, b"RCPT TO:<x@elsewhere.example>")
        self.assertEqual(talk.send(b"DATA"), [503])

    def test_a_line_over_the_limit_is_one_refusal_and_the_session_goes_on(self):
        talk = talk_with(smtp_server_command_max="100")
        self.assertEqual(talk.codes, [220])
        self.assertEqual(talk.feed(b"NOOP " + b"x" * 1000), [])
        self.assertEqual(talk.feed(b"x\r\nNOOP\r\n"), [500, 250])

    def test_a_bare_line_feed_in_a_message_ends_the_session(self):
        queue = Takes()
        talk = talk_with(queue=queue)
        talk.send(*STATES["rcpt"], b"DATA")
        self.assertEqual(talk.feed(b"a\n.\r\nMAIL FROM:<evil@x>\r\n"), [451])
        self.assertTrue(talk.closed)
        self.assertEqual(talk.send(b"NOOP"), [])
        self.assertEqual(queue.messages, [])


class GreetingTests(SynchronousTestCase):
    """The greeting and the answers to HELO and EHLO."""

    def test_a_greeting_is_one_line_with_the_name_of_the_host(self):
        self.assertEqual(
            talk_with(usehostname="mx.example").said, b"220 mx.example ESMTP mvmtr\r\n"
        )

    def test_smtpgreeting_stands_between_lines_of_its_own(self):
        control = control_folder(
            folder(self), {"me": "mx.example", "smtpgreeting": "one\n# no\ntwo"}
        )
        self.assertEqual(
            talk_with(control=control).said,
            b"220-mx.example ESMTP mvmtr\r\n220-one\r\n220-two\r\n220 mx.example ESMTP\r\n",
        )

    def test_ehlo_tells_the_extensions_and_helo_does_not(self):
        talk = talk_with(usehostname="mx.example", smtp_server_msgsize_max="1000")
        self.assertEqual(talk.codes, [220])
        talk.receiver.dataReceived(b"EHLO c\r\n")
        first, *lines = talk.said.splitlines()
        self.assertEqual(first, b"250-mx.example")
        self.assertLessEqual(
            {b"PIPELINING", b"8BITMIME", b"SIZE 1000", b"ENHANCEDSTATUSCODES"},
            {line[4:] for line in lines},
        )
        talk.receiver.dataReceived(b"HELO c\r\n")
        self.assertEqual(talk.said, b"250 mx.example\r\n")

    def test_no_limit_is_told_as_size_0(self):
        talk = talk_with()
        talk.receiver.dataReceived(b"EHLO c\r\n")
        self.assertRegex(talk.said, rb"250[- ]SIZE 0\r\n")


class ParameterTests(SynchronousTestCase):
    """The parameters of MAIL and RCPT."""

    def test_size_and_body_are_obeyed_and_nothing_else_is_known(self):
        for words, code in (
            (b"", 250),
            (b"SIZE=0", 250),
            (b"SIZE=1000", 250),
            (b"size=1000 body=8bitmime", 250),
            (b"BODY=7BIT", 250),
            (b"SIZE=1001", 552),
            (b"SIZE=" + b"9" * 20, 552),
            (b"SIZE=" + b"9" * 21, 501),
            (b"SIZE", 501),
            (b"SIZE=", 501),
            (b"SIZE=-1", 501),
            (b"SIZE=1 SIZE=1", 501),
            (b"BODY", 501),
            (b"BODY=BINARYMIME", 501),
            (b"FOO", 555),
            (b"FOO=BAR", 555),
            (b"RET=FULL", 555),
            (b"AUTH=<>", 555),
            (b"SMTPUTF8", 555),
        ):
            talk = talk_with(smtp_server_msgsize_max="1000")
            self.assertEqual(talk.send(MAIL + b" " + words), [220, code], words)
            self.assertEqual(talk.send(RCPT), [250 if code == 250 else 503], words)

    def test_without_a_limit_every_size_that_there_is_room_for_is_welcome(self):
        self.assertEqual(talk_with().send(MAIL + b" SIZE=" + b"1".zfill(20)), [220, 250])
        self.assertEqual(talk_with().send(MAIL + b" SIZE=" + b"9" * 20), [220, 452])

    def test_parameters_of_rcpt_are_refused(self):
        self.assertEqual(talk_with().send(MAIL, RCPT + b" NOTIFY=NEVER", b"DATA")[2:], [555, 503])
