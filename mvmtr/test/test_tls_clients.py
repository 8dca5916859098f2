"""Tests of client certificates: who holds a good one that is listed may relay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mvmtr.checks.relay import Relay
from mvmtr.test.certificates import Authority, Client
from mvmtr.test.support import control_folder, in_thread
from mvmtr.test.tls_case import TlsTestCase

YESTERDAY = datetime.now(UTC) - timedelta(days=1)
CLIENTS = "Joe@Client.example other@client.example"


class ClientCertificateTests(TlsTestCase):
    """A server that knows two holders by their mail addresses."""

    def prepare(self, **files):
        port = self.serve()
        self.people = Authority(self.home, "people")
        control_folder(self.home, {"clientca.pem": self.people.path.read_text()})
        self.read(smtp_server_tls_clients=CLIENTS)
        return port

    async def code(self, port, certificate):
        """What a client with a certificate hears at a recipient elsewhere."""

        def talk():
            with Client(port) as client:
                client.starttls(self.authority.client(certificate))
                envelope = b"MAIL FROM:<s@client.example>", b"RCPT TO:<r@elsewhere.example>"
                return client.say(b"EHLO c", *envelope)[-1]

        return await in_thread(talk)

    async def test_a_listed_holder_may_relay(self):
        port = self.prepare()
        reasons = []
        joe = self.people.write("joe.pem", "joe@client.example")
        self.patch(Relay, "check", lambda _self, session, *_rest: reasons.append(session.relay))
        await self.code(port, joe)
        self.assertEqual(reasons, ["client certificate of joe@client.example"])

    async def test_a_listed_holder_hears_yes_and_others_no(self):
        port = self.prepare()
        stranger = Authority(self.home, "stranger")
        for certificate, code in (
            (self.people.write("joe.pem", "joe@client.example"), 250),
            (self.people.write("JOE.pem", "JOE@client.example"), 250),
            (self.people.write("two.pem", "ann@client.example", "other@client.example"), 250),
            (None, 553),
            (self.people.write("ann.pem", "ann@client.example"), 553),
            (self.people.write("host.pem", "client.example"), 553),
            (stranger.write("joe2.pem", "joe@client.example"), 553),
            (self.people.write("old.pem", "joe@client.example", not_after=YESTERDAY), 553),
        ):
            self.assertEqual(await self.code(port, certificate), code, certificate)

    async def test_a_revoked_certificate_grants_nothing(self):
        port = self.prepare()
        joe = self.people.write("joe.pem", "joe@client.example")
        other = self.people.write("other.pem", "other@client.example")
        (self.home / "control" / "clientcrl.pem").write_bytes(self.people.revocation_of(joe))
        self.read(smtp_server_tls_clients=CLIENTS)
        self.assertEqual(await self.code(port, joe), 553)
        self.assertEqual(await self.code(port, other), 250)

    async def test_the_file_of_the_control_folder_lists_them_too(self):
        port = self.prepare()
        control_folder(self.home, {"tlsclients": "# who\njoe@client.example\n"})
        self.read()
        joe = self.people.write("joe.pem", "joe@client.example")
        self.assertEqual(await self.code(port, joe), 250)

    async def test_without_a_list_nobody_is_asked_for_a_certificate(self):
        port = self.serve()
        control_folder(self.home, {"clientca.pem": self.authority.path.read_text()})
        self.read()
        certificate = self.authority.write("joe.pem", "joe@client.example")

        def talk():
            with Client(port) as client:
                client.starttls(self.authority.client(certificate))
                client.say(b"EHLO c")
                return [one.session.encryption.client for one in self.factory.sessions]

        self.assertEqual(await in_thread(talk), [None])

    async def test_the_grant_is_gone_for_a_client_that_another_one_spoke_for(self):
        port = self.prepare()
        joe = self.people.write("joe.pem", "joe@client.example")
        built = self.factory.buildProtocol

        def vouched(*arguments):
            receiver = built(*arguments)
            receiver.vouched = True
            return receiver

        self.patch(self.factory, "buildProtocol", vouched)
        self.assertEqual(await self.code(port, joe), 553)
