"""Tests of the page about the hand-off, and of what both launchers must know."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol import handoff
from mvmtr.test.launchers import SORRY, SOURCES
from mvmtr.test.pages import read_pages
from mvmtr.test.support import ROOT

# Installed alone, the package has no documentation to test.
skip = None if (ROOT / "docs").is_dir() else "there is no documentation here"


class PageTests(SynchronousTestCase):
    """Numbers and words."""

    def setUp(self):
        texts = ((SOURCES / name).read_text() for name in ("mvmtr-handoff", "mvmtr-handoff.c"))
        self.launchers = [
            {name: re.search(rf"{name}(?: = | )(.*)", text)[1] for name in ("SENT_MAX", "PATIENCE")}
            for text in texts
        ]

    def test_both_launchers_and_the_server_know_the_same_limit(self):
        for launcher in self.launchers:
            self.assertEqual(launcher["SENT_MAX"], str(handoff.ENVIRONMENT_MAX))

    def test_the_page_says_what_the_code_does(self):
        text = " ".join(read_pages()[0]["handoff"].astext().split())
        patience = {launcher["PATIENCE"] for launcher in self.launchers}
        self.assertEqual(len(patience), 1)
        for words in (
            SORRY.decode().strip(),
            f"within {handoff.HANDOFF_TIMEOUT} seconds",
            f"more than {handoff.ENVIRONMENT_MAX} bytes",
            f"waits {patience.pop()} seconds",
        ):
            self.assertIn(words, text)
