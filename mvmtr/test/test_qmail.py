"""Tests for L{mvmtr.compat.qmail}."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.compat.controlfile import ControlError
from mvmtr.compat.qmail import databytes_of, read_controls
from mvmtr.test.support import control_folder, folder

HOSTS = {"me": "usehostname", "localiphost": "smtp_server_localip_host"}
NUMBERS = {"timeoutsmtpd": "smtp_server_timeout", "databytes": "smtp_server_msgsize_max"}
FILES = (*HOSTS, *NUMBERS, "smtpgreeting", "badmailfrom", "rcpthosts")


class ControlsTestCase(SynchronousTestCase):
    """Has a control folder in which nobody is an open relay."""

    def setUp(self):
        self.home = folder(self)
        self.control = control_folder(self.home, {"rcpthosts": ""})

    def read(self, **files):
        control_folder(self.home, files)
        return read_controls(str(self.control))

    def assertValue(self, name, content, setting, value, line=1):
        controls = self.read(**{name: content})
        self.assertEqual(controls.values, {setting: value})
        self.assertEqual(controls.origins, {setting: f"{self.control / name}:{line}"})
        self.assertEqual(controls.warnings, [])


class FolderTests(ControlsTestCase):
    """The folder as a whole."""

    def test_files_that_are_not_there_set_nothing(self):
        controls = self.read()
        self.assertEqual((controls.values, controls.origins), ({}, {}))
        self.assertEqual([check.name for check in controls.checks], ["rcpthosts"])
        self.assertEqual(controls.warnings, [])

    def test_the_qmail_checks_stand_in_order(self):
        controls = self.read(badmailfrom="@bad.example\n")
        self.assertEqual([check.name for check in controls.checks], ["badmailfrom", "rcpthosts"])

    def test_without_rcpthosts_there_is_a_warning_of_an_open_relay(self):
        (self.control / "rcpthosts").unlink()
        controls = self.read()
        (warning,) = controls.warnings
        self.assertIn("OPEN RELAY", warning)
        self.assertIn(str(self.control / "rcpthosts"), warning)

    def test_other_files_of_qmail_do_not_matter(self):
        (self.control / "locals").mkdir()
        self.assertEqual(self.read(defaultdomain="x\n", virtualdomains="\0\n").values, {})

    def test_a_missing_folder_is_an_error_that_names_it(self):
        missing = str(self.home / "none")
        error = self.assertRaises(ControlError, read_controls, missing)
        self.assertEqual(str(error), f"{missing}: No such file or directory")

    def test_a_file_in_the_place_of_the_folder_is_an_error_that_names_it(self):
        error = self.assertRaises(ControlError, read_controls, str(self.control / "rcpthosts"))
        self.assertIn(str(self.control / "rcpthosts"), str(error))

    def test_every_file_that_cannot_be_read_is_an_error_that_names_it(self):
        for name in FILES:
            path = self.control / name
            path.unlink(missing_ok=True)
            path.mkdir()
            error = self.assertRaises(ControlError, self.read)
            self.assertEqual(str(error), f"{path}: Is a directory")
            path.rmdir()
        (self.control / "rcpthosts").write_bytes(b"")
        self.read()

    @settings(deadline=None, max_examples=60)
    @given(st.dictionaries(st.sampled_from(FILES), st.binary(max_size=40)))
    def test_no_content_of_a_file_raises(self, files):
        controls = self.read(**files)
        for warning in controls.warnings:
            self.assertNotIn("\n", warning)


class HostTests(ControlsTestCase):
    """me and localiphost."""

    def test_the_first_line_that_counts_is_the_name(self):
        for name, setting in HOSTS.items():
            self.assertValue(name, "# mine\n\nmx.example \nb\n", setting, b"mx.example", line=3)
            (self.control / name).unlink()

    def test_a_name_may_be_continued_and_end_in_crlf(self):
        self.assertValue("me", "mx.\\\r\n# no\r\nexample\r\n", "usehostname", b"mx.example")

    def test_an_empty_localiphost_is_an_empty_name_and_not_none(self):
        for content in ("", "\n", "# no\n", "\\\n"):
            self.assertValue("localiphost", content, "smtp_server_localip_host", b"")

    def test_bytes_that_are_in_no_name_are_told_and_control_characters_replaced(self):
        for name, setting in HOSTS.items():
            controls = self.read(**{name: b"#\na\0b c\rd\xff\x7f\te\n"})
            self.assertEqual(controls.values, {setting: b"a?b c?d\xff??e"})
            (warning,) = controls.warnings
            self.assertTrue(warning.startswith(f"{self.control / name}:2: "), warning)
            (self.control / name).unlink()


class GreetingTests(ControlsTestCase):
    """smtpgreeting."""

    def test_it_may_have_many_lines(self):
        content = "# no\none\n\n\\\ntwo \\\nand more\n"
        lines = (b"one", b"", b"two and more")
        self.assertValue("smtpgreeting", content, "smtp_server_greeting", lines, line=2)

    def test_an_empty_file_is_no_text(self):
        self.assertValue("smtpgreeting", "", "smtp_server_greeting", ())

    def test_no_control_character_gets_into_it(self):
        content = b"a\0b\rc\td\x7fe\x1b \xc3\xa9\n"
        self.assertValue("smtpgreeting", content, "smtp_server_greeting", (b"a?b?c?d?e? \xc3\xa9",))


class NumberTests(ControlsTestCase):
    """timeoutsmtpd and databytes."""

    def test_the_first_line_that_counts_is_the_number(self):
        for name, setting in NUMBERS.items():
            self.assertValue(name, "#\n\n0042\n7\n", setting, 42, line=3)
            (self.control / name).unlink()

    def test_numbers_are_not_cut_to_32_bits(self):
        for name, setting in NUMBERS.items():
            self.assertValue(name, "4294967306\n", setting, 4294967306)
            (self.control / name).unlink()

    def test_no_timeout_is_one_second(self):
        self.assertValue("timeoutsmtpd", "0\n", "smtp_server_timeout", 1)

    def test_no_databytes_is_no_limit(self):
        self.assertValue("databytes", "0\n", "smtp_server_msgsize_max", 0)

    def test_an_empty_file_sets_nothing(self):
        for name in NUMBERS:
            controls = self.read(**{name: "\n# no\n"})
            self.assertEqual((controls.values, controls.warnings), ({}, []))

    def test_digits_in_front_count_and_the_rest_gives_a_warning(self):
        for name, setting in NUMBERS.items():
            controls = self.read(**{name: "\n10k\n"})
            self.assertEqual(controls.values, {setting: 10})
            self.assertEqual(
                controls.warnings, [f"{self.control / name}:2: b'10k' is no number; taken for 10"]
            )
            (self.control / name).unlink()

    def test_without_digits_in_front_the_default_stays_and_there_is_a_warning(self):
        for name in NUMBERS:
            for content in ("none\n", "-1\n", " 5\n", "\\\n"):
                controls = self.read(**{name: content})
                self.assertEqual(controls.values, {}, content)
                (warning,) = controls.warnings
                self.assertIn("is no number; ignored", warning)
            (self.control / name).unlink()


class DatabytesEnvironmentTests(SynchronousTestCase):
    """DATABYTES in the environment."""

    def test_the_digits_in_front_count(self):
        for value, limit in ((b"10", 10), (b"010k", 10), (b"4294967306", 4294967306), (b"0", 0)):
            self.assertEqual(databytes_of(value), limit)

    def test_without_digits_in_front_there_is_no_limit(self):
        for value in (b"", b"none", b"-1", b" 5"):
            self.assertEqual(databytes_of(value), 0)
