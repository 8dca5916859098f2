"""Tests for L{mvmtr.checks.chosen}: which checks a configuration has, and what they cost."""

from __future__ import annotations

import subprocess
import sys

from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

import mvmtr.resolver
from mvmtr.checks import chosen
from mvmtr.explain import Options, as_text, explain
from mvmtr.interfaces import ICheck
from mvmtr.settings import Settings
from mvmtr.test.names_server import NamesServer, resolver_of
from mvmtr.test.stand_ins import Says
from mvmtr.test.support import assemble, environment
from mvmtr.values import SettingError

SWITCHES = {
    "smtp_server_require_helo": "on",
    "smtp_server_require_fqdn": "helo,sender,recipient",
    "smtp_server_dnsbl": "bad.example",
    "smtp_server_dnswl": "good.example",
    "smtp_server_rhsbl": "domains.example",
    "smtp_server_greet_delay": "3",
    "smtp_server_sender_domain": "on",
    "smtp_server_dns": "127.0.0.1:5353",
}
NAMES = ["require_helo", "require_fqdn", "dns_lists", "greet_delay", "sender_domain"]

NO_LISTS = ("--set=smtp_server_dnsbl=", "--set=smtp_server_rhsbl=")

SESSION = """
import sys
from mvmtr.test.stand_ins import conversation, talk_with
assert conversation(talk_with(**{overrides}))[-1] == 250
print("twisted.names" in sys.modules)
talk_with(smtp_server_sender_domain="on")
print("twisted.names" in sys.modules)
"""


class ChosenTests(SynchronousTestCase):
    """What the controls switch on."""

    def chosen(self, **controls):
        values = {name: Settings.parse(name, text) for name, text in controls.items()}
        checks = chosen(Settings().with_(values, {}), Clock())
        for check in checks:
            self.assertTrue(verifyObject(ICheck, check))
        return [check.name for check in checks]

    def test_by_default_there_is_none(self):
        self.assertEqual(self.chosen(), [])

    def test_all_of_them_in_their_order(self):
        self.assertEqual(self.chosen(**SWITCHES), NAMES)

    def test_each_alone(self):
        for control, name in {
            "smtp_server_require_helo": "require_helo",
            "smtp_server_require_fqdn": "require_fqdn",
            "smtp_server_dnsbl": "dns_lists",
            "smtp_server_rhsbl": "dns_lists",
            "smtp_server_greet_delay": "greet_delay",
            "smtp_server_sender_domain": "sender_domain",
        }.items():
            self.assertEqual(self.chosen(**{control: SWITCHES[control]}), [name])

    def test_good_lists_alone_refuse_nobody(self):
        self.assertEqual(self.chosen(smtp_server_dnswl="good.example"), [])

    def test_own_checks_stand_before_them_and_those_of_qmail_behind(self):
        checks = assemble(checks=(Says("own", mail=None),), **SWITCHES).configuration.policy.checks
        names = [check.name for check in checks]
        self.assertEqual(names, ["own", *NAMES, "rcpt_domains", "relay"])

    def test_a_dns_server_that_is_none_is_refused(self):
        for text in ("x", "192.0.2.1:0", "192.0.2.1:99999", "[192.0.2.1", "::1:53:", "a.b:53"):
            self.assertRaises(SettingError, Settings.parse, "smtp_server_dns", text)
        for text in ("", "192.0.2.1", "192.0.2.1:5353", "::1", "[::1]", "[::1]:5353"):
            self.assertEqual(Settings.parse("smtp_server_dns", text), text)

    def test_only_questions_load_the_dns(self):
        for overrides in ({}, {"smtp_server_require_helo": "on", "smtp_server_greet_delay": "3"}):
            code = SESSION.format(overrides=overrides)
            said = subprocess.check_output(
                [sys.executable, "-c", code], env=environment(), timeout=60
            )
            self.assertEqual(said.split(), [b"False", b"True"])


class ExplainTests(TestCase):
    """C{mvmtr explain} asks them, and the DNS, and does not wait for clients to speak."""

    def setUp(self):
        self.names = NamesServer(
            (
                "7.113.0.203.bad.example A 127.0.0.2",
                "7.113.0.203.bad.example TXT see https://bad.example",
                "client.test MX 10 mail.client.test",
            )
        )
        self.addCleanup(self.names.stop)
        resolver = resolver_of(self, self.names)
        self.patch(mvmtr.resolver, "resolver_for", lambda server, reactor: resolver)

    async def explain(self, *arguments):
        options = Options()
        options.parseOptions(
            [
                "--no-qmail",
                "--set=smtp_server_rcpt_domains=x.example",
                *(f"--set={name}={value}" for name, value in SWITCHES.items()),
                *arguments,
            ]
        )
        return as_text(await explain(options, reactor))

    async def test_a_listed_client(self):
        text = await self.explain(
            "--ip=203.0.113.7", "--helo=c.test", "--from=j@client.test", "--to=r@x.example"
        )
        self.assertIn("    greet_delay at connect: no opinion\n", text)
        self.assertIn("    sender_domain at mail: no opinion\n", text)
        self.assertIn(
            "    dns_lists at rcpt: reject 554 (1 of 1 points, from bad.example "
            "(+1 for 203.0.113.7): see https://bad.example)\n",
            text,
        )

    async def test_a_sender_from_nowhere(self):
        text = await self.explain(
            *NO_LISTS, "--ip=203.0.113.8", "--from=j@nowhere.test", "--to=r@x.example"
        )
        self.assertIn("    sender_domain at mail: reject 553 (the DNS has no nowhere.test)\n", text)

    async def test_a_short_name(self):
        text = await self.explain(*NO_LISTS, "--ip=203.0.113.8", "--helo=pc", "--to=r@x.example")
        self.assertIn("    require_fqdn at mail: reject 550\n", text)
