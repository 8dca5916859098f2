"""A real Postfix asks mvmcas."""

from __future__ import annotations

import os
import smtplib
import time

from mvmtr.test import postfix
from mvmtr.test.policy import PATIENCE, PolicyTestCase

OURS = "r@ours.example"

# Postfix starts for root alone, who then gives the rights away.
skip = None if os.getuid() == 0 else "only root can start Postfix"


class PostfixTests(PolicyTestCase):
    """Mail to Postfix."""

    def setUp(self):
        super().setUp()
        self.server = None
        self.mta = self.home / "postfix"
        self.mta.mkdir()
        self.home.chmod(0o755)

    def start_both(self, *arguments):
        """Start mvmcas, and Postfix that asks it."""
        self.server = self.start(*arguments)
        self.smtp_port = postfix.start(self, self.mta, f"inet:127.0.0.1:{self.address[1]}")

    def rules(self, **lists):
        """A control folder with lists of mvmcas."""
        folder = self.home / "control"
        folder.mkdir(exist_ok=True)
        for name, line in lists.items():
            (folder / f"mvmcas-{name}").write_text(line + "\n")
        return f"--control-dir={folder}"

    def greeting(self):
        """A client that has heard the greeting, and that: code and text."""
        client = smtplib.SMTP(timeout=PATIENCE)
        self.addCleanup(client.close)
        return client, client.connect("127.0.0.1", self.smtp_port)

    def mail(self, *recipients, sender="s@client.example"):
        """
        The replies to EHLO, MAIL, RCPT for each recipient, and DATA; to the message in the
        place of the latter where it was wanted.
        """
        client, _greeting = self.greeting()
        commands = ["EHLO c.example", f"MAIL FROM:<{sender}>"]
        commands += [f"RCPT TO:<{recipient}>" for recipient in recipients]
        *found, data = [client.docmd(command) for command in (*commands, "DATA")]
        if data[0] == 354:
            client.send(b"Subject: hello\r\n\r\nhello\r\n.\r\n")
            data = client.getreply()
        client.docmd("QUIT")
        return [*found, data]

    def test_greylisted_mail_is_put_off_and_taken_when_it_comes_again(self):
        self.start_both("--store=memory:", "--set=greylist=on", "--set=greylist_delay=2")
        code, text = self.mail(OURS)[2]
        self.assertEqual(code, 450)
        self.assertRegex(text, rb"4\.7\.1 .*greylisted for 2 s")
        end = time.monotonic() + PATIENCE
        while (found := self.mail(OURS)[-1])[0] != 250 and time.monotonic() < end:
            time.sleep(0.2)
        self.assertEqual(found[0], 250)
        self.assertIn(b"queued", found[1])

    def test_an_unknown_recipient_is_refused_at_once_all_the_same(self):
        self.start_both("--store=memory:", "--set=greylist=on")
        found = self.mail("nobody@ours.example", "r@else.example", OURS)
        nobody, foreign, ours = found[2:5]
        self.assertEqual((nobody[0], nobody[1][:5]), (550, b"5.1.1"))
        self.assertEqual((foreign[0], foreign[1][:5]), (554, b"5.7.1"))
        self.assertIn(b"Relay access denied", foreign[1])
        self.assertEqual(ours[0], 450)

    def test_a_blocked_client_hears_why_in_the_place_of_a_greeting(self):
        self.start_both("--store=memory:", self.rules(block="127.0.0.0/8 sends junk"))
        _client, (code, text) = self.greeting()
        self.assertEqual(code, 554)
        self.assertIn(b"blocked: sends junk", text)

    def test_a_blocked_sender_is_refused_at_mail(self):
        self.start_both("--store=memory:", self.rules(block="s@client.example no more"))
        self.assertEqual([code for code, _text in self.mail(OURS)], [250, 554, 503, 503])
        self.assertEqual(self.mail(OURS, sender="t@client.example")[-1][0], 250)

    def test_who_is_allowed_may_not_relay_for_that(self):
        self.start_both("--store=memory:", "--set=greylist=on", self.rules(allow="127.0.0.1 us"))
        ours, foreign = self.mail(OURS, "r@else.example")[2:4]
        self.assertEqual((ours[0], foreign[0]), (250, 554))

    def test_who_may_relay_may_and_is_asked_about_at_every_point(self):
        self.start_both("--store=memory:", self.rules(relay="127.0.0.1 us"))
        self.assertEqual(self.mail("r@else.example")[-1][0], 250)
        for state in ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE"):
            self.wait_for_log(f"event=hint client=127.0.0.1 state={state} ")

    def test_many_recipients_are_too_many(self):
        self.start_both("--store=memory:", "--set=rate_recipients=3")
        codes = [code for code, _text in self.mail(*[OURS] * 5)[2:7]]
        self.assertEqual(codes, [250, 250, 250, 450, 450])

    def test_over_a_unix_socket(self):
        path = self.home / "socket"
        self.server = self.start(
            "--store=memory:", "--set=greylist=on", f"--listen=unix:{path}:mode=666"
        )
        self.smtp_port = postfix.start(self, self.mta, f"unix:{path}")
        self.assertRegex(self.mail(OURS)[2][1], rb"greylisted for 300 s")

    def test_it_is_asked_again_when_it_was_killed_and_is_back(self):
        store = f"--store=sqlite:{self.home}/x.db"
        self.start_both(store, "--set=greylist=on")
        self.assertRegex(self.mail(OURS)[2][1], rb"not seen before")
        self.server.kill()
        self.server.wait()
        _client, (code, text) = self.greeting()
        self.assertEqual(code, 451)
        self.assertIn(b"nobody to ask", text)
        listen = f"--listen=tcp:{self.address[1]}:interface=127.0.0.1"
        self.start(store, "--set=greylist=on", listen)
        end = time.monotonic() + PATIENCE
        while self.greeting()[1][0] != 220 and time.monotonic() < end:
            time.sleep(0.2)
        self.assertRegex(self.mail(OURS)[2][1], rb"seen \d+ s ago")
