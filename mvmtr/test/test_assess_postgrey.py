"""A real postgrey is asked."""

from __future__ import annotations

import re
import smtplib
import time

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from mvmtr.assess.client import PolicyClient, Unavailable
from mvmtr.assess.hint import DUNNO, hint_of
from mvmtr.assess.wire import AttributeReader
from mvmtr.test import postgrey
from mvmtr.test.policy import PATIENCE, PolicyTestCase, request
from mvmtr.test.support import folder, free_port, twistd, wait_for_port


class PostgreyTests(TestCase):
    """Questions to postgrey, through our client."""

    def setUp(self):
        self.home = folder(self)
        self.home.chmod(0o755)

    def start(self, *arguments, **options):
        server = postgrey.start(self, self.home, *arguments, **options)
        self.client = PolicyClient(server, reactor)
        self.addCleanup(self.client.close)

    async def hint(self, timeout=PATIENCE, **more):
        """The hint that it gives."""
        attributes = {"client_name": "unknown", "instance": "1", **more}
        (question,) = AttributeReader().feed(request(**attributes))
        return hint_of(await self.client.ask(question, timeout))

    async def hint_when(self, action, **more):
        """The first hint with that action."""
        end = time.monotonic() + PATIENCE
        while (hint := await self.hint(**more)).action != action:
            self.assertLess(time.monotonic(), end, hint)
            await deferLater(reactor, 0.1)
        return hint

    async def test_a_first_try_is_put_off_if_it_would_be_taken(self):
        self.start()
        hint = await self.hint()
        self.assertEqual((hint.action, hint.code), ("defer_if_permit", 450))
        self.assertIn("Greylisted", hint.text)
        # A client of Postfix's age has this attribute, and gets an enhanced status code.
        hint = await self.hint(etrn_domain="")
        self.assertTrue(hint.text.startswith("4.2.0 Greylisted"), hint)

    async def test_a_later_try_is_taken_with_a_header_field_once_for_each_message(self):
        self.start("--delay=1")
        await self.hint()
        hint = await self.hint_when("prepend")
        self.assertRegex(hint.text, r"\AX-Greylist: delayed \d+ seconds by postgrey-")
        self.assertEqual(await self.hint(), DUNNO)

    async def test_a_network_that_came_back_often_is_not_put_off_any_more(self):
        self.start("--delay=1", "--auto-whitelist-clients=1")
        await self.hint()
        await self.hint_when("prepend")
        self.assertEqual(await self.hint(sender="other@client.example"), DUNNO)
        hint = await self.hint(client_address="198.51.100.1")
        self.assertEqual(hint.action, "defer_if_permit")

    async def test_other_actions_and_texts_of_it(self):
        self.start("--greylist-action=451", "--greylist-text=4.7.1 wait %s s for %r")
        hint = await self.hint()
        self.assertEqual((hint.action, hint.code), ("defer", 451))
        self.assertTrue(re.fullmatch(r"4\.7\.1 wait 300 s for ours\.example", hint.text), hint)

    async def test_many_questions_at_a_time(self):
        self.start()
        count = 200
        hints = await gatherResults(
            [self.as_deferred(sender=f"{'x' * n}@client.example") for n in range(1, count + 1)]
        )
        self.assertEqual({hint.action for hint in hints}, {"defer_if_permit"})
        self.assertEqual(len(hints), count)

    def as_deferred(self, **more):
        return Deferred.fromCoroutine(self.hint(**more))

    async def test_over_a_unix_socket(self):
        self.start(inet=False)
        end = time.monotonic() + PATIENCE
        while not (self.home / "postgrey" / "socket").exists():
            self.assertLess(time.monotonic(), end)
            await deferLater(reactor, 0.1)
        self.assertEqual((await self.hint()).action, "defer_if_permit")

    async def test_it_takes_no_feedback_and_that_harms_nobody(self):
        self.start()
        feedback = {"request": "mvmcas_feedback", "mvmcas_event": "good_mail"}
        with self.assertRaises(Unavailable):
            await self.hint(timeout=1, **feedback)
        self.assertEqual((await self.hint()).action, "defer_if_permit")

    async def test_what_only_mvmcas_understands_is_ignored(self):
        self.start()
        hint = await self.hint(mvmcas_version="1", mvmcas_relay="no", mvmcas_spf_domain="")
        self.assertEqual((hint.action, hint.parameters), ("defer_if_permit", {}))


class ReceiverTests(PolicyTestCase):
    """mvmtr as a client of postgrey."""

    def setUp(self):
        super().setUp()
        self.home.chmod(0o755)
        server = postgrey.start(self, self.home, "--delay=1")
        self.port = free_port()
        program = self.start_program(
            twistd(
                "-n",
                "--pidfile=",
                "mvmtr",
                "--no-qmail",
                f"--listen=tcp:{self.port}:interface=127.0.0.1",
                f"--queue=maildir:{self.home}/Maildir",
                "--set=smtp_server_rcpt_domains=ours.example",
                f"--assess={server}",
            )
        )
        wait_for_port(self.port, program, PATIENCE)

    def client(self):
        client = smtplib.SMTP("127.0.0.1", self.port, "c.example", timeout=PATIENCE)
        self.addCleanup(client.close)
        client.ehlo()
        return client

    def test_mail_is_put_off_and_has_a_header_field_when_it_is_taken(self):
        client = self.client()
        client.mail("s@client.example")
        self.assertEqual(client.rcpt("r@elsewhere.example")[0], 553)
        code, text = client.rcpt("r@ours.example")
        self.assertEqual(code, 450)
        self.assertIn(b"Greylisted", text)
        end = time.monotonic() + PATIENCE
        while client.rcpt("r@ours.example")[0] != 250:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.2)
        client.data(b"Subject: hello\r\n\r\nhello\r\n")
        (message,) = (self.home / "Maildir" / "new").iterdir()
        header = message.read_bytes().partition(b"\n\n")[0]
        self.assertRegex(header, rb"(?m)^X-Greylist: delayed \d+ seconds by postgrey-")
        self.assertIn("Greylisted", self.log.read_text())
