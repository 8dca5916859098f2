"""Tests of the syntax file for Vim: its words are those of the language."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl.check_sieve import NATIVE_COMMANDS, NATIVE_TESTS
from mvmtr.mfl.parser import KEYWORDS
from mvmtr.mfl.signatures import HOOKS, builtins
from mvmtr.mfl.specs import registry
from mvmtr.test.support import ROOT

FILE = ROOT / "editors" / "mvmtr.vim"

# Installed alone, the package has no file for editors to test.
skip = None if FILE.exists() else "there are no files for editors here"


class VimTests(SynchronousTestCase):
    """Word by word."""

    def words(self, *groups):
        """The keywords of groups, each of which stands there once."""
        lines = re.findall(r"^syn keyword (\w+) (.*)$", FILE.read_text(), re.MULTILINE)
        found = [word for group, words in lines if group in groups for word in words.split()]
        self.assertEqual(len(found), len(set(found)))
        return set(found)

    def test_words_of_the_c_like_side(self):
        groups = ("mflType", "mflConditional", "mflRepeat", "mflStatement", "mflOperator")
        self.assertEqual(self.words(*groups), KEYWORDS)

    def test_hooks_and_built_in_functions(self):
        self.assertEqual(self.words("mflHook"), set(HOOKS))
        self.assertEqual(self.words("mflFunction"), set(builtins()))

    def test_commands_and_tests_of_sieve(self):
        known = registry()
        commands = {*known.commands, *NATIVE_COMMANDS} - KEYWORDS
        self.assertEqual(self.words("mflSieveCommand"), commands)
        tests = {*known.tests, *NATIVE_TESTS} - KEYWORDS
        self.assertEqual(self.words("mflSieveTest"), tests)

    def test_each_group_has_a_colour(self):
        text = FILE.read_text()
        groups = set(re.findall(r"^syn (?:keyword|match|region) (\w+)", text, re.MULTILINE))
        self.assertEqual(set(re.findall(r"^hi def link (\w+) ", text, re.MULTILINE)), groups)
