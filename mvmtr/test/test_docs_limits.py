"""What the page about limits says is what the code does."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.auth.checkpassword import AT_A_TIME
from mvmtr.protocol import descriptors, load, reply
from mvmtr.protocol.conversation import HELD_ALWAYS
from mvmtr.protocol.extensions.limits import RECIPIENTS_ALWAYS
from mvmtr.queue import maildir
from mvmtr.settings import Settings
from mvmtr.test.pages import read_pages, table
from mvmtr.test.support import ROOT

# Installed alone, the package has no documentation to test.
skip = None if (ROOT / "docs").is_dir() else "there is no documentation here"


class LimitsPageTests(SynchronousTestCase):
    """The table, and the numbers in the text."""

    def test_every_limit_is_a_setting(self):
        names = {control.name for control in Settings.controls()}
        for _what, setting, _reply in table("limits", "What happens at a limit"):
            self.assertIn(setting, names)

    def test_the_replies_are_those_of_the_code(self):
        verdicts = [value for value in vars(reply).values() if isinstance(value, reply.Verdict)]
        replies = {f"{verdict.code} {verdict.text}" for verdict in verdicts}
        for _what, setting, said in table("limits", "What happens at a limit"):
            self.assertIn(said, replies, setting)

    def test_every_limit_of_connections_and_sessions_is_in_the_table(self):
        listed = {row[1] for row in table("limits", "What happens at a limit")}
        words = ("connections_", "rate_per", "session_", "_max")
        others = {"smtp_server_hops_max", "smtp_server_programs_max"}
        for control in Settings.controls():
            name = control.name
            elsewhere = "_tls_" in name or "_auth_" in name or name in others
            if any(word in name for word in words) and not elsewhere:
                self.assertIn(name, listed)

    def test_the_numbers_of_the_text_are_those_of_the_code(self):
        text = " ".join(read_pages()[0]["limits"].astext().split())
        for wanted in (
            f"remembers {load.TALLY_ROOM:,} addresses and networks",
            f"can have {RECIPIENTS_ALWAYS} recipients",
            f"more than {HELD_ALWAYS} bytes without an end of line",
            f"If {descriptors.SPARE} are left",
            "A network is a /{} of IPv4 or a /{} of IPv6".format(*load.NETWORK_BITS.values()),
        ):
            self.assertIn(wanted, text)

    def test_the_numbers_of_queues_and_programs_are_those_of_the_code(self):
        pages = read_pages()[0]
        for page, wanted in (
            ("queues", f"up to {maildir.BATCH_MAX} of them"),
            ("queues", f"more than {maildir.ALONE} bytes"),
            ("limits", f"passwords {AT_A_TIME} run at a time"),
            ("auth", f"No more than {AT_A_TIME} of them run"),
        ):
            self.assertIn(wanted, " ".join(pages[page].astext().split()))
