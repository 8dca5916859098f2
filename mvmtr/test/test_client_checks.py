"""Tests of a listening mvmtr with checks of clients, real clients, and a real DNS server."""

from __future__ import annotations

import smtplib
import socket
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.names_server import NamesServer
from mvmtr.test.support import control_folder, folder, free_port, twistd, wait_for_port
from mvmtr.test.test_stdio import plain_environment

ZONE = (
    "66.0.0.127.bad.example A 127.0.0.2",
    "66.0.0.127.bad.example TXT see https://bad.example/127.0.0.66",
    "113.0.0.203.bad.example A 127.0.0.2",
    "66.113.0.203.bad.example A 127.0.0.2",
    "client.test MX 10 mail.client.test",
    "spam.test A 192.0.2.1",
    "spam.test.domains.example A 127.0.1.2",
    "broken.test SERVFAIL",
)


class ProgramTests(SynchronousTestCase):
    """C{twistd mvmtr} with all of them switched on but for the delay."""

    def setUp(self):
        self.names = NamesServer(ZONE)
        self.addCleanup(self.names.stop)

    def start(self, *arguments):
        current = folder(self)
        control = control_folder(current, {"me": "mx.example", "rcpthosts": "ours.example"})
        self.port = free_port()
        self.log = current / "log"
        settings = {
            "dns": self.names.address,
            "dnsbl": "bad.example",
            "rhsbl": "domains.example",
            "sender_domain": "on",
            "require_helo": "on",
            "require_fqdn": "helo,sender,recipient",
        }
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [
                    *twistd("-n", "--pidfile=", "mvmtr"), "--queue=discard:",
                    f"--control-dir={control}", f"--listen=tcp:{self.port}:interface=127.0.0.1",
                    *(f"--set=smtp_server_{name}={value}" for name, value in settings.items()),
                    *arguments,
                ],
                stdout=log, stderr=log, cwd=current, env=plain_environment(),
            )  # fmt: skip
        self.addCleanup(process.wait, 60)
        self.addCleanup(process.terminate)
        wait_for_port(self.port, process)

    def swaks(self, *options):
        words = ("--server", "127.0.0.1", "--port", str(self.port), "--helo", "mail.client.test")
        envelope = ("--from", "s@client.test", "--to", "r@ours.example")
        done = subprocess.run(
            ["swaks", *words, *envelope, *options], stdout=subprocess.PIPE, timeout=120
        )
        return done.returncode, done.stdout.decode()

    def test_a_good_client_is_served(self):
        self.start()
        status, said = self.swaks()
        self.assertEqual(status, 0, said)
        self.assertIn("1.0.0.127.bad.example A", self.names.asked)
        self.assertIn("mail.client.test.domains.example A", self.names.asked)

    def test_each_check_refuses_what_it_is_for(self):
        self.start()
        for options, reply in (
            (
                ("--local-interface", "127.0.0.66"),
                "554 5.7.1 127.0.0.66 is on the list bad.example: see https://bad.example/",
            ),
            (("--from", "s@spam.test"), "554 5.7.1 spam.test is on the list domains.example"),
            (("--helo", "spam.test"), "554 5.7.1 spam.test is on the list domains.example"),
            (("--from", "s@nowhere.test"), "553 5.1.8 the sender's domain does not exist"),
            (("--from", "s@broken.test"), "451 4.4.3 "),
            (("--helo", "pc"), "550 5.7.1 the name that you gave with HELO"),
            (("--from", "s"), "553 5.1.8 the sender has no full domain name"),
            (("--to", "r@ours"), "553 5.1.2 the recipient has no full domain name"),
        ):
            status, said = self.swaks(*options)
            self.assertNotEqual(status, 0, options)
            self.assertIn(f"<** {reply}", said, options)
        log = self.log.read_text()
        self.assertIn('check=dns_lists reason="1 of 1 points, from bad.example (+1 for 127', log)
        self.assertIn('check=sender_domain reason="the DNS has no nowhere.test"', log)
        self.assertIn('check=sender_domain reason="SERVFAIL for broken.test"', log)
        self.assertNotIn("Traceback", log)
        # The DNS client of Twisted writes lines for each question.
        self.assertNotIn("Datagram", log)

    def test_mail_without_helo(self):
        self.start()
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as client:
            self.assertEqual(client.docmd("MAIL FROM:<s@client.test>")[0], 503)

    def test_the_client_behind_a_proxy_is_the_one_that_is_looked_for(self):
        self.start("--set=smtp_server_proxy_networks=127.0.0.1")
        for address, code in (("203.0.113.66", b"554"), ("203.0.113.67", b"250")):
            with socket.create_connection(("127.0.0.1", self.port), 60) as peer:
                peer.sendall(f"PROXY TCP4 {address} 192.0.2.1 4711 25\r\n".encode())
                said = peer.makefile("rb")
                self.assertTrue(said.readline().startswith(b"220"))
                peer.sendall(
                    b"HELO mail.client.test\r\nMAIL FROM:<s@client.test>\r\n"
                    b"RCPT TO:<r@ours.example>\r\n"
                )
                self.assertEqual([said.readline()[:3] for _ in range(3)], [b"250", b"250", code])

    def test_early_talkers_behind_a_proxy_are_heard(self):
        self.start("--set=smtp_server_proxy_networks=127.0.0.1", "--set=smtp_server_greet_delay=1")
        for early, code in ((b"HELO x\r\n", b"554"), (b"", b"220")):
            with socket.create_connection(("127.0.0.1", self.port), 60) as peer:
                peer.sendall(b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 25\r\n" + early)
                self.assertEqual(peer.makefile("rb").readline()[:3], code)

    def test_the_client_that_xclient_names_is_looked_for_and_its_front_does_not_wait(self):
        self.start(
            "--set=smtp_server_xclient_networks=127.0.0.1", "--set=smtp_server_greet_delay=9"
        )
        with socket.create_connection(("127.0.0.1", self.port), 60) as peer:
            peer.sendall(b"EHLO front.test\r\n")
            said = peer.makefile("rb")
            while not said.readline().startswith(b"250 "):
                pass
            peer.sendall(
                b"XCLIENT ADDR=203.0.113.66\r\nHELO mail.client.test\r\n"
                b"MAIL FROM:<s@client.test>\r\nRCPT TO:<r@ours.example>\r\n"
            )
            replies = [said.readline()[:3] for _ in range(4)]
        self.assertEqual(replies, [b"220", b"250", b"250", b"554"])

    def test_lists_are_asked_after_an_edit_of_a_control_file_as_before(self):
        self.start()
        (self.log.parent / "control" / "rcpthosts").write_text("ours.example\nother.example\n")
        status, said = self.swaks("--to", "r@other.example")
        self.assertEqual(status, 0, said)
        status, said = self.swaks("--local-interface", "127.0.0.66")
        self.assertIn("<** 554 ", said)
