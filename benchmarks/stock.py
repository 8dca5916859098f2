"""
Servers to compare with, as processes of their own: C{stock.py NAME PORT [CERTIFICATE]}. They keep
nothing. The certificate, with its key in the same file, is for STARTTLS.
"""

from __future__ import annotations

import sys


def serve_twisted(port: int, certificate: str | None) -> None:
    """The receiver that twisted.mail is as it comes; it logs to a file as twistd does."""
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred, succeed
    from twisted.mail.interfaces import IMessageSMTP
    from twisted.mail.smtp import ESMTP, SMTPFactory
    from twisted.python.log import startLogging
    from zope.interface import implementer

    @implementer(IMessageSMTP)
    class Forgotten:
        def lineReceived(self, line: bytes) -> None: ...
        def connectionLost(self) -> None: ...
        def eomReceived(self) -> Deferred[None]:
            return succeed(None)

    class Everybody(ESMTP):
        def validateFrom(self, helo: object, origin: object) -> object:
            return origin

        def validateTo(self, user: object) -> object:
            return Forgotten

        def receivedHeader(self, helo: object, origin: object, recipients: object) -> bytes:
            return b"Received: from client.example by mx.example with ESMTP"

    factory = SMTPFactory()
    context = None
    if certificate is not None:
        from twisted.internet.ssl import DefaultOpenSSLContextFactory

        context = DefaultOpenSSLContextFactory(certificate, certificate)
    factory.buildProtocol = lambda _address: _with_factory(Everybody(contextFactory=context))

    def _with_factory(protocol: Everybody) -> Everybody:
        protocol.factory = factory
        return protocol

    startLogging(open("log", "a"), setStdout=False)
    reactor.listenTCP(port, factory, backlog=1000, interface="127.0.0.1")
    reactor.run()


def serve_aiosmtpd(port: int, certificate: str | None) -> None:
    """aiosmtpd with a handler that forgets."""
    import asyncio
    import ssl

    from aiosmtpd.smtp import SMTP

    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

    class Forgets:
        async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
            return "250 ok"

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(Forgets(), loop=loop, tls_context=context), "127.0.0.1", port, backlog=1000
        )
        await server.serve_forever()

    asyncio.run(serve())


SERVERS = {"twisted": serve_twisted, "aiosmtpd": serve_aiosmtpd}

if __name__ == "__main__":
    SERVERS[sys.argv[1]](int(sys.argv[2]), *(sys.argv[3:] or [None]))
