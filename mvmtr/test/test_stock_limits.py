"""
The limits that the stock SMTP class of Twisted does not have, and
L{mvmtr.protocol.smtp.Receiver} does; in the manner of L{mvmtr.test.test_stock}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test import test_stock
from mvmtr.test.stand_ins import MAIL, RCPT

MANY = 51_000
"""More than the defaults allow of anything."""


class StockLimitTests(SynchronousTestCase):
    """Rows 7 and 16: with its defaults, mvmtr lets nobody go on for ever."""

    ours = test_stock.StockTests.ours
    stock = test_stock.StockTests.stock
    differ = test_stock.StockTests.differ

    def test_07_a_message_can_not_have_any_number_of_recipients(self):
        def assertions(talk):
            talk.send(b"HELO c", MAIL)
            codes = talk.send(*[RCPT] * 10_001)
            self.assertEqual((codes[0], codes[-1]), (250, 452))

        self.differ(assertions)

    def test_07_a_session_can_not_have_any_number_of_commands(self):
        def assertions(talk):
            talk.send(b"HELO c")
            codes = talk.send(*[b"RSET"] * MANY)
            self.assertEqual((codes[0], codes[-1], talk.closed), (250, 421, True))

        self.differ(assertions)

    def test_07_a_session_can_not_have_any_number_of_errors(self):
        def assertions(talk):
            codes = talk.send(*[b"NONSENSE"] * MANY)
            self.assertEqual((codes[-1], talk.closed), (421, True))
            self.assertLess(len(codes), 2000)

        self.differ(assertions)

    def test_07_a_session_can_not_have_any_number_of_messages(self):
        def assertions(talk):
            codes = talk.send(b"HELO c", *[MAIL, b"RSET"] * 1001)
            self.assertEqual((codes[-1], talk.closed), (421, True))

        self.differ(assertions)

    def test_07_a_command_can_not_have_any_length(self):
        def assertions(talk):
            self.assertEqual(talk.codes, [220])
            for _ in range(20):
                talk.feed(b"x" * 10_000)
            self.assertEqual(talk.feed(b"\r\nRSET\r\n"), [500, 250])

        self.differ(assertions)

    def test_16_a_session_that_is_never_idle_ends_all_the_same(self):
        def assertions(talk):
            talk.send(b"HELO c")
            for _ in range(100):
                talk.clock.advance(299)
                talk.send(b"RSET")
            self.assertTrue(talk.closed)

        self.differ(assertions)
