"""Idle connections in numbers, and the script that measures them."""

from __future__ import annotations

import re
import resource
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.support import ROOT

# Installed alone, the package has no benchmarks to test.
skip = None if (ROOT / "benchmarks").is_dir() else "there are no benchmarks here"

CONNECTIONS = 10_000
SPARE = 200


class SoakTests(SynchronousTestCase):
    """The script opens its connections, finds all of them alive, and says what they cost."""

    def soak(self, *options):
        """Run it with one server; bytes for each connection, greeted and later."""
        run = [sys.executable, str(ROOT / "benchmarks" / "soak.py"), "--idle=0", *options]
        said = subprocess.run(run, capture_output=True, timeout=300, text=True)
        self.assertEqual(said.returncode, 0, said.stderr)
        first, columns, line = said.stdout.splitlines()
        self.assertEqual(columns.split()[0], "greeted")
        return first, [int(number) for number in re.findall(r" (\d+)(?= )", line)[:3]]

    def test_ten_thousand_idle_connections_are_held_in_one_process(self):
        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        endless = hard == resource.RLIM_INFINITY
        connections = CONNECTIONS if endless else min(CONNECTIONS, hard - SPARE)
        first, each = self.soak("--servers", "mvmtr", "--connections", str(connections))
        self.assertTrue(first.startswith(f"{connections} connections from 20 addresses"), first)
        # What the page about limits promises, and room for another machine.
        self.assertLess(max(each), 20_000)

    def test_the_stock_class_is_measured_in_the_same_way(self):
        first, each = self.soak("--servers", "twisted", "--connections", "100", "--addresses=3")
        self.assertTrue(first.startswith("100 connections from 3 addresses"), first)
        self.assertEqual(len(each), 3)
