"""Tests for L{mvmtr.check} and L{mvmtr.compat.advice}."""

from __future__ import annotations

import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.settings import Settings
from mvmtr.test.support import control_folder, environment, folder


class CheckTests(SynchronousTestCase):
    """The program, as it is run."""

    def setUp(self):
        self.home = folder(self)

    def check(self, files, *arguments, **variables):
        """Run it; exit status and the lines it printed."""
        self.control = control_folder(self.home, files)
        done = subprocess.run(
            [sys.executable, "-m", "mvmtr", "check", f"--control-dir={self.control}", *arguments],
            capture_output=True, text=True, env=environment(**variables), check=False,
        )  # fmt: skip
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout.splitlines()

    def test_every_control_is_printed_with_its_value_and_origin(self):
        status, lines = self.check(
            {"me": "# name\nmx.example\n", "rcpthosts": "a.example", "databytes": "5"},
            "--set=smtp_server_timeout=60",
            DATABYTES="7",
        )
        self.assertEqual(status, 0)
        rows = {line.split()[0]: line.split() for line in lines if line.startswith("  ")}
        self.assertEqual(rows["usehostname"][1:], ["mx.example", "name", f"{self.control}/me:2"])
        self.assertEqual(rows["smtp_server_msgsize_max"][1:], ["7", "bytes", "DATABYTES"])
        self.assertEqual(rows["smtp_server_timeout"][1:], ["60", "seconds", "command", "line"])
        self.assertEqual(rows["smtp_server_hops_max"][1:], ["100", "fields", "default"])
        for control in Settings.controls():
            self.assertIn(control.name, rows)

    def test_checks_are_listed_in_the_order_in_which_they_are_asked(self):
        _status, lines = self.check({"rcpthosts": "a\nb", "badmailfrom": "x@y"})
        start = lines.index("Checks, in their order:")
        names = [line.split()[0] for line in lines[start + 1 : start + 5]]
        self.assertEqual(names, ["rcpt_domains", "relay", "badmailfrom", "rcpthosts"])
        self.assertIn("2 domains", lines[start + 4])

    def warnings(self, files, *arguments):
        status, lines = self.check(files, *arguments)
        self.assertEqual(status, 0)
        return "\n".join(line for line in lines if line.startswith("warning: "))

    def test_an_open_relay_is_a_warning(self):
        self.assertIn("OPEN RELAY", self.warnings({"me": "x"}))

    def test_entries_that_never_match_are_warnings_with_their_line(self):
        text = self.warnings(
            {"rcpthosts": "ok.example\n*.x.example\nr@y.example\na b\n", "badmailfrom": "spam\n*@z"}
        )
        for expected in (
            "rcpthosts:2: '*.x.example' never matches",
            "rcpthosts:3: 'r@y.example' never matches",
            "rcpthosts:4: 'a b' never matches",
            "badmailfrom:1: 'spam' never matches",
            "badmailfrom:2: '*@z' never matches",
        ):
            self.assertIn(expected, text)
        self.assertNotIn("rcpthosts:1", text)

    def test_a_database_older_than_its_source_is_a_warning(self):
        control = control_folder(self.home, {"rcpthosts": "a", "morercpthosts": "b\n"})
        subprocess.run(
            ["cdbmake", "morercpthosts.cdb", "tmp"], input=b"\n", cwd=control, check=True
        )
        os.utime(control / "morercpthosts.cdb", (1e9, 1e9))
        self.assertIn("morercpthosts.cdb: older than", self.warnings({}))
        os.utime(control / "morercpthosts", (9e8, 9e8))
        self.assertNotIn("older than", self.warnings({}))

    def test_a_number_that_is_none_is_a_warning(self):
        self.assertIn(
            "databytes:1: b'many'", self.warnings({"rcpthosts": "a", "databytes": "many"})
        )

    def test_a_relayclient_with_a_value_in_the_rules_is_a_warning(self):
        rules = self.home / "rules.cdb"
        subprocess.run(
            ["tcprules", str(rules), str(rules) + ".tmp"],
            input=b'10.:allow,RELAYCLIENT="@fixup"\n127.:allow,RELAYCLIENT=""\n', check=True,
        )  # fmt: skip
        text = self.warnings({"rcpthosts": "a"}, f"--tcp-rules={rules}")
        self.assertIn("rule '10.': RELAYCLIENT's value", text)
        self.assertNotIn("'127.'", text)

    def test_a_missing_queue_program_is_a_warning(self):
        self.assertIn(
            "bin/qmail-queue: there is no such program", self.warnings({"rcpthosts": "a"})
        )

    def test_the_options_of_the_server_are_taken_and_endpoints_looked_at(self):
        options = ["--listen=tcp:0", "--remote-host=ptr", "--max-connections=7"]
        self.assertEqual(self.check({"rcpthosts": "a"}, *options)[0], 0)
        status, lines = self.check({}, "--listen=tcp:x")
        self.assertEqual(status, 1)
        self.assertTrue(lines[-1].startswith("error: --listen=tcp:x: "))

    def test_every_error_is_printed_with_its_file_and_the_status_is_one(self):
        control = control_folder(self.home, {"rcpthosts": "a"})
        (control / "me").mkdir()
        (control / "badmailfrom").symlink_to("badmailfrom")
        status, lines = self.check({}, "--queue=nonsense:")
        self.assertEqual(status, 1)
        errors = [line for line in lines if line.startswith("error: ")]
        self.assertEqual(len(errors), 3)
        self.assertIn(f"error: {control}/me: Is a directory", errors)
        self.assertTrue(errors[1].startswith(f"error: {control}/badmailfrom: "))
        self.assertIn("nonsense", errors[2])
