"""What a session does not use is not loaded: with --stdio each session is a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.certificates import Authority
from mvmtr.test.support import Recorder, control_folder, folder, twistd
from mvmtr.test.test_stdio import SESSION, plain_environment

HEAVY = (
    "mvmtr.assess.engine",
    "mvmtr.checks.dns_lists",
    "mvmtr.hooks",
    "mvmtr.mfl",
    "mvmtr.protocol.certificates",
    "mvmtr.protocol.ucspi",
    "mvmtr.resolver",
    "publicsuffixlist",
    "re2",
    "scramp",
    "twisted.names",
)
"""Not OpenSSL: the reactors of Twisted load it, with service_identity, where it is installed."""


class ImportTests(SynchronousTestCase):
    """One plain session."""

    def setUp(self):
        self.home = folder(self)
        self.control = control_folder(self.home, {"me": "mx.example", "rcpthosts": "ours.example"})
        Recorder(self.home)

    def loaded(self, *options):
        """The modules that a session loads."""
        done = subprocess.run(
            [sys.executable, "-X", "importtime", *twistd("mvmtr", "--stdio"),
             f"--control-dir={self.control}", "--queue=discard:", *options],
            input=SESSION + b"QUIT\r\n", capture_output=True, timeout=60,
            env=plain_environment(), check=True,
        )  # fmt: skip
        self.assertIn(b"\r\n221 ", done.stdout)
        return set(re.findall(r"^import time:.*\| +(\S+)$", done.stderr.decode(), re.MULTILINE))

    def assert_light(self, *options):
        loaded = self.loaded(*options)
        self.assertIn("mvmtr.protocol.smtp", loaded)
        for module in loaded:
            self.assertFalse(module.startswith(HEAVY), module)

    def test_a_plain_session_loads_nothing_heavy(self):
        self.assert_light()

    def test_who_asks_a_server_for_hints_needs_no_engine(self):
        self.assert_light("--assess=tcp:127.0.0.1:1")
        store = f"--assess-store=sqlite:{self.home}/mvmcas.db"
        self.assertIn("mvmtr.assess.engine", self.loaded("--assess=local", store))

    def test_a_certificate_that_is_not_used_is_not_read(self):
        control_folder(self.home, {"servercert.pem": Authority(self.home).text("mx.example")})
        self.assert_light()

    def test_what_is_used_is_loaded(self):
        loaded = self.loaded("--set=smtp_server_dnsbl=bl.example")
        self.assertIn("mvmtr.resolver", loaded)

    def test_a_startup_file_loads_its_language(self):
        control_folder(self.home, {"mvmtr.mfl": "int $hook_connect() { return 0; }\n"})
        loaded = self.loaded()
        self.assertIn("mvmtr.mfl.program", loaded)
        for module in loaded:
            self.assertFalse(module.startswith(("re2", "twisted.names")), module)
