"""Tests of the documentation: its examples hold, and its tables say what the code does."""

from __future__ import annotations

import configparser
import re
from dataclasses import fields, replace

from docutils import nodes
from docutils.utils import new_document
from twisted.internet.protocol import connectionDone
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from mvmtr import explain, tap
from mvmtr.compat import rcptcheck, tcprules, validrcptto
from mvmtr.compat.qmail import control_paths, read_controls
from mvmtr.compat.tcpserver import connection_from_environment
from mvmtr.interfaces import ICheck
from mvmtr.protocol.reply import reply_of
from mvmtr.queue.qmail import verdict_of_exit
from mvmtr.session import Connection, Reject, Session, Stage, Transaction
from mvmtr.settings import Settings
from mvmtr.test import documentation, pages
from mvmtr.test.assess_examples import AssessExamples
from mvmtr.test.differences import MEANING
from mvmtr.test.documentation import CHECKS, Examples, watch
from mvmtr.test.pages import Example, read_pages, table
from mvmtr.test.proxy_examples import ProxyExamples
from mvmtr.test.support import CLIENT, ROOT, Talk, assemble, control_folder, folder

# Installed alone, the package has no documentation to test.
skip = None if (ROOT / "docs").is_dir() else "there is no documentation here"

WITHOUT_EXAMPLES = {"index", "CHANGES", "dependencies"}


def reply(verdict):
    """A verdict as the pages write it."""
    return reply_of(verdict).decode().strip()


class ExampleTests(SynchronousTestCase):
    """Every example of every page holds."""

    def hold(self, page):
        self.assertGreater(Examples(self).hold(page), 0)

    def test_sphinx_has_nothing_to_complain_about(self):
        self.assertEqual(read_pages()[1], "")

    def test_no_page_is_left_out(self):
        tested = {
            name.removeprefix("test_the_examples_of_").removesuffix("_hold").replace("_", "-")
            for name in dir(self)
            if name.startswith("test_the_examples_of_")
        }
        self.assertEqual(tested | WITHOUT_EXAMPLES, set(read_pages()[0]))

    def test_pages_without_tests_have_no_examples(self):
        for page in WITHOUT_EXAMPLES:
            self.assertEqual(Examples(self).hold(page), 0)

    def test_every_example_check_is_on_a_page(self):
        shown = set(
            re.findall(r"examples/checks/(\w+)\.py", (ROOT / "docs/checks.rst").read_text())
        )
        self.assertEqual(shown, {path.stem for path in CHECKS.glob("*.py")})

    def test_a_block_that_no_test_knows_fails(self):
        with_wrong_mark = Example("unheard_of", [], "$ true", None)
        self.patch(documentation, "examples_of", lambda page: iter([with_wrong_mark]))
        self.assertRaises(AttributeError, Examples(self).hold, "README")

    def test_a_block_without_a_mark_fails(self):
        page = new_document("x")
        page += nodes.section("", nodes.paragraph(), nodes.literal_block("", "$ true"))
        self.patch(pages, "read_pages", lambda: ({"x": page}, ""))
        self.assertRaises(AssertionError, Examples(self).hold, "x")

    def test_the_examples_of_handoff_hold(self):
        self.hold("handoff")

    def test_the_examples_of_README_hold(self):
        self.hold("README")

    def test_the_examples_of_tutorial_hold(self):
        self.hold("tutorial")

    def test_the_examples_of_controls_hold(self):
        self.hold("controls")

    def test_the_examples_of_compatibility_hold(self):
        self.hold("compatibility")

    def test_the_examples_of_checks_hold(self):
        self.hold("checks")

    def test_the_examples_of_log_hold(self):
        self.hold("log")

    def test_the_examples_of_architecture_hold(self):
        self.hold("architecture")

    def test_the_examples_of_testing_hold(self):
        self.hold("testing")

    def test_the_examples_of_performance_hold(self):
        self.hold("performance")

    def test_the_examples_of_tcp_rules_hold(self):
        self.hold("tcp-rules")

    def test_the_examples_of_recipients_hold(self):
        self.hold("recipients")

    def test_the_examples_of_proxies_hold(self):
        self.assertGreater(ProxyExamples(self).hold("proxies"), 0)

    def test_the_examples_of_mvmcas_hold(self):
        self.assertGreater(AssessExamples(self).hold("mvmcas"), 0)

    def test_the_examples_of_mvmcas_protocol_hold(self):
        self.assertGreater(AssessExamples(self).hold("mvmcas-protocol"), 0)

    def test_the_examples_of_client_checks_hold(self):
        self.hold("client-checks")

    def test_the_examples_of_tls_hold(self):
        self.hold("tls")

    def test_the_examples_of_limits_hold(self):
        self.hold("limits")

    def test_the_examples_of_queues_hold(self):
        self.hold("queues")

    def test_the_examples_of_extensions_hold(self):
        self.hold("extensions")

    def test_the_examples_of_auth_hold(self):
        self.hold("auth")

    def test_the_examples_of_mfl_hold(self):
        self.hold("mfl")

    def test_the_examples_of_workers_hold(self):
        self.hold("workers")

    def test_the_examples_of_mfl_reference_hold(self):
        self.hold("mfl-reference")

    def test_the_examples_of_starting_hold(self):
        self.hold("starting")

    def test_the_examples_of_inspecting_hold(self):
        self.hold("inspecting")


def field_names(title):
    """The first column of a table of the page about the log."""
    return [row[0] for row in table("log", title)]


class TableTests(SynchronousTestCase):
    """What tables say is what the code does."""

    def test_the_settings_are_those_of_the_code(self):
        rows = []
        for control in Settings.controls():
            default = str(control.default) if isinstance(control.default, int) else "empty"
            if control.default is None:
                default = "unset"
            rows.append([control.name, default, control.unit, control.meaning])
        self.assertEqual(table("controls", ""), rows)

    def test_settings_come_from_where_the_page_says_first(self):
        control = control_folder(folder(self), {"databytes": "30"})
        session = replace(CLIENT, environment={b"DATABYTES": b"20"})
        name = "smtp_server_msgsize_max"
        found = [
            getattr(assembly.for_connection(connection).settings, name)
            for assembly, connection in (
                (assemble(control, smtp_server_msgsize_max="10"), session),
                (assemble(control), session),
                (assemble(control), CLIENT),
                (assemble(), CLIENT),
            )
        ]
        self.assertEqual(found, [10, 20, 30, 0])

    def test_the_control_files_are_those_that_are_read(self):
        rows = table("compatibility", "Control files")
        named = {path.rpartition("/")[2] for path in control_paths("")}
        self.assertEqual({row[0] for row in rows}, named)
        readme = {row[0] for row in table("README", "Controls")}
        self.assertEqual(named - readme, set())
        for name, setting, _meaning in rows:
            if setting != "a check":
                control = control_folder(folder(self), {name: "7"})
                self.assertEqual(set(read_controls(str(control)).values), {setting})

    def test_the_variables_of_tcpserver_are_read(self):
        rows = table("compatibility", "Environment variables")
        names = {name for row in rows for name in row[0].split(", ")}
        ours = {name for name in names if name.startswith("TCP")}
        self.assertEqual(len(ours), 10)
        for name in ours:
            connection = connection_from_environment({name.encode(): b"here"})
            found = [field.name for field in fields(connection)]
            found = [name for name in found if getattr(connection, name) == b"here"]
            wanted = re.sub("TCP6?(REMOTE|LOCAL)", r"\1_", name).lower()
            self.assertEqual(found, [wanted])

    def test_all_differences_are_there(self):
        rows = table("compatibility", "Differences")
        self.assertEqual([row[0] for row in rows], [str(number) for number in MEANING])

    def test_each_exit_code_gives_the_reply_of_the_table(self):
        rows = dict(table("queues", "Exit codes of qmail-queue"))
        self.assertEqual(rows.pop("killed by a signal"), reply(verdict_of_exit(None, True)))
        self.assertEqual(rows.pop("0"), "250 2.0.0 ok TIME qp PID")
        other = rows.pop("any other")
        replies = {}
        for codes, text in rows.items():
            for first, last in re.findall(r"(\d+)(?:-(\d+))?", codes):
                replies.update(dict.fromkeys(range(int(first), int(last or first) + 1), text))
        for code in range(1, 256):
            self.assertEqual(reply(verdict_of_exit(code, True)), replies.get(code, other), code)

    def test_each_exit_code_of_the_recipient_check_gives_the_reply_of_the_table(self):
        rows = dict(table("recipients", "Exit codes of the program"))
        self.assertEqual(rows.pop("0, 112"), "none; rcpthosts decides")
        self.assertEqual([rcptcheck.verdict_of_exit(code) for code in (0, 112)], [None, None])
        other = rows.pop("any other")
        for code in {*range(1, 256)} - {112}:
            verdict = rcptcheck.verdict_of_exit(code)
            self.assertEqual(reply(verdict), rows.get(str(code), other), code)

    def test_the_keys_of_rules_are_those_of_the_table(self):
        for ip, host, keys in table("tcp-rules", "Keys"):
            name = None if host == "not known" else host.encode()
            *found, empty = tcprules.keys_for(ip.encode(), name, None)
            self.assertEqual(empty, b"")
            listed = keys.replace("\n", " ").removesuffix(", and the empty key")
            self.assertEqual([key.decode() for key in found], listed.split(", "))

    def test_the_entries_for_a_recipient_are_those_of_the_table(self):
        for address, entries in table("recipients", "Entries"):
            found = [entry.decode() for entry in validrcptto.keys_of(address.encode())]
            self.assertEqual(found, entries.replace("\n", " ").split(", "))

    def test_the_options_that_the_pages_list_are_options(self):
        for page, title, options, column in (
            ("inspecting", "Options of explain", explain.Options(), 0),
            ("tcp-rules", "Options of tcpserver", {**tap.Options(), "uid": 0, "gid": 0}, 1),
        ):
            for row in table(page, title):
                for name in re.findall(r"--([a-z-]+)", row[column]):
                    self.assertIn(name, options)

    def test_the_recipient_checks_of_the_table_are_settings_and_off(self):
        for setting, _asked, _refused in table("recipients", "Checks of recipients"):
            self.assertFalse(getattr(Settings(), setting))

    def test_a_queue_that_read_too_little_is_refused_as_the_page_says(self):
        text = reply(verdict_of_exit(0, False))
        for page in ("queues", "compatibility"):
            self.assertIn(text, read_pages()[0][page].astext().replace("\n", " "))

    def test_each_text_of_the_queue_gives_the_reply_of_the_table(self):
        for code, text, wanted in table("queues", "Texts of the program"):
            self.assertEqual(reply(verdict_of_exit(int(code), True, text.encode())), wanted)

    def test_the_stages_are_those_of_the_code(self):
        self.assertEqual([row[0] for row in table("checks", "Stages")], list(Stage))

    def test_a_session_has_the_attributes_of_the_table(self):
        session = Session(Connection(), Settings())
        session.transaction = Transaction(b"")
        for attribute, meaning in table("checks", "Attributes of a session"):
            value = getattr(session, attribute.removeprefix("session."))
            if attribute in ("session.connection", "session.transaction"):
                for name in re.findall(r"[a-z]+_[a-z]+|environment|recipients|body|size", meaning):
                    self.assertTrue(hasattr(value, name), name)

    def test_the_lines_of_the_log_have_the_fields_of_the_tables(self):
        records = watch(self)
        talk = Talk(assemble(checks=(Grumpy(),), smtp_server_rcpt_domains="ours.example"))
        talk.send(b"HELO x", b"MAIL FROM:<s@x.example>", b"RCPT TO:<r@ours.example>")
        talk.send(b"RCPT TO:<r@x.example>", b"DATA", b".")
        talk.receiver.connectionLost(connectionDone)
        common = set(field_names("Fields of all lines"))
        logged = {}
        for record in records:
            logged.setdefault(record["event"], set()).update(set(record) - common)
        self.assertEqual(
            logged,
            {
                event: set(field_names(f"Fields of {event}"))
                for event in ("refused", "message", "connection")
            },
        )

    def test_the_commands_of_refusals_are_those_of_the_code(self):
        sources = sorted((ROOT / "mvmtr/protocol").rglob("*.py"))
        in_code = set()
        for source in sources:
            in_code |= set(re.findall(r'[._](?:refuse|parse)\(\s*"(\w+)"', source.read_text()))
        meaning = dict(table("log", "Fields of refused"))["command"]
        outside_brackets = re.sub(r"\([^)]*\)", "", meaning)
        self.assertEqual(set(re.findall(r"\w+", outside_brackets)) - {"or"}, in_code)

    def test_the_dependencies_are_those_that_are_installed(self):
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg")
        debian = (ROOT / ".ci/debian-packages").read_text()
        for title, names in (
            ("Needed to run", setup["options"]["install_requires"]),
            ("Needed for make test", setup["options.extras_require"]["test"]),
            ("Needed for make bench", setup["options.extras_require"]["bench"]),
        ):
            wanted = [line.split()[0] for line in names.strip().splitlines()]
            named = [row[0] for row in table("dependencies", title)]
            self.assertEqual(sorted(named), sorted(wanted))
        named = {row[0] for row in table("dependencies", "Needed from Debian for make test")}
        self.assertEqual(named, set(re.findall(r":([a-z-]+)(?=[ ;])", debian)))

    def test_the_queues_of_the_table_are_queues(self):
        for option, _meaning in table("queues", "Queues"):
            option = option.replace("FOLDER", str(folder(self))).replace("PROGRAM", "/bin/x")
            option = option.replace("CLASS", "mvmtr.queue.discard.DiscardQueue")
            self.assertIsNotNone(assemble(queue=option.removeprefix("--queue=")))


@implementer(ICheck)
class Grumpy:
    """Refuses every message, with a reason."""

    name = "grumpy"
    stages = frozenset({Stage.MESSAGE, Stage.RCPT})

    def check(self, session, stage, argument):
        if stage is Stage.RCPT and argument.endswith(b"@ours.example"):
            return None
        return Reject(reason="it is Monday")
