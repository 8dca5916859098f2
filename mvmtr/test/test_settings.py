"""Tests for L{mvmtr.settings}."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from operator import setitem

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.settings import Settings
from mvmtr.values import SettingError

NAMES = [control.name for control in Settings.controls()]


class TableTests(SynchronousTestCase):
    """The table of controls."""

    def test_the_controls_of_the_compatibility_document_are_there(self):
        named = {
            "usehostname",
            "smtp_server_greeting",
            "smtp_server_localip_host",
            "smtp_server_timeout",
            "smtp_server_msgsize_max",
        }
        self.assertLessEqual(named, set(NAMES))

    def test_names_follow_that_style(self):
        for name in set(NAMES) - {"usehostname"}:
            self.assertTrue(name.startswith("smtp_server_"), name)

    def test_every_row_is_filled_in(self):
        for control in Settings.controls():
            self.assertTrue(control.unit and control.meaning, control.name)
            self.assertNotIn("\n", control.meaning)
            self.assertEqual(getattr(Settings(), control.name), control.default)

    def test_where_values_came_from_is_no_control(self):
        self.assertNotIn("origins", NAMES)
        self.assertRaises(SettingError, Settings().with_, {"origins": {}}, {})

    def test_every_number_that_is_a_default_is_read_as_it_is_written(self):
        numbers = [control for control in Settings.controls() if type(control.default) is int]
        self.assertGreater(len(numbers), 5)
        for control in numbers:
            self.assertEqual(Settings.parse(control.name, str(control.default)), control.default)


class ParseTests(SynchronousTestCase):
    """Values from text."""

    def assertNoValue(self, name, *texts):
        for text in texts:
            error = self.assertRaises(SettingError, Settings.parse, name, text)
            self.assertIn(name, str(error))

    def test_numbers(self):
        self.assertEqual(Settings.parse("smtp_server_msgsize_max", "0"), 0)
        self.assertEqual(Settings.parse("smtp_server_msgsize_max", "0010"), 10)
        self.assertEqual(Settings.parse("smtp_server_msgsize_max", str(2**40)), 2**40)

    def test_what_is_no_whole_number_is_refused(self):
        for name in "smtp_server_msgsize_max", "smtp_server_timeout":
            self.assertNoValue(name, "", "-1", "+1", " 1", "1 ", "1k", "1.0", "0x10", "1_0")
            self.assertNoValue(name, "\u00b2", "\u0661\u0662", "1\n")

    def test_limits_that_must_be_are_positive(self):
        for control in Settings.controls():
            if "timeout" in control.name:
                self.assertNoValue(control.name, "0", "000")
                self.assertEqual(control.parse("1"), 1)

    def test_a_number_of_thousands_of_digits_is_refused(self):
        self.assertNoValue("smtp_server_msgsize_max", "9" * 5000)
        self.assertNoValue("smtp_server_timeout", "9" * 5000)

    def test_names(self):
        for name in "usehostname", "smtp_server_localip_host":
            self.assertEqual(Settings.parse(name, "mx.example"), b"mx.example")
            self.assertEqual(Settings.parse(name, ""), b"")
            self.assertNoValue(name, "a b", "a\r\nb", "a\0", "a\tb", "\u00e9.example")

    def test_words_are_separated_by_commas_and_blanks(self):
        found = Settings.parse("smtp_server_rcpt_domains", " a.example,.b.example,, \t\u00e9 ")
        self.assertEqual(found, (b"a.example", b".b.example", "\u00e9".encode()))
        self.assertEqual(Settings.parse("smtp_server_rcpt_domains", ""), ())

    def test_a_greeting_has_lines(self):
        self.assertEqual(
            Settings.parse("smtp_server_greeting", "one two\n\nthree"), (b"one two", b"", b"three")
        )
        self.assertEqual(Settings.parse("smtp_server_greeting", ""), ())

    def test_no_line_of_a_greeting_can_hold_a_line_end(self):
        for line in Settings.parse("smtp_server_greeting", "a\r\nb\rc\nd"):
            self.assertEqual(len(line), 1)

    def test_a_control_that_does_not_exist_is_refused(self):
        for name in "smtp_server_time", "origins", "", "Usehostname":
            self.assertNoValue(name, "1")

    def test_an_argument_that_is_no_text_is_a_value_or_refused(self):
        # What the command line gives for a byte that is not UTF-8.
        for name in NAMES:
            try:
                Settings.parse(name, "\udcff")
            except SettingError as error:
                self.assertIn(name, str(error))

    @examples(deadline=None, max_examples=400)
    @given(st.sampled_from(NAMES), st.text(max_size=20))
    def test_any_text_is_a_value_or_refused(self, name, text):
        try:
            value = Settings.parse(name, text)
        except SettingError as error:
            self.assertIn(name, str(error))
        else:
            self.assertEqual(getattr(Settings().with_({name: value}, {}), name), value)


class SettingsTests(SynchronousTestCase):
    """An immutable value that knows where it came from."""

    def test_a_control_cannot_be_changed(self):
        settings = Settings()
        self.assertRaises(FrozenInstanceError, setattr, settings, "usehostname", b"x")
        changed = settings.with_({}, {"usehostname": "me:1"})
        for origins in settings.origins, changed.origins:
            self.assertRaises(TypeError, setitem, origins, "usehostname", "elsewhere")

    def test_a_copy_has_the_new_values_and_keeps_the_others(self):
        first = Settings().with_({"usehostname": b"a"}, {"usehostname": "me:1"})
        second = first.with_({"smtp_server_timeout": 5}, {"smtp_server_timeout": "command line"})
        self.assertEqual((second.usehostname, second.smtp_server_timeout), (b"a", 5))
        self.assertEqual((first.smtp_server_timeout, Settings().usehostname), (300, b""))

    def test_origins_are_remembered_and_replaced(self):
        first = Settings().with_({"usehostname": b"a"}, {"usehostname": "me:1"})
        second = first.with_({"usehostname": b"b"}, {"usehostname": "command line"})
        self.assertEqual(first.origin("usehostname"), "me:1")
        self.assertEqual(second.origin("usehostname"), "command line")
        self.assertEqual(second.origin("smtp_server_timeout"), "default")

    def test_an_unknown_name_is_refused_and_told(self):
        error = self.assertRaises(SettingError, Settings().with_, {"databytes": 1}, {})
        self.assertIn("'databytes'", str(error))

    def test_what_was_given_may_be_changed_afterwards(self):
        origins = {"usehostname": "me:1"}
        settings = Settings().with_({"usehostname": b"a"}, origins)
        origins["usehostname"] = "elsewhere"
        self.assertEqual(settings.origin("usehostname"), "me:1")
