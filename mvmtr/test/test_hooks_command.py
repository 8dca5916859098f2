"""Tests for C{mvmtr mfl} and C{mvmtr check FILE}, as programs."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.support import environment, folder

FILE = """\
require ["editheader"];
int $hook_rcpt( string recipient )
{
    if ( $domain( recipient ) == "bad.example" )
        return $reject( 550, "5.1.1 nobody" );
    return 0;
}
int $hook_message()
{
    $log( "subject: " + $header( "Subject" ) );
    if header :contains "Subject" "lottery" {
        addheader "X-Tag" "lottery";
        deleteheader "To";
        redirect "archive@mvmtr.example";
    }
    return 0;
}
"""

MESSAGE = "Subject: the lottery\nTo: you\n\n.dot\nend\n"


class CommandTests(SynchronousTestCase):
    """What an admin sees who tries a rule."""

    def setUp(self):
        self.folder = folder(self)
        (self.folder / "try.mfl").write_text(FILE)
        (self.folder / "mail.eml").write_text(MESSAGE)

    def mvmtr(self, *arguments):
        return subprocess.run(
            [sys.executable, "-m", "mvmtr", *arguments],
            cwd=self.folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )

    def test_verdicts_log_lines_and_changed_headers_are_shown(self):
        recipients = ("--to=a@bad.example", "--to=b@good.example")
        run = self.mvmtr(
            "mfl",
            "try.mfl",
            "--ip=192.0.2.1",
            "--from=s@x.example",
            *recipients,
            "--message=mail.eml",
        )
        self.assertEqual(run.returncode, 0, run.stderr)
        lines = run.stdout.splitlines()
        self.assertIn(f"    mfl at rcpt: reject 550 ({self.folder}/try.mfl:5)", lines)
        self.assertIn("  550 5.1.1 nobody", lines)
        place = f"{self.folder}/try.mfl:10:5"
        tail = [
            f'log {place}: "subject: the lottery"',
            "redirected to archive@mvmtr.example",
            "header +X-Tag: lottery",
            "header -To: you",
        ]
        self.assertEqual(sorted(lines[-4:]), sorted(tail))

    def test_a_message_that_is_refused_has_no_changes(self):
        (self.folder / "try.mfl").write_text('require "reject"; reject "no";')
        run = self.mvmtr("mfl", "try.mfl", "--ip=192.0.2.1", "--to=a@b.example")
        self.assertIn("  550 5.7.1 no", run.stdout.splitlines())
        self.assertNotIn("header", run.stdout)

    def test_an_error_while_a_hook_runs_is_shown_with_its_place(self):
        (self.folder / "try.mfl").write_text('int $hook_data() { return 1 / $length(""); }')
        run = self.mvmtr("mfl", "try.mfl", "--ip=192.0.2.1", "--to=a@b.example")
        self.assertIn("451 4.3.0", run.stdout)
        self.assertIn(f"error {self.folder}/try.mfl:1:", run.stdout)

    def test_a_broken_file_is_told_with_line_and_caret(self):
        (self.folder / "try.mfl").write_text("int $hook_data() { return $rejct(550); }\n")
        for arguments in (("mfl", "try.mfl", "--ip=192.0.2.1"), ("check", "try.mfl", "--no-qmail")):
            run = self.mvmtr(*arguments)
            self.assertEqual(run.returncode, 1)
            said = run.stdout + run.stderr
            self.assertIn(f"{self.folder}/try.mfl:1:27: ", said)
            self.assertIn("did you mean $reject?", said)
            self.assertIn("\n    int $hook_data()", said)
            self.assertIn("^\n", said)

    def test_a_good_file_passes_the_check(self):
        run = self.mvmtr("check", "try.mfl", "--no-qmail", "--queue=discard:")
        self.assertEqual(run.returncode, 0, run.stdout)
        self.assertRegex(run.stdout, r"(?m)^  mfl +at message, rcpt$")

    def test_json_is_told_to_be_impossible(self):
        run = self.mvmtr("mfl", "try.mfl", "--ip=192.0.2.1", "--json")
        self.assertEqual((run.returncode, run.stdout), (1, ""))
        self.assertIn("no JSON", run.stderr)

    def test_the_wrong_number_of_files_is_an_error(self):
        self.assertIn("one startup file", self.mvmtr("mfl", "--ip=192.0.2.1").stderr)
        self.assertIn("one startup file", self.mvmtr("check", "--no-qmail", "a", "b").stderr)
