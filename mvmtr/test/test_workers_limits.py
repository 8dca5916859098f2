"""What can be asked of workers, and what they may do together."""

from __future__ import annotations

import base64
import os
import signal
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.certificates import Authority
from mvmtr.test.support import environment, folder, twistd
from mvmtr.test.test_listener_limits import PATIENCE
from mvmtr.test.test_workers import WorkersTestCase
from mvmtr.workers import WORKERS_MAX, number_of


class NumberTests(SynchronousTestCase):
    """What can be asked for."""

    def test_a_number_or_as_many_as_there_are_cpus(self):
        self.assertEqual([number_of(text) for text in (None, "1", "12")], [1, 1, 12])
        self.assertEqual(number_of("auto"), len(os.sched_getaffinity(0)))

    def test_all_else_is_refused(self):
        for text in ("", "0", "-1", "two", "1.5", "²", str(WORKERS_MAX + 1), "9" * 5000):
            self.assertRaises(ValueError, number_of, text)


class OptionTests(SynchronousTestCase):
    """What makes no sense is one line, and nothing is started."""

    def test_bad_options_are_one_line(self):
        for options, wanted in (
            (["--workers=0"], "mvmtr: --workers: '0' is neither a number from 1 to"),
            (["--workers=many"], "mvmtr: --workers: 'many' is neither a number"),
            (["--stdio", "--workers=2"], "mvmtr: --stdio and --workers exclude each other"),
            (
                ["--workers=2", "--assess=local", "--assess-store=memory:"],
                "mvmtr: --workers: memory: would be another one for each worker",
            ),
        ):
            done = subprocess.run(
                twistd("-n", "--pidfile=", "mvmtr", "--no-qmail", "--queue=discard:", *options),
                capture_output=True,
                env=environment(),
                cwd=folder(self),
                timeout=PATIENCE,
            )
            self.assertEqual(done.returncode, 1)
            error = done.stderr.decode()
            self.assertIn(wanted, error)
            self.assertEqual(error.count("\n"), 1, error)


class SharedLimitTests(WorkersTestCase):
    """Limits are those of all workers together."""

    number = 3

    def test_connections_of_all_of_a_client_and_of_a_network(self):
        self.serve(
            "--max-connections=8",
            "--max-per-address=3",
            "--set=smtp_server_connections_per_network=5",
        )
        first, *_ = self.assert_welcome(*["127.0.1.1"] * 3)
        self.assert_refused("127.0.1.1", "the limit for one client is 3 at a time")
        self.assert_welcome("127.0.1.2", "127.0.1.3")
        self.assert_refused("127.0.1.4", "the limit for one network is 5 at a time")
        self.assert_welcome("127.0.2.1", "127.0.3.1", "127.0.4.1")
        self.assert_refused("127.0.5.1", "the limit is 8 at a time")
        self.assertEqual(self.dialogue(first, b"QUIT\r\n", 1), [221])
        self.wait_until(lambda: self.hello("127.0.5.1")[0][:4] == b"220 ", "no place")

    def test_rates(self):
        self.serve("--set=smtp_server_rate_per_address=4", "--set=smtp_server_rate_time=3600")
        for client in self.assert_welcome(*["127.0.1.1"] * 4):
            client.close()
        self.assert_refused("127.0.1.1", "the limit for one client is 4 in 3600 seconds")

    def test_failed_passwords(self):
        passwords = self.home / "passwords"
        passwords.write_text("joe@local.example:right\n")
        self.serve(
            f"--auth=file:{passwords}",
            "--set=smtp_server_auth_insecure=on",
            "--set=smtp_server_auth_failures_max=4",
            "--set=smtp_server_auth_delay=0",
        )
        wrong = base64.b64encode(b"\0joe@local.example\0wrong")
        for code in (535, 535, 535, 535, 454, 454):
            (client,) = self.assert_welcome("127.0.0.1")
            said = self.dialogue(client, b"EHLO c\r\nAUTH PLAIN " + wrong + b"\r\n", 2)
            self.assertEqual(said, [250, code])

    def test_handshakes(self):
        (self.control / "servercert.pem").write_text(Authority(self.home).text("mx.example"))
        self.serve("--set=smtp_server_tls_handshakes_max=2")
        for codes in ([250, 220], [250, 220], [250, 454], [250, 454]):
            (client,) = self.assert_welcome("127.0.0.1")
            self.assertEqual(self.dialogue(client, b"EHLO c\r\nSTARTTLS\r\n", 2), codes)

    def test_clients_that_come_all_at_once_do_not_exceed_a_limit(self):
        self.serve("--max-per-address=20")
        clients = [self.connect("127.0.1.1") for _ in range(60)]
        lines = [self.first_line(client)[:4] for client in clients]
        self.assertEqual((lines.count(b"220 "), lines.count(b"421 ")), (20, 40))

    def test_places_of_a_worker_that_was_killed_are_free(self):
        self.serve("--max-per-address=6")
        self.assert_welcome(*["127.0.1.1"] * 6)
        self.assert_refused("127.0.1.1", "the limit for one client is 6 at a time")
        for pid in self.workers():
            os.kill(pid, signal.SIGKILL)
        self.wait_for_ready(2 * self.number)
        self.assert_welcome(*["127.0.1.1"] * 6)
        line, _client = self.hello("127.0.1.1")
        self.assertEqual(line[:4], b"421 ")
