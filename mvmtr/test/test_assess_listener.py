"""C{--assess}: real programs, with mvmcas, with postgrey, and with an engine of their own."""

from __future__ import annotations

import smtplib
import subprocess
import sys
import time

from mvmtr.test import postgrey
from mvmtr.test.policy import PATIENCE, PolicyTestCase, ask, request
from mvmtr.test.support import environment, free_port, twistd, wait_for_port

OURS = "r@ours.example"
MAIL = b"EHLO c.example\r\nMAIL FROM:<s@c.example>\r\nRCPT TO:<r@ours.example>\r\nQUIT\r\n"


class ProgramTestCase(PolicyTestCase):
    """Starts mvmtr."""

    def setUp(self):
        super().setUp()
        self.options = [
            "--no-qmail", f"--queue=maildir:{self.home}/Maildir",
            "--set=smtp_server_rcpt_domains=ours.example",
        ]  # fmt: skip

    def start_mvmtr(self, *options):
        self.port = free_port()
        listen = f"--listen=tcp:{self.port}:interface=127.0.0.1"
        process = self.start_program(
            twistd("-n", "--pidfile=", "mvmtr", listen, *self.options, *options)
        )
        wait_for_port(self.port, process, PATIENCE)
        return process

    def recipient(self, recipient=OURS):
        """What a recipient is answered with."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as client:
            client.ehlo("c.example")
            client.mail("s@c.example")
            code, text = client.rcpt(recipient)
            return code, text.decode()

    def recipient_when(self, code):
        """The same, once it has that code."""
        end = time.monotonic() + PATIENCE
        while (answer := self.recipient())[0] != code:
            self.assertLess(time.monotonic(), end, answer)
            time.sleep(0.1)
        return answer

    def send(self):
        with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as client:
            client.sendmail("s@c.example", [OURS], b"Subject: test\r\n\r\nhello\r\n")

    def messages(self):
        return [path.read_bytes() for path in (self.home / "Maildir" / "new").iterdir()]

    def run_mvmtr(self, *arguments, data=b""):
        return subprocess.run(
            [sys.executable, "-m", "mvmtr", *arguments],
            input=data, capture_output=True, timeout=PATIENCE, cwd=self.home, env=environment(),
        )  # fmt: skip

    def session(self, *options, status=0):
        """The replies of a session on descriptors 0 and 1."""
        done = subprocess.run(
            twistd("mvmtr", "--stdio", *self.options, *options),
            input=MAIL, capture_output=True, timeout=PATIENCE, cwd=self.home,
            env=environment(TCPREMOTEIP="203.0.113.7"),
        )  # fmt: skip
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout.decode().split("\r\n")


class McasTests(ProgramTestCase):
    """With a real mvmcas."""

    def start(self, *arguments, **variables):
        process = super().start("--store=memory:", *arguments, **variables)
        self.assess = f"--assess=tcp:127.0.0.1:{self.address[1]}"
        return process

    def test_greylisting(self):
        self.start("--set=greylist=on", "--set=greylist_delay=1")
        self.start_mvmtr(self.assess)
        self.assertEqual(
            self.recipient(),
            (450, "4.7.1 greylisted for 1 s, not seen before, try again later"),
        )
        self.assertEqual(self.recipient("r@other.example")[0], 553)
        self.recipient_when(250)
        self.wait_for_log('reason="greylist: greylisted for 1 s, not seen before"')

    def test_a_mvmcas_that_dies_and_comes_back(self):
        process = self.start("--set=greylist=on")
        self.start_mvmtr(self.assess)
        self.assertEqual(self.recipient()[0], 450)
        process.kill()
        process.wait()
        self.assertEqual(self.recipient()[0], 250)
        self.wait_for_log(f"no answer from {self.assess[9:]} (1 so far)")
        port = self.address[1]
        self.start_program(
            twistd(
                "-n", "--pidfile=", "mvmcas", f"--listen=tcp:{port}:interface=127.0.0.1",
                "--store=memory:", "--set=greylist=on",
            )
        )  # fmt: skip
        self.recipient_when(450)
        self.wait_for_log(f"{self.assess[9:]} answers again")

    def test_a_mvmcas_that_is_required(self):
        self.start_mvmtr("--assess=tcp:127.0.0.1:1", "--set=smtp_server_assess_required=on")
        with self.assertRaises(smtplib.SMTPConnectError) as raised:
            self.recipient()
        self.assertEqual(raised.exception.smtp_code, 451)

    def test_what_clients_do_is_told(self):
        self.start(
            "--set=reputation=on", "--set=reputation_reject=6", "--set=points_relay_denied=3"
        )
        self.start_mvmtr(self.assess)
        self.assertEqual(self.recipient("r@other.example")[0], 553)
        self.recipient("r@other.example")
        with self.assertRaises(smtplib.SMTPConnectError) as raised:
            end = time.monotonic() + PATIENCE
            while time.monotonic() < end:
                self.recipient("r@other.example")
        self.assertEqual(raised.exception.smtp_code, 554)
        self.wait_for_log("points for what this client did")

    def test_what_happens_last_in_a_session_of_its_own_is_told(self):
        self.start(
            "--set=reputation=on", "--set=reputation_reject=1", "--set=points_relay_denied=3"
        )
        self.options[-1] = "--set=smtp_server_rcpt_domains=others.example"
        self.assertIn("553 ", self.session(self.assess)[-3][:4])
        asked = request(client_address="203.0.113.7", protocol_state="CONNECT")
        (reply,) = ask(self.address, asked)
        self.assertTrue(reply[b"action"].startswith(b"554 "), reply)

    def test_explain_shows_the_reason_and_leaves_no_trace(self):
        self.start("--set=greylist=on")
        for _time in range(2):
            done = self.run_mvmtr(
                "explain", *self.options, self.assess, "--ip=203.0.113.7", "--from=s@c.example",
                f"--to={OURS}",
            )  # fmt: skip
            self.assertIn(
                b"mvmcas at rcpt: defer 450 (greylist: greylisted for 300 s, not seen before)",
                done.stdout,
                done.stderr,
            )

    def test_explain_shows_that_there_is_no_answer(self):
        done = self.run_mvmtr(
            "explain", *self.options, "--assess=tcp:127.0.0.1:1", "--ip=203.0.113.7", f"--to={OURS}"
        )
        self.assertIn(b"mvmcas at connect: no opinion (no answer: unable to connect", done.stdout)


class PostgreyTests(ProgramTestCase):
    """With a real postgrey, which expects a question at RCPT only."""

    def setUp(self):
        super().setUp()
        self.home.chmod(0o755)

    def test_mail_is_put_off_and_then_taken_with_a_field(self):
        server = postgrey.start(self, self.home, "--delay=1")
        self.start_mvmtr(f"--assess={server}", "--set=smtp_server_assess_stages=rcpt")
        code, text = self.recipient()
        self.assertEqual(code, 450)
        self.assertIn("Greylisted", text)
        end = time.monotonic() + PATIENCE
        while not (self.home / "Maildir" / "new").exists() or not self.messages():
            self.assertLess(time.monotonic(), end)
            try:
                self.send()
            except smtplib.SMTPRecipientsRefused:
                time.sleep(0.2)
        (message,) = self.messages()
        self.assertRegex(
            message, rb"(?s)\nX-Greylist: delayed \d+ seconds by postgrey-.*\nReceived: "
        )

    def test_it_is_told_apart_by_its_first_answer(self):
        server = postgrey.start(self, self.home)
        self.start_mvmtr(f"--assess={server}")
        code, text = self.recipient()
        self.assertEqual((code, "Greylisted" in text), (450, True))
        # No feedback: it would not answer, and the next question would wait.
        self.assertNotIn("no answer", self.log.read_text())


class LocalTests(ProgramTestCase):
    """With an engine in mvmtr itself."""

    def setUp(self):
        super().setUp()
        self.local = [
            "--assess=local", f"--assess-store=sqlite:{self.home}/mvmcas.db",
            "--assess-set=greylist=on",
        ]  # fmt: skip

    def test_a_listening_server(self):
        self.start_mvmtr(*self.local, "--assess-set=greylist_delay=1")
        self.assertIn("not seen before", self.recipient()[1])
        self.recipient_when(250)

    def test_sessions_that_are_processes_of_their_own_share_what_is_remembered(self):
        for _time, said in enumerate(("not seen before", "seen ")):
            replies = self.session(*self.local)
            self.assertEqual(replies[-3][:4], "450 ")
            self.assertIn(f"greylisted for 300 s, {said}", replies[-3])

    def test_lists_of_the_control_folder(self):
        control = self.home / "control"
        control.mkdir()
        (control / "me").write_text("mx.example\n")
        (control / "rcpthosts").write_text("ours.example\n")
        (control / "mvmcas-block").write_text("203.0.113.0/24 scans\n")
        self.options = [f"--control-dir={control}", "--queue=discard:"]
        self.assertEqual(self.session(*self.local, status=1)[0], "554 5.7.1 blocked: scans")


class StartTests(ProgramTestCase):
    """What is wrong shows at the start, in one line."""

    def test_errors(self):
        for options, said in (
            (["--assess=postgrey"], b"--assess=postgrey: is none of"),
            (["--assess=tcp:127.0.0.1:x:y"], b"--assess=tcp:127.0.0.1:x:y: "),
            (["--assess-store=memory:"], b"--assess-store is for --assess=local"),
            (["--assess=tcp:127.0.0.1:1", "--assess-set=greylist=on"], b"--assess-set is for"),
            (["--assess=local", "--assess-set=greylist=x"], b"greylist: 'x' is neither"),
            (["--assess=local", "--assess-store=papyrus:"], b"--assess-store: 'papyrus:' is no"),
            (["--assess=local", "--assess-store=sqlite:/none/x"], b"--assess-store: "),
            (["--stdio", "--assess=local", "--assess-store=memory:"], b"memory: would not last"),
        ):
            listen = [] if "--stdio" in options else ["--listen=tcp:0:interface=127.0.0.1"]
            done = subprocess.run(
                twistd("-n", "--pidfile=", "mvmtr", *listen, *self.options, *options),
                input=b"", capture_output=True, timeout=PATIENCE, cwd=self.home, env=environment(),
            )  # fmt: skip
            self.assertEqual(done.returncode, 1, (options, done.stderr))
            self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
            self.assertTrue(done.stderr.startswith(b"mvmtr: "), done.stderr)
            self.assertIn(said, done.stderr)

    def test_check_knows_of_it(self):
        done = self.run_mvmtr("check", *self.options, "--assess=tcp:127.0.0.1:1")
        self.assertRegex(done.stdout, rb"mvmcas +at connect, data, helo, mail, message, rcpt")
        done = self.run_mvmtr("check", *self.options, "--assess=tcp:")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"error: --assess=tcp:", done.stdout)
