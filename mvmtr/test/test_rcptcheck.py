"""Tests for L{mvmtr.compat.rcptcheck}, with real programs."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import time
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from mvmtr.compat.rcptcheck import OUTPUT_MAX, RcptCheck, verdict_of_exit
from mvmtr.compat.rcpthosts import RcptHosts
from mvmtr.interfaces import ICheck
from mvmtr.policy import Policy
from mvmtr.session import Connection, Session, Stage, Transaction, Verdict
from mvmtr.settings import Settings
from mvmtr.test.support import CLIENT, folder

RECIPIENT = b"r@x.example"
NO_MAILBOX = "5.1.1 sorry, no mailbox here by that name (#5.1.1)"
NOT_VERIFIED = "4.3.0 unable to verify recipient (#4.3.0)"
NOT_RUN = "4.3.0 unable to execute recipient check (#4.3.0)"


def is_open(number, look):
    """Whether a descriptor is open, and a look at it finds something."""
    try:
        return bool(look(number))
    except OSError:
        return False


class ExitTests(SynchronousTestCase):
    """What an exit code and a text mean."""

    def assert_meaning(self, code, text, *expected):
        verdict = verdict_of_exit(code, text, "prog")
        self.assertEqual((verdict.name, verdict.code, verdict.text), expected)
        self.assertEqual(verdict.reason, f"prog exited {code}")

    def test_nothing_against_the_recipient(self):
        for code in (0, 112):
            self.assertIsNone(verdict_of_exit(code))
            self.assertIsNone(verdict_of_exit(code, b"553 no\n"))

    def test_codes_without_a_text(self):
        self.assert_meaning(100, b"", "reject", 550, NO_MAILBOX)
        self.assert_meaning(111, b"\r\n", "defer", 451, NOT_VERIFIED)
        over = "4.3.0 you have exceeded your messaging limits (#4.3.0)"
        self.assert_meaning(113, b"", "defer", 451, over)

    def test_every_other_code_is_temporary_whatever_the_text(self):
        for code in (1, 2, 99, 101, 110, 120, 126, 127, 255):
            self.assert_meaning(code, b"553 no\n", "defer", 451, NOT_RUN)

    def test_a_signal_is_temporary(self):
        verdict = verdict_of_exit(None, b"553 no\n", "prog")
        self.assertEqual((verdict.name, verdict.code, verdict.text), ("defer", 451, NOT_RUN))

    def test_the_text_becomes_the_reply(self):
        self.assert_meaning(100, b"553 go away\r\n", "reject", 553, "5.1.1 go away")
        self.assert_meaning(100, b"451 come back\n", "defer", 451, "4.3.0 come back")
        self.assert_meaning(100, b"only words", "reject", 550, "5.1.1 only words")
        self.assert_meaning(111, b"450 wait\n", "defer", 450, "4.3.0 wait")
        self.assert_meaning(113, b"552 full\n", "reject", 552, "5.1.1 full")

    def test_later_is_never_made_permanent(self):
        self.assert_meaning(111, b"553 go away\n", "defer", 451, NOT_VERIFIED)

    def test_a_code_alone_keeps_the_usual_words(self):
        self.assert_meaning(100, b"554\n", "reject", 554, NO_MAILBOX)
        self.assert_meaning(100, b"450\n", "defer", 450, NOT_VERIFIED)

    def test_an_enhanced_status_code_is_taken_from_the_text_where_it_fits(self):
        self.assert_meaning(100, b"550 5.2.1 off", "reject", 550, "5.2.1 off")
        self.assert_meaning(100, b"550 off (#5.2.1)", "reject", 550, "5.2.1 off (#5.2.1)")
        self.assert_meaning(100, b"450 5.2.1 off", "defer", 450, "4.3.0 off")
        self.assert_meaning(100, b"550 2.0.0 off", "reject", 550, "5.1.1 off")

    def test_several_lines_become_one(self):
        self.assert_meaning(100, b"550-one\r\n550 two\r\n", "reject", 550, "5.1.1 one two")

    @given(st.integers(0, 255), st.binary() | st.from_regex(rb"\A[0-9]{3}[- ][0-9.]*.*"))
    @settings(deadline=None, max_examples=200)
    def test_every_exit_is_a_refusal_or_none(self, code, text):
        verdict = verdict_of_exit(code, text)
        self.assertIn("" if verdict is None else verdict.name, ("", "reject", "defer"))
        self.assertEqual(verdict is None, code in (0, 112))


class ProgramTestCase(TestCase):
    """Runs programs in a qmail folder."""

    async def setUp(self):
        self.home = folder(self)
        # The reactor opens descriptors of its own when it starts.
        await deferLater(reactor, 0)

    def program(self, *lines, shell="/bin/sh"):
        path = self.home / "check"
        path.write_text("\n".join((f"#!{shell}", *lines, "")))
        path.chmod(0o755)
        return RcptCheck("./check", str(self.home), reactor)

    def session(self, connection=CLIENT):
        session = Session(connection, Settings())
        session.transaction = Transaction(b"s@client.example")
        return session

    async def ask(self, check, session=None, recipient=RECIPIENT):
        answer = check.check(session or self.session(), Stage.RCPT, recipient)
        return await answer if isinstance(answer, Deferred) else answer

    async def wait_for(self, path):
        for _attempt in range(2000):
            if path.exists():
                return
            await deferLater(reactor, 0.01)
        self.fail(f"{path} does not appear")

    def descriptors(self):
        return set(os.listdir("/proc/self/fd"))


class RcptCheckTests(ProgramTestCase):
    """What a program is told, and what its answer does."""

    async def test_it_is_a_check(self):
        check = self.program("exit 0")
        verifyObject(ICheck, check)
        self.assertEqual(check.paths, ())

    async def test_a_recipient_that_the_program_likes_is_left_to_rcpthosts(self):
        self.assertIsNone(await self.ask(self.program("exit 0")))

    async def test_the_text_on_descriptor_4_is_the_reply(self):
        verdict = await self.ask(self.program('echo "553 no $RECIPIENT" >&4; exit 100'))
        self.assertEqual((verdict.code, verdict.text), (553, "5.1.1 no r@x.example"))
        self.assertEqual(verdict.reason, "./check exited 100")

    async def test_the_program_knows_the_envelope_and_the_connection(self):
        connection = Connection(
            remote_ip=b"203.0.113.7", remote_host=b"client.example", environment={b"OWN": b"1"}
        )
        session = self.session(connection)
        session.helo = b"helo.example"
        check = self.program("env -0 > environment; pwd > folder; echo $# > arguments")
        self.assertIsNone(await self.ask(check, session, b"odd \xff'r@x.example"))
        lines = (self.home / "environment").read_bytes().split(b"\0")
        for line in (
            b"SENDER=s@client.example",
            b"RECIPIENT=odd \xff'r@x.example",
            b"HELO=helo.example",
            b"USE_FD4=1",
            b"TCPREMOTEIP=203.0.113.7",
            b"TCPREMOTEHOST=client.example",
            b"OWN=1",
            b"PATH=" + os.environb[b"PATH"],
        ):
            self.assertIn(line, lines)
        self.assertEqual((self.home / "folder").read_text(), f"{self.home.resolve()}\n")
        self.assertEqual((self.home / "arguments").read_text(), "0\n")

    async def test_without_helo_the_name_of_the_client_stands_in(self):
        check = self.program('test "$HELO" = "$WANTED" && test -z "$SENDER$RELAYCLIENT"')
        named = Connection(
            remote_host=b"client.example", environment={b"WANTED": b"client.example"}
        )
        unnamed = Connection(environment={b"WANTED": b"unknown"})
        for connection in (named, unnamed):
            session = self.session(connection)
            session.transaction = Transaction(b"")
            self.assertIsNone(await self.ask(check, session))

    async def test_the_program_has_no_descriptor_of_the_server(self):
        probe = os.open(os.devnull, os.O_RDONLY)
        self.addCleanup(os.close, probe)
        # Whoever started the tests may have left some that every program gets.
        handed_down = {
            number for number in map(int, self.descriptors()) if is_open(number, os.get_inheritable)
        }
        source = inspect.getsource(is_open) + (
            "import os\n"
            "found = {number for number in range(256) if is_open(number, os.fstat)}\n"
            f"os._exit(0 if found == {handed_down | {0, 1, 2, 4}} else 100)"
        )
        self.assertIsNone(await self.ask(self.program(source, shell=f"{sys.executable} -IS")))

    async def test_what_it_prints_is_logged_and_is_no_reply(self):
        observer = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        check = self.program('echo 553 out; echo "err\tor" >&2; exit 100')
        self.assertEqual((await self.ask(check)).text, NO_MAILBOX)
        lines = [event["line"] for event in observer if "line" in event]
        self.assertEqual(lines, ['"553 out"', '"err\\x09or"'])

    async def test_any_amount_of_output_is_taken_and_its_beginning_kept(self):
        observer = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        check = self.program(r"yes '' | head -c 1000000 | tee /dev/fd/4; exit 111")
        verdict = await self.ask(check)
        self.assertEqual((verdict.name, verdict.text), ("defer", NOT_VERIFIED))
        self.assertEqual(len([event for event in observer if "line" in event]), OUTPUT_MAX)

    async def test_the_program_reads_nothing_of_what_the_server_reads(self):
        kept = os.dup(0)
        self.addCleanup(os.close, kept)
        self.addCleanup(os.dup2, kept, 0)
        reading, writing = os.pipe()
        os.write(writing, b"QUIT\r\n")
        os.close(writing)
        os.dup2(reading, 0)
        os.close(reading)
        self.assertIsNone(await self.ask(self.program('test -z "$(cat)" || exit 100')))

    async def test_a_program_left_behind_does_not_hold_up_the_answer(self):
        check = self.program("sleep 1000 & echo $! > pid; exit 100")
        verdict = await self.ask(check)
        os.kill(int((self.home / "pid").read_text()), signal.SIGKILL)
        self.assertEqual(verdict.code, 550)

    async def test_a_crash_defers(self):
        self.assertEqual((await self.ask(self.program("kill -SEGV $$"))).text, NOT_RUN)

    async def test_a_program_that_cannot_be_run_defers_and_leaves_nothing_open(self):
        self.program("exit 0")
        (self.home / "plain").write_text("exit 0\n")
        before = self.descriptors()
        for program, home in (
            ("./none", self.home),
            ("./plain", self.home),
            ("./check", self.home / "none"),
        ):
            verdict = await self.ask(RcptCheck(program, str(home), reactor))
            self.assertEqual((verdict.name, verdict.code, verdict.text), ("defer", 451, NOT_RUN))
            self.assertIn(program, verdict.reason)
        self.assertEqual(self.descriptors(), before)

    async def test_a_recipient_that_fits_in_no_environment_defers(self):
        check = self.program("exit 0")
        for recipient in (b"a\0b@x.example", b"a" * 200_000):
            self.assertEqual((await self.ask(check, recipient=recipient)).text, NOT_RUN)

    async def test_a_run_leaves_no_descriptor_open_and_the_folder_as_it_was(self):
        check = self.program("exit 100")
        before = self.descriptors(), os.getcwd()
        await self.ask(check)
        self.assertEqual((self.descriptors(), os.getcwd()), before)

    async def test_runs_do_not_wait_for_each_other(self):
        check = self.program(
            "test $RECIPIENT = second && : > go && exit 100",
            "while ! test -e go; do sleep 0.01; done",
        )
        waiting = Deferred.fromCoroutine(self.ask(check, recipient=b"first"))
        self.assertEqual((await self.ask(check, recipient=b"second")).code, 550)
        self.assertIsNone(await waiting)

    async def test_no_more_run_at_a_time_than_may(self):
        check = self.program("mkdir only || exit 1", "sleep 0.01", "rmdir only", "exit 112")
        session = self.session()
        session.settings = replace(session.settings, smtp_server_programs_max=1)
        asked = [
            Deferred.fromCoroutine(self.ask(check, session, b"r%d@x.example" % number))
            for number in range(5)
        ]
        self.assertEqual(await gatherResults(asked), [None] * 5)

    async def test_recipients_of_relay_clients_are_left_alone(self):
        check = self.program("exit 100")
        relay = Connection(environment={b"RELAYCLIENT": b""})
        self.assertIsNone(await self.ask(check, self.session(relay)))

    async def test_the_program_is_not_asked_about_recipients_that_are_not_ours(self):
        self.program("exit 100")
        hosts = RcptHosts("rcpthosts", {b"x.example": 1})
        check = RcptCheck("./check", str(self.home), reactor, [hosts])
        self.assertIsNone(await self.ask(check, recipient=b"r@elsewhere.example"))
        self.assertEqual((await self.ask(check)).code, 550)

    async def test_the_connection_may_name_another_program(self):
        check = self.program("exit 100")
        (self.home / "check").rename(self.home / "other")
        other = Connection(environment={b"RCPTCHECK": os.fsencode(self.home / "other")})
        self.assertEqual((await self.ask(check, self.session(other))).code, 550)
        self.assertEqual((await self.ask(check)).code, 451)
        check = RcptCheck("", str(self.home), reactor)
        self.assertEqual((await self.ask(check, self.session(other))).code, 550)
        self.assertIsNone(await self.ask(check))


class TimeLimitTests(ProgramTestCase):
    """A program that does not end is killed, with all that it has started."""

    def assert_ends(self, pid):
        """Wait until a process is gone, or a zombie that its new parent has not seen yet."""
        for _attempt in range(2000):
            try:
                with open(f"/proc/{pid}/stat") as file:
                    if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                        return
            except OSError:
                return
            time.sleep(0.01)
        self.fail(f"process {pid} goes on")

    async def test_cancelling_kills_the_program_and_its_children(self):
        check = self.program("sleep 1000 & echo $$ $! > pids.tmp; mv pids.tmp pids; wait")
        before = self.descriptors()
        answer = check.check(self.session(), Stage.RCPT, RECIPIENT)
        await self.wait_for(self.home / "pids")
        answer.cancel()
        with self.assertRaises(CancelledError):
            await answer
        for pid in (self.home / "pids").read_text().split():
            self.assert_ends(pid)
        while self.descriptors() != before:
            await deferLater(reactor, 0.01)

    async def test_under_a_policy_the_time_limit_defers(self):
        check = self.program("exec sleep 1000")
        session = self.session()
        session.settings = session.settings.with_({"smtp_server_check_timeout": 1}, {})
        verdict = await Policy([check], reactor).decide(session, Stage.RCPT, RECIPIENT)
        self.assertIsInstance(verdict, Verdict)
        self.assertEqual((verdict.name, verdict.code, verdict.check), ("defer", 451, "rcptcheck"))
        self.flushLoggedErrors()
        while any(reader.logPrefix() == "rcptcheck" for reader in reactor.getReaders()):
            await deferLater(reactor, 0.01)
