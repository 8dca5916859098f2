"""Tests of a listening mvmtr with real clients: smtplib and swaks."""

from __future__ import annotations

import os
import signal
import smtplib
import subprocess

from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mvmtr.test.support import (
    LoopbackServer,
    Recorder,
    assemble,
    control_folder,
    environment,
    factory_of,
    folder,
    free_port,
    in_thread,
    twistd,
    wait_for_port,
)

MESSAGE = b"Subject: x\r\n\r\nhello\r\n.a dot\r\n..\r\nfrom \xff\r\n"
STORED = b"Subject: x\n\nhello\n.a dot\n..\nfrom \xff\n"


def send(port, recipients, message=MESSAGE, options=()):
    """Send one message with smtplib; what it says about refused recipients."""
    with smtplib.SMTP("127.0.0.1", port, "client.example", timeout=60) as client:
        return client.sendmail("s@client.example", recipients, message, options)


def swaks(port, *options):
    """Run swaks."""
    words = ("--server", "127.0.0.1", "--port", str(port), "--helo", "client.example")
    envelope = ("--from", "s@client.example", "--to", "r@ours.example")
    return (*words, *envelope, *options)


class InProcessTests(TestCase):
    """A server in this process, whose mail goes to a stand-in for qmail-queue."""

    def setUp(self):
        home = folder(self)
        self.control = control_folder(home, {"me": "mx.example", "rcpthosts": "ours.example"})
        self.recorder = Recorder(home)
        os.environb.update(self.recorder.environment)
        self.addCleanup(os.environb.pop, b"RECORD_DIR")
        self.serve()

    def serve(self, **overrides):
        factory = factory_of(assemble(self.control, "qmail", **overrides))
        server = LoopbackServer(factory)
        self.addCleanup(lambda: Deferred.fromCoroutine(server.stop()))
        self.port = server.port

    async def swaks(self, *options):
        said, _errors, status = await getProcessOutputAndValue(
            "/usr/bin/env", ("swaks", *swaks(self.port, *options)), environment()
        )
        return status, said

    async def test_a_message_by_smtplib_is_one_run_of_the_queue(self):
        refused = await in_thread(send, self.port, ["r@ours.example", "x@elsewhere.example"])
        self.assertEqual(list(refused), ["x@elsewhere.example"])
        self.assertEqual(refused["x@elsewhere.example"][0], 553)
        self.assertEqual(self.recorder.runs, 1)
        self.assertTrue(self.recorder.recorded("message").endswith(b"\n" + STORED))
        self.assertEqual(
            self.recorder.recorded("envelope"), b"Fs@client.example\0Tr@ours.example\0\0"
        )

    async def test_a_large_message_with_eight_bit_text_arrives_unchanged(self):
        line = bytes(byte for byte in range(256) if byte not in b"\r\n")
        text = (line + b"\r\n") * 10_000
        await in_thread(send, self.port, ["r@ours.example"], text, ["body=8bitmime"])
        message = self.recorder.recorded("message")
        self.assertEqual(message[-(len(line) + 1) * 10_000 :], (line + b"\n") * 10_000)

    async def test_the_answer_of_the_queue_reaches_the_client(self):
        self.recorder.plan([31, 53, 0])
        for code in (554, 451):
            with self.assertRaises(smtplib.SMTPDataError) as caught:
                await in_thread(send, self.port, ["r@ours.example"])
            self.assertEqual(caught.exception.smtp_code, code)
        self.assertEqual(await in_thread(send, self.port, ["r@ours.example"]), {})

    async def test_a_message_that_is_too_large_is_refused_before_it_is_sent(self):
        self.serve(smtp_server_msgsize_max="50")
        with self.assertRaises(smtplib.SMTPSenderRefused) as caught:
            await in_thread(send, self.port, ["r@ours.example"], b"x" * 100)
        self.assertEqual(caught.exception.smtp_code, 552)
        self.assertEqual(self.recorder.runs, 0)

    async def test_swaks_with_pipelining(self):
        status, said = await self.swaks("--pipeline", "--body", "hello")
        self.assertEqual(status, 0, said)
        self.assertTrue(self.recorder.recorded("message").endswith(b"\n\nhello\n\n\n"))

    async def test_swaks_with_helo_and_many_recipients(self):
        to = ",".join(f"r{number}@ours.example" for number in range(20))
        status, said = await self.swaks("--protocol", "SMTP", "--to", to)
        self.assertEqual(status, 0, said)
        self.assertEqual(self.recorder.recorded("envelope").count(b"\0T"), 20)
        self.assertIn(b" with SMTP; ", self.recorder.recorded("message"))

    async def test_swaks_with_the_null_sender_that_goes_away_without_quit(self):
        status, said = await self.swaks("--from", "<>", "--drop-after", "DOT")
        self.assertEqual(status, 0, said)
        self.assertEqual(self.recorder.recorded("envelope"), b"F\0Tr@ours.example\0\0")


class ProcessTests(SynchronousTestCase):
    """The program in the foreground, whose mail goes to a Maildir."""

    def setUp(self):
        self.maildir = folder(self) / "Maildir"
        self.port = free_port()
        listen = f"--listen=tcp:{self.port}:interface=127.0.0.1"
        queue = f"--queue=maildir:{self.maildir}"
        domains = ("--set", "smtp_server_rcpt_domains=ours.example")
        self.process = subprocess.Popen(
            twistd("-n", "--pidfile=", "mvmtr", "--no-qmail", listen, queue, *domains),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder(self),
            env=environment(),
        )
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        wait_for_port(self.port, self.process)

    def mails(self):
        self.assertEqual(os.listdir(self.maildir / "tmp"), [])
        return [path.read_bytes() for path in (self.maildir / "new").iterdir()]

    def test_a_message_by_smtplib_is_a_file(self):
        self.assertEqual(send(self.port, ["r@ours.example", "q@ours.example"]), {})
        (mail,) = self.mails()
        self.assertTrue(
            mail.startswith(
                b"Return-Path: <s@client.example>\nDelivered-To: r@ours.example\n"
                b"Delivered-To: q@ours.example\nReceived: from "
            ),
            mail,
        )
        self.assertTrue(mail.endswith(b"\n" + STORED), mail)

    def test_a_message_by_swaks_is_a_file(self):
        said = subprocess.run(["swaks", *swaks(self.port)], stdout=subprocess.PIPE, timeout=120)
        self.assertEqual(said.returncode, 0, said.stdout)
        self.assertEqual(len(self.mails()), 1)

    def test_every_message_that_was_accepted_is_there_after_a_kill(self):
        for count in range(1, 4):
            send(self.port, ["r@ours.example"])
            self.assertEqual(len(self.mails()), count)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.assertEqual(len(self.mails()), 3)

    def test_nothing_is_left_of_a_message_that_was_refused(self):
        send(self.port, ["r@ours.example"])
        with self.assertRaises(smtplib.SMTPRecipientsRefused):
            send(self.port, ["r@elsewhere.example"])
        self.assertEqual(len(self.mails()), 1)
