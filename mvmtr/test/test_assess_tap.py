"""Tests for L{mvmtr.assess.tap}: the options, and mvmcas as it is started."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from ipaddress import ip_network

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.trial.unittest import SynchronousTestCase

from mvmtr import __version__
from mvmtr.assess import tap
from mvmtr.test.policy import PATIENCE, PolicyTestCase, ask, request
from mvmtr.test.support import environment, folder, free_port, twistd


def options_of(*arguments):
    options = tap.Options()
    options.parseOptions(arguments)
    return options


def listens(path):
    """Whether somebody listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


class OptionTests(SynchronousTestCase):
    """The command line."""

    def refused(self, *arguments):
        error = self.assertRaises(SystemExit, options_of, *arguments)
        self.assertEqual(len(str(error.code).splitlines()), 1, error.code)
        self.assertTrue(str(error.code).startswith("mvmcas: "), error.code)
        return str(error.code)

    def test_without_any_it_serves_this_machine_and_keeps_a_file(self):
        options = options_of()
        self.assertEqual(options["store"], "sqlite:/var/lib/mvmcas.db")
        self.assertEqual(options.networks, (ip_network("127.0.0.0/8"), ip_network("::1")))
        self.assertEqual((options["listen"], options["admin"]), ([], []))
        self.assertEqual(tap.LISTEN, "tcp:8891:interface=127.0.0.1")

    def test_controls_are_set(self):
        options = options_of("--set", "greylist=on", "--set=greylist_delay=60")
        settings = options.settings()
        self.assertEqual((settings.greylist, settings.greylist_delay), (True, 60))
        self.assertEqual(settings.origin("greylist"), "command line")

    def test_what_makes_no_sense_is_refused(self):
        for arguments, text in (
            (("--nonsense",), "nonsense"),
            (("argument",), "argument"),
            (("--set", "greylist"), "NAME=VALUE"),
            (("--receivers=here",), "here"),
            (("--max-connections=0",), "at least 1"),
            (("--max-connections=many",), "many"),
        ):
            self.assertIn(text, self.refused(*arguments))

    def test_it_listens_in_clear_and_says_so_where_something_else_is_wanted(self):
        for option in ("--listen", "--admin"):
            for endpoint in ("tls:8891", "ssl:8891", "nonsense", ""):
                self.assertIn(option, self.refused(f"{option}={endpoint}"))

    def test_the_socket_of_the_administrator_is_private_unless_it_is_said_otherwise(self):
        options = options_of("--admin=unix:/a", "--admin=unix:/b:mode=660", "--admin=tcp:1")
        self.assertEqual(options["admin"], ["unix:/a:mode=600", "unix:/b:mode=660", "tcp:1"])

    def test_the_control_folder_is_found_after_twistd_changes_its_folder(self):
        self.assertEqual(options_of("--control-dir=x")["control-dir"], os.path.abspath("x"))

    def test_every_example_of_the_help_is_a_command_line_that_works(self):
        examples = re.findall(r"^ +(twistd (?:.*\\\n)?.*)$", options_of().getUsage(), re.MULTILINE)
        self.assertEqual(len(examples), 4)
        for example in examples:
            words = shlex.split(example.replace("\\\n", ""))
            options = options_of(*words[words.index("mvmcas") + 1 :])
            options.settings()
            for endpoint in (*options["listen"], *options["admin"]):
                serverFromString(reactor, endpoint)

    def test_every_option_is_explained_in_the_help(self):
        text = options_of().getUsage(10_000).partition("Examples:")[0]
        lines = re.findall(r"^ +(?:-., )?--.*$", text, re.MULTILINE)
        self.assertEqual(len(lines), 9)
        for line in lines:
            self.assertRegex(line, r"--[a-z-]+=? +\w")


class ErrorTests(SynchronousTestCase):
    """What can't be is one line on standard error, and exit status 1."""

    def setUp(self):
        self.home = folder(self)
        self.listen = f"--listen=tcp:{free_port()}:interface=127.0.0.1"

    def assert_one_line(self, text, *arguments):
        before = os.listdir(self.home)
        for way in (("-n", "--pidfile="), ()):
            done = subprocess.run(
                [*twistd(*way, "mvmcas"), *arguments],
                capture_output=True,
                cwd=self.home,
                env=environment(),
                timeout=120,
            )
            told = (way, done.stderr.decode())
            self.assertEqual((done.returncode, done.stdout), (1, b""), told)
            self.assertEqual(len(done.stderr.splitlines()), 1, told)
            self.assertTrue(done.stderr.startswith(b"mvmcas: "), told)
            self.assertIn(text, done.stderr.decode(), told)
            self.assertEqual(os.listdir(self.home), before, told)

    def test_an_option_that_does_not_exist(self):
        self.assert_one_line("nonsense", "--nonsense")

    def test_a_control_that_does_not_exist_or_has_no_such_value(self):
        self.assert_one_line("no_such", "--set", "no_such=1")
        self.assert_one_line("greylist_delay", "--set", "greylist_delay=soon")

    def test_a_store_that_is_none(self):
        self.assert_one_line("'nonsense:x' is no store", "--store=nonsense:x", self.listen)

    def test_a_file_in_a_folder_that_does_not_exist(self):
        store = f"sqlite:{self.home}/none/x.db"
        self.assert_one_line(f"{store}: No such file or directory", f"--store={store}", self.listen)

    def test_a_file_that_is_no_database(self):
        (self.home / "x.db").write_text("hello, I am a text " * 100)
        self.assert_one_line("not a database", "--store=sqlite:x.db", self.listen)

    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            listen = f"--listen=tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
            self.assert_one_line("already in use", "--store=memory:", listen)

    def test_a_control_folder_that_does_not_exist(self):
        missing = f"{self.home}/none"
        self.assert_one_line(missing, f"--control-dir={missing}", "--store=memory:", self.listen)

    def test_commands_from_other_machines(self):
        for endpoint in (f"tcp:{free_port()}", f"tcp:{free_port()}:interface=0.0.0.0"):
            self.assert_one_line(
                "--admin is for unix:", f"--admin={endpoint}", "--store=memory:", self.listen
            )


class RunningTests(PolicyTestCase):
    """A server at work."""

    def greylist(self, *arguments):
        return self.start(f"--store=sqlite:{self.home}/x.db", "--set=greylist=on", *arguments)

    def test_it_answers_on_tcp_and_on_a_unix_socket(self):
        path = str(self.home / "socket")
        self.start("--store=memory:", "--set=greylist=on", f"--listen=unix:{path}")
        self.assertRegex(self.action(), rb"\ADEFER_IF_PERMIT .*greylisted for 300 s")
        self.assertRegex(ask(path, request())[0][b"action"], rb"greylisted for (300|2\d\d) s, seen")

    def test_greylisting_ends_after_the_delay(self):
        self.start("--store=memory:", "--set=greylist=on", "--set=greylist_delay=1")
        self.assertRegex(self.action(), rb"greylisted")
        self.wait_until(lambda: self.action() == b"DUNNO", "the end of greylisting")

    def test_it_remembers_what_it_answered_before_it_was_killed(self):
        process = self.greylist()
        clients = [f"192.0.{number}.1" for number in range(20)]
        for client in clients:
            self.assertIn(b"not seen before", self.action(client_address=client))
        process.kill()
        process.wait()
        self.greylist()
        for client in clients:
            self.assertRegex(self.action(client_address=client), rb"seen \d+ s ago")

    def test_sigterm_ends_it_and_what_it_knows_is_kept(self):
        process = self.greylist()
        with socket.create_connection(self.address, PATIENCE) as idle:
            idle.sendall(request())
            self.assertIn(b"greylisted", idle.recv(1000))
            process.send_signal(signal.SIGTERM)
            self.assertEqual(idle.recv(100), b"")
        self.assertIn(process.wait(PATIENCE), (0, -signal.SIGTERM))
        self.assertNotIn("Traceback", self.log.read_text())
        with contextlib.closing(sqlite3.connect(self.home / "x.db")) as database:
            self.assertEqual(database.execute("PRAGMA integrity_check").fetchone(), ("ok",))
            (number,) = database.execute("SELECT count(*) FROM records").fetchone()
        self.assertGreater(number, 0)

    def test_sighup_does_not_end_it(self):
        process = self.greylist()
        process.send_signal(signal.SIGHUP)
        self.assertRegex(self.action(), rb"greylisted")
        self.assertIsNone(process.poll())

    def test_a_socket_that_a_killed_server_left_behind_is_taken_over(self):
        path = str(self.home / "socket")
        for _time in range(2):
            process = self.start("--store=memory:", f"--listen=unix:{path}")
            self.wait_until(lambda: listens(path), "the socket")
            self.assertEqual(ask(path, request()), [{b"action": b"DUNNO"}])
            process.kill()
            process.wait()

    def test_hints_are_in_the_log(self):
        self.greylist()
        self.action(sender="a b\x7f@client.example")
        self.wait_for_log("event=hint client=192.0.2.1 state=RCPT sender=")
        self.assertRegex(self.log.read_text(), r'reason="greylist: greylisted for 300 s, ')

    def test_the_lists_of_the_control_folder_are_read_live(self):
        self.start("--store=memory:", f"--control-dir={self.home}")
        self.assertEqual(self.action(), b"DUNNO")
        (self.home / "mvmcas-block").write_text("192.0.2.0/24 sends junk\n")
        self.wait_until(lambda: self.action() != b"DUNNO", "the edit")
        self.assertEqual(self.action()[:4], b"554 ")
        self.assertIn(b"sends junk", self.action())

    def test_commands_are_taken_on_the_socket_for_them_alone(self):
        path = str(self.home / "admin")
        self.start("--store=memory:", f"--admin=unix:{path}")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        command = request(request="mvmcas_admin", mvmcas_command="top")
        self.assertIn(b"mvmcas_count", ask(path, command)[0])
        self.assertEqual(self.ask(command), [{b"action": b"DUNNO"}])

    def test_who_is_no_receiver_is_not_served(self):
        self.start("--store=memory:", "--receivers=192.0.2.0/24")
        with contextlib.suppress(ConnectionError):
            self.assertEqual(self.ask(request()), [])
        self.wait_for_log("127.0.0.1 is none of the receivers")

    def test_there_is_a_limit_of_connections(self):
        self.start("--store=memory:", "--max-connections=3")
        held = []
        for _number in range(3):
            self.wait_until(lambda: self.is_served(held), "a place")
        self.assertFalse(self.is_served([]))
        self.wait_for_log("127.0.0.1 is one too many: the limit is 3")
        held.pop().close()
        self.wait_until(lambda: self.is_served(held), "a place")

    def is_served(self, held):
        """Whether a new connection gets an answer; it is held then."""
        client = socket.create_connection(self.address, PATIENCE)
        self.addCleanup(client.close)
        with contextlib.suppress(ConnectionError):
            client.sendall(request())
            if client.recv(1000):
                held.append(client)
                return True
        return False

    def test_in_the_background_it_keeps_a_pid_file_and_a_log(self):
        port = free_port()
        self.address = ("127.0.0.1", port)
        listen = f"--listen=tcp:{port}:interface=127.0.0.1"
        done = subprocess.run(
            [*twistd("mvmcas", listen, "--store=sqlite:x.db", "--set=greylist=on")],
            capture_output=True,
            cwd=self.home,
            env=environment(),
            timeout=120,
        )
        pid = int((self.home / "twistd.pid").read_text())
        self.addCleanup(_kill, pid)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        self.assertRegex(self.action(), rb"greylisted")
        os.kill(pid, signal.SIGTERM)
        self.wait_until(lambda: not (self.home / "twistd.pid").exists(), "the end")
        log = (self.home / "twistd.log").read_text()
        self.assertIn("event=hint", log)
        self.assertNotIn("Traceback", log)
        self.assertNotIn("plugin", log)

    def test_another_user_gets_the_file_when_rights_are_dropped(self):
        root = os.getuid() == 0
        user, group = (65534, 65533) if root else (os.getuid(), os.getgid())
        state = self.home / "state"
        state.mkdir()
        self.home.chmod(0o755)
        if root:
            os.chown(state, user, group)
        port = free_port()
        self.address = ("127.0.0.1", port)
        self.start_program(
            twistd(
                "-n",
                f"--uid={user}",
                f"--gid={group}",
                "--pidfile=",
                "mvmcas",
                f"--listen=tcp:{port}:interface=127.0.0.1",
                f"--store=sqlite:{state}/x.db",
                "--set=greylist=on",
            )
        )
        self.wait_for_log("starting up")
        self.assertRegex(self.action(), rb"greylisted")
        found = os.stat(state / "x.db")
        self.assertEqual((found.st_uid, found.st_mode & 0o077), (user, 0))

    def test_a_redis_that_is_away_harms_nobody(self):
        self.start(f"--store=redis:127.0.0.1:{free_port()}", "--set=greylist=on")
        (plain, extended) = self.ask(request(), request(mvmcas_version="1"))
        self.assertEqual(plain, {b"action": b"DUNNO"})
        self.assertIn(b"mvmcas_error", extended)
        self.wait_for_log("event=no_hint client=192.0.2.1")
        self.assertNotIn("Traceback", self.log.read_text())

    def test_version_and_help_are_told(self):
        def said(*arguments):
            command = [*twistd("mvmcas"), *arguments]
            done = subprocess.run(command, capture_output=True, env=environment(), timeout=120)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            return done.stdout.decode()

        self.assertEqual(said("--version"), f"mvmcas {__version__}\n")
        self.assertIn("Examples:", said("--help"))

    def test_the_plugin_file_loads_nothing_heavy(self):
        code = (
            "import sys, twisted.plugins.mvmcas_plugin;"
            "print([name for name in sys.modules if name.startswith('mvmtr.')"
            " or name == 'twisted.internet.reactor'])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment())
        self.assertEqual((done.stdout, done.stderr), (b"[]\n", b""))


def _kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
