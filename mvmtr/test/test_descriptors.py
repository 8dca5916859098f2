"""Tests for L{mvmtr.protocol.descriptors}: how many can be open."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol import descriptors
from mvmtr.test.support import environment

# In a process of its own, for a limit that was lowered stays so.
PROGRAM = """
import os, resource
from mvmtr.protocol import descriptors
resource.setrlimit(resource.RLIMIT_NOFILE, (50, 100))
before, raised, now = descriptors.limit(), descriptors.raise_limit(), descriptors.limit()
more = [os.dup(0) for _ in range(20)]
first = descriptors.room(100)
more += [os.dup(0) for _ in range(20)]
second = descriptors.room(100)
try:
    while True:
        more.append(os.dup(0))
except OSError:
    print(before, raised, now, first - second, descriptors.room(100))
"""


class DescriptorTests(SynchronousTestCase):
    """The limit of the process, and what is left of it."""

    def test_the_limit_is_raised_and_what_is_left_is_known(self):
        run = [sys.executable, "-c", PROGRAM]
        said = subprocess.run(run, env=environment(), stdout=subprocess.PIPE, check=True).stdout
        self.assertEqual(said.split(), [b"50", b"100", b"100", b"20", b"0"])

    def test_the_lowest_free_descriptor_tells(self):
        taken = [os.dup(2) for _ in range(5)]
        before = descriptors.room(1000)
        os.close(taken[0])
        self.assertGreaterEqual(descriptors.room(1000), before)
        for descriptor in taken[1:]:
            os.close(descriptor)

    def test_no_limit_is_a_large_one(self):
        self.patch(
            resource, "getrlimit", lambda _what: (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        self.assertGreater(descriptors.limit(), 100_000)
