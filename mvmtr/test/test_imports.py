"""What a session does not use is not loaded: with --stdio each session is a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.certificates import Authority
from mvmtr.test.support import Recorder, control_folder, folder
from mvmtr.test.test_stdio import SESSION, plain_environment

PROGRAMS = ("twistd mvmtr", "mvmtr")

NEVER = (
    "OpenSSL",
    "cryptography",
    "mvmtr.assess",
    "mvmtr.auth.chain",
    "mvmtr.checks.dns_lists",
    "mvmtr.compat.rcptcheck",
    "mvmtr.hooks",
    "mvmtr.mfl",
    "mvmtr.protocol.certificates",
    "mvmtr.protocol.ucspi",
    "mvmtr.queue.maildir",
    "mvmtr.resolver",
    "publicsuffixlist",
    "re2",
    "scramp",
    "service_identity",
    "sqlite3",
    "twisted.internet.endpoints",
    "twisted.names",
    "twisted.protocols.tls",
    "twisted.web",
)
"""
What a plain session does not load, and all below it. Not asyncio, email, http and ssl: Twisted
loads them by itself, whatever it is used for.
"""

MODULES_MAX = {"twistd mvmtr": 485, "mvmtr": 460}
"""How many modules a program and a plain session with a message may load."""

OWN_MAX = 81
"""How many of them may be mvmtr's own."""

LISTED = """
import atexit, runpy, sys
path = sys.argv.pop(1)
atexit.register(lambda: open(path, "w").write("\\n".join(sys.modules)))
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a program of Python, and writes at its end what it has loaded."""


def is_below(module, packages):
    """Whether a module is one of some packages, or in one."""
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


def groups(modules):
    """How many modules there are of each package, the largest first; for messages."""
    depth = {"mvmtr": 2, "twisted": 2}
    names = Counter(
        ".".join(module.split(".")[: depth.get(module.split(".")[0], 1)]) for module in modules
    )
    return ", ".join(f"{name} {count}" for name, count in names.most_common(30))


class ImportTests(SynchronousTestCase):
    """One plain session."""

    def setUp(self):
        self.home = folder(self)
        self.control = control_folder(self.home, {"me": "mx.example", "rcpthosts": "ours.example"})
        self.recorder = Recorder(self.home)

    def loaded(self, *options, program="twistd mvmtr", queue="discard:", said=SESSION):
        """The modules that a session has loaded at its end."""
        name, *command = program.split()
        script = str(Path(sys.executable).parent / name)
        listed = self.home / "modules"
        record = os.fsdecode(self.recorder.environment[b"RECORD_DIR"])
        done = subprocess.run(
            [sys.executable, "-c", LISTED, listed, script, *command, "--stdio",
             f"--control-dir={self.control}", f"--queue={queue}", *options],
            input=said + b"QUIT\r\n", capture_output=True, timeout=60,
            env=plain_environment(RECORD_DIR=record), check=True,
        )  # fmt: skip
        self.assertIn(b"\r\n221 ", done.stdout)
        return set(listed.read_text().split("\n"))

    def assert_light(self, *options, never=NEVER, **how):
        loaded = self.loaded(*options, **how)
        self.assertIn("mvmtr.protocol.smtp", loaded)
        self.assertEqual([module for module in sorted(loaded) if is_below(module, never)], [])
        return loaded

    def test_a_session_that_ends_after_the_greeting_loads_nothing_heavy(self):
        for program in PROGRAMS:
            loaded = self.assert_light(program=program, said=b"")
            self.assertNotIn("mvmtr.queue.qmail", loaded)

    def test_a_message_for_the_queue_program_loads_nothing_heavy_and_no_more_than_is_known(self):
        for program in PROGRAMS:
            loaded = self.assert_light(program=program, queue="qmail")
            own = [module for module in loaded if is_below(module, ["mvmtr"])]
            most = MODULES_MAX[program]
            # More is a choice: raise the bound, and say in docs/starting.rst what it costs.
            self.assertLessEqual(len(loaded), most, f"{program}: {groups(loaded)}")
            self.assertLessEqual(len(own), OWN_MAX, f"{program}: {sorted(own)}")
        self.assertEqual(self.recorder.runs, len(PROGRAMS))

    def test_the_program_of_our_own_looks_for_no_plugins(self):
        plugins = "twisted.plugins.twisted_words"
        self.assertIn(plugins, self.loaded())
        self.assertNotIn(plugins, self.loaded(program="mvmtr"))

    def test_who_asks_a_server_for_hints_needs_no_engine(self):
        # It connects by twisted.internet.endpoints, which loads OpenSSL.
        never = ("mvmtr.assess.engine", "mvmtr.resolver", "publicsuffixlist", "sqlite3")
        self.assert_light("--assess=tcp:127.0.0.1:1", never=never)
        store = f"--assess-store=sqlite:{self.home}/mvmcas.db"
        self.assertIn("mvmtr.assess.engine", self.loaded("--assess=local", store))

    def test_a_certificate_that_is_not_used_is_not_read(self):
        control_folder(self.home, {"servercert.pem": Authority(self.home).text("mx.example")})
        self.assert_light()

    def test_what_is_used_is_loaded(self):
        loaded = self.loaded("--set=smtp_server_dnsbl=bl.example")
        self.assertIn("mvmtr.resolver", loaded)

    def test_code_of_others_finds_a_reactor_that_knows_tls(self):
        loaded = self.loaded(queue="python:mvmtr.queue.discard.DiscardQueue")
        self.assertIn("twisted.protocols.tls", loaded)

    def test_a_startup_file_loads_its_language(self):
        control_folder(self.home, {"mvmtr.mfl": "int $hook_connect() { return 0; }\n"})
        loaded = self.loaded()
        self.assertIn("mvmtr.mfl.program", loaded)
        unused = [module for module in loaded if is_below(module, ["re2", "twisted.names"])]
        self.assertEqual(unused, [])
