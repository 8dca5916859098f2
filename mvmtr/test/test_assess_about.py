"""Tests of what records are about something."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assess.about import about
from mvmtr.assess.engine import Engine
from mvmtr.assess.question import Question, State
from mvmtr.assess.rules import BadSubject
from mvmtr.assess.settings import AssessSettings
from mvmtr.test.test_assess_entries import EVERYTHING

SETTINGS = AssessSettings()


class AboutTests(SynchronousTestCase):
    """Keys by subject."""

    def test_an_address(self):
        found = about("192.0.2.7", SETTINGS)
        self.assertEqual(found.rules, ("rule network 192.0.2.7",))
        self.assertIn("client 192.0.2.7", found.keys)
        self.assertIn("connections 192.0.2.7", found.keys)
        self.assertIn("network 192.0.2.0/24", found.others)
        self.assertIn("rule network 192.0.2.0/24", found.others)
        self.assertIn("known 192.0.2.0/24", found.others)
        self.assertEqual(found.prefixes, ("grey 192.0.2.7 ",))
        self.assertEqual(found.other_prefixes, ("grey 192.0.2.0/24 ",))

    def test_an_address_of_ipv6_is_a_network_of_one_client(self):
        found = about("2001:DB8::7", SETTINGS)
        self.assertEqual(found.rules, ("rule network 2001:db8::7",))
        self.assertIn("client 2001:db8::/64", found.keys)
        self.assertIn("messages 2001:db8::/64", found.keys)
        self.assertIn("network 2001:db8::/48", found.others)
        self.assertNotIn("known 2001:db8::/64", found.keys)

    def test_a_network(self):
        found = about("192.0.2.9/24", SETTINGS)
        self.assertEqual(found.rules, ("rule network 192.0.2.0/24",))
        self.assertIn("network 192.0.2.0/24", found.keys)
        self.assertIn("known 192.0.2.0/24", found.keys)
        self.assertEqual(found.prefixes, ("grey 192.0.2.0/24 ",))

    def test_a_domain(self):
        found = about("Mail.Example.org.", SETTINGS)
        self.assertEqual(found.rules, ("rule domain mail.example.org",))
        for kind in ("helo", "domain", "known"):
            self.assertIn(f"{kind} mail.example.org", found.keys)
        self.assertEqual(found.others, ("rule domain example.org", "rule domain org"))
        self.assertEqual(found.prefixes, ("grey mail.example.org ",))

    def test_a_sender_or_recipient(self):
        found = about("Joe@mail.example.org", SETTINGS)
        self.assertEqual(
            found.rules, ("rule sender joe@mail.example.org", "rule recipient joe@mail.example.org")
        )
        self.assertEqual((found.keys, found.prefixes), ((), ()))
        self.assertIn("rule domain example.org", found.others)
        self.assertIn("domain mail.example.org", found.others)

    def test_nothing_else(self):
        for text in ("", "a b", "192.0.2.0/99", "x/y", "@"):
            self.assertRaises(BadSubject, about, text, SETTINGS)

    def test_the_networks_of_greylisting_are_those_of_the_settings(self):
        found = about("192.0.2.7", replace(SETTINGS, greylist_network4=16))
        self.assertIn("known 192.0.0.0/16", found.others)
        found = about("192.0.2.7", replace(SETTINGS, greylist_network4=32))
        self.assertEqual(found.other_prefixes, ())

    def test_nothing_is_told_twice(self):
        for text in ("192.0.2.7", "192.0.2.0/24", "2001:db8::", "2001:db8::/64", "x.example"):
            found = about(text, replace(SETTINGS, greylist_network4=32, greylist_network6=128))
            every = [*found.rules, *found.keys, *found.others]
            self.assertEqual(len(every), len(set(every)))

    def test_all_that_the_engine_looks_at_for_a_client_is_about_it(self):
        for address in ("192.0.2.7", "2001:db8:1:2::7"):
            found = about(address, SETTINGS)
            keys = {*found.rules, *found.keys, *found.others}
            prefixes = (*found.prefixes, *found.other_prefixes)
            for state in State:
                question = Question(state, address.encode(), sender=b"", recipient=b"r@x.example")
                for key in Engine(EVERYTHING).keys(question):
                    if not key.startswith("rule recipient "):
                        self.assertTrue(key in keys or key.startswith(prefixes), key)
