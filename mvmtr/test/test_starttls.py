"""Tests for L{mvmtr.protocol.extensions.starttls}: real TLS over real sockets."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import subprocess

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from mvmtr.session import Accept
from mvmtr.test.certificates import Client
from mvmtr.test.stand_ins import Says, talk_with
from mvmtr.test.support import in_thread
from mvmtr.test.tls_case import TlsTestCase

EVIL = (
    b"MAIL FROM:<evil@client.example>\r\nRCPT TO:<r@mvmtr.example>\r\n"
    b"DATA\r\nSubject: evil\r\n\r\n.\r\nQUIT\r\n"
)
MESSAGE = (b"MAIL FROM:<s@client.example>", b"RCPT TO:<r@mvmtr.example>", b"DATA")


class SessionTests(TlsTestCase):
    """A session that gets TLS."""

    async def test_smtplib_sends_a_message_under_tls(self):
        port = self.serve()

        def send():
            with smtplib.SMTP("127.0.0.1", port, "c", timeout=30) as client:
                client.ehlo()
                before = "starttls" in client.esmtp_features
                client._host = "mx.example"
                client.starttls(context=self.tls)
                client.ehlo()
                after = "starttls" in client.esmtp_features
                client.sendmail(
                    "s@client.example", "r@mvmtr.example", "Subject: x\r\n\r\nhello\r\n"
                )
                return before, after

        self.assertEqual(await in_thread(send), (True, False))
        ((recipients, _text),) = self.queue.messages
        self.assertEqual(recipients, (b"r@mvmtr.example",))
        (line,) = await self.ended()
        self.assertRegex(line["tls"], r"^TLSv1\.[23] \w+")

    async def test_the_received_field_says_so(self):
        port = self.serve(Says("yes", rcpt=Accept()))
        headers = []
        self.patch(self.queue, "put", lambda session: headers.append(session.transaction.header))

        def send():
            with Client(port) as client:
                client.starttls(self.tls)
                client.say(b"EHLO c", *MESSAGE, b".")

        await in_thread(send)
        self.flushLoggedErrors()
        self.assertIn(b"\n  by mx.example with ESMTPS; ", headers[0])

    async def test_all_is_forgotten_after_the_handshake(self):
        port = self.serve()
        seen = []

        def talk():
            with Client(port) as client:
                client.starttls(self.tls)
                client.say(b"NOOP")
                (session,) = [one.session for one in self.factory.sessions]
                seen.append((session.helo, session.esmtp, session.transaction))
                return client.say(b"RCPT TO:<r@mvmtr.example>", b"STARTTLS", b"STARTTLS x", b"QUIT")

        def talk_within_a_transaction():
            with Client(port) as client:
                client.reply()
                client.say(b"EHLO c", *MESSAGE[:2], b"STARTTLS")
                client.encrypt(self.tls)
                return client.say(b"RCPT TO:<r@mvmtr.example>", b"DATA")

        self.assertEqual(await in_thread(talk), [503, 503, 503, 221])
        self.assertEqual(seen, [(None, False, None)])
        self.assertEqual(await in_thread(talk_within_a_transaction), [503, 503])

    async def test_what_can_not_be(self):
        port = self.serve()

        def talk():
            with Client(port) as client:
                client.reply()
                return client.say(b"STARTTLS x", b"starttls now please", b"NOOP", b"StartTls")

        self.assertEqual(await in_thread(talk), [501, 501, 250, 220])

    async def test_large_messages_pass_both_ways_unharmed(self):
        port = self.serve()
        text = b"".join(b"%d line\r\n" % number for number in range(200_000))

        def talk():
            with Client(port) as client:
                client.starttls(self.tls)
                codes = client.say(b"EHLO c", *MESSAGE)
                client.connection.sendall(text)
                codes += client.say(b".")
                client.connection.sendall(b"NOOP\r\n" * 20_000)
                codes += [int(client.reply()[:3]) for _one in range(20_000)]
                return codes, client.say(b"QUIT")

        codes, end = await in_thread(talk)
        self.assertEqual(codes, [250, 250, 250, 354, 250] + [250] * 20_000)
        self.assertEqual(end, [221])
        self.assertEqual(self.queue.messages[0][1], text.replace(b"\r\n", b"\n"))

    async def test_a_check_that_waits_does_not_hold_up_the_end(self):
        answers = []

        def later():
            answers.append(Deferred())
            reactor.callLater(0.05, answers[-1].callback, None)
            return answers[-1]

        port = self.serve(Says("slow", mail=later))

        def talk():
            with Client(port) as client:
                client.starttls(self.tls)
                client.connection.sendall(b"EHLO c\r\nMAIL FROM:<a@b>\r\nQUIT\r\n")
                return [int(client.reply()[:3]) for _one in range(3)], client.rest()

        self.assertEqual(await in_thread(talk), ([250, 250, 221], b""))
        await self.until(lambda: not self.factory.sessions)

    async def test_a_bare_line_feed_is_told_under_tls_before_the_end(self):
        port = self.serve()

        def talk():
            with Client(port) as client:
                client.starttls(self.tls)
                client.say(b"EHLO c", *MESSAGE)
                client.connection.sendall(b"a\nb\r\n" + b"x" * 100_000)
                return client.rest()

        self.assertTrue((await in_thread(talk)).startswith(b"451 4.5.2 "))
        await self.until(lambda: not self.factory.sessions)

    def test_without_a_certificate_there_is_no_such_command(self):
        talk = talk_with()
        talk.send(b"EHLO c")
        self.assertEqual(talk.send(b"STARTTLS"), [502])

    async def test_openssl_gets_tls_and_old_versions_are_refused(self):
        port = self.serve()

        def openssl(*options):
            done = subprocess.run(
                ["openssl", "s_client", "-starttls", "smtp", "-crlf", "-connect",
                 f"127.0.0.1:{port}", "-verify_return_error", "-CAfile", str(self.authority.path),
                 "-verify_hostname", "mx.example", *options],
                input=b"QUIT\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
            )  # fmt: skip
            return done.returncode, done.stdout.decode()

        for version in ("-tls1_2", "-tls1_3"):
            status, output = await in_thread(openssl, version)
            self.assertEqual(status, 0, output)
            self.assertIn("Verification: OK", output)
        for version in ("-tls1", "-tls1_1"):
            status, output = await in_thread(openssl, version, "-cipher", "DEFAULT@SECLEVEL=0")
            self.assertEqual(status, 1, output)
            self.assertIn("alert protocol version", output)
        refused = self.logged("refused")
        self.assertEqual([line["reason"] for line in refused], ["unsupported protocol"] * 2)
        self.assertEqual({line["command"] for line in refused}, {"starttls"})

    async def test_swaks_sends_a_message_under_tls(self):
        port = self.serve()

        def swaks(*options):
            return subprocess.run(
                ["swaks", "--server", "127.0.0.1", "--port", str(port), "--helo", "c",
                 "--from", "s@client.example", "--to", "r@mvmtr.example", *options],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
            )  # fmt: skip

        done = await in_thread(swaks, "-tls", "--tls-verify", "--tls-ca-path", self.authority.path)
        self.assertEqual(done.returncode, 0, done.stdout.decode())
        self.assertEqual(len(self.queue.messages), 1)


class ClearTextTests(TlsTestCase):
    """What comes in clear behind STARTTLS is never run."""

    def assert_nothing_ran(self):
        self.assertEqual(self.queue.messages, [])
        for record in self.records:
            self.assertNotIn(b"evil", str(record).encode())

    async def test_commands_behind_it_are_501_wherever_they_are_split(self):
        port = self.serve(smtp_server_connections_max="1000")
        data = b"STARTTLS\r\n" + EVIL

        def talk(place):
            with Client(port) as client:
                client.reply()
                # The reply to NOOP shows that the first part has come.
                client.connection.sendall(b"NOOP\r\n" + data[:place])
                client.reply()
                if place == len(b"STARTTLS\r\n"):
                    client.reply()
                with contextlib.suppress(ConnectionError):
                    client.connection.sendall(data[place:])
                return client.rest()

        for place in range(len(data) + 1):
            said = await in_thread(talk, place)
            self.assertEqual(said, b"501 5.5.2 a TLS handshake was expected (#5.5.2)\r\n", place)
        self.assert_nothing_ran()
        self.assertEqual(len(self.logged("refused")), len(data) + 1)
        self.assertEqual({line["command"] for line in self.logged("refused")}, {"starttls"})

    async def test_a_client_whose_session_was_tampered_with_gets_no_tls(self):
        port = self.serve()

        def talk(place):
            with Client(port) as client:
                client.reply()
                client.connection.sendall(b"NOOP\r\nSTARTTLS\r\n" + EVIL[:place])
                client.reply()
                if not place:
                    client.reply()
                client.connection.sendall(EVIL[place:])
                try:
                    client.encrypt(self.tls)
                except (ssl.SSLError, ConnectionError):
                    return "no TLS"
                return "TLS"

        for place in (0, 1, len(EVIL)):
            self.assertEqual(await in_thread(talk, place), "no TLS")
        self.assert_nothing_ran()

    async def test_what_looks_like_a_handshake_and_is_none_is_not_run_either(self):
        port = self.serve()

        def talk(data):
            with Client(port) as client:
                client.reply()
                client.say(b"STARTTLS")
                client.connection.sendall(data)
                client.connection.shutdown(socket.SHUT_WR)
                return client.rest()

        for data in (
            b"\x16" + EVIL,
            b"\x16\x03\x01\x00\x05" + EVIL,
            b"\x16\x03\x01\x40\x00" + EVIL,
        ):
            self.assertNotIn(b"250", await in_thread(talk, data))
        await self.ended(3)
        self.assert_nothing_ran()
        self.assertEqual(self.factory.load.handshakes, 0)

    async def test_a_handshake_may_come_byte_by_byte(self):
        port = self.serve()

        def talk():
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            inner = self.tls.wrap_bio(incoming, outgoing, server_hostname="mx.example")
            with Client(port) as client:
                client.reply()
                client.say(b"STARTTLS")
                for _flight in range(5):
                    with contextlib.suppress(ssl.SSLWantReadError):
                        inner.do_handshake()
                    for byte in outgoing.read():
                        client.connection.sendall(bytes([byte]))
                    if inner.version() and not outgoing.pending:
                        break
                    incoming.write(client.connection.recv(65536))
                inner.write(b"QUIT\r\n")
                client.connection.sendall(outgoing.read())
                said = b""
                while not said:
                    incoming.write(client.connection.recv(65536))
                    with contextlib.suppress(ssl.SSLWantReadError):
                        said = inner.read(1000)
                return said

        self.assertTrue((await in_thread(talk)).startswith(b"221 "))


class LimitTests(TlsTestCase):
    """Handshakes that do not end."""

    async def test_with_too_many_under_way_there_is_no_more(self):
        port = self.serve(smtp_server_tls_handshakes_max="1")

        def talk():
            with Client(port) as first, Client(port) as second:
                first.reply()
                second.reply()
                codes = first.say(b"STARTTLS") + second.say(b"STARTTLS", b"NOOP")
                first.encrypt(self.tls)
                return codes + first.say(b"NOOP") + second.say(b"STARTTLS")

        self.assertEqual(await in_thread(talk), [220, 454, 250, 250, 220])
        await self.ended(2)
        self.assertEqual(self.factory.load.handshakes, 0)
        self.assertEqual(self.logged("refused")[0]["check"], "handshakes")

    async def test_a_handshake_that_takes_too_long_ends_the_connection(self):
        port = self.serve(smtp_server_timeout_tls="1")

        def talk(begin):
            with Client(port) as client:
                client.reply()
                client.say(b"STARTTLS")
                client.connection.sendall(begin)
                return client.rest()

        for begin in (b"", b"\x16\x03\x01\x02\x00\x01"):
            self.assertEqual(await in_thread(talk, begin), b"")
        await self.ended(2)
        reasons = [line["reason"] for line in self.logged("refused")]
        self.assertEqual(reasons, ["it took more than 1 seconds"] * 2)
        self.assertEqual(self.factory.load.handshakes, 0)

    async def test_a_client_that_leaves_instead_is_logged(self):
        port = self.serve()

        def talk(end):
            with Client(port) as client:
                client.reply()
                client.say(b"STARTTLS")
                end(client.connection)

        await in_thread(talk, lambda connection: connection.close())
        await in_thread(talk, lambda connection: connection.shutdown(socket.SHUT_WR))
        await in_thread(talk, lambda connection: connection.sendall(b"\x16\x03\x01\x02\x00\x01"))
        await self.ended(3)
        reasons = [line["reason"] for line in self.logged("refused")]
        self.assertEqual(reasons, ["the client closed the connection"] * 3)
        self.assertEqual(self.factory.load.handshakes, 0)

    async def test_a_server_that_stops_does_not_wait_for_handshakes(self):
        port = self.serve()

        def talk():
            client = Client(port)
            client.reply()
            client.say(b"STARTTLS")
            return client

        client = await in_thread(talk)
        with client:
            await self.factory.stop()
            self.assertEqual(await in_thread(client.rest), b"")

    async def test_a_certificate_that_went_bad_is_454_where_it_is_read_late(self):
        port = self.serve()
        (self.home / "control" / "servercert.pem").write_text("nothing")

        def talk():
            with Client(port) as client:
                client.reply()
                return client.say(b"EHLO c", b"STARTTLS", b"NOOP")

        self.assertEqual(await in_thread(talk), [250, 454, 250])
        (line,) = self.logged("refused")
        self.assertIn("servercert.pem: there is no certificate in it", line["reason"])
