"""Several processes that serve the same ports, as they are run: C{twistd mvmtr --workers}."""

from __future__ import annotations

import os
import re
import signal
import smtplib
import socket
import subprocess
import threading
import time

from mvmtr.test.launchers import compiled, script
from mvmtr.test.support import environment, free_port, twistd
from mvmtr.test.test_listener_limits import PATIENCE, LimitTestCase
from mvmtr.test.test_stdio import TCP

TEXT = b"Subject: x\r\n\r\nhello\r\n.\r\n"
ENVELOPE = b"MAIL FROM:<s@client.example>\r\nRCPT TO:<r@local.example>\r\n"


def checks_in(folder, statement):
    """A module C{some_checks} whose C{check} does something first; the path to find it."""
    (folder / "some_checks.py").write_text(
        "import os\n"
        "from mvmtr.checks.rcpt_domains import RcptDomains\n"
        "def check():\n"
        f"    {statement}\n"
        "    return RcptDomains(())\n"
    )
    return os.pathsep.join([environment()["PYTHONPATH"], str(folder)])


class WorkersTestCase(LimitTestCase):
    """
    What the tests below share.

    @cvar number: how many workers there are.
    """

    number = 2

    def serve(self, *arguments, **variables):
        """Start a parent; all its workers are ready when this returns."""
        self.maildir = self.home / "Maildir"
        queue = f"--queue=maildir:{self.maildir}"
        self.start(f"--workers={self.number}", queue, *arguments, **variables)
        self.wait_for_ready(self.number)

    def wait_for_ready(self, times):
        self.wait_until(lambda: len(self.ready()) >= times, "workers are not ready")

    def wait_until(self, there, what):
        end = time.monotonic() + PATIENCE
        while not there():
            self.assertLess(time.monotonic(), end, f"{what}; the log:\n{self.log.read_text()}")
            time.sleep(0.02)

    def ready(self):
        """The workers that have been ready, in that order."""
        found = re.findall(r"worker (\d+) is ready", self.log.read_text())
        return [int(pid) for pid in found]

    def workers(self):
        """The workers that there are."""
        path = f"/proc/{self.server.pid}/task/{self.server.pid}/children"
        with open(path) as file:
            return [int(pid) for pid in file.read().split()]

    def dialogue(self, client, data, codes):
        """Send something, and read replies until there are so many."""
        client.sendall(data)
        lines = client.makefile("rb")
        found = []
        while len(found) < codes:
            line = lines.readline()
            self.assertTrue(line, found)
            if line[3:4] == b" ":
                found.append(int(line[:3]))
        return found

    def messages(self):
        return sorted((self.maildir / "new").iterdir())


class SessionTests(WorkersTestCase):
    """Sessions, shared out among workers."""

    def test_sessions_are_shared_out_and_the_parent_takes_none(self):
        self.serve()
        for _ in range(30):
            with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as client:
                client.sendmail("s@client.example", "r@local.example", "Subject: x\r\n\r\nx\r\n")
        self.assertEqual(len(self.messages()), 30)
        pids = set(re.findall(r"event=message session=\w+\.(\d+)\.", self.log.read_text()))
        self.assertLessEqual(pids, {str(pid) for pid in self.workers()})
        # The one that is stopped takes none; the other one takes all.
        for stopped in self.workers():
            os.kill(stopped, signal.SIGSTOP)
            self.assert_welcome(*["127.0.0.1"] * 3)
            os.kill(stopped, signal.SIGCONT)
        self.assertNotIn("Traceback", self.log.read_text())

    def test_one_worker_is_no_worker(self):
        self.start("--workers=1")
        self.assert_welcome("127.0.0.1")
        self.assertEqual(self.workers(), [])

    def test_a_port_in_the_file_system_is_shared_and_its_rights_stay(self):
        path = self.home / "socket"
        self.port = free_port()
        self.start_on(
            f"tcp:{self.port}:interface=127.0.0.1", f"unix:{path}:mode=600", "--workers=2"
        )
        self.wait_for_ready(2)
        for _ in range(2):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(os.fspath(path))
                self.assertEqual(self.first_line(client)[:4], b"220 ")
            os.kill(self.workers()[0], signal.SIGTERM)
            self.wait_for_ready(3)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.server.terminate()
        self.server.wait(PATIENCE)
        self.assertFalse(path.exists())

    def test_what_launchers_hand_over_is_shared(self):
        path = self.home / "socket"
        self.port = free_port()
        self.start_on(f"tcp:{self.port}:interface=127.0.0.1", f"handoff:{path}", "--workers=2")
        self.wait_for_ready(2)
        launcher = compiled() or script()
        for number in range(2):
            client, theirs = socket.socketpair()
            with client, theirs:
                launched = subprocess.Popen([launcher, path], stdin=theirs, stdout=theirs, env=TCP)
                theirs.close()
                client.settimeout(PATIENCE)
                self.assertEqual(self.first_line(client)[:4], b"220 ")
                client.sendall(b"QUIT\r\n")
                self.assertEqual(launched.wait(PATIENCE), 0)
            os.kill(self.workers()[0], signal.SIGTERM)
            self.wait_for_ready(3 + number)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)


class KillTests(WorkersTestCase):
    """What is killed is started again, and nothing is lost."""

    def test_no_message_that_was_acknowledged_is_lost_and_no_connection_refused(self):
        self.serve()
        acknowledged, refused = [], []
        go_on = threading.Event()

        def send(name):
            number = 0
            while not go_on.is_set():
                number += 1
                subject = f"{name}.{number}"
                for _attempt in range(50):
                    try:
                        with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as client:
                            text = f"Subject: {subject}\r\n\r\nhello\r\n"
                            client.sendmail("s@client.example", "r@local.example", text)
                            acknowledged.append(subject)
                        break
                    except ConnectionRefusedError as error:
                        refused.append(error)
                    except (OSError, smtplib.SMTPException):
                        # Its worker was killed. A client comes again.
                        continue

        threads = [threading.Thread(target=send, args=(f"thread-{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        try:
            for round in range(3):
                before = len(acknowledged)
                self.wait_until(lambda before=before: len(acknowledged) > before + 20, "no mail")
                os.kill(self.workers()[0], signal.SIGKILL)
                self.wait_for_ready(self.number + round + 1)
        finally:
            go_on.set()
            for thread in threads:
                thread.join()
        self.assertEqual(refused, [])
        found = [re.search(rb"Subject: (\S+)", path.read_bytes())[1] for path in self.messages()]
        self.assertLessEqual({one.encode() for one in acknowledged}, set(found))

    def test_the_pause_gets_longer_while_they_end_quickly(self):
        self.serve()
        for pause in (1, 2):
            killed = self.workers()[0]
            os.kill(killed, signal.SIGKILL)
            self.wait_for_log(
                f"worker {killed} was ended by signal 9; another one starts in {pause} s"
            )
            self.wait_for_ready(self.number + pause)
        self.assert_welcome("127.0.0.1")

    def test_without_their_parent_they_finish_what_they_have(self):
        self.serve()
        client, idle = self.assert_welcome("127.0.0.1", "127.0.0.1")
        self.assertEqual(self.dialogue(client, ENVELOPE + b"DATA\r\n", 3), [250, 250, 354])
        workers = self.workers()
        self.server.kill()
        self.server.wait()
        self.assertEqual(self.dialogue(idle, b"", 1), [421])
        self.assertEqual(self.dialogue(client, TEXT, 2), [250, 421])
        self.assertEqual(len(self.messages()), 1)
        for pid in workers:
            self.wait_until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), "it goes on")
        self.assertRaises(ConnectionRefusedError, self.connect)


class StopTests(WorkersTestCase):
    """SIGTERM to the parent."""

    def test_a_message_under_way_is_finished(self):
        self.serve()
        client, idle = self.assert_welcome("127.0.0.1", "127.0.0.1")
        self.assertEqual(self.dialogue(client, ENVELOPE + b"DATA\r\n", 3), [250, 250, 354])
        self.server.terminate()
        self.assertEqual(self.dialogue(idle, b"", 1), [421])
        self.wait_until(self.is_closed, "it listens")
        self.assertEqual(self.dialogue(client, TEXT, 2), [250, 421])
        self.server.wait(PATIENCE)
        self.assertEqual(len(self.messages()), 1)

    def is_closed(self):
        try:
            self.connect()
        except ConnectionRefusedError:
            return True
        return False

    def test_a_session_that_does_not_end_is_cut_off(self):
        self.serve("--set=smtp_server_stop_timeout=1")
        (client,) = self.assert_welcome("127.0.0.1")
        self.assertEqual(self.dialogue(client, ENVELOPE, 2), [250, 250])
        self.server.terminate()
        self.server.wait(PATIENCE)
        self.assertIn("sessions were cut off by the stop", self.log.read_text())

    def test_a_worker_that_can_not_stop_is_killed(self):
        self.serve("--set=smtp_server_stop_timeout=1")
        os.kill(self.workers()[0], signal.SIGSTOP)
        self.server.terminate()
        self.server.wait(PATIENCE)
        self.assertEqual(len(re.findall("has stopped", self.log.read_text())), 2)


class ReloadTests(WorkersTestCase):
    """SIGHUP to the parent."""

    def test_new_workers_take_over_and_the_old_ones_finish_what_they_have(self):
        self.serve()
        old = self.workers()
        client, idle = self.assert_welcome("127.0.0.1", "127.0.0.1")
        self.assertEqual(self.dialogue(client, ENVELOPE, 2), [250, 250])
        (self.control / "rcpthosts").write_text("other.example\n")
        self.server.send_signal(signal.SIGHUP)
        self.wait_for_ready(4)
        self.assertEqual(self.dialogue(idle, b"", 1), [421])
        self.assertEqual(self.rcpt("r@local.example"), 553)
        self.assertEqual(self.dialogue(client, b"DATA\r\n", 1), [354])
        self.assertEqual(self.dialogue(client, TEXT, 2), [250, 421])
        self.wait_until(lambda: set(self.workers()) == set(self.ready()[2:]), "the old ones stay")
        self.assertTrue(set(old).isdisjoint(self.workers()))
        self.assertEqual(self.rcpt("r@other.example"), 250)

    def test_listening_never_stops(self):
        self.serve()
        over = threading.Event()
        failures, greeted = [], []

        def look():
            while not over.is_set():
                try:
                    with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as client:
                        greeted.append(client.recv(3))
                except OSError as error:
                    failures.append(error)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            for round in (2, 3):
                self.server.send_signal(signal.SIGHUP)
                self.wait_for_ready(2 * round)
                current = set(self.ready()[-2:])
                self.wait_until(lambda current=current: set(self.workers()) == current, "old ones")
        finally:
            over.set()
            thread.join()
        self.assertEqual(failures, [])
        self.assertLessEqual(set(greeted), {b"220", b"421", b""})
        self.assertIn(b"220", greeted)

    def test_what_can_not_be_read_changes_nothing(self):
        self.serve()
        old = self.workers()
        (self.control / "rcpthosts").unlink()
        (self.control / "rcpthosts").mkdir()
        self.server.send_signal(signal.SIGHUP)
        self.wait_for_log("the last good configuration stays in force")
        self.assertEqual(self.rcpt("r@local.example"), 250)
        self.assertEqual(self.workers(), old)

    def test_when_a_new_worker_can_not_start_one_of_before_goes_on(self):
        path = checks_in(self.home, "if os.path.exists('bad'): raise ValueError('bad')")
        self.serve("--check=some_checks.check", PYTHONPATH=path)
        old = self.workers()
        (self.home / "bad").touch()
        self.server.send_signal(signal.SIGHUP)
        self.wait_until(lambda: self.log.read_text().count("one of before goes on") == 2, "no")
        self.assertEqual(self.workers(), old)
        self.assertEqual(self.rcpt("r@local.example"), 250)


class StartTests(WorkersTestCase):
    """A parent whose workers can't start."""

    def run_to_the_end(self, *arguments, **variables):
        return subprocess.run(
            twistd(
                "-n",
                "--pidfile=",
                "mvmtr",
                "--no-qmail",
                f"--listen=tcp:{free_port()}:interface=127.0.0.1",
                "--workers=2",
                *arguments,
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(**variables),
            cwd=self.home,
            timeout=PATIENCE,
        )

    def test_a_bad_configuration_is_seen_before_anything_is_started(self):
        done = self.run_to_the_end("--set=smtp_server_timeout=soon")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"mvmtr: smtp_server_timeout", done.stdout)
        self.assertEqual(done.stdout.count(b"\n"), 1)

    def test_workers_that_can_not_start_end_their_parent(self):
        path = checks_in(self.home, "os.mkdir('there')")
        done = self.run_to_the_end("--check=some_checks.check", "--queue=discard:", PYTHONPATH=path)
        self.assertEqual(done.returncode, 1)
        said = done.stdout.decode()
        self.assertIn("mvmtr: --check some_checks.check: FileExistsError", said)
        self.assertIn("ended with status 1 before it was ready", said)

    def test_a_daemon_has_one_log_and_its_workers_are_its_children(self):
        port = free_port()
        self.log = self.home / "twistd.log"
        subprocess.run(
            twistd(
                "mvmtr",
                "--no-qmail",
                f"--listen=tcp:{port}:interface=127.0.0.1",
                "--workers=2",
                "--queue=maildir:./Maildir",
                "--set=smtp_server_rcpt_domains=local.example",
            ),
            check=True,
            env=environment(),
            cwd=self.home,
            timeout=PATIENCE,
        )
        pid = int((self.home / "twistd.pid").read_text())
        self.addCleanup(self.end, pid)
        self.wait_for_ready(2)
        with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as client:
            client.sendmail("s@client.example", "r@local.example", "Subject: x\r\n\r\nx\r\n")
        self.assertEqual(len(list((self.home / "Maildir" / "new").iterdir())), 1)
        self.wait_for_log("event=message")
        for worker in self.ready():
            with open(f"/proc/{worker}/stat") as file:
                self.assertEqual(int(file.read().rpartition(")")[2].split()[1]), pid)
        os.kill(pid, signal.SIGUSR1)
        self.wait_until((self.home / "twistd.log.1").exists, "no new log")
        with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as client:
            client.noop()
        self.wait_for_log("event=connection")

    def end(self, pid):
        os.kill(pid, signal.SIGTERM)
        self.wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "it goes on")
