"""Tests for L{mvmtr.auth.failures}."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.auth.failures import Failures
from mvmtr.protocol.load import Counts, Held


class FailuresTests(SynchronousTestCase):
    """Two failures in a minute are the limit here."""

    def setUp(self):
        self.clock = Clock()
        counts = Counts(self.clock.seconds)
        self.tries = Held()
        self.failures = Failures(counts.tally(b"failures"), self.tries, counts.together)

    def full(self, who=b"a", limit=2):
        return self.failures.full(who, limit, 60)

    def fail(self, who=b"a", failed=True):
        self.assertTrue(self.failures.begin(who, 100, 60))
        self.failures.end(who, failed, 60)

    def test_the_limit_is_reached_and_passes(self):
        self.fail()
        self.assertFalse(self.full())
        self.fail()
        self.assertTrue(self.full())
        self.assertFalse(self.full(b"b"))
        self.assertFalse(self.full(limit=0))
        self.clock.advance(60)
        self.assertFalse(self.full())

    def test_a_success_is_no_failure_and_takes_none_back(self):
        self.fail(failed=False)
        self.fail()
        self.fail(failed=False)
        self.assertFalse(self.full())
        self.fail()
        self.assertTrue(self.full())

    def test_tries_count_until_their_outcome_is_known(self):
        self.assertTrue(self.failures.begin(b"a", 2, 60))
        self.assertTrue(self.failures.begin(b"a", 2, 60))
        self.assertTrue(self.full())
        self.assertFalse(self.failures.begin(b"a", 2, 60))
        self.failures.end(b"a", False, 60)
        self.assertFalse(self.full())

    def test_nothing_is_kept_of_tries_that_are_over(self):
        for number in range(100):
            self.fail(b"%d" % number, failed=False)
        self.assertEqual(len(self.tries), 0)
