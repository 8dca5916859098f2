"""Tests of rules in files of a control folder."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assess import rulefiles
from mvmtr.assess.engine import Engine
from mvmtr.assess.question import Question, State
from mvmtr.assess.rulefiles import FILES, RuleFiles, rules_in
from mvmtr.assess.rules import ACTIONS
from mvmtr.assess.settings import AssessSettings
from mvmtr.test.support import folder
from mvmtr.values import SettingError


def read(content, action="block"):
    return dict(rules_in(content, action, "mvmcas-x"))


class FormatTests(SynchronousTestCase):
    """One file."""

    def test_a_line_is_a_subject_and_a_reason(self):
        ((key, record),) = read(b"192.0.2.0/24 scans  for relays \n").items()
        self.assertEqual(key, "rule network 192.0.2.0/24")
        self.assertEqual(record.values["action"], "block")
        self.assertEqual(record.values["reason"], "scans  for relays")
        self.assertEqual(record.expires, 0)

    def test_the_place_is_known(self):
        (record,) = read(b"# a list\n\nbad.example\n").values()
        self.assertEqual(record.values["file"], "mvmcas-x:3")

    def test_a_date_comes_before_the_reason(self):
        for line in (
            b"bad.example until=2027-01-01 spam",
            b"bad.example\tuntil=2027-01-01T00:00:00Z\tspam\r",
            b"  bad.example   until=2027-01-01   spam",
        ):
            (record,) = read(line).values()
            self.assertEqual((record.expires, record.values["reason"]), (1798761600.0, "spam"))

    def test_a_date_alone_is_enough(self):
        (record,) = read(b"bad.example until=2027-01-01").values()
        self.assertEqual((record.expires, record.values["reason"]), (1798761600.0, ""))

    def test_blank_lines_and_comments_do_not_count(self):
        self.assertEqual(read(b"\n # no\n#192.0.2.1\n\t\n\r\n"), {})

    def test_a_comment_may_be_in_any_encoding(self):
        self.assertEqual(read(b"# gr\xfc\xdfe\n"), {})

    def test_the_later_of_two_lines_holds(self):
        (record,) = read(b"192.0.2.1 one\n192.0.2.1/32 two\n").values()
        self.assertEqual(record.values["reason"], "two")

    def test_what_is_no_rule_is_an_error_with_its_place(self):
        for line, said in (
            (b"192.0.2.0/99", "192.0.2.0/99"),
            (b"bad.example until=soon", "soon"),
            (b"bad.example until=", "''"),
            (b"bad.example gr\xfc\xdfe", "UTF-8"),
            (b"two@at@signs.example", "two@at"),
        ):
            error = self.assertRaises(SettingError, read, b"\n" + line + b"\n")
            self.assertIn("mvmcas-x:2: ", str(error))
            self.assertIn(said, str(error))

    def test_senders_may_not_relay(self):
        self.assertRaises(SettingError, read, b"joe@example.org\n", "relay")

    def test_traps_are_recipients(self):
        self.assertEqual(
            list(read(b"Old@Example.org\n", "trap")), ["rule recipient old@example.org"]
        )
        self.assertRaises(SettingError, read, b"192.0.2.1\n", "trap")

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=80), st.sampled_from(ACTIONS))
    def test_any_bytes_are_rules_or_an_error(self, content, action):
        try:
            found = read(content, action)
        except SettingError:
            return
        for key, record in found.items():
            self.assertTrue(key.startswith("rule "))
            self.assertEqual(record.values["action"], action)


class RuleFilesTests(SynchronousTestCase):
    """A folder, while it is edited."""

    def setUp(self):
        self.folder = folder(self)
        self.now = 1_800_000_000.0
        self.events = []
        globalLogPublisher.addObserver(self.note)
        self.addCleanup(globalLogPublisher.removeObserver, self.note)

    def note(self, event):
        if event.get("log_namespace") == "mvmtr.assess.rulefiles":
            self.events.append(event["complaint"])

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def files(self):
        return RuleFiles(str(self.folder), lambda: self.now)

    def subjects(self, files):
        return {key.rpartition(" ")[2]: record.values["action"] for key, record in files().items()}

    def test_there_is_a_file_for_each_action(self):
        for name in FILES.values():
            self.write(name, f"{name}@example.org\n" if name != "mvmcas-relay" else "192.0.2.9\n")
        found = set(self.subjects(self.files()).values())
        self.assertEqual(found, set(ACTIONS))

    def test_no_files_are_no_rules(self):
        self.assertEqual(self.files()(), {})

    def test_a_folder_that_is_not_there_is_an_error(self):
        self.assertRaises(SettingError, RuleFiles, str(self.folder / "none"))

    def test_a_file_that_is_wrong_at_the_start_is_an_error(self):
        self.write("mvmcas-block", "nonsense/nonsense\n")
        error = self.assertRaises(SettingError, self.files)
        self.assertIn("mvmcas-block:1: ", str(error))

    def test_a_file_that_cant_be_read_at_the_start_is_an_error(self):
        (self.folder / "mvmcas-allow").mkdir()
        self.assertIn("mvmcas-allow", str(self.assertRaises(SettingError, self.files)))

    def test_edits_are_read(self):
        files = self.files()
        self.assertEqual(self.subjects(files), {})
        self.write("mvmcas-block", "bad.example\n")
        self.assertEqual(self.subjects(files), {"bad.example": "block"})
        self.write("mvmcas-block", "bax.example\n")
        self.assertEqual(self.subjects(files), {"bax.example": "block"})
        (self.folder / "mvmcas-block").unlink()
        self.assertEqual(self.subjects(files), {})

    def test_an_edit_within_the_same_tick_of_the_clock_is_read(self):
        self.write("mvmcas-block", "bad.example\n")
        files = self.files()
        # As a file system has it whose times are too coarse to tell.
        self.patch(rulefiles, "stamp_of", lambda _paths: files._stamp)
        self.write("mvmcas-block", "bax.example\n")
        self.assertEqual(self.subjects(files), {"bax.example": "block"})

    def test_what_was_not_edited_is_not_read_again(self):
        self.write("mvmcas-block", "bad.example\n")
        files = self.files()
        # As if the file were old; the time of its last change can't be set back.
        files._settled = True
        self.assertIs(files(), files())

    def test_a_bad_edit_changes_nothing_and_is_told_once(self):
        self.write("mvmcas-block", "bad.example\n")
        files = self.files()
        self.write("mvmcas-block", "worse.example\nnonsense/nonsense\n")
        for _time in range(3):
            self.assertEqual(self.subjects(files), {"bad.example": "block"})
        (complaint,) = self.events
        self.assertIn("mvmcas-block:2: ", complaint)
        self.assertIn("stay in force", complaint)
        self.write("mvmcas-block", "worse.example\n")
        self.assertEqual(self.subjects(files), {"worse.example": "block"})

    def test_a_file_that_cant_be_read_any_more_changes_nothing(self):
        self.write("mvmcas-block", "bad.example\n")
        files = self.files()
        (self.folder / "mvmcas-block").unlink()
        (self.folder / "mvmcas-block").mkdir()
        self.assertEqual(self.subjects(files), {"bad.example": "block"})
        self.assertEqual(len(self.events), 1)

    def test_a_rule_ends_by_itself(self):
        self.write(
            "mvmcas-block", "a.example until=2027-01-16\nb.example\nc.example until=2028-01-01"
        )
        files = self.files()
        files._settled = True
        self.assertEqual(set(self.subjects(files)), {"a.example", "b.example", "c.example"})
        self.now = 1_800_057_600.0
        self.assertEqual(set(self.subjects(files)), {"b.example", "c.example"})
        self.now = 1_900_000_000.0
        self.assertEqual(set(self.subjects(files)), {"b.example"})

    def test_the_engine_goes_by_them(self):
        self.write("mvmcas-block", "192.0.2.0/24 scans\n")
        files = self.files()
        engine = Engine(AssessSettings(), files)
        question = Question(State.CONNECT, b"192.0.2.7")

        def assess():
            return engine.assess(question, engine.more_rules(question, self.now), self.now)[0]

        self.assertEqual((assess().code, assess().text), (554, "5.7.1 blocked: scans"))
        self.write("mvmcas-allow", "192.0.2.7\n")
        self.assertEqual(assess().action, "dunno")
