"""Tests for L{mvmtr.protocol.extensions.smtputf8}."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage
from email.policy import SMTPUTF8

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mvmtr.test.stand_ins import MAIL, RCPT, Takes, talk_with
from mvmtr.test.support import LoopbackServer, assemble, factory_of, folder, in_thread

SENDER = "søren@client.example".encode()
UTF8_MAIL = b"MAIL FROM:<%s> SMTPUTF8" % SENDER


def offered(**options):
    """Whether EHLO tells it, and the code for the parameter."""
    talk = talk_with(**options)
    talk.receiver.dataReceived(b"EHLO c\r\n")
    return b"-SMTPUTF8\r\n" in talk.said.replace(b"250 ", b"250-"), talk.send(UTF8_MAIL)


class OfferTests(SynchronousTestCase):
    """Who carries it, and who says so."""

    def test_it_is_offered_where_the_queue_carries_it(self):
        self.assertEqual(offered(queue=Takes(carries=["SMTPUTF8"])), (True, [250]))
        self.assertEqual(offered(queue=Takes(carries=["BINARYMIME", "DSN"])), (False, [555]))
        self.assertEqual(offered(), (False, [555]))

    def test_the_control_has_the_last_word(self):
        carrying = Takes(carries=["SMTPUTF8"])
        self.assertEqual(offered(queue=carrying, smtp_server_smtputf8="off"), (False, [555]))
        self.assertEqual(offered(smtp_server_smtputf8="on"), (True, [250]))

    def test_eight_bit_mime_is_offered_as_well(self):
        talk = talk_with(smtp_server_smtputf8="on")
        talk.receiver.dataReceived(b"EHLO c\r\n")
        self.assertIn(b"250-8BITMIME\r\n", talk.said)


class SessionTests(SynchronousTestCase):
    """What is taken with the parameter and without it."""

    def talk(self, *before):
        talk = talk_with(queue=Takes(carries=["SMTPUTF8"]))
        talk.send(b"EHLO c", *before)
        return talk

    def test_the_parameter_has_no_value_and_comes_once(self):
        for words in (b"SMTPUTF8=", b"SMTPUTF8=1", b"SMTPUTF8 SMTPUTF8", b"smtputf8 SMTPUTF8"):
            self.assertEqual(self.talk().send(MAIL + b" " + words), [501])
        self.assertEqual(self.talk().send(MAIL + b" smtputf8 BODY=8BITMIME SIZE=1"), [250])

    def test_it_is_a_parameter_of_mail_and_not_of_rcpt(self):
        self.assertEqual(self.talk(UTF8_MAIL).send(RCPT + b" SMTPUTF8"), [555])

    def test_addresses_in_utf8_are_taken_and_kept(self):
        talk = self.talk(UTF8_MAIL)
        recipient = "björn@mvmtr.example".encode()
        self.assertEqual(talk.send(b"RCPT TO:<" + recipient + b">"), [250])
        transaction = talk.receiver.session.transaction
        self.assertEqual(transaction.reverse_path, SENDER)
        self.assertEqual(transaction.recipients, [recipient])
        self.assertIn(b"SMTPUTF8", transaction.parameters)

    def test_with_the_parameter_other_bytes_are_refused(self):
        for address in (b"\xe9@mvmtr.example", b"\xc3@x", b"\xed\xa0\x80@x", b"\xc0\xaf@x"):
            mail = b"MAIL FROM:<%s> SMTPUTF8" % address
            self.assertEqual(self.talk().send(mail, RCPT), [553, 503], address)
            talk = self.talk(UTF8_MAIL, RCPT)
            self.assertEqual(talk.send(b"RCPT TO:<%s>" % address), [553], address)
            self.assertEqual(talk.receiver.session.transaction.recipients, [b"r@mvmtr.example"])

    def test_without_the_parameter_any_bytes_are_taken_as_by_qmail(self):
        talk = self.talk()
        self.assertEqual(
            talk.send(b"MAIL FROM:<\xe9@client.example>", b"RCPT TO:<\xff@mvmtr.example>"),
            [250, 250],
        )

    def test_a_sender_that_is_refused_leaves_the_transaction_before_it(self):
        talk = self.talk(MAIL, RCPT)
        self.assertEqual(talk.send(b"MAIL FROM:<\xe9@x> SMTPUTF8", b"DATA"), [553, 354])

    def test_vrfy_takes_it(self):
        self.assertEqual(self.talk().send("VRFY søren SMTPUTF8".encode()), [252])

    def test_replies_are_ascii_whatever_is_refused(self):
        talk = self.talk(UTF8_MAIL)
        talk.receiver.dataReceived("RCPT TO:<søren@elsewhere.example>\r\nsøren\r\n".encode())
        said = talk.said
        self.assertTrue(said.isascii())
        self.assertEqual([line[:3] for line in said.splitlines()], [b"553", b"502"])

    def test_the_received_field_tells_it(self):
        headers = []
        for mail in (UTF8_MAIL, MAIL):
            talk = self.talk(mail, RCPT, b"DATA")
            headers.append(talk.receiver.session.transaction.header)
        self.assertIn(b" with UTF8SMTP; ", headers[0])
        self.assertIn(b" with ESMTP; ", headers[1])


class ClientTests(TestCase):
    """smtplib sends such a message into a Maildir."""

    timeout = 60

    async def test_smtplib_sends_addresses_and_header_in_utf8(self):
        maildir = folder(self) / "Maildir"
        assembly = assemble(queue=f"maildir:{maildir}", smtp_server_rcpt_domains="mvmtr.example")
        server = LoopbackServer(factory_of(assembly))
        self.addCleanup(lambda: Deferred.fromCoroutine(server.stop()))
        message = EmailMessage(policy=SMTPUTF8)
        message["From"] = "søren@client.example"
        message["To"] = "björn@mvmtr.example"
        message["Subject"] = "smørrebrød"
        message.set_content("hello\n")

        def send():
            with smtplib.SMTP("127.0.0.1", server.port, "client.example", timeout=30) as client:
                return client.send_message(message)

        self.assertEqual(await in_thread(send), {})
        (file,) = (maildir / "new").iterdir()
        text = file.read_bytes().decode("utf-8")
        self.assertTrue(text.startswith('Return-Path: <"søren"@client.example>\nDelivered-To: '))
        self.assertIn(" with UTF8SMTP; ", text)
        self.assertIn("\nSubject: smørrebrød\n", text)
