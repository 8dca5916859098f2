"""Tests. What they share is in L{mvmtr.test.support}."""
