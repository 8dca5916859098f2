"""Tests of the page about checks of clients: its tables say what the code does."""

from __future__ import annotations

import re

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.checks import chosen, greet_delay, require_helo
from mvmtr.protocol.reply import reply_of
from mvmtr.resolver import ANSWERS_MAX
from mvmtr.settings import Settings
from mvmtr.test.pages import read_pages, table
from mvmtr.test.support import ROOT
from mvmtr.test.test_chosen import SWITCHES

# Installed alone, the package has no documentation to test.
skip = None if (ROOT / "docs").is_dir() else "there is no documentation here"


class PageTests(SynchronousTestCase):
    """C{docs/client-checks.rst}."""

    def test_the_checks_are_those_of_the_code_in_their_order(self):
        rows = table("client-checks", "Checks of clients")
        values = {name: Settings.parse(name, text) for name, text in SWITCHES.items()}
        checks = chosen(Settings().with_(values, {}), Clock())
        self.assertEqual([row[0] for row in rows], [check.name for check in checks])
        for (_name, controls, stages, _reply), check in zip(rows, checks, strict=True):
            self.assertEqual(set(stages.split(", ")), {str(stage) for stage in check.stages})
            for control in controls.split(", "):
                self.assertIn(control, SWITCHES)

    def test_the_replies_are_those_of_the_code(self):
        replies = {row[0]: row[3] for row in table("client-checks", "Checks of clients")}
        for name, verdict in (
            ("require_helo", require_helo.HELO_FIRST),
            ("greet_delay", greet_delay.EARLY),
        ):
            self.assertEqual(replies[name], reply_of(verdict).decode().strip())

    def test_the_number_of_answers_that_are_kept_is_told(self):
        text = read_pages()[0]["client-checks"].astext()
        self.assertEqual(re.findall(r"keeps up to (\d+) answers", text), [str(ANSWERS_MAX)])

    def test_all_lists_are_there(self):
        rows = table("client-checks", "Lists")
        self.assertEqual(
            {row[0] for row in rows},
            {f"smtp_server_{name}" for name in ("dnsbl", "dnswl", "rhsbl")},
        )
