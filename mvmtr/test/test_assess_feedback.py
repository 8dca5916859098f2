"""What is told of clients, and that no session waits for that."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from mvmtr.assess import feedback
from mvmtr.assess.feedback import event_of, event_of_message
from mvmtr.assess.question import Event
from mvmtr.interfaces import ICheck
from mvmtr.session import Accept, Defer, Discard, Reject, Stage
from mvmtr.test.assess_link import AWAY, SaidLink, talk_with

HELLO = (b"EHLO c.example", b"MAIL FROM:<s@c.example>")
OURS = b"RCPT TO:<r@ours.example>"
OTHER = b"RCPT TO:<r@other.example>"


class Lines(list):
    """The lines that are logged meanwhile."""

    def __enter__(self):
        globalLogPublisher.addObserver(self.note)
        return self

    def note(self, event):
        self.append(formatEvent(event))

    def __exit__(self, *_error):
        globalLogPublisher.removeObserver(self.note)


class EventTests(SynchronousTestCase):
    """Which refusal means what."""

    def test_refused_commands(self):
        for command, verdict, expected in (
            ("rcpt", Reject(550, "no", check="validrcptto"), Event.UNKNOWN_RECIPIENT),
            ("rcpt", Reject(550, "no", check="users"), Event.UNKNOWN_RECIPIENT),
            ("rcpt", Reject(550, "no", check="rcptcheck"), Event.UNKNOWN_RECIPIENT),
            ("rcpt", Reject(553, "no", check="default"), Event.RELAY_DENIED),
            ("rcpt", Reject(553, "no", check="rcpthosts"), Event.RELAY_DENIED),
            ("rcpt", Reject(553, "no", check="badmailfrom"), None),
            ("rcpt", Reject(554, "no", check="dns_lists"), None),
            ("rcpt", Reject(550, "no", check="mvmcas"), None),
            ("rcpt", Defer(450, "no", check="users"), None),
            ("connect", Reject(554, "no", check="greet_delay"), Event.EARLY_TALKER),
            ("connect", Reject(554, "no", check="other"), None),
            ("auth", Reject(535, "no"), Event.AUTH_FAILED),
            ("auth", Reject(538, "no"), None),
            ("command", Reject(502, "no"), Event.PROTOCOL_ERROR),
            ("mail", Reject(555, "no"), Event.PROTOCOL_ERROR),
            ("data", Reject(503, "no"), None),
            ("timeout", Defer(451, "no"), None),
        ):
            self.assertEqual(event_of(command, verdict), expected, (command, verdict))

    def test_messages(self):
        for verdict, expected in (
            (Accept(), Event.GOOD_MAIL),
            (Reject(554, "spam", check="filter"), Event.REJECTED_CONTENT),
            (Reject(554, "no", check="qmail"), Event.REJECTED_CONTENT),
            (Reject(552, "no", check="size"), None),
            (Reject(554, "no", check="mvmcas"), None),
            (Defer(451, "no", check="filter"), None),
            (Discard(), None),
        ):
            self.assertEqual(event_of_message(verdict, "mvmcas"), expected, verdict)


@implementer(ICheck)
class NoSpam:
    name = "filter"
    stages = frozenset({Stage.MESSAGE})

    def check(self, session, stage, argument):
        if b"spam" in session.transaction.body.read():
            return Reject(554, "5.7.1 spam")
        return None


class FeedbackTests(SynchronousTestCase):
    """Sessions, and what is told of them."""

    def begin(self, *lines, link=None, **options):
        self.link = link or SaidLink()
        self.talk = talk_with(self.link, **options)
        self.assertEqual(self.talk.codes, [220])
        return self.talk.send(*lines)

    def test_good_mail(self):
        self.begin(*HELLO, OURS, b"DATA")
        self.assertEqual(self.link.told, [])
        self.assertEqual(self.talk.feed(b"hello\r\n.\r\n"), [250])
        (told,) = self.link.told
        expected = {
            b"request": b"mvmcas_feedback",
            b"mvmcas_event": b"good_mail",
            b"mvmcas_count": b"1",
            b"client_address": b"203.0.113.7",
            b"helo_name": b"c.example",
            b"sender": b"s@c.example",
            b"mvmcas_relay": b"no",
        }
        self.assertEqual({name: told[name] for name in expected}, expected)

    def test_content_that_was_refused(self):
        self.begin(*HELLO, OURS, b"DATA", checks=(NoSpam(),))
        self.assertEqual(self.talk.feed(b"spam\r\n.\r\n"), [554])
        self.assertEqual(self.link.events, [("rejected_content", 1)])

    def test_attempts_to_relay_and_errors(self):
        self.begin(*HELLO, OTHER, b"NONSENSE")
        self.assertEqual(self.link.events, [("relay_denied", 1), ("protocol_error", 1)])
        self.assertEqual(self.link.told[0][b"recipient"], b"r@other.example")

    def test_who_pipelines_data_is_not_told_of_for_that(self):
        self.begin(*HELLO, OTHER, b"DATA")
        self.assertEqual(self.link.events, [("relay_denied", 1)])

    def test_its_own_refusals_are_no_news(self):
        self.begin(*HELLO, OURS, link=SaidLink({"RCPT": "REJECT"}))
        self.assertEqual(self.link.told, [])

    def test_other_servers_are_told_nothing(self):
        self.begin(*HELLO, OTHER, link=SaidLink(is_mvmcas=False))
        self.assertEqual(self.link.told, [])

    def test_what_is_under_way_holds_nobody_up_and_the_rest_is_added_up(self):
        link = SaidLink()
        link.holding = Deferred()
        codes = self.begin(*HELLO, *[OTHER] * 50, OURS, link=link)
        self.assertEqual(codes, [250, 250, *[553] * 50, 250])
        self.assertEqual(link.events, [("relay_denied", 1)])
        link.holding.callback(None)
        self.assertEqual(link.events, [("relay_denied", 1), ("relay_denied", 49)])

    def test_different_things_are_told_apart_but_not_without_end(self):
        self.patch(feedback, "PENDING_MAX", 3)
        link = SaidLink()
        link.holding = Deferred()
        self.begin(HELLO[0], link=link)
        for number in range(9):
            self.talk.send(b"MAIL FROM:<s%d@c.example>" % number, OTHER)
        link.holding.callback(None)
        senders = [told[b"sender"] for told in link.told]
        self.assertEqual(senders, [b"s%d@c.example" % number for number in range(4)])

    def test_when_nobody_listens_the_session_goes_on_and_later_things_are_told(self):
        link = SaidLink()
        link.holding = Deferred()
        self.begin(*HELLO, OTHER, b"NONSENSE", link=link)
        link.holding.errback(AWAY)
        link.holding = None
        self.assertEqual(self.talk.send(OTHER), [553])
        self.assertEqual(link.events, [("relay_denied", 1), ("relay_denied", 1)])

    def test_the_end_waits_for_what_is_under_way_but_not_for_ever(self):
        link = SaidLink()
        link.holding = Deferred()
        link.connect(self.begin(*HELLO, OTHER, link=link) and self.talk.checks_clock, 1)
        closing = Deferred.fromCoroutine(link.close())
        self.assertNoResult(closing)
        link.holding.callback(None)
        self.successResultOf(closing)
        link.holding = Deferred()
        self.talk.send(OTHER)
        closing = Deferred.fromCoroutine(link.close())
        self.assertNoResult(closing)
        self.talk.checks_clock.advance(5)
        self.successResultOf(closing)
