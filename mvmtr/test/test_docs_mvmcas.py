"""What the pages about mvmcas say is what the code does."""

from __future__ import annotations

import configparser

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assess import ctl, hint, server, tap
from mvmtr.assess.activity import ORDERS
from mvmtr.assess.admin import Admin
from mvmtr.assess.engine import Engine
from mvmtr.assess.hint import BadAction, hint_of
from mvmtr.assess.question import Event, Question, State, feedback_of, question_of
from mvmtr.assess.rulefiles import FILES
from mvmtr.assess.rules import NETWORK_LENGTHS, Rules
from mvmtr.assess.server import PolicyFactory
from mvmtr.assess.service import Assessment
from mvmtr.assess.settings import AssessSettings
from mvmtr.assess.stores import StoreError, store_from_string
from mvmtr.assess.stores.memory import MemoryStore
from mvmtr.assess.wire import REQUEST_MAX
from mvmtr.test.documentation import watch
from mvmtr.test.pages import read_pages, table
from mvmtr.test.support import ROOT

# Installed alone, the package has no documentation to test.
skip = None if (ROOT / "docs").is_dir() else "there is no documentation here"

SETTINGS = AssessSettings(greylist=True, reputation=True)


def text_of(page):
    """All words of a page."""
    return " ".join(read_pages()[0][page].astext().split())


class AdminPageTests(SynchronousTestCase):
    """The page for the postmaster."""

    def test_the_controls_are_those_of_the_code(self):
        rows = []
        for control in AssessSettings.controls():
            default = control.default
            if isinstance(default, bool):
                default = "on" if default else "off"
            elif isinstance(default, tuple):
                default = " ".join(map(bytes.decode, default))
            rows.append([control.name, str(default), control.unit, control.meaning])
        self.assertEqual(table("mvmcas", ""), rows)

    def test_the_defaults_of_the_table_are_values_of_the_controls(self):
        for name, default, _unit, _meaning in table("mvmcas", ""):
            value = AssessSettings.parse(name, default)
            self.assertEqual(value, getattr(AssessSettings(), name))

    def test_the_commands_are_those_of_the_program(self):
        parser = ctl._parser()
        (commands,) = [action.choices for action in parser._actions if action.dest == "command"]
        rows = table("mvmcas", "Commands of mvmcas-ctl")
        self.assertEqual({row[0].split()[0] for row in rows}, set(commands))
        for name, meaning in rows:
            options = {word.strip(";,") for word in meaning.split() if word.startswith("--")}
            known = commands[name.split()[0]]._option_string_actions
            self.assertEqual(options - set(known), set())

    def test_the_program_is_installed(self):
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg")
        scripts = setup["options.entry_points"]["console_scripts"].split("\n")
        (place,) = [line.partition("= ")[2] for line in scripts if line.startswith("mvmcas-ctl ")]
        self.assertIs(namedAny(place.replace(":", ".")), ctl.main)

    def test_the_orders_of_the_table_of_clients_are_told(self):
        for order in set(ORDERS) - {"rate"}:
            self.assertIn(order, text_of("mvmcas").partition("--sort has other orders")[2][:80])

    def test_the_files_are_those_that_are_read(self):
        names = [row[0] for row in table("mvmcas", "Files of rules")]
        self.assertEqual(names, list(FILES.values()))

    def test_the_options_are_those_of_the_code(self):
        options = tap.Options()
        own = {name for name in options.longOpt if name not in ("version", "help")}
        listed = {row[0].lstrip("-") for row in table("mvmcas", "Options of mvmcas")}
        self.assertEqual(
            {name.partition("=")[0].partition(" ")[0] for name in listed},
            {name.rstrip("=") for name in own},
        )
        self.assertIn(tap.LISTEN, text_of("mvmcas"))

    def test_the_stores_are_stores(self):
        for place, _meaning in table("mvmcas", "Stores"):
            try:
                store_from_string(place, reactor)
            except StoreError as error:
                self.fail(str(error))

    def test_each_event_gives_the_points_of_the_table(self):
        rows = table("mvmcas", "Points")
        self.assertEqual({row[0] for row in rows}, set(Event))
        for event, control, points in rows:
            self.assertEqual(control, f"points_{event}")
            self.assertEqual(int(points.partition(",")[0]), getattr(AssessSettings(), control))

    def test_neighbours_alone_refuse_nobody(self):
        self.assertLess(SETTINGS.reputation_shared_max, SETTINGS.reputation_defer)

    def test_rules_hold_in_the_order_of_the_page(self):
        question = Question(
            State.MAIL, b"192.0.2.7", b"mail.example.net", sender=b"joe@client.example"
        )
        keys = [key.removeprefix("rule ") for key in Rules().keys(question)]
        self.assertEqual(
            [key for key in keys if not key.startswith("network") or key.endswith((".7", "/24"))],
            [
                "sender joe@client.example", "network 192.0.2.7", "network 192.0.2.0/24",
                "domain mail.example.net", "domain example.net", "domain net",
                "domain client.example", "domain example",
            ],
        )  # fmt: skip

    def test_the_lengths_of_networks_are_those_of_the_code(self):
        lengths = ", ".join(map(str, sorted(NETWORK_LENGTHS[6])[:-1]))
        self.assertIn(f"those of IPv6 {lengths} or 128.", text_of("mvmcas"))
        self.assertEqual((min(NETWORK_LENGTHS[4]), max(NETWORK_LENGTHS[4])), (8, 32))
        self.assertIn("any length from 8 to 32", text_of("mvmcas"))


class LogTests(SynchronousTestCase):
    """The lines of the log."""

    def test_the_lines_have_the_fields_of_the_table(self):
        records = watch(self)
        assessment = Assessment(Engine(SETTINGS), MemoryStore(reactor), reactor)
        factory = PolicyFactory(assessment, Clock(), Admin(assessment))

        def ask(**attributes):
            request = {name.encode(): value.encode() for name, value in attributes.items()}
            return self.successResultOf(Deferred.fromCoroutine(factory.answer(request)))

        who = {"client_address": "192.0.2.7", "sender": "s@x.example", "recipient": "r@y.example"}
        ask(request="smtpd_access_policy", protocol_state="RCPT", **who)
        rule = '{"rule":"block","subject":"x.example"}'
        ask(request="mvmcas_admin", mvmcas_command="put", mvmcas_entry_1=rule)
        ask(request="nonsense")
        logged = [(record["event"], ", ".join(list(record)[1:])) for record in records]
        rows = table("mvmcas", "Lines of the log")
        self.assertEqual(logged, [(row[0], row[1]) for row in rows])


class ProtocolPageTests(SynchronousTestCase):
    """The page about the protocol."""

    def test_every_attribute_of_a_question_makes_a_difference(self):
        without = {b"client_address": b"203.0.113.1"}
        for name, example, _meaning in table("mvmcas-protocol", "Attributes of a question"):
            found = question_of({**without, name.encode(): example.encode()})
            self.assertNotEqual(found, question_of(without), name)

    def test_no_attribute_of_a_question_is_left_out(self):
        class Seen(dict):
            def get(self, name, default=None):
                seen.add(name.decode())
                return default

            def __contains__(self, name):
                seen.add(name.decode())
                return False

        seen = set()
        question_of(Seen())
        rows = table("mvmcas-protocol", "Attributes of a question")
        self.assertEqual(seen, {row[0] for row in rows})
        seen.clear()
        self.assertRaises(ValueError, feedback_of, Seen())
        self.assertIn("mvmcas_event", seen)

    def test_every_action_is_understood(self):
        names = set()
        for action, _done, _said in table("mvmcas-protocol", "Actions"):
            found = hint_of({b"action": action.encode()})
            names.add(found.action)
            if action[0].isdigit():
                self.assertEqual(found.code, int(action[:3]))
        self.assertEqual(names, {*hint._PLAIN.values(), *hint._CODES})
        self.assertRaises(BadAction, hint_of, {b"action": b"nonsense"})

    def test_the_codes_of_the_actions_are_those_of_the_table(self):
        for action, done, _said in table("mvmcas-protocol", "Actions"):
            if done[:3].isdigit():
                self.assertEqual(hint_of({b"action": action.encode()}).code, int(done[:3]))

    def test_every_attribute_of_an_answer_is_understood(self):
        rows = table("mvmcas-protocol", "Further attributes of answers")
        found = {b"action": b"DUNNO"}
        for name, example, _meaning in rows:
            if name == "mvmcas_error":
                answer = {**found, name.encode(): example.encode()}
                error = self.assertRaises(hint.NoHint, hint_of, answer)
                self.assertIn(example, str(error))
                continue
            found[name.encode()] = example.encode()
        told = hint_of(found)
        self.assertEqual(set(told.parameters), {"relay", *hint._NUMBERS})
        self.assertTrue(told.reason)
        named = {row[0].removeprefix("mvmcas_") for row in rows}
        self.assertEqual(named, {*told.parameters, "version", "reason", "error"})

    def test_the_events_are_those_of_the_code(self):
        self.assertEqual({row[0] for row in table("mvmcas-protocol", "Events")}, set(Event))

    def test_the_commands_are_those_of_the_code(self):
        assessment = Assessment(Engine(SETTINGS), MemoryStore(reactor), reactor)
        commands = {name.decode() for name in Admin(assessment)._commands}
        rows = table("mvmcas-protocol", "Commands of the protocol")
        self.assertEqual({row[0] for row in rows}, commands)

    def test_the_limits_are_those_of_the_code(self):
        text = text_of("mvmcas-protocol")
        for wanted in (
            f"has up to {REQUEST_MAX:,} bytes",
            f"silent for {server.IDLE_TIMEOUT:,} seconds",
            f"after {server.ANSWER_TIMEOUT} seconds",
            f"up to {server.CONNECTIONS_MAX} connections",
        ):
            self.assertIn(wanted, text)
