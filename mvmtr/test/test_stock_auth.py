"""
What the AUTH of the stock SMTP class of Twisted does wrong, and mvmtr's does not; see
L{mvmtr.test.test_stock}.
"""

from __future__ import annotations

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import Portal
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.mail import smtp
from twisted.mail.imap4 import LOGINCredentials, PLAINCredentials
from twisted.mail.interfaces import IMessageDelivery
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.auth_support import PASSWORD, USER, AuthTalk, base64, plain
from mvmtr.test.stand_ins import MAIL

WRONG = b"AUTH PLAIN " + plain(password=b"wrong")


class Everybody:
    """A realm whose avatars do nothing."""

    def requestAvatar(self, avatarId, mind, *interfaces):
        return IMessageDelivery, self, lambda: None

    def validateFrom(self, helo, origin):
        return origin


class Stock(AuthTalk):
    """A session with the stock class."""

    def __init__(self, checker, **_overrides):
        self.clock = Clock()
        self.transport = StringTransport(peerAddress=IPv4Address("TCP", "203.0.113.7", 25000))
        self.receiver = smtp.ESMTP({b"LOGIN": LOGINCredentials, b"PLAIN": PLAINCredentials})
        self.receiver.portal = Portal(Everybody(), [checker])
        self.receiver.callLater = self.clock.callLater
        self.receiver.makeConnection(self.transport)
        self.hear(b"EHLO c")

    def failing(self, line):
        return self.hear(line)


class StockAuthTests(SynchronousTestCase):
    """Row by row; the numbers are those of the architecture page."""

    def differ(self, assertions, error=AssertionError, **overrides):
        """The assertions fail for the stock class and hold for mvmtr."""
        checker = InMemoryUsernamePasswordDatabaseDontUse()
        checker.users = {USER: PASSWORD}
        with self.assertRaises(error):
            assertions(Stock(checker))
        self.flushLoggedErrors()
        assertions(AuthTalk(checker, **overrides))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_both_take_the_right_password_and_not_a_wrong_one(self):
        checker = InMemoryUsernamePasswordDatabaseDontUse()
        checker.users = {USER: PASSWORD}
        for talk in Stock(checker), AuthTalk(checker):
            self.assertEqual(talk.failing(WRONG)[:3], b"535")
            self.assertEqual(talk.hear(b"AUTH PLAIN " + plain())[:3], b"235")

    def test_13_a_bare_auth_does_not_break_the_session(self):
        def assertions(talk):
            self.assertEqual(talk.hear(b"AUTH")[:3], b"501")
            self.assertEqual(talk.hear(b"RSET")[:3], b"250")

        self.differ(assertions, IndexError)

    def test_19_auth_is_not_offered_without_tls(self):
        def assertions(talk):
            self.assertNotIn(b"AUTH", talk.hear(b"EHLO c"))

        self.differ(assertions, smtp_server_auth_insecure="off")

    def test_19_auth_is_not_taken_without_tls(self):
        def assertions(talk):
            self.assertEqual(talk.hear(b"AUTH PLAIN " + plain())[:3], b"538")

        self.differ(assertions, smtp_server_auth_insecure="off")

    def test_19_tries_are_limited(self):
        def assertions(talk):
            for _number in range(10):
                if talk.closed:
                    return
                talk.failing(WRONG)
            self.fail("ten tries, and no end")

        self.differ(assertions)

    def test_19_there_is_no_auth_within_a_transaction(self):
        def assertions(talk):
            talk.hear(b"AUTH LOGIN")
            talk.hear(b"*")
            self.assertEqual(talk.hear(MAIL)[:3], b"250")
            self.assertEqual(talk.hear(b"AUTH PLAIN " + plain())[:3], b"503")

        self.differ(assertions)

    def test_19_base64_is_strict(self):
        def assertions(talk):
            talk.hear(b"AUTH PLAIN")
            self.assertEqual(talk.hear(b"!" + plain() + b"!")[:3], b"501")

        self.differ(assertions)

    def test_19_a_name_can_not_end_a_line(self):
        def assertions(talk):
            self.assertEqual(talk.failing(b"AUTH PLAIN " + plain(b"a\nb"))[:3], b"501")

        self.differ(assertions)

    def test_19_the_prompts_of_login_are_those_that_clients_know(self):
        def assertions(talk):
            self.assertEqual(talk.hear(b"AUTH LOGIN"), b"334 " + base64(b"Username:") + b"\r\n")

        self.differ(assertions)
