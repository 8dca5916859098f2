"""
What the stock SMTP class of Twisted does wrong with STARTTLS, and mvmtr does not. The number
is that of the architecture page; see L{mvmtr.test.test_stock}.
"""

from __future__ import annotations

import ssl

from twisted.internet import reactor
from twisted.internet.defer import succeed
from twisted.internet.protocol import ServerFactory
from twisted.internet.ssl import PrivateCertificate
from twisted.mail import smtp
from twisted.mail.interfaces import IMessageDelivery, IMessageSMTP
from zope.interface import implementer

from mvmtr.test.certificates import Client
from mvmtr.test.support import in_thread
from mvmtr.test.tls_case import TlsTestCase

INJECTED = (
    b"STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@x.example>\r\nRCPT TO:<r@mvmtr.example>\r\nDATA\r\n"
)
SECRET = b"AUTH PLAIN secret"


@implementer(IMessageDelivery, IMessageSMTP)
class Everybody:
    """Takes mail for everybody, line by line."""

    def __init__(self):
        self.lines = []

    def validateFrom(self, helo, origin):
        return origin

    def validateTo(self, user):
        return lambda: self

    def receivedHeader(self, helo, origin, recipients):
        return b"Received: stock"

    def lineReceived(self, line):
        self.lines.append(line)

    def eomReceived(self):
        return succeed(None)

    def connectionLost(self):
        pass


class StockTlsTests(TlsTestCase):
    """On real TLS sockets."""

    def stock(self):
        """A server of the stock class; its port, and the lines of messages that it took."""
        text = (self.home / "control" / "servercert.pem").read_bytes()
        options = PrivateCertificate.loadPEM(text).options()
        taken = Everybody()

        def build(_address):
            protocol = smtp.ESMTP(contextFactory=options)
            protocol.delivery = taken
            return protocol

        factory = ServerFactory()
        factory.buildProtocol = build
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return port.getHost().port, taken.lines

    def victim(self, port):
        """A client whose first words somebody added to; it says a secret under TLS."""
        with Client(port) as client:
            client.reply()
            client.connection.sendall(INJECTED)
            client.reply()
            try:
                client.encrypt(self.tls)
                client.connection.sendall(SECRET + b"\r\n.\r\nQUIT\r\n")
            except (ssl.SSLError, ConnectionError):
                return b""
            return client.rest()

    async def test_01_commands_in_clear_behind_starttls_are_not_run(self):
        ours = self.serve()
        stock, lines = self.stock()
        await in_thread(self.victim, stock)
        self.flushLoggedErrors()
        self.assertIn(SECRET, lines)
        self.assertEqual(await in_thread(self.victim, ours), b"")
        self.assertEqual(self.queue.messages, [])
        self.assertEqual([line["code"] for line in self.logged("refused")], [501])
