"""Tests for L{mvmtr.explain}."""

from __future__ import annotations

import json
import subprocess
import sys

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from mvmtr.explain import Options, as_text, explain
from mvmtr.interfaces import ICheck
from mvmtr.session import Reject, Stage
from mvmtr.test.support import control_folder, environment, folder


@implementer(ICheck)
class NoMondays:
    """A check that waits before it answers."""

    name = "mondays"
    stages = frozenset({Stage.MAIL})

    async def check(self, session, stage, argument):
        waited = Deferred()
        reactor.callLater(0, waited.callback, None)
        await waited
        return Reject(550, "5.7.1 not on Mondays") if b"monday" in argument else None


class ExplainTests(TestCase):
    """Each stage, each check, each reply."""

    def setUp(self):
        self.control = control_folder(
            folder(self),
            {
                "me": "mx.example\n",
                "rcpthosts": "# ours\nlocal.example\n",
                "badmailfrom": "x@bad.example\n@worse.example\n",
                "databytes": "100\n",
            },
        )

    async def steps(self, *arguments):
        options = Options()
        options.parseOptions(["--ip=192.0.2.7", f"--control-dir={self.control}", *arguments])
        return {step.command: step for step in await explain(options, reactor)}

    async def test_an_accepted_recipient_is_traced_to_the_line_of_rcpthosts(self):
        steps = await self.steps("--from=a@b.example", "--to=r@local.example")
        step = steps["RCPT TO:<r@local.example>"]
        self.assertEqual(
            [asked.check for asked in step.asked], ["rcpt_domains", "relay", "rcpthosts"]
        )
        self.assertEqual(step.asked[-1].verdict, "accept")
        self.assertEqual(step.asked[-1].reason, f"{self.control}/rcpthosts:2")
        self.assertEqual(step.reply, ["250 2.1.5 ok"])
        self.assertTrue(steps["message"].reply[0].startswith("250"))

    async def test_a_bad_sender_is_named_at_mail_and_refused_at_rcpt(self):
        steps = await self.steps("--from=a@worse.example", "--to=r@local.example")
        mail = steps["MAIL FROM:<a@worse.example>"]
        self.assertEqual(mail.asked[0].reason, f"{self.control}/badmailfrom:2")
        self.assertEqual(mail.reply, ["250 2.1.0 ok"])
        rcpt = steps["RCPT TO:<r@local.example>"]
        self.assertEqual(rcpt.asked, [])
        self.assertTrue(rcpt.reply[0].startswith("553 5.7.1 sorry, your envelope sender"))
        self.assertNotIn("message", steps)

    async def test_the_relay_client_may_send_anywhere(self):
        steps = await self.steps("--relay", "--to=r@elsewhere.example")
        step = steps["RCPT TO:<r@elsewhere.example>"]
        self.assertEqual(step.asked[-1].check, "relay")
        self.assertEqual(step.asked[-1].reason, "RELAYCLIENT is set")

    async def test_an_announced_size_over_the_limit_is_refused(self):
        steps = await self.steps("--size=101", "--to=r@local.example")
        self.assertTrue(steps["MAIL FROM:<> SIZE=101"].reply[0].startswith("552 5.3.4"))

    async def test_the_extensions_are_those_that_the_queue_can_carry(self):
        for queue, offered in (("discard:", True), ("qmail", False)):
            steps = await self.steps(f"--queue={queue}", "--helo=c")
            lines = [line[4:] for line in steps["EHLO c"].reply]
            self.assertEqual("SMTPUTF8" in lines, offered)

    async def test_a_message_file_is_sent_whole(self):
        path = folder(self) / "message"
        path.write_bytes(b"Subject: x\n\n.dot\n" + b"x" * 100 + b"\n")
        steps = await self.steps(f"--message={path}", "--to=r@local.example")
        self.assertTrue(steps["message"].reply[0].startswith("552 5.3.4"))

    async def test_checks_that_wait_are_waited_for(self):
        check = "--check=mvmtr.test.test_explain.NoMondays"
        steps = await self.steps(check, "--from=monday@b.example", "--to=r@local.example")
        self.assertEqual(steps["MAIL FROM:<monday@b.example>"].reply, ["550 5.7.1 not on Mondays"])
        steps = await self.steps(check, "--from=sunday@b.example", "--to=r@local.example")
        self.assertEqual(
            [(asked.check, asked.verdict) for asked in steps["MAIL FROM:<sunday@b.example>"].asked],
            [("mondays", ""), ("badmailfrom", "")],
        )

    async def test_the_text_form_names_check_verdict_and_reason(self):
        options = Options()
        options.parseOptions(
            ["--ip=192.0.2.7", f"--control-dir={self.control}", "--to=r@x.example"]
        )
        text = as_text(await explain(options, reactor))
        self.assertIn(
            f"    rcpthosts at rcpt: reject 553 (not in {self.control}/rcpthosts)\n", text
        )

    def run_program(self, *arguments):
        return subprocess.run(
            [sys.executable, "-m", "mvmtr", "explain", *arguments],
            capture_output=True, text=True, env=environment(), check=False,
        )  # fmt: skip

    def test_the_program_prints_json(self):
        done = self.run_program(
            f"--control-dir={self.control}", "--ip=192.0.2.7", "--to=r@local.example", "--json"
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        steps = json.loads(done.stdout)
        self.assertEqual(steps[0]["command"], "connect")
        self.assertEqual(steps[-1]["reply"], ["221 2.0.0 mx.example"])

    def test_errors_are_one_line_and_status_one(self):
        for arguments in (
            [f"--control-dir={self.control}"],
            [f"--control-dir={self.control}/none", "--ip=192.0.2.7"],
            [f"--control-dir={self.control}", "--ip=192.0.2.7", "--to=a@b\r\nRSET"],
            [f"--control-dir={self.control}", "--ip=192.0.2.7", "--message=/nowhere"],
        ):
            done = self.run_program(*arguments)
            self.assertEqual((done.returncode, done.stdout), (1, ""), arguments)
            self.assertRegex(done.stderr, r"\Amvmtr: .*\n\Z")
