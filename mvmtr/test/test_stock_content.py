"""
What the stock SMTP class of Twisted does wrong with BDAT and parameters, and mvmtr does not.

See L{mvmtr.test.test_stock}: the assertions must fail against the stock class.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.stand_ins import MAIL, RCPT
from mvmtr.test.test_stock import OurTalk, StockTalk

EVIL = b"MAIL FROM:<evil@x>\r\nRCPT TO:<r@mvmtr.example>\r\nDATA\r\nevil\r\n.\r\n"
SENDER = "søren@client.example".encode()


class StockTests(SynchronousTestCase):
    """The numbers are those of the rows that have more of it in L{mvmtr.test.test_stock}."""

    def differ(self, assertions, error=AssertionError):
        """The assertions fail for the stock class and hold for mvmtr."""
        with self.assertRaises(error):
            assertions(StockTalk().start())
        self.flushLoggedErrors()
        assertions(OurTalk())
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_02_the_text_of_a_message_is_never_run_as_commands(self):
        def assertions(talk):
            talk.send(b"EHLO c")
            talk.feed(b"BDAT %d LAST\r\n%s" % (len(EVIL), EVIL))
            self.assertEqual(talk.messages, [])

        self.differ(assertions)

    def test_02_nor_when_its_length_cannot_be_read(self):
        def assertions(talk):
            talk.send(b"EHLO c", MAIL, RCPT)
            talk.feed(b"BDAT %dx LAST\r\n%s" % (len(EVIL), EVIL))
            self.assertEqual((talk.messages, talk.closed), ([], True))

        self.differ(assertions)

    def test_06_parameters_that_nobody_obeys_are_not_accepted(self):
        for words in (b"SMTPUTF8", b"RET=HDRS ENVID=x", b"BODY=BINARYMIME"):

            def assertions(talk, words=words):
                self.assertGreaterEqual(talk.send(b"EHLO c", MAIL + b" " + words)[-1], 500)

            self.differ(assertions)

        def rcpt(talk):
            codes = talk.send(b"EHLO c", MAIL, RCPT + b" NOTIFY=NEVER")
            self.assertGreaterEqual(codes[-1], 500)

        self.differ(rcpt)

    def test_11_addresses_in_utf8_do_not_break_the_session(self):
        def assertions(talk):
            mail = b"MAIL FROM:<%s>" % SENDER
            self.assertEqual(talk.send(b"EHLO c", mail, RCPT, b"DATA")[-3:], [250, 250, 354])
            self.assertEqual(talk.send(b"x", b"."), [250])

        self.differ(assertions)

    def test_14_a_line_feed_in_a_chunk_is_a_line_end_like_any_other(self):
        def assertions(talk):
            talk.send(b"EHLO c", MAIL, RCPT)
            text = b"Subject: x\n\nBDAT\n.\n"
            self.assertEqual(talk.feed(b"BDAT %d LAST\r\n%s" % (len(text), text)), [250])
            self.assertEqual(talk.messages, [text])

        self.differ(assertions)
