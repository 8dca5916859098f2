"""Tests that the benchmarks run and print what they should; nobody looks at their figures here."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.support import ROOT, environment, folder

BENCHMARKS = ROOT / "benchmarks"

# Installed alone, the package has no benchmarks.
skip = None if BENCHMARKS.is_dir() else "there are no benchmarks here"


class Runs(SynchronousTestCase):
    """What the classes below share."""

    def run_program(self, name, *options, status=0):
        """Standard output and standard error of a benchmark."""
        done = subprocess.run(
            [sys.executable, str(BENCHMARKS / name), *map(str, options)],
            env=environment(), capture_output=True, timeout=240, text=True,
        )  # fmt: skip
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout, done.stderr


class BenchTests(Runs):
    """The comparison of servers."""

    def measure(self, *options):
        """The medians of a very short run, by shape and server; and what it printed."""
        path = folder(self) / "results" / "figures.json"
        few = "--rounds=1", "--seconds=0.01", "--idle=50"
        said, _errors = self.run_program("bench.py", *few, f"--json={path}", *options)
        return json.loads(path.read_text())["shapes"], said

    def test_every_shape_is_measured_and_has_a_table(self):
        measured, said = self.measure("--only", "mvmtr", "twisted")
        shapes = ["one", "kept", "pipelined", "large", "medium", "lines", "connect", "queue",
                  "maildir", "starttls", "idle"]  # fmt: skip
        self.assertEqual(list(measured), shapes)
        for shape, servers in measured.items():
            self.assertEqual(list(servers), ["mvmtr", "twisted"], shape)
            if shape != "idle":
                for server in servers.values():
                    self.assertGreater(server["median"]["rate"], 0)
                    self.assertGreaterEqual(server["median"]["p99"], server["median"]["p50"])
        self.assertEqual(said.count("\nmvmtr "), len(shapes))

    def test_other_servers_that_are_here_are_measured_as_well(self):
        names = [name for name in ("aiosmtpd",) if importlib.util.find_spec(name)]
        # The master of Postfix wants to be started by root.
        names += ["smtp-sink"] if os.getuid() else ["postfix", "smtp-sink"]
        measured, _said = self.measure("--shapes", "one", "--only", *names)
        self.assertEqual(list(measured["one"]), names)

    def test_another_checkout_can_be_compared(self):
        other = folder(self) / "before"
        other.mkdir()
        for part in ("mvmtr", "twisted"):
            (other / part).symlink_to(ROOT / part)
        measured, _said = self.measure("--shapes", "one", f"--compare={other}", "--only", "before")
        self.assertEqual(list(measured["one"]), ["before"])

    def test_a_qmail_smtpd_is_what_others_are_compared_with(self):
        home = folder(self)
        program = home / "qmail-smtpd"
        program.write_text(STAND_IN)
        program.chmod(0o755)
        said = self.measure(
            "--shapes=one", f"--qmail-smtpd={program}", f"--qmail-home={home}", "--only", "qmail"
        )[1]
        line = next(line for line in said.splitlines() if line.startswith("qmail "))
        self.assertIn(": qmail", said)
        self.assertEqual(line.split()[-2:], ["1.00", "-"])
        self.assertTrue((home / "control" / "rcpthosts").is_file())
        self.assertTrue((home / "bin" / "qmail-queue").is_file())

    def test_a_server_that_says_something_else_has_no_figures(self):
        home = folder(self)
        program = home / "qmail-smtpd"
        program.write_text(STAND_IN.replace("250 queued", "451 not today"))
        program.chmod(0o755)
        few = "--rounds=1", "--seconds=0.01", "--shapes=one", "--only=qmail"
        _said, errors = self.run_program(
            "bench.py", *few, f"--qmail-smtpd={program}", f"--qmail-home={home}"
        )
        self.assertIn("one: qmail: expected (b'250',)", errors)
        self.assertIn("451 not today", errors)

    def test_a_number_that_is_none_is_an_error(self):
        errors = self.run_program("bench.py", "--rounds=0", status=2)[1]
        self.assertIn("--rounds", errors.splitlines()[-1])

    def test_a_control_folder_that_is_in_use_is_left_alone(self):
        home = folder(self)
        (home / "control").mkdir()
        (home / "control" / "me").write_text("mail.example.org\n")
        _said, errors = self.run_program(
            "bench.py", "--shapes=one", "--only=qmail", "--qmail-smtpd=/bin/true",
            f"--qmail-home={home}", status=1,
        )  # fmt: skip
        self.assertIn("control/me: not a file of ours", errors)
        self.assertEqual((home / "control" / "me").read_text(), "mail.example.org\n")

    def test_a_server_that_is_not_here_is_an_error(self):
        errors = self.run_program("bench.py", "--only", "sendmail", status=1)[1]
        self.assertEqual(errors, "not here: sendmail\n")

    def test_the_tables_of_the_documentation_are_written(self):
        path = folder(self) / "figures.json"
        few = "--rounds=1", "--seconds=0.01", "--shapes=one", "--only", "mvmtr", "twisted"
        self.run_program("bench.py", *few, f"--json={path}")
        into = folder(self)
        self.run_program("report.py", path, path, f"--docs={into}")
        names = {path.name for path in into.iterdir()}
        self.assertEqual(names, {"bench.json", "machine.csv", "summary.csv", "one.csv"})
        with (into / "summary.csv").open(newline="") as file:
            rows = list(csv.reader(file))
        self.assertEqual(len(rows), 2)
        self.assertEqual(len(rows[0]), len(rows[1]))


STAND_IN = """\
#!/bin/sh
# As much of qmail-smtpd as one message needs.
printf '220 mx.example ESMTP\\r\\n'
while read -r verb rest; do
    case $verb in
        EHLO*) printf '250 mx.example\\r\\n' ;;
        QUIT*) printf '221 mx.example\\r\\n'; exit ;;
        DATA*)
            printf '354 go ahead\\r\\n'
            while read -r line && [ "${line%?}" != . ]; do :; done
            printf '250 queued\\r\\n' ;;
        *) printf '250 ok\\r\\n' ;;
    esac
done
"""


class GrowthTests(Runs):
    """How cost grows, for the first points."""

    def test_everything_that_grows_is_measured(self):
        into = folder(self)
        said, errors = self.run_program(
            "growth.py", "--most=2", f"--into={into}", status=self.expected()
        )
        names = {"sessions", "recipients", "size", "rcpthosts", "morercpthosts", "command",
                 "address", "header", "chunk", "together"}  # fmt: skip
        written = {path.stem for path in into.glob("*.csv") if path.stat().st_size}
        self.assertEqual(written, names)
        self.assertIn("Recipients of a message", said)
        self.assertNotIn("Traceback", errors)

    def expected(self):
        return 0 if importlib.util.find_spec("matplotlib") else 1

    def test_the_same_figures_give_the_same_plot(self):
        plots = []
        for _ in range(2):
            into = folder(self)
            shutil.copy(ROOT / "docs/plots/header.csv", into)
            self.run_program("growth.py", "--draw", "--only=header", f"--into={into}")
            plots.append((into / "header.svg").read_bytes())
        self.assertEqual(*plots)


class ProfileTests(Runs):
    """Where the time goes."""

    def test_the_functions_that_take_most_are_printed(self):
        said, _errors = self.run_program("where.py", "--seconds=0.01", "--sort=cumulative")
        self.assertIn(" mvmtr/protocol/smtp.py\n", said)
        self.assertIn("1 KiB, one message a connection", said)
        self.assertIn("dataReceived", said)
