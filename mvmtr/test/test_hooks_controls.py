"""Tests for the startup file as a source of the configuration."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assemble import Assembly, ConfigurationError, Sources
from mvmtr.hooks.controls import specs
from mvmtr.live import LiveConfiguration
from mvmtr.session import Connection
from mvmtr.settings import Settings
from mvmtr.test.stand_ins import talk_with
from mvmtr.test.support import CLIENT, Talk, control_folder, folder

FILES = {
    "me": "me.example\n",
    "smtpgreeting": "from the file\n",
    "localiphost": "local.example\n",
    "timeoutsmtpd": "100\n",
    "databytes": "1000\n",
    "rcpthosts": "mvmtr.example\n",
}

STARTED = {
    "usehostname": ('"start.example"', b"start.example"),
    "smtp_server_greeting": ('"from the startup file"', (b"from the startup file",)),
    "smtp_server_localip_host": ('"start.example"', b"start.example"),
    "smtp_server_timeout": ("200", 200),
    "smtp_server_msgsize_max": ("2000", 2000),
}


class PrecedenceTests(SynchronousTestCase):
    """Control files, then DATABYTES, then the startup file, then the command line."""

    def setUp(self):
        self.control = control_folder(folder(self), FILES)

    def settings(self, text, environment=None, start_file=None, **overrides):
        path = self.control / "mvmtr.mfl" if start_file is None else start_file
        path.write_text(text)
        sources = Sources(
            str(self.control),
            queue="discard:",
            overrides=overrides,
            start_file=None if start_file is None else str(start_file),
        )
        connection = Connection(environment=environment or {})
        return Assembly(sources, reactor).for_connection(connection).settings

    def test_each_control_of_a_control_file_is_overridden(self):
        for name, (text, value) in STARTED.items():
            settings = self.settings(f"control {name} {text};")
            self.assertEqual(getattr(settings, name), value)
            self.assertEqual(settings.origin(name), f"{self.control}/mvmtr.mfl:1")
            for other in STARTED.keys() - {name}:
                self.assertNotEqual(settings.origin(other), f"{self.control}/mvmtr.mfl:1")

    def test_databytes_of_the_environment_is_overridden_and_holds_otherwise(self):
        environment = {b"DATABYTES": b"3000"}
        self.assertEqual(self.settings("", environment).smtp_server_msgsize_max, 3000)
        settings = self.settings("control smtp_server_msgsize_max 2000;", environment)
        self.assertEqual(settings.smtp_server_msgsize_max, 2000)

    def test_the_command_line_wins(self):
        settings = self.settings("control smtp_server_timeout 200;", smtp_server_timeout="300")
        self.assertEqual(settings.smtp_server_timeout, 300)

    def test_a_file_of_another_name_is_read_in_the_place_of_that_in_the_folder(self):
        self.settings("control smtp_server_timeout 200;")
        other = self.control.parent / "other.mfl"
        self.assertEqual(self.settings("", start_file=other).smtp_server_timeout, 100)

    def test_a_file_that_was_asked_for_and_is_not_there_is_an_error(self):
        sources = Sources(str(self.control), queue="discard:", start_file="/nonexistent/x.mfl")
        error = self.assertRaises(ConfigurationError, Assembly, sources, reactor)
        self.assertIn("/nonexistent/x.mfl", str(error))

    def test_code_at_the_start_reads_the_controls_of_the_control_files(self):
        settings = self.settings('control smtp_server_greeting "at " + $control("usehostname");\n')
        self.assertEqual(settings.smtp_server_greeting, (b"at me.example",))

    def test_all_errors_are_told_at_once_with_their_places(self):
        text = 'control smtp_server_timeout "x";\ncontrol smtp_server_timout 5;\n'
        error = self.assertRaises(ConfigurationError, self.settings, text)
        self.assertEqual(len(error.problems), 2)
        first, second = error.problems
        self.assertTrue(first.startswith(f"{self.control}/mvmtr.mfl:1:"), first)
        self.assertIn("did you mean smtp_server_timeout?", second)
        self.assertIn("\n", second)

    def test_every_control_can_be_set_and_read(self):
        self.assertEqual(set(specs()), {control.name for control in Settings.controls()})
        for control in Settings.controls():
            text = 'int $hook_helo(string name) { return $reject(550, "is " + $control(name)); }'
            path = folder(self) / "mvmtr.mfl"
            path.write_text(text)
            talk = Talk(Assembly(Sources(None, queue="discard:", start_file=str(path)), reactor))
            self.assertEqual(talk.send(b"HELO " + control.name.encode()), [220, 550])


class LiveTests(SynchronousTestCase):
    """Edits act on new sessions."""

    def setUp(self):
        self.control = control_folder(folder(self), FILES)
        self.path = self.control / "mvmtr.mfl"
        self.live = LiveConfiguration(Sources(str(self.control), queue="discard:"), reactor)

    def timeout(self):
        self.live.refresh()
        return self.live.for_connection(CLIENT).settings.smtp_server_timeout

    def test_a_file_that_comes_changes_and_goes_is_followed(self):
        self.assertEqual(self.timeout(), 100)
        self.path.write_text("control smtp_server_timeout 7;")
        self.assertEqual(self.timeout(), 7)
        self.path.write_text("control smtp_server_timeout 88;")
        self.assertEqual(self.timeout(), 88)
        self.path.unlink()
        self.assertEqual(self.timeout(), 100)

    def test_a_broken_edit_keeps_the_last_good_file_and_logs_every_error(self):
        self.path.write_text("control smtp_server_timeout 7;")
        self.assertEqual(self.timeout(), 7)
        with capturedLogs() as captured:
            self.path.write_text('control smtp_server_timeout "x";\ncontrol nothing 1;\n')
            self.assertEqual(self.timeout(), 7)
            self.assertEqual(self.timeout(), 7)
        complaints = [event["complaint"] for event in captured if "complaint" in event]
        self.assertEqual(len(complaints), 2, complaints)
        self.assertIn("mvmtr.mfl:1:", complaints[0])
        self.assertIn("mvmtr.mfl:2:", complaints[1])
        self.assertIn("stays in force", complaints[1])
        self.path.write_text("control smtp_server_timeout 9;")
        self.assertEqual(self.timeout(), 9)

    def test_an_included_file_is_followed_even_when_it_came_broken(self):
        included = self.control / "more.mfl"
        included.write_text("control nothing 1;\n")
        self.path.write_text('include "more.mfl";\n')
        with capturedLogs():
            self.assertEqual(self.timeout(), 100)
        included.write_text("control smtp_server_timeout 9;\n")
        self.assertEqual(self.timeout(), 9)
        included.write_text("control smtp_server_timeout 11;\n")
        self.assertEqual(self.timeout(), 11)

    def test_a_session_keeps_the_file_that_it_began_with(self):
        self.path.write_text('int $hook_helo(string n) { return $reject(550, "old"); }')
        self.live.refresh()
        talk = Talk(self.live.assembly)
        self.path.write_text('int $hook_helo(string n) { return $reject(551, "newer"); }')
        self.live.refresh()
        self.assertEqual(talk.send(b"HELO c"), [220, 550])
        self.assertEqual(Talk(self.live.assembly).send(b"HELO c"), [220, 551])


class DisconnectTests(SynchronousTestCase):
    """The last hook of a session decides nothing."""

    def test_it_is_called_once_at_the_end(self):
        path = folder(self) / "mvmtr.mfl"
        path.write_text(
            'int $hook_disconnect() { $log("bye " + $helo()); return $reject(550, "no"); }'
        )
        talk = Talk(Assembly(Sources(None, queue="discard:", start_file=str(path)), reactor))
        with capturedLogs() as captured:
            self.assertEqual(talk.send(b"HELO c", b"QUIT"), [220, 250, 221])
            talk.receiver.connectionLost()
        texts = [e["record"]["text"] for e in captured if e.get("record", {}).get("event") == "mfl"]
        self.assertEqual(texts, [b"bye c"])

    def test_a_session_that_makes_way_for_another_client_ends_as_well(self):
        path = folder(self) / "mvmtr.mfl"
        path.write_text("int $hook_disconnect() { $log( $helo() ); return 0; }")
        trusted = {"smtp_server_xclient_networks": "203.0.113.7"}
        sources = Sources(None, queue="discard:", start_file=str(path), overrides=trusted)
        talk = Talk(Assembly(sources, reactor))
        with capturedLogs() as captured:
            codes = talk.codes + talk.send(b"EHLO c", b"XCLIENT ADDR=198.51.100.9", b"HELO d")
            talk.receiver.connectionLost()
        self.assertEqual(codes, [220, 250, 220, 250])
        texts = [e["record"]["text"] for e in captured if e.get("record", {}).get("event") == "mfl"]
        self.assertEqual(texts, [b"c", b"d"])

    def test_without_a_startup_file_nothing_of_mfl_is_asked(self):
        talk = talk_with()
        names = [check.name for check in talk.receiver.configuration.policy.checks]
        self.assertNotIn("mfl", names)
