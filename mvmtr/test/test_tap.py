"""Tests for L{mvmtr.tap}: options, and the service that comes of them, in this process."""

from __future__ import annotations

import os
import re
import shlex
from types import SimpleNamespace

from twisted.internet import reactor
from twisted.internet.address import UNIXAddress
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import TestCase

from mvmtr import options as options_module
from mvmtr import tap
from mvmtr.assemble import Assembly
from mvmtr.protocol.server import endpoint_of
from mvmtr.session import Reject, Stage
from mvmtr.test.stand_ins import MAIL, RCPT, Says
from mvmtr.test.support import Talk, control_folder, folder

LISTEN = "--listen=tcp:0:interface=127.0.0.1"
QUEUE = "--queue=discard:"


class NoMonday(Says):
    """A check as somebody may write one: it is made without arguments."""

    def __init__(self):
        super().__init__("no_monday", mail=Reject(550, "5.7.1 not on Mondays"))


class NotACheck:
    """A class that has nothing of a check."""


class OptionTests(TestCase):
    """The command line."""

    def setUp(self):
        self.home = folder(self)
        self.patch(options_module, "CONTROL_DIR", str(self.home / "none"))

    def options(self, *arguments):
        options = tap.Options()
        options.parseOptions(arguments)
        return options

    def refused(self, *arguments):
        """What a refusal of the options says: one line, for the exit."""
        error = self.assertRaises(SystemExit, self.options, *arguments)
        self.assertEqual(len(str(error.code).splitlines()), 1, error.code)
        self.assertTrue(str(error.code).startswith("mvmtr: "), error.code)
        return str(error.code)

    def talk(self, *arguments):
        return Talk(Assembly(self.options(QUEUE, *arguments).sources(), Clock()))

    def control(self, **files):
        return f"--control-dir={control_folder(self.home, files)}"

    def test_the_control_folder_of_qmail_is_used_where_it_is(self):
        control = control_folder(self.home, {"rcpthosts": "ours.example\n"})
        self.patch(options_module, "CONTROL_DIR", str(control))
        self.assertEqual(self.options().sources().control_dir, str(control))
        talk = self.talk()
        codes = talk.send(MAIL, b"RCPT TO:<r@ours.example>", b"RCPT TO:<r@elsewhere.example>")
        self.assertEqual(codes, [220, 250, 250, 553])

    def test_without_that_folder_there_is_no_compatibility_and_no_recipient(self):
        options = self.options(QUEUE, LISTEN)
        self.assertIsNone(options.sources().control_dir)
        self.assertEqual(
            self.talk().send(MAIL, RCPT, b"RCPT TO:<postmaster>"), [220, 250, 553, 553]
        )
        with capturedLogs() as captured:
            listener = tap.makeService(options)
        self.addCleanup(listener.stopService)
        warnings = [e for e in captured if e["log_level"].name == "warn" and "folder" in e]
        self.assertEqual([event["folder"] for event in warnings], [options_module.CONTROL_DIR])

    def test_a_folder_that_is_named_and_missing_is_an_error(self):
        for options in ((LISTEN,), ("--stdio",)):
            if "--stdio" in options:
                self.patch(tap.os, "write", lambda descriptor, data: len(data))
            options = self.options("--control-dir=/none/such", *options)
            error = self.assertRaises(SystemExit, tap.makeService, options)
            self.assertEqual(error.code, "mvmtr: /none/such: No such file or directory")

    def test_the_control_folder_is_found_after_twistd_changes_its_folder(self):
        self.assertTrue(self.options("--control-dir=control").sources().control_dir[0] == "/")

    def test_further_arguments_are_skipped_with_compatibility(self):
        options = self.options(self.control(me="mx.example"), "mx.example", "/bin/checkpassword")
        self.assertEqual(tuple(options.arguments), ("mx.example", "/bin/checkpassword"))

    def test_further_arguments_are_refused_without_compatibility(self):
        for options in (("--no-qmail",), ()):
            self.assertIn("mx.example /bin/true", self.refused(*options, "mx.example", "/bin/true"))

    def test_no_qmail_reads_no_control(self):
        control = control_folder(self.home, {"rcpthosts": "ours.example\n", "me": "mx.example"})
        self.patch(options_module, "CONTROL_DIR", str(control))
        talk = self.talk("--no-qmail", "--hostname=own.example")
        self.assertIn(b"220 own.example ", talk.said)
        self.assertEqual(talk.send(MAIL, b"RCPT TO:<r@ours.example>"), [250, 553])

    def test_options_that_exclude_each_other_are_refused(self):
        for options in (
            ("--no-qmail", "--control-dir=/tmp"),
            ("--stdio", "--listen=tcp:0"),
            ("--set", "smtp_server_timeout"),
        ):
            self.refused(*options)

    def test_unknown_options_are_refused(self):
        for options in (("--nonsense",), ("-x",), ("--queue",), ("--stdio=1",)):
            self.refused(*options)

    def test_set_overrides_a_control_file(self):
        control = self.control(me="mx.example", databytes="100", timeoutsmtpd="5")
        talk = self.talk(control, "--set", "smtp_server_msgsize_max=7", "--set", "usehostname=x.y")
        settings = talk.receiver.session.settings
        self.assertEqual((settings.smtp_server_msgsize_max, settings.usehostname), (7, b"x.y"))
        self.assertEqual(settings.smtp_server_timeout, 5)
        self.assertEqual(settings.origin("smtp_server_msgsize_max"), "command line")

    def test_a_control_that_does_not_exist_or_has_no_such_value_is_an_error(self):
        for assignment in ("no_such=1", "smtp_server_timeout=soon", "smtp_server_timeout=0"):
            options = self.options("--no-qmail", LISTEN, QUEUE, "--set", assignment)
            error = self.assertRaises(SystemExit, tap.makeService, options)
            self.assertIn(assignment.partition("=")[0], error.code)
            self.assertEqual(len(error.code.splitlines()), 1)

    def test_hostname_and_bodycache_have_options_of_their_own(self):
        for option in (("-b", "5000"), ("--bodycache=5000",)):
            talk = self.talk("--hostname=own.example", *option)
            settings = talk.receiver.session.settings
            self.assertEqual(
                (settings.usehostname, settings.smtp_server_bodycache), (b"own.example", 5000)
            )

    def test_a_check_of_ones_own_is_asked_first(self):
        control = self.control(badmailfrom="s@client.example\n", rcpthosts="mvmtr.example\n")
        talk = self.talk(control, "--check", f"{__name__}.NoMonday")
        seen = []
        talk.receiver.session.witness = lambda name, stage, verdict: seen.append((name, stage))
        self.assertEqual(talk.send(MAIL), [220, 550])
        self.assertEqual(seen, [("no_monday", Stage.MAIL)])

    def test_a_check_that_can_not_be_made_is_refused(self):
        for name in ("no.such.module", f"{__name__}.Missing", f"{__name__}.Says.check", "x y", ""):
            self.assertIn("--check", self.refused("--check", name), name)

    def test_a_class_that_is_no_check_is_an_error(self):
        options = self.options("--no-qmail", LISTEN, QUEUE, "--check", f"{__name__}.NotACheck")
        error = self.assertRaises(SystemExit, tap.makeService, options)
        self.assertEqual(len(str(error.code).splitlines()), 1, error.code)

    def test_every_example_of_the_help_is_a_command_line_that_works(self):
        text = self.options().getUsage()
        examples = re.findall(r"^ +((?:twistd|tcpserver) (?:.*\\\n)?.*)$", text, re.MULTILINE)
        self.assertEqual(len(examples), 8)
        uses = []
        for example in examples:
            words = shlex.split(example.replace("\\\n", ""))
            if "mvmtr-handoff" in words:
                # This one has no options of mvmtr; test_handoff_tcpserver runs the program.
                continue
            options = self.options(*words[words.index("mvmtr") + 1 :])
            for endpoint in options["listen"]:
                endpoint_of(reactor, endpoint)
            uses.append((options["stdio"], options["control-dir"], len(options["listen"])))
        self.assertEqual(
            uses,
            [
                (0, "/var/qmail/control", 0),
                (1, None, 0),
                (0, None, 1),
                (0, None, 1),
                (0, None, 1),
                (0, None, 2),
                (0, None, 2),
            ],
        )

    def test_every_option_is_explained_in_the_help(self):
        text = self.options().getUsage(10_000).partition("Examples:")[0]
        for line in re.findall(r"^ +(?:-., )?--.*$", text, re.MULTILINE):
            self.assertRegex(line, r"--[a-z-]+=? +[A-Z]")

    async def test_two_ports_are_opened_before_the_service_starts(self):
        listener = tap.makeService(self.options(QUEUE, LISTEN, LISTEN))
        self.addCleanup(listener.stopService)
        self.assertEqual(len({port.getHost().port for port in listener.ports}), 2)


class SocketTests(TestCase):
    """The sockets of a server that becomes another user."""

    def test_a_link_in_the_place_of_a_socket_gives_nothing_else_away(self):
        path = folder(self) / "socket"
        path.symlink_to("not there")
        port = SimpleNamespace(getHost=lambda: UNIXAddress(os.fsencode(path)))
        options = SimpleNamespace(parent={"uid": os.getuid(), "gid": os.getgid()})
        tap._give_away(options, SimpleNamespace(ports=[port]))
        self.assertTrue(path.is_symlink())
