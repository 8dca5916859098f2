"""Tests for L{mvmtr.checks.dns_lists}, with a real DNS server on loopback."""

from __future__ import annotations

import gc
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from mvmtr import resolver
from mvmtr.checks.dns_lists import DnsLists
from mvmtr.interfaces import ICheck
from mvmtr.policy import Policy
from mvmtr.session import Connection, Session, Stage, Transaction
from mvmtr.settings import Settings
from mvmtr.test.names_server import NamesServer, resolver_of
from mvmtr.values import SettingError
from mvmtr.values import dns_lists as lists_of

RANGES = st.tuples(st.integers(0, 255), st.integers(0, 255)).map(sorted)

LISTED = "7.113.0.203"
SIX = "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"

ZONE = (
    f"{LISTED}.bad.example A 127.0.0.2",
    f"{LISTED}.bad.example TXT Listed, see https://bad.example/why",
    f"{LISTED}.worse.example A 127.0.0.3",
    f"{LISTED}.worse.example A 127.0.0.10",
    f"{LISTED}.worse.example TXT It |is bad",
    f"{LISTED}.good.example A 127.0.5.2",
    f"{LISTED}.refuses.example A 127.255.255.254",
    f"{LISTED}.parked.example A 198.51.100.1",
    f"{LISTED}.blocked.example A 127.0.0.1",
    f"{LISTED}.broken.example SERVFAIL",
    f"{LISTED}.silent.example SILENCE",
    f"{LISTED}.both.example TXT text only",
    f"{SIX}.bad.example A 127.0.0.2",
    "spam.test.domains.example A 127.0.1.2",
    "spam.test.domains.example TXT spam.test sends junk",
    "xn--bcher-kva.test.domains.example A 127.0.1.2",
)


class DnsListsTests(TestCase):
    """Who is refused, and who is not."""

    def setUp(self):
        self.names = NamesServer(ZONE)
        self.addCleanup(self.names.stop)

    def check(self, **controls):
        controls = {
            f"smtp_server_{name}": Settings.parse(f"smtp_server_{name}", value)
            for name, value in controls.items()
        }
        settings = Settings().with_(controls, {})
        return DnsLists(settings, resolver_of(self, self.names), reactor)

    def connect(self, check, ip=b"203.0.113.7", **attributes):
        session = Session(Connection(remote_ip=ip), Settings())
        for name, value in attributes.items():
            setattr(session, name, value)
        self.assertIsNone(check.check(session, Stage.CONNECT, b""))
        return session

    async def rcpt(self, check, session, sender=b"joe@client.test"):
        session.transaction = Transaction(sender)
        verdict = Policy([check], reactor).decide(session, Stage.RCPT, b"r@x.example")
        return await verdict if isinstance(verdict, Deferred) else verdict

    async def ask(self, ip=b"203.0.113.7", sender=b"joe@client.test", helo=None, **controls):
        check = self.check(**controls)
        session = self.connect(check, ip)
        session.helo = helo
        return await self.rcpt(check, session, sender)

    async def test_it_is_a_check(self):
        self.assertTrue(verifyObject(ICheck, self.check(dnsbl="bad.example")))

    async def test_a_client_on_a_list_is_refused_with_list_and_text(self):
        verdict = await self.ask(dnsbl="bad.example")
        self.assertEqual(verdict.code, 554)
        self.assertEqual(
            verdict.text,
            "5.7.1 203.0.113.7 is on the list bad.example: Listed, see https://bad.example/why",
        )
        self.assertEqual(verdict.check, "dns_lists")
        self.assertEqual(
            verdict.reason,
            "1 of 1 points, from bad.example (+1 for 203.0.113.7): "
            "Listed, see https://bad.example/why",
        )

    async def test_a_client_on_no_list_is_not_refused(self):
        self.assertIsNone(await self.ask(b"203.0.113.8", dnsbl="bad.example worse.example"))

    async def test_an_ipv6_client_is_looked_for(self):
        verdict = await self.ask(b"2001:db8::7", dnsbl="bad.example")
        self.assertEqual(verdict.text, "5.7.1 2001:db8::7 is on the list bad.example")

    async def test_an_ipv4_client_in_ipv6_form_is_looked_for_as_such(self):
        self.assertIsNotNone(await self.ask(b"::ffff:203.0.113.7", dnsbl="bad.example"))

    async def test_a_client_without_an_address_is_on_no_list(self):
        self.assertIsNone(await self.ask(None, dnsbl="bad.example"))
        self.assertIsNone(await self.ask(b"unknown", dnsbl="bad.example"))
        self.assertEqual(self.names.asked, {})

    async def test_scores_add_up_to_the_limit(self):
        lists = "bad.example*2 worse.example*3"
        self.assertIsNone(await self.ask(dnsbl=lists, dns_score="6"))
        verdict = await self.ask(dnsbl=lists, dns_score="5")
        self.assertIn("is on the list worse.example: It is bad", verdict.text)
        self.assertTrue(
            verdict.reason.startswith(
                "5 of 5 points, from bad.example (+2 for 203.0.113.7), "
                "worse.example (+3 for 203.0.113.7)"
            )
        )

    async def test_good_lists_take_points_off_whatever_their_sign(self):
        for good in ("good.example*2", "good.example*-2"):
            self.assertIsNone(await self.ask(dnsbl="bad.example*2", dnswl=good))
        verdict = await self.ask(dnsbl="bad.example*3", dnswl="good.example*2")
        self.assertIn("good.example (-2 for 203.0.113.7)", verdict.reason)

    async def test_a_negative_score_among_the_bad_lists_is_taken_off(self):
        self.assertIsNone(await self.ask(dnsbl="bad.example*2 good.example*-2"))

    async def test_only_answers_that_are_named_count(self):
        self.assertIsNone(await self.ask(dnsbl="bad.example=127.0.0.[3..9]"))
        self.assertIsNotNone(await self.ask(dnsbl="bad.example=127.0.0.[1..9]"))
        self.assertIsNotNone(await self.ask(dnsbl="worse.example=127.0.0.10"))

    async def test_a_zone_is_asked_once_for_all_its_answers(self):
        verdict = await self.ask(
            dnsbl="worse.example=127.0.0.3*2 worse.example=127.0.0.10*3 worse.example=127.0.0.4*9",
            dns_score="5",
        )
        self.assertTrue(verdict.reason.startswith("5 of 5 points"))
        self.assertEqual(self.names.asked[f"{LISTED}.worse.example A"], 1)

    async def test_a_list_that_refuses_to_talk_has_no_say(self):
        for zone in ("refuses", "parked", "blocked"):
            self.assertIsNone(await self.ask(dnsbl=f"{zone}.example"), zone)

    async def test_such_an_answer_counts_where_it_is_named(self):
        self.assertIsNotNone(await self.ask(dnsbl="blocked.example=127.0.0.1"))

    async def test_an_entry_with_nothing_but_a_text_does_not_count(self):
        self.assertIsNone(await self.ask(dnsbl="both.example"))

    async def test_trouble_with_one_list_leaves_the_others_their_say(self):
        self.patch(resolver, "TIMEOUTS", (0.2,))
        verdict = await self.ask(dnsbl="broken.example silent.example bad.example")
        self.assertEqual(verdict.code, 554)

    async def test_trouble_counts_nothing_and_is_logged_in_one_line(self):
        self.patch(resolver, "TIMEOUTS", (0.2,))
        from twisted.logger import globalLogPublisher

        logged = []
        globalLogPublisher.addObserver(logged.append)
        self.addCleanup(globalLogPublisher.removeObserver, logged.append)
        self.assertIsNone(await self.ask(dnsbl="broken.example silent.example refuses.example"))
        (event,) = [event for event in logged if "troubles" in event]
        self.assertEqual(
            sorted(event["troubles"].split(", ")),
            [
                "broken.example (SERVFAIL)",
                "refuses.example (it answers 127.255.255.254)",
                "silent.example (no answer)",
            ],
        )

    async def test_a_list_with_a_broken_text_refuses_without_it(self):
        self.names.add(f"{LISTED}.plain.example A 127.0.0.2")
        verdict = await self.ask(dnsbl="plain.example")
        self.assertEqual(verdict.text, "5.7.1 203.0.113.7 is on the list plain.example")

    async def test_the_key_in_a_zone_is_told_to_nobody(self):
        key = "abcdefghijklmnopqrstuvwxyz"
        self.names.add(f"{LISTED}.{key}.paid.example A 127.0.0.2")
        verdict = await self.ask(dnsbl=f"{key}.paid.example")
        self.assertIn("paid.example", verdict.text)
        self.assertNotIn(key, verdict.text + verdict.reason)

    async def test_a_text_of_any_bytes_makes_one_line_of_reply(self):
        self.names.add(f"{LISTED}.evil.example A 127.0.0.2")
        self.names.add(f"{LISTED}.evil.example TXT a\0b\x1b[31m{'x' * 190}")
        verdict = await self.ask(dnsbl="evil.example")
        self.assertTrue(verdict.text.isprintable())
        self.assertLess(len(verdict.text), 300)

    # Domains

    async def test_the_domain_of_the_sender_is_looked_for(self):
        verdict = await self.ask(rhsbl="domains.example", sender=b"x@Spam.TEST")
        self.assertEqual(
            verdict.text, "5.7.1 spam.test is on the list domains.example: spam.test sends junk"
        )

    async def test_the_name_given_with_helo_is_looked_for(self):
        verdict = await self.ask(rhsbl="domains.example", helo=b"spam.test.", sender=b"")
        self.assertIn("(+1 for spam.test)", verdict.reason)

    async def test_a_list_counts_once_when_both_names_are_on_it(self):
        verdict = await self.ask(
            rhsbl="domains.example", dns_score="2", helo=b"spam.test", sender=b"x@spam.test"
        )
        self.assertIsNone(verdict)
        self.names.add("two.test.domains.example A 127.0.0.2")
        verdict = await self.ask(
            rhsbl="domains.example", dns_score="2", helo=b"spam.test", sender=b"x@two.test"
        )
        self.assertIsNone(verdict)

    async def test_a_domain_that_is_not_ascii_is_looked_for_by_its_a_labels(self):
        sender = "x@b\xfccher.test".encode()
        self.assertIsNotNone(await self.ask(rhsbl="domains.example", sender=sender))

    async def test_what_is_no_full_domain_is_not_looked_for(self):
        for name in (b"", b"spam", b"[203.0.113.7]", b"a b.test", b"192.0.2.1", b"x" * 250 + b".c"):
            await self.ask(rhsbl="domains.example", helo=name, sender=b"x@" + name)
        self.assertEqual(self.names.asked, {})

    async def test_each_transaction_has_its_own_domain(self):
        check = self.check(rhsbl="domains.example")
        session = self.connect(check)
        self.assertIsNotNone(await self.rcpt(check, session, b"x@spam.test"))
        self.assertIsNone(await self.rcpt(check, session, b"x@ham.test"))

    # Who is asked about, and how often

    async def test_relay_clients_and_users_are_left_alone(self):
        check = self.check(dnsbl="bad.example", rhsbl="domains.example")
        for attributes in ({"relay": "RELAYCLIENT is set"}, {"user": b"joe"}):
            session = self.connect(check, **attributes)
            self.assertIsNone(await self.rcpt(check, session, b"x@spam.test"))
        self.assertEqual(self.names.asked, {})

    async def test_one_that_logs_in_later_is_not_refused(self):
        check = self.check(dnsbl="bad.example")
        session = self.connect(check)
        self.assertIsNotNone(await self.rcpt(check, session))
        session.user = b"joe"
        self.assertIsNone(await self.rcpt(check, session))

    async def test_address_lists_are_asked_once_a_session(self):
        check = self.check(dnsbl="bad.example", rhsbl="domains.example")
        session = self.connect(check)
        for _ in range(3):
            self.assertIsNotNone(await self.rcpt(check, session))
        self.assertEqual(self.names.asked[f"{LISTED}.bad.example A"], 1)

    async def test_further_recipients_get_the_same_answer_at_once(self):
        check = self.check(dnsbl="bad.example")
        session = self.connect(check)
        first = await self.rcpt(check, session)
        again = check.check(session, Stage.RCPT, b"other@x.example")
        self.assertEqual(again.by("dns_lists"), first)

    async def test_whom_a_check_before_it_accepts_at_connect_is_not_looked_for(self):
        check = self.check(dnsbl="bad.example")
        session = Session(Connection(remote_ip=b"203.0.113.7"), Settings())
        self.assertIsNone(await self.rcpt(check, session))

    async def test_a_session_that_is_over_leaves_nothing(self):
        check = self.check(dnsbl="bad.example")
        session = self.connect(check)
        self.assertIsNotNone(await self.rcpt(check, session))
        del session
        gc.collect()
        self.assertEqual((len(check._of_address), len(check._verdicts)), (0, 0))


class ControlTests(SynchronousTestCase):
    """How lists are written down."""

    def test_zones_with_answers_and_scores(self):
        one, two, three = lists_of("A.example., b.example=127.0.0.2;127.0.0.4*-3 c.example*2")
        self.assertEqual((one.zone, one.answers, one.score), ("a.example", (), 1))
        self.assertEqual(two.answers, ("127.0.0.2", "127.0.0.4"))
        self.assertEqual((two.score, three.score), (-3, 2))

    def test_lists_as_postscreen_has_them(self):
        text = "zen.example=127.0.0.[10;11]*8 wl.example=127.0.[0..255].[1..3]*-2"
        zen, white = lists_of(text)
        self.assertEqual((len(zen.answers), zen.score, white.score), (1, 8, -2))
        self.assertEqual(" ".join(map(str, (zen, white))), text)

    @examples(deadline=None, max_examples=200)
    @given(st.lists(RANGES, min_size=4, max_size=4), st.integers(0, 2**32 - 1))
    def test_an_answer_counts_if_each_of_its_numbers_is_in_range(self, ranges, answer):
        pattern = ".".join(f"[{first}..{last}]" for first, last in ranges)
        (entry,) = lists_of(f"a.example={pattern}*5")
        self.assertEqual(lists_of(str(entry)), (entry,))
        numbers = IPv4Address(answer).packed
        wanted = all(
            first <= number <= last
            for number, (first, last) in zip(numbers, ranges, strict=True)
        )  # fmt: skip
        self.assertEqual(entry.counts(IPv4Address(answer)), wanted)
        self.assertTrue(entry.counts(IPv4Address(bytes(first for first, _last in ranges))))

    def test_what_is_no_list(self):
        for text in (
            "a b=", "=127.0.0.2", "a=127.0.0", "a=127.0.0.2.3", "a=127.0.0.256", "a*x", "a*1.5",
            "a=127.0.0.[2..1]", "a=127.0.0.[2", "a=127.0.0.2]", "a=[]", "a..b", "a/b", "a=x",
            "a=127.0.0.[2;;3]", "a=;127.0.0.2", "a" * 64, "a.b." * 60,
        ):  # fmt: skip
            self.assertRaises(SettingError, Settings.parse, "smtp_server_dnsbl", text)

    def test_labels_of_many_characters_are_keys(self):
        names = {
            "key0123456789abcdef.zen.dq.example.net": "zen.dq.example.net",
            "zen.example.org": "zen.example.org",
            "a-long-name-of-a-list.example": "a-long-name-of-a-list.example",
            "example": "example",
        }
        for zone, label in names.items():
            self.assertEqual(lists_of(zone)[0].label, label)
