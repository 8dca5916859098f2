"""Whatever comes in clear behind STARTTLS, however it is cut, nothing of it is run."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from mvmtr.protocol.tls import Certificates, Files
from mvmtr.session import Accept
from mvmtr.test.certificates import Authority
from mvmtr.test.stand_ins import MAIL, RCPT, TEXT, Says, Takes
from mvmtr.test.support import Talk, assemble, factory_of, folder

COMMANDS = st.sampled_from(
    [
        b"EHLO evil",
        MAIL,
        RCPT,
        b"DATA",
        TEXT,
        b"RSET",
        b"QUIT",
        b"STARTTLS",
        b"NOOP",
        b"BDAT 3 LAST",
    ]
).map(lambda line: line + b"\r\n")
BEHIND = (
    st.lists(
        st.one_of(
            COMMANDS, st.binary(max_size=40), st.just(b"\x16"), st.just(b"\x16\x03\x01\x00\x04")
        ),
        min_size=1,
        max_size=8,
    )
    .map(b"".join)
    .filter(len)
)


@implementer(ITCPTransport)
class TcpTransport(StringTransport):
    """A transport that can have TLS, in memory."""

    def __init__(self, protocol):
        super().__init__()
        self.protocol = protocol

    def loseWriteConnection(self):
        pass

    def startTLS(self, context):
        factory = TLSMemoryBIOFactory(context, False, None)
        self.protocol = factory.protocol(factory, self.protocol, False)
        self.protocol.makeConnection(StringTransport())


class TlsTalk(Talk):
    """A session that can have TLS."""

    def __init__(self, assembly):
        self.clock = Clock()
        self.receiver = factory_of(assembly).buildProtocol(None)
        self.receiver.callLater = self.clock.callLater
        self.receiver.seconds = self.clock.seconds
        self.transport = TcpTransport(self.receiver)
        self.receiver.makeConnection(self.transport)

    def come(self, data):
        """Bytes come, to whoever they belong to."""
        if data and not self.closed:
            self.transport.protocol.dataReceived(data)


class ClearTextTests(SynchronousTestCase):
    """Sessions in memory, with a real certificate."""

    def setUp(self):
        path = str(Authority(folder(self)).write("cert.pem", "mx.example"))
        self.certificates = Certificates(Files(((path, path),)))

    @settings(deadline=None, max_examples=400)
    @given(BEHIND, st.lists(st.integers(0, 400), max_size=4))
    def test_nothing_is_run(self, behind, cuts):
        assembly = assemble(checks=(Says("yes", rcpt=Accept()),), clock=Clock())
        queue = Takes()
        assembly.configuration = replace(assembly.configuration, queue=queue, tls=self.certificates)
        talk = TlsTalk(assembly)
        talk.send(b"EHLO before")
        whole = b"STARTTLS\r\n" + behind
        places = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
        for begin, end in itertools.pairwise(places):
            talk.come(whole[begin:end])
        said = talk.said
        session = talk.receiver.session
        self.assertEqual(session.helo, b"before")
        self.assertIsNone(session.transaction)
        self.assertIsNone(session.encryption)
        self.assertEqual(queue.messages, [])
        self.assertEqual(talk.receiver._commands, 2)
        if behind[:1] != b"\x16" or len(b"STARTTLS\r\n") not in places:
            self.assertIn(b"501 5.5.2 a TLS handshake was expected (#5.5.2)\r\n", said)
            self.assertNotIn(b"250", said)
            self.assertTrue(talk.receiver._closing)
        talk.receiver.connectionLost()
        self.assertEqual(talk.receiver.load.handshakes, 0)
