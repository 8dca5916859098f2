"""Tests for L{mvmtr.queue.qmail} and L{mvmtr.queue.envelope}, with real processes."""

from __future__ import annotations

import os
import re
import resource
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import gatherResults, maybeDeferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mvmtr.addresses import UnsafeAddress
from mvmtr.queue.envelope import qmail_envelope
from mvmtr.queue.qmail import QmailQueue, verdict_of_exit
from mvmtr.session import Accept, Defer, Transaction
from mvmtr.test.support import CLIENT, Recorder, folder
from mvmtr.test.test_queue import HEADER, BrokenBody, session_with_message

BIG = b"0123456789abcde\n" * (5 * 65536)

PERMANENT = "5.3.0 qq permanent problem (#5.3.0)"
TEMPORARY = "4.3.0 qq temporary problem (#4.3.0)"
TOO_LONG = "5.1.3 envelope address too long for qq (#5.1.3)"
BUG = "4.3.0 qq internal bug (#4.3.0)"
READ_ERROR = "4.3.0 qq read error (#4.3.0)"
NO_PROGRAM = "4.3.0 unable to exec qq (#4.3.0)"
CRASHED = "4.3.0 qq crashed (#4.3.0)"

EXITS = {
    **dict.fromkeys(range(1, 256), TEMPORARY),
    **dict.fromkeys(range(11, 41), PERMANENT),
    11: TOO_LONG,
    31: "5.3.0 mail server permanently rejected message (#5.3.0)",
    51: "4.3.0 qq out of memory (#4.3.0)",
    52: "4.3.0 qq timeout (#4.3.0)",
    53: "4.3.0 qq write error or disk full (#4.3.0)",
    54: READ_ERROR,
    55: "4.3.0 qq unable to read configuration (#4.3.0)",
    56: "4.3.0 qq trouble making network connection (#4.3.0)",
    61: "4.3.0 qq trouble in home directory (#4.3.0)",
    **dict.fromkeys(range(62, 67), "4.3.0 qq trouble creating files in queue (#4.3.0)"),
    71: "4.3.0 mail server temporarily rejected message (#4.3.0)",
    72: "4.4.1 connection to mail server timed out (#4.4.1)",
    73: "4.4.1 connection to mail server rejected (#4.4.1)",
    74: "4.4.2 communication with mail server failed (#4.4.2)",
    81: BUG,
    91: BUG,
    115: TOO_LONG,
    120: NO_PROGRAM,
}
"""What each exit code means to qmail-smtpd."""

RUN_EXITS = (1, 2, 9, 10, 11, 12, 20, 30, 31, 32, 39, 40, 41, 51, 53, 54, 61, 64, 66, 81, 91, 115)


def reply_to(text):
    """Code and text of the reply that has this text."""
    return (554 if text.startswith("5") else 451), text


def said(verdict):
    return verdict.code, verdict.text


class EnvelopeTests(SynchronousTestCase):
    """The envelope as qmail-queue reads it."""

    def envelope(self, sender, *recipients):
        transaction = Transaction(sender)
        transaction.recipients = list(recipients)
        return qmail_envelope(transaction)

    def test_sender_and_recipients_end_in_nul_and_one_more_ends_it_all(self):
        self.assertEqual(self.envelope(b"s@x", b"r@y", b"q@z"), b"Fs@x\0Tr@y\0Tq@z\0\0")
        self.assertEqual(self.envelope(b"", b""), b"F\0T\0\0")

    def test_no_address_can_end_another_one(self):
        for bad in (b"a\0Tx@y", b"\0", b"a\nb@x", b"a\rb@x"):
            self.assertRaises(UnsafeAddress, self.envelope, bad, b"r@y")
            self.assertRaises(UnsafeAddress, self.envelope, b"s@x", b"r@y", bad)

    @settings(deadline=None, max_examples=100)
    @given(st.lists(st.binary(max_size=10), min_size=1, max_size=5))
    def test_what_is_written_can_only_be_read_as_what_was_meant(self, addresses):
        try:
            envelope = self.envelope(*addresses)
        except UnsafeAddress:
            self.assertTrue(re.search(rb"[\0\r\n]", b"".join(addresses)))
            return
        self.assertTrue(envelope.endswith(b"\0\0"))
        sender, *recipients = envelope[:-2].split(b"\0")
        self.assertEqual(
            [sender, *recipients], [b"F" + addresses[0], *map(b"T".__add__, addresses[1:])]
        )


class VerdictTests(SynchronousTestCase):
    """What an exit means."""

    def test_every_exit_code_means_what_it_means_to_qmail_smtpd(self):
        for code, text in EXITS.items():
            for complete in (True, False):
                self.assertEqual(said(verdict_of_exit(code, complete)), reply_to(text), code)

    def test_only_an_exit_with_0_that_has_read_all_is_a_yes(self):
        self.assertIsNone(verdict_of_exit(0, True))
        self.assertIsNone(verdict_of_exit(0, True, b"Dignored"))
        self.assertEqual(said(verdict_of_exit(0, False)), (451, READ_ERROR))
        self.assertEqual(said(verdict_of_exit(None, True)), (451, CRASHED))

    def test_texts_of_the_queue_are_passed_on(self):
        for text, reply in (
            (b"Dno", (554, "5.3.0 no")),
            (b"Zlater", (451, "4.3.0 later")),
            (b"D5.7.1 we don't like you", (554, "5.7.1 we don't like you")),
            (b"Z4.7.1 wait", (451, "4.7.1 wait")),
            (b"no letter", (451, "4.3.0 no letter")),
            (b"D4.7.1 odd", (554, "5.3.0 4.7.1 odd")),
            (b"Z5.7.1 odd", (451, "4.3.0 5.7.1 odd")),
            (b"Dtwo\r\nlines", (554, "5.3.0 two lines")),
            (b"Dcaf\xc3\xa9\0!", (554, "5.3.0 caf !")),
        ):
            for code in (82, 88):
                self.assertEqual(said(verdict_of_exit(code, True, text)), reply, text)

    def test_without_a_text_82_and_88_are_temporary_and_other_codes_take_none(self):
        for code, text in ((82, b""), (88, b""), (53, b"Dno"), (31, b"Zlater")):
            self.assertEqual(said(verdict_of_exit(code, True, text)), reply_to(EXITS[code]))

    @settings(deadline=None, max_examples=100)
    @given(st.integers(1, 255) | st.none(), st.booleans(), st.binary(max_size=600))
    def test_no_text_makes_a_yes_or_an_error(self, code, complete, text):
        self.assertIn(verdict_of_exit(code, complete, text).code, (451, 554))


class QmailTestCase(TestCase):
    """Has a qmail home with a recording qmail-queue."""

    timeout = 60

    def setUp(self):
        self.home = folder(self)
        self.recorder = Recorder(self.home)
        self.queue = QmailQueue(str(self.recorder.program), str(self.home), reactor)

    def session(self, variables=(), **message):
        environment = {**self.recorder.environment, **dict(variables)}
        return session_with_message(connection=replace(CLIENT, environment=environment), **message)

    async def put(self, variables=(), **message):
        session = self.session(variables, **message)
        verdict = await self.queue.put(session)
        session.transaction.body.close()
        return verdict

    def script(self, text):
        """Put a shell script in the place of qmail-queue."""
        self.recorder.program.write_text(f"#!/bin/sh\n{text}\n")

    def variables(self, run=0):
        pairs = self.recorder.recorded("environment", run).split(b"\0")
        return dict(pair.split(b"=", 1) for pair in pairs)


class HandOverTests(QmailTestCase):
    """What the program gets."""

    async def test_it_gets_message_and_envelope_in_its_home(self):
        here = os.getcwd()
        body = b"Subject: x\n\n.\r\0\xff no line end"
        verdict = await self.put(body=body, recipients=(b"r@x", b"q@y", b"r@x"))
        self.assertIsInstance(verdict, Accept)
        self.assertEqual(self.recorder.recorded("message"), HEADER + body)
        envelope = b"Fs@client.example\0Tr@x\0Tq@y\0Tr@x\0\0"
        self.assertEqual(self.recorder.recorded("envelope"), envelope)
        self.assertEqual(self.recorder.recorded("cwd"), os.fsencode(self.home.resolve()))
        self.assertEqual(os.getcwd(), here)

    async def test_the_reply_names_its_process_which_is_gone(self):
        verdict = await self.put()
        pid = int(self.recorder.recorded("pid"))
        self.assertRegex(verdict.text, rf"^2\.0\.0 ok \d+ qp {pid}$")
        self.assertRaises(ProcessLookupError, os.kill, pid, 0)

    async def test_messages_of_any_size_arrive_whole(self):
        sizes_of_pipes = [b"x" * (size - len(HEADER)) for size in (65535, 65536, 65537, 131072)]
        for run, body in enumerate((b"", *sizes_of_pipes, BIG)):
            self.assertIsInstance(await self.put(body=body), Accept)
            self.assertEqual(self.recorder.recorded("message", run), HEADER + body)

    async def test_10000_recipients_arrive(self):
        recipients = [b"recipient-%d@a-domain.mx.example" % number for number in range(10000)]
        self.assertIsInstance(await self.put(recipients=recipients), Accept)
        envelope = self.recorder.recorded("envelope")
        self.assertEqual(envelope.count(b"\0"), 10002)
        self.assertEqual(envelope.split(b"\0T")[1:-1], recipients[:-1])
        self.assertTrue(envelope.endswith(b"\0T" + recipients[-1] + b"\0\0"))

    async def test_without_a_header_the_body_arrives_all_the_same(self):
        self.assertIsInstance(await self.put(header=b"", body=b"hello\n"), Accept)
        self.assertEqual(self.recorder.recorded("message"), b"hello\n")

    async def test_it_knows_who_talks_to_whom(self):
        await self.put({b"RELAYCLIENT": b"", b"OTHER": b"a=\xff"})
        told = {
            b"TCPREMOTEIP": CLIENT.remote_ip,
            b"TCPREMOTEHOST": CLIENT.remote_host,
            b"TCPLOCALIP": CLIENT.local_ip,
            b"TCPLOCALHOST": CLIENT.local_host,
            b"RELAYCLIENT": b"",
            b"OTHER": b"a=\xff",
            b"PATH": os.environb[b"PATH"],
        }
        self.assertEqual(self.variables(), {**self.variables(), **told})
        self.assertNotIn(b"TCPREMOTEINFO", self.variables())

    async def test_qmailqueue_of_the_connection_overrides_the_program(self):
        other = Recorder(folder(self), [31])
        verdict = await self.put({b"QMAILQUEUE": os.fsencode(other.program), **other.environment})
        self.assertEqual(said(verdict), reply_to(EXITS[31]))
        self.assertEqual((other.runs, self.recorder.runs), (1, 0))
        self.assertEqual(other.recorded("cwd"), os.fsencode(self.home.resolve()))

    async def test_qmailqueue_may_be_empty_or_relative_to_the_home(self):
        for run, program in enumerate((b"", b"bin/qmail-queue"), 1):
            self.assertIsInstance(await self.put({b"QMAILQUEUE": program}), Accept)
            self.assertEqual(self.recorder.runs, run)

    async def test_many_at_once_do_not_mix(self):
        bodies = [b"message %d\n" % number * 3000 for number in range(20)]
        sessions = [
            self.session(body=body, recipients=(b"r%d@x" % number,))
            for number, body in enumerate(bodies)
        ]
        verdicts = await gatherResults([self.queue.put(session) for session in sessions])
        pids = {self.recorder.recorded("pid", run): run for run in range(20)}
        for number, verdict in enumerate(verdicts):
            run = pids[verdict.text.rpartition(" ")[2].encode()]
            self.assertEqual(self.recorder.recorded("message", run), HEADER + bodies[number])
            self.assertIn(b"Tr%d@x\0\0" % number, self.recorder.recorded("envelope", run))

    async def test_the_program_gets_none_of_the_descriptors_of_the_server(self):
        given_on = [int(name) for name in os.listdir("/proc/self/fd") if _is_given_on(int(name))]
        self.script(f"ls /proc/self/fd >{self.home}/fds; cat >/dev/null; cat <&1 >/dev/null")
        self.assertIsInstance(await self.put(), Accept)
        found = {int(name) for name in (self.home / "fds").read_text().split()}
        # ls itself opens one to read the folder.
        self.assertLessEqual(len(found - {0, 1, 2, 6, *given_on}), 1)


def _is_given_on(descriptor):
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False


class BoundTests(QmailTestCase):
    """How many run at a time."""

    def session_of(self, client, limit):
        session = self.session()
        session.connection = replace(session.connection, remote_ip=client)
        session.settings = replace(session.settings, smtp_server_programs_max=limit)
        return session

    async def asked(self, limit, clients):
        """
        The clients in the order of their answers. A program waits until as many run as may.
        """
        self.script(
            f"touch {self.home}/running.$$; "
            f"ls {self.home} | grep -c running >> {self.home}/counts; "
            "cat >/dev/null; cat <&1 >/dev/null; sleep 0.02; "
            f"rm {self.home}/running.$$"
        )
        order = []
        answers = [
            self.queue.put(self.session_of(client, limit)).addCallback(
                lambda verdict, client=client: order.append((client, verdict.name))
            )
            for client in clients
        ]
        await gatherResults(answers)
        self.assertEqual({name for _client, name in order}, {"accept"})
        self.most = max(map(int, (self.home / "counts").read_text().split()))
        return [client for client, _name in order]

    async def test_no_more_run_at_a_time_than_may_and_all_are_answered(self):
        await self.asked(2, [b"192.0.2.1"] * 8)
        self.assertLessEqual(self.most, 2)

    async def test_one_client_with_much_mail_does_not_keep_another_one_waiting(self):
        order = await self.asked(1, [b"192.0.2.1"] * 6 + [b"192.0.2.2"])
        self.assertEqual(order.index(b"192.0.2.2"), 2)

    async def test_without_a_limit_all_run_at_a_time(self):
        self.script(
            f"touch {self.home}/running.$$; "
            f"while [ $(ls {self.home} | grep -c running) -lt 25 ]; do sleep 0.01; done; "
            "cat >/dev/null; cat <&1 >/dev/null"
        )
        answers = [self.queue.put(self.session_of(b"192.0.2.1", 0)) for _ in range(25)]
        verdicts = await gatherResults(answers)
        self.assertEqual({verdict.name for verdict in verdicts}, {"accept"})


class RefusalTests(QmailTestCase):
    """What the program answers."""

    async def test_its_exit_code_becomes_the_reply(self):
        self.recorder.plan(RUN_EXITS)
        for code in RUN_EXITS:
            verdict = await self.put()
            self.assertEqual(said(verdict), reply_to(EXITS[code]), code)
            self.assertIn(f"exited {code}", verdict.reason)

    async def test_killed_by_a_signal_it_is_451(self):
        self.recorder.plan(["signal:9", "signal:15"])
        for _ in range(2):
            self.assertEqual(said(await self.put()), (451, CRASHED))

    async def test_an_exit_before_all_is_read_is_no_yes_and_a_refusal_counts(self):
        self.recorder.plan(["early:31", "early:31", "early:0"])
        for body in (b"small\n", BIG):
            self.assertEqual(said(await self.put(body=body)), reply_to(EXITS[31]))
        for body in (b"", b"small\n", BIG):
            self.assertEqual(said(await self.put(body=body)), (451, READ_ERROR))
        self.script("cat >/dev/null; exit 0")
        for body in (b"small\n", BIG):
            self.assertEqual(said(await self.put(body=body)), (451, READ_ERROR))

    async def test_its_text_becomes_the_reply(self):
        self.recorder.plan(["text:82:D5.7.1 spam", "text:88:Zcome back", "text:88:Dno", "82"])
        replies = [said(await self.put()) for _ in range(4)]
        said_no = [(554, "5.7.1 spam"), (451, "4.3.0 come back"), (554, "5.3.0 no")]
        self.assertEqual(replies, [*said_no, (451, TEMPORARY)])

    async def test_a_text_on_descriptor_6_becomes_the_reply(self):
        for text, reply in (("Dvirus", (554, "5.3.0 virus")), ("Z4.7.1 wait", (451, "4.7.1 wait"))):
            self.script(f"cat >/dev/null; cat <&1 >/dev/null; printf '{text}' >&6; exit 82")
            self.assertEqual(said(await self.put()), reply)

    async def test_error_fd_says_which_descriptor_it_writes_to_and_is_6_if_it_cannot(self):
        self.recorder.plan(["text:88:Dno"])
        usable = [(b"%d" % descriptor,) * 2 for descriptor in range(3, 25)]
        unusable = [(named, b"6") for named in (b"", b"0", b"1", b"2", b"-1", b"six", b"9" * 30)]
        for run, (named, used) in enumerate(usable + unusable):
            self.assertEqual(said(await self.put({b"ERROR_FD": named})), (554, "5.3.0 no"), named)
            self.assertEqual(self.variables(run)[b"ERROR_FD"], used)


class TroubleTests(QmailTestCase):
    """What goes wrong here, and what must not be left behind."""

    async def setUp(self):
        super().setUp()
        # The reactor opens descriptors of its own when it starts.
        await deferLater(reactor, 0)

    def descriptors(self):
        return os.listdir("/proc/self/fd")

    async def outcome(self, session):
        """The verdict; what is raised defers as well, see L{mvmtr.protocol.delivery}."""
        try:
            return await maybeDeferred(self.queue.put, session)
        except (OSError, ValueError) as error:
            return Defer(reason=str(error))

    async def assertCannotRun(self, variables=()):
        before = self.descriptors(), os.getcwd()
        self.assertEqual(said(await self.put(variables)), (451, NO_PROGRAM))
        self.assertEqual((self.descriptors(), os.getcwd()), before)
        self.assertEqual(self.recorder.runs, 0)

    async def test_a_missing_program_or_home_is_451(self):
        await self.assertCannotRun({b"QMAILQUEUE": b"/nowhere/qmail-queue"})
        self.queue = QmailQueue(str(self.recorder.program), str(self.home / "none"), reactor)
        await self.assertCannotRun()

    async def test_a_program_that_cannot_be_run_is_451(self):
        await self.assertCannotRun({b"QMAILQUEUE": os.fsencode(self.home)})
        self.recorder.program.chmod(0o644)
        await self.assertCannotRun()
        self.recorder.program.write_text("#!/nowhere/interpreter\n")
        self.recorder.program.chmod(0o755)
        await self.assertCannotRun()

    async def test_an_unsafe_address_starts_nothing(self):
        before = self.descriptors()
        for bad in (b"a\0Tx@y", b"a\nb@x", b"a\rb@x"):
            for envelope in ({"sender": bad}, {"recipients": (b"r@x", bad)}):
                answer = maybeDeferred(self.queue.put, self.session(**envelope))
                await self.assertFailure(answer, UnsafeAddress)
        self.assertEqual((self.recorder.runs, self.descriptors()), (0, before))

    async def test_no_descriptor_stays_open(self):
        self.recorder.plan([0, 0, 31, "early:0", "early:0", "signal:9", "text:88:Dno"])
        await self.put()
        before = self.descriptors()
        for body in (BIG, b"small\n", b"small\n", BIG, b"small\n", b"small\n"):
            await self.put(body=body)
        self.assertEqual(self.descriptors(), before)

    async def test_running_out_of_descriptors_neither_queues_nor_leaks(self):
        await self.put()
        before = self.descriptors()
        numbers = {int(name) for name in before}
        unused = [number for number in range(max(numbers) + 10) if number not in numbers]
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        # Three pipes want six, and listing the folder has given one back.
        for left in range(5):
            resource.setrlimit(resource.RLIMIT_NOFILE, (unused[left], limits[1]))
            try:
                verdict = await self.outcome(self.session(body=b"small\n"))
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            self.assertIsInstance(verdict, Defer)
            self.assertEqual(self.descriptors(), before, left)
        self.assertEqual(self.recorder.runs, 1)

    async def assertNotQueued(self, body):
        before = self.descriptors()
        self.assertIsInstance(await self.outcome(self.session(body=body)), Defer)
        self.assertEqual(self.descriptors(), before)
        for run in range(self.recorder.runs):
            self.assertEqual(self.recorder.recorded("envelope", run), b"")

    async def test_a_body_that_cannot_be_read_back_is_never_queued(self):
        for good in (0, 1, 20):
            await self.assertNotQueued(BrokenBody(OSError(5, "disk error"), good))

    async def test_a_body_that_is_closed_underway_is_never_queued(self):
        for good in (0, 20):
            await self.assertNotQueued(BrokenBody(ValueError("I/O on closed file"), good))
        self.flushLoggedErrors(ValueError)

    async def test_a_program_that_takes_anything_is_no_yes_for_a_broken_body(self):
        self.script("cat >/dev/null; cat <&1 >/dev/null; exit 0")
        for good in (0, 20):
            verdict = await self.put(body=BrokenBody(OSError(5, "disk error"), good))
            self.assertEqual(said(verdict), (451, READ_ERROR))
