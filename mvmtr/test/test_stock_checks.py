"""What the stock SMTP class of Twisted can't be told to refuse, and mvmtr can."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.stand_ins import MAIL, RCPT
from mvmtr.test.test_stock import OurTalk, StockTalk


class StockTests(SynchronousTestCase):
    """The numbers are those of the architecture page."""

    def differ(self, assertions, ours):
        """The assertions fail for the stock class and hold for mvmtr."""
        with self.assertRaises(AssertionError):
            assertions(StockTalk().start())
        assertions(ours)

    def test_18_a_setting_asks_for_helo(self):
        def assertions(talk):
            self.assertEqual(talk.send(MAIL, RCPT), [220, 503, 503])
            self.assertEqual(talk.send(b"HELO c", MAIL, RCPT), [250, 250, 250])

        self.differ(assertions, OurTalk(smtp_server_require_helo="on"))

    def test_18_a_setting_asks_for_full_names(self):
        def assertions(talk):
            self.assertEqual(talk.send(b"HELO c", MAIL), [220, 250, 550])
            self.assertEqual(talk.send(b"HELO client.example"), [250])
            self.assertEqual(talk.send(b"MAIL FROM:<s>", RCPT), [250, 553])
            self.assertEqual(talk.send(b"RSET", MAIL, RCPT), [250, 250, 250])

        self.differ(assertions, OurTalk(smtp_server_require_fqdn="helo sender"))
