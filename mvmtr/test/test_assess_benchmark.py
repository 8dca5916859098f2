"""Tests that the benchmark of mvmcas runs and measures; its figures are nobody's business here."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.support import ROOT, environment

# Installed alone, the package has no benchmarks.
skip = None if (ROOT / "benchmarks").is_dir() else "there are no benchmarks here"


class BenchmarkTests(SynchronousTestCase):
    """A short run."""

    def test_each_store_and_postgrey_have_a_line(self):
        done = subprocess.run(
            [sys.executable, ROOT / "benchmarks/assess.py", "--questions=200", "--rounds=1",
             "--everything"],
            env=environment(), capture_output=True, timeout=240, text=True,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        title, heading, *lines = done.stdout.splitlines()
        self.assertIn("200 questions", title)
        self.assertIn("p99 ms", heading)
        names = [line.split()[0] for line in lines]
        self.assertEqual(names, ["memory", "sqlite", "redis", "postgrey"])
        for line in lines:
            rate, middle, p99, slowest, _cpu, peak = map(float, line.split()[1:])
            self.assertGreater(rate, 0)
            self.assertTrue(0 < middle <= p99 <= slowest + 0.05, line)
            self.assertGreater(peak, 1)
