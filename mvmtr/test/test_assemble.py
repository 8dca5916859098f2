"""Tests for L{mvmtr.assemble}."""

from __future__ import annotations

import os

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assemble import Assembly, ConfigurationError, Sources
from mvmtr.session import Accept, Connection, Reject
from mvmtr.settings import Settings
from mvmtr.test.stand_ins import Says
from mvmtr.test.support import Talk, assemble, control_folder, folder

DOCUMENT = (
    ("me", "usehostname", "mx.example", b"mx.example"),
    ("smtpgreeting", "smtp_server_greeting", "hello", (b"hello",)),
    ("localiphost", "smtp_server_localip_host", "ip.example", b"ip.example"),
    ("timeoutsmtpd", "smtp_server_timeout", "7", 7),
    ("databytes", "smtp_server_msgsize_max", "1000", 1000),
)
"""Control file, control, a value as text, the value."""

OVERRIDES = (
    ("usehostname", "other.example", b"other.example"),
    ("smtp_server_greeting", "one\ntwo", (b"one", b"two")),
    ("smtp_server_localip_host", "address.example", b"address.example"),
    ("smtp_server_timeout", "9", 9),
    ("smtp_server_msgsize_max", "2000", 2000),
)

LIMITED = Connection(environment={b"DATABYTES": b"500"})
RELAYING = Connection(environment={b"RELAYCLIENT": b""})


def size_limit(assembly, connection=LIMITED):
    settings = assembly.for_connection(connection).settings
    return settings.smtp_server_msgsize_max, settings.origin("smtp_server_msgsize_max")


class AssembleTestCase(SynchronousTestCase):
    """Has a qmail home with an empty control folder."""

    def setUp(self):
        self.home = folder(self)
        self.control = control_folder(self.home, {})

    def assemble(self, checks=(), **overrides):
        return assemble(self.control, checks=checks, clock=Clock(), **overrides)

    def ask(self, assembly, *recipients, connection=LIMITED):
        talk = Talk(assembly, connection)
        self.assertEqual(talk.codes, [220])
        rcpts = (b"RCPT TO:<%s>" % recipient for recipient in recipients)
        return talk.send(b"MAIL FROM:<s@client.example>", *rcpts)[1:]


class OrderTests(AssembleTestCase):
    """Default, control file, DATABYTES, command line: later wins."""

    def test_without_anything_the_defaults_hold(self):
        for control_dir in (None, self.control):
            settings = assemble(control_dir, clock=Clock()).configuration.settings
            for _file, name, _text, _value in DOCUMENT:
                self.assertEqual(getattr(settings, name), getattr(Settings(), name))
                self.assertEqual(settings.origin(name), "default")

    def test_a_control_file_wins_over_the_default(self):
        for file, name, text, value in DOCUMENT:
            control_folder(self.home, {file: f"# mine\n{text}\n"})
            settings = self.assemble().configuration.settings
            self.assertEqual(getattr(settings, name), value)
            self.assertEqual(settings.origin(name), f"{self.control / file}:2")

    def test_the_command_line_wins_over_a_control_file(self):
        control_folder(self.home, {file: f"{text}\n" for file, _name, text, _value in DOCUMENT})
        for name, text, value in OVERRIDES:
            settings = self.assemble(**{name: text}).configuration.settings
            self.assertEqual(getattr(settings, name), value)
            self.assertEqual(settings.origin(name), "command line")
            others = {other for _file, other, _text, _value in DOCUMENT} - {name}
            for other in others:
                self.assertIn(str(self.control), settings.origin(other))

    def test_databytes_of_the_connection_wins_over_default_and_file(self):
        self.assertEqual(size_limit(self.assemble()), (500, "DATABYTES"))
        control_folder(self.home, {"databytes": "1000\n"})
        self.assertEqual(size_limit(self.assemble()), (500, "DATABYTES"))
        self.assertEqual(size_limit(assemble(clock=Clock())), (500, "DATABYTES"))

    def test_the_command_line_wins_over_databytes(self):
        assembly = self.assemble(smtp_server_msgsize_max="2000")
        self.assertEqual(size_limit(assembly), (2000, "command line"))
        assembly = self.assemble(smtp_server_msgsize_max="0")
        self.assertEqual(size_limit(assembly), (0, "command line"))

    def test_databytes_without_digits_lifts_the_limit_of_the_file(self):
        control_folder(self.home, {"databytes": "1000\n"})
        for value in (b"", b"none"):
            connection = Connection(environment={b"DATABYTES": value})
            self.assertEqual(size_limit(self.assemble(), connection), (0, "DATABYTES"))

    def test_databytes_holds_for_its_connection_only(self):
        control_folder(self.home, {"databytes": "1000\n"})
        assembly = self.assemble()
        size_limit(assembly)
        self.assertEqual(size_limit(assembly, Connection())[0], 1000)
        self.assertIs(assembly.for_connection(Connection()), assembly.configuration)

    def test_connections_with_the_same_databytes_share_a_configuration(self):
        assembly = assemble()
        first, second, other = (
            assembly.for_connection(Connection(environment={b"DATABYTES": limit}))
            for limit in (b"10", b"10", b"11")
        )
        self.assertIs(first, second)
        self.assertEqual(other.settings.smtp_server_msgsize_max, 11)

    def test_databytes_touches_nothing_else(self):
        control_folder(self.home, {"me": "mx.example\n"})
        assembly = self.assemble(smtp_server_timeout="9")
        limited = assembly.for_connection(LIMITED)
        self.assertEqual(limited.settings.usehostname, b"mx.example")
        self.assertEqual(limited.settings.smtp_server_timeout, 9)
        self.assertIs(limited.policy, assembly.configuration.policy)
        self.assertIs(limited.queue, assembly.configuration.queue)

    def test_warnings_of_the_control_folder_are_handed_on(self):
        control_folder(self.home, {"databytes": "many\n"})
        warnings = self.assemble().warnings
        self.assertEqual(len(warnings), 2)
        self.assertEqual(assemble(clock=Clock()).warnings, [])

    def test_the_queue_runs_in_the_folder_above_the_control_folder(self):
        assembly = assemble(self.control, queue="qmail", clock=Clock())
        program = self.home / "bin" / "qmail-queue"
        self.assertEqual(assembly.configuration.queue.name, f"qmail:{program}")


class PolicyTests(AssembleTestCase):
    """Who decides, and in which order."""

    def test_own_checks_stand_first_and_those_of_qmail_last(self):
        control_folder(self.home, {"rcpthosts": "", "badmailfrom": ""})
        policy = self.assemble(checks=(Says("a"), Says("b"))).configuration.policy
        self.assertEqual(
            [check.name for check in policy.checks],
            ["a", "b", "rcpt_domains", "relay", "badmailfrom", "rcpthosts"],
        )

    def test_an_own_check_overrides_all_others(self):
        control_folder(self.home, {"rcpthosts": "local.example\n"})
        no = self.assemble(checks=(Says(rcpt=Reject(550)),), smtp_server_rcpt_domains="x.example")
        for connection in (LIMITED, RELAYING):
            codes = self.ask(no, b"r@local.example", b"r@x.example", connection=connection)
            self.assertEqual(codes, [550, 550])
        yes = self.assemble(checks=(Says(rcpt=Accept()),))
        self.assertEqual(self.ask(yes, b"r@elsewhere.example"), [250])

    def test_what_an_own_check_leaves_open_the_qmail_checks_decide(self):
        control_folder(self.home, {"rcpthosts": "local.example\n"})
        assembly = self.assemble(checks=(Says(rcpt=None),))
        self.assertEqual(self.ask(assembly, b"r@local.example", b"r@elsewhere"), [250, 553])

    def test_own_domains_are_taken_as_well_as_those_of_rcpthosts(self):
        control_folder(self.home, {"rcpthosts": "local.example\n"})
        assembly = self.assemble(smtp_server_rcpt_domains="own.example")
        codes = self.ask(assembly, b"r@local.example", b"r@own.example", b"r@elsewhere.example")
        self.assertEqual(codes, [250, 250, 553])

    def test_relayclient_may_send_anywhere_and_its_value_is_not_appended(self):
        control_folder(self.home, {"rcpthosts": "local.example\n"})
        connection = Connection(environment={b"RELAYCLIENT": b"@fixme"})
        talk = Talk(self.assemble(), connection)
        talk.send(b"MAIL FROM:<s@x>", b"RCPT TO:<r@elsewhere.example>", b"RCPT TO:<r>")
        recipients = talk.receiver.session.transaction.recipients
        self.assertEqual(recipients, [b"r@elsewhere.example", b"r"])

    def test_without_a_control_folder_nobody_may_send_anywhere(self):
        assembly = assemble(clock=Clock())
        codes = self.ask(assembly, b"r@x.example", b"r", b"r@", b"postmaster", b"r@[127.0.0.1]")
        self.assertEqual(codes, [553] * 5)

    def test_without_a_control_folder_only_the_own_domains_are_taken(self):
        assembly = assemble(clock=Clock(), smtp_server_rcpt_domains="own.example")
        codes = self.ask(assembly, b"r@own.example", b"r@elsewhere.example", b"r")
        self.assertEqual(codes, [250, 553, 553])


class ErrorTests(AssembleTestCase):
    """One kind of error, and one line that says what and where."""

    def assertError(self, *words, **sources):
        sources = Sources(**{"control_dir": None, "queue": "discard:", **sources})
        error = self.assertRaises(ConfigurationError, Assembly, sources, Clock())
        self.assertNotIn("\n", str(error))
        for word in words:
            self.assertIn(word, str(error))

    def test_a_missing_control_folder_is_an_error(self):
        missing = str(self.home / "none")
        self.assertError(missing, "No such file", control_dir=missing)

    def test_a_control_file_that_cannot_be_read_is_an_error(self):
        (self.control / "me").mkdir()
        self.assertError(str(self.control / "me"), control_dir=str(self.control))

    def test_a_control_that_does_not_exist_is_an_error(self):
        for name in ("smtp_server_colour", "origins", ""):
            self.assertError(repr(name), overrides={name: "1"})

    def test_a_value_that_a_control_does_not_take_is_an_error(self):
        for name, text in (
            ("smtp_server_timeout", "0"),
            ("smtp_server_timeout", "soon"),
            ("smtp_server_msgsize_max", "-1"),
            ("smtp_server_msgsize_max", "1\n2"),
            ("usehostname", "a b"),
            ("usehostname", "a\n"),
            ("smtp_server_localip_host", "\xe9"),
        ):
            self.assertError(name, overrides={name: text})

    def test_a_number_of_thousands_of_digits_is_an_error(self):
        self.assertError(
            "smtp_server_msgsize_max", overrides={"smtp_server_msgsize_max": "9" * 5000}
        )

    def test_text_that_is_not_utf_8_is_an_error(self):
        text = os.fsdecode(b"\xff.example")
        for name in ("smtp_server_rcpt_domains", "smtp_server_greeting"):
            self.assertError(name, overrides={name: text})

    def test_a_queue_that_there_is_not_is_an_error(self):
        self.assertError("'carrier-pigeon'", queue="carrier-pigeon")

    def test_a_maildir_that_cannot_be_made_is_an_error(self):
        (self.home / "file").touch()
        self.assertError(str(self.home / "file"), queue=f"maildir:{self.home}/file/in")

    def test_a_check_that_is_none_is_an_error(self):
        class Nothing:
            """Provides nothing at all."""

        self.assertError("Nothing", "no check", checks=(Nothing(),))
        unnamed = Says()
        del unnamed.name
        self.assertError("Says", "name", checks=(unnamed,))
