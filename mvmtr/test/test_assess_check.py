"""The check that asks for hints: what it asks, and how it follows the answers."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mvmtr.assess.hint import DUNNO, Hint
from mvmtr.interfaces import ICheck, IQueue
from mvmtr.session import Accept, Reject, Session, Stage, Transaction
from mvmtr.settings import Settings
from mvmtr.test.assess_link import AWAY, SaidLink, assembly_with, talk_with
from mvmtr.test.support import CLIENT, Talk, control_folder, folder
from mvmtr.test.test_assess_feedback import Lines

ENVELOPE = (b"EHLO c.example", b"MAIL FROM:<s@c.example>", b"RCPT TO:<r@ours.example>")
MESSAGE = (*ENVELOPE, b"DATA")
ALL = ["CONNECT", "HELO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE"]


@implementer(IQueue)
class Keeping:
    """Keeps the header and body of the last message."""

    name = "keeping"

    async def put(self, session):
        self.text = session.transaction.header + session.transaction.body.read()
        return Accept()


class CheckTests(SynchronousTestCase):
    def said(self, replies=None, *lines, is_mvmcas=True, **options):
        """The codes of the replies to some lines, the greeting included."""
        self.link = SaidLink(replies, is_mvmcas)
        self.talk = talk_with(self.link, **options)
        greeting = self.talk.codes
        return greeting + self.talk.send(*lines)

    def test_it_is_a_check_and_stands_before_mvmtrs_own(self):
        assembly = assembly_with(SaidLink(), smtp_server_require_helo="on")
        checks = assembly.configuration.policy.checks
        self.assertTrue(verifyObject(ICheck, checks[0]))
        names = [check.name for check in checks]
        self.assertEqual(names[:2], ["mvmcas", "require_helo"])

    def test_it_asks_at_each_stage(self):
        self.said({}, *MESSAGE)
        self.assertEqual(self.talk.feed(b"hello\r\n.\r\n"), [250])
        self.assertEqual(self.link.states, ALL)

    def test_what_it_asks_at_rcpt(self):
        self.said({}, *ENVELOPE)
        asked = self.link.asked[-1]
        expected = {
            b"request": b"smtpd_access_policy",
            b"protocol_state": b"RCPT",
            b"protocol_name": b"ESMTP",
            b"client_address": b"203.0.113.7",
            b"reverse_client_name": b"client.example",
            b"client_name": b"unknown",
            b"helo_name": b"c.example",
            b"sender": b"s@c.example",
            b"recipient": b"r@ours.example",
            b"mvmcas_relay": b"no",
        }
        self.assertEqual({name: asked[name] for name in expected}, expected)

    def test_questions_about_one_message_have_an_instance_of_their_own(self):
        self.said({}, *ENVELOPE, b"RCPT TO:<q@ours.example>", b"RSET", *ENVELOPE[1:])
        instances = [asked[b"instance"] for asked in self.link.asked]
        self.assertEqual(len(set(instances[2:5])), 1)
        self.assertEqual(len(set(instances[5:7])), 1)
        self.assertEqual(len(set(instances)), 3)

    def test_a_long_name_is_cut_for_the_question_only(self):
        self.said({}, b"EHLO " + b"x" * 60000)
        self.assertEqual(len(self.link.asked[-1][b"helo_name"]), 1024)
        self.assertEqual(len(self.talk.receiver.session.helo), 60000)

    def test_other_policy_servers_are_asked_at_rcpt(self):
        self.said({}, *ENVELOPE, is_mvmcas=False)
        self.assertEqual(self.link.states, ["RCPT"])

    def test_the_first_answer_of_another_server_is_not_followed_before_rcpt(self):
        class Unknown(SaidLink):
            async def hint(self, attributes, timeout):
                self.said_mvmcas = False
                return await super().hint(attributes, timeout)

        link = Unknown({"CONNECT": "REJECT"}, None)
        talk = talk_with(link)
        self.assertEqual(talk.codes, [220])
        self.assertEqual(link.states, ["CONNECT"])

    def test_a_control_says_at_which_stages(self):
        self.said({}, *ENVELOPE, smtp_server_assess_stages="mail,rcpt", is_mvmcas=False)
        self.assertEqual(self.link.states, ["MAIL", "RCPT"])

    def test_refusals_at_each_stage(self):
        for state, expected in (
            ("CONNECT", [554]),
            ("HELO", [220, 554, 250, 250]),
            ("MAIL", [220, 250, 554, 503]),
            ("RCPT", [220, 250, 250, 554]),
        ):
            self.assertEqual(self.said({state: "REJECT"}, *ENVELOPE), expected, state)
        self.assertEqual(self.said({"DATA": "REJECT"}, *MESSAGE)[-1], 554)
        self.said({"END-OF-MESSAGE": "550 5.7.1 no"}, *MESSAGE)
        self.assertEqual(self.talk.feed(b"hello\r\n.\r\n"), [550])

    def test_the_reason_goes_to_the_client(self):
        self.link = SaidLink(
            {"RCPT": "DEFER_IF_PERMIT 4.7.1 greylisted for 300 s, seen 12 s ago, try again later"}
        )
        self.talk = talk_with(self.link)
        self.talk.send(*ENVELOPE[:2])
        self.talk.receiver.dataReceived(ENVELOPE[2] + b"\r\n")
        self.assertEqual(
            self.talk.said,
            b"450 4.7.1 greylisted for 300 s, seen 12 s ago, try again later\r\n",
        )

    def test_temporary_codes_and_the_end_of_the_session(self):
        self.assertEqual(self.said({"RCPT": "451 4.3.0 later"}, *ENVELOPE)[-1], 451)
        self.assertEqual(self.said({"RCPT": "421 4.3.0 later"}, *ENVELOPE)[-1], 421)
        self.assertTrue(self.talk.closed)

    def test_put_off_if_it_would_be_taken(self):
        put_off = {"RCPT": "DEFER_IF_PERMIT"}
        self.assertEqual(self.said(put_off, *ENVELOPE)[-1], 450)
        lines = (*ENVELOPE[:2], b"RCPT TO:<r@other.example>")
        self.assertEqual(self.said(put_off, *lines)[-1], 553)

    def test_put_off_if_it_would_be_refused(self):
        put_off = {"RCPT": "DEFER_IF_REJECT"}
        self.assertEqual(self.said(put_off, *ENVELOPE)[-1], 250)
        lines = (*ENVELOPE[:2], b"RCPT TO:<r@other.example>")
        self.assertEqual(self.said(put_off, *lines)[-1], 450)

    def test_what_is_put_off_earlier_is_told_at_rcpt(self):
        for state in ("CONNECT", "HELO", "MAIL"):
            put_off = {state: "DEFER_IF_PERMIT"}
            self.assertEqual(self.said(put_off, *ENVELOPE), [220, 250, 250, 450], state)

    def test_a_new_hint_takes_the_place_of_the_one_before(self):
        self.said({"MAIL": "DEFER_IF_PERMIT"}, *ENVELOPE[:2])
        self.link.replies = {}
        self.assertEqual(self.talk.send(b"RSET", *ENVELOPE[1:]), [250, 250, 250])

    def test_checks_are_asked_once_when_it_looks_ahead(self):
        asked = []

        @implementer(ICheck)
        class Counting:
            name = "counting"
            stages = frozenset({Stage.RCPT})

            def check(self, session, stage, argument):
                asked.append(argument)

        for action in ("DEFER_IF_PERMIT", "DEFER_IF_REJECT", "OK"):
            link = SaidLink({"RCPT": action})
            assembly = assembly_with(link)
            policy = assembly.configuration.policy
            check = policy.checks[0]
            for inner in (check._rest, check._essential):
                inner.__init__((Counting(), *inner.checks), Clock())
            session = Session(CLIENT, Settings())
            session.transaction = Transaction(b"s@c.example")
            asked.clear()
            self.successResultOf(policy.decide(session, Stage.RCPT, b"r@other.example"))
            self.assertEqual(len(asked), 1, action)

    def test_ok_does_not_open_the_relay(self):
        ok = dict.fromkeys(ALL, "OK")
        lines = (*ENVELOPE[:2], b"RCPT TO:<r@other.example>")
        self.assertEqual(self.said(ok, *lines)[-1], 553)
        self.assertEqual(self.said(ok, *ENVELOPE)[-1], 250)

    def test_ok_spares_a_client_mvmtrs_own_checks_but_not_the_control_files(self):
        strict = {"smtp_server_require_fqdn": "sender,recipient"}
        lines = (b"EHLO c", b"MAIL FROM:<s@c>", ENVELOPE[2])
        self.assertEqual(self.said({}, *lines, **strict)[-1], 553)
        ok = {"MAIL": "OK"}
        self.assertEqual(self.said(ok, *lines, **strict)[-1], 250)
        control = control_folder(folder(self), {"badmailfrom": "s@c.example", "rcpthosts": "x"})
        self.assertEqual(self.said(ok, *ENVELOPE, control=control)[-1], 553)

    def test_discard_is_for_the_whole_message(self):
        for state in ("CONNECT", "HELO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE"):
            self.link = SaidLink({state: "DISCARD"})
            queue = Keeping()
            assembly = assembly_with(self.link)
            assembly.configuration = replace(assembly.configuration, queue=queue)
            talk = Talk(assembly)
            self.assertEqual(talk.send(*MESSAGE)[-1], 354)
            self.assertEqual(talk.feed(b"hello\r\n.\r\n"), [250])
            self.assertFalse(hasattr(queue, "text"), state)

    def test_discard_at_one_recipient_is_for_all_of_them(self):
        link = SaidLink()
        queue = Keeping()
        assembly = assembly_with(link)
        assembly.configuration = replace(assembly.configuration, queue=queue)
        talk = Talk(assembly)
        talk.send(*ENVELOPE)
        link.replies = {"RCPT": "DISCARD"}
        self.assertEqual(talk.send(b"RCPT TO:<q@ours.example>", b"DATA")[-1], 354)
        self.assertEqual(talk.feed(b"hello\r\n.\r\n"), [250])
        self.assertFalse(hasattr(queue, "text"))

    def test_prepend_puts_a_field_in_front_of_the_message_once(self):
        for state in ("MAIL", "RCPT", "DATA", "END-OF-MESSAGE"):
            link = SaidLink({state: "PREPEND X-Greylist: delayed 7 seconds"})
            queue = Keeping()
            assembly = assembly_with(link)
            assembly.configuration = replace(assembly.configuration, queue=queue)
            talk = Talk(assembly)
            talk.send(*ENVELOPE, b"RCPT TO:<q@ours.example>", b"DATA")
            self.assertEqual(talk.feed(b"hello\r\n.\r\n"), [250])
            self.assertTrue(
                queue.text.startswith(b"X-Greylist: delayed 7 seconds\nReceived: "), state
            )
            self.assertEqual(queue.text.count(b"X-Greylist"), 1)

    def test_relay(self):
        relay = {"CONNECT": {"action": "DUNNO", "mvmcas_relay": "yes"}}
        lines = (*ENVELOPE[:2], b"RCPT TO:<r@other.example>")
        self.assertEqual(self.said(relay, *lines)[-1], 250)
        self.assertEqual(self.link.asked[-1][b"mvmcas_relay"], b"yes")
        no = {"CONNECT": {"action": "DUNNO", "mvmcas_relay": "no"}}
        self.assertEqual(self.said(no, *lines)[-1], 553)

    def test_the_timeout_of_the_session(self):
        self.said({"CONNECT": {"action": "DUNNO", "mvmcas_timeout": "7"}}, b"NOOP")
        self.assertEqual(self.talk.receiver.patience(), 7)
        self.talk.clock.advance(6.5)
        self.assertFalse(self.talk.closed)
        self.talk.clock.advance(1)
        self.assertEqual(self.talk.codes, [451])

    def test_the_size_of_messages(self):
        small = {"CONNECT": {"action": "DUNNO", "mvmcas_msgsize_max": "10"}}
        self.said(small, *MESSAGE)
        self.assertEqual(self.talk.feed(b"x" * 20 + b"\r\n.\r\n"), [552])
        self.assertEqual(self.said(small, ENVELOPE[0], b"MAIL FROM:<s@c.example> SIZE=11")[-1], 552)

    def test_a_value_that_can_not_be_is_left_out(self):
        self.assertEqual(
            self.said({"CONNECT": {"action": "DUNNO", "mvmcas_timeout": "0"}}, *ENVELOPE)[-1], 250
        )
        self.assertEqual(self.talk.receiver.session.settings.smtp_server_timeout, 300)
        self.assertEqual(len(self.flushLoggedErrors()), 0)

    def test_a_tarpit_makes_replies_slow_but_not_endless(self):
        for seconds, waited in (("5", 5), ("999999", 20)):
            slow = {"MAIL": {"action": "DUNNO", "mvmcas_tarpit": seconds}}
            self.said(slow, ENVELOPE[0])
            self.assertEqual(self.talk.send(ENVELOPE[1]), [])
            self.talk.checks_clock.advance(waited - 0.5)
            self.assertEqual(self.talk.codes, [])
            self.talk.checks_clock.advance(0.5)
            self.assertEqual(self.talk.codes, [250])

    def test_a_refusal_can_be_slow(self):
        slow = {"MAIL": {"action": "REJECT", "mvmcas_tarpit": "5"}}
        self.said(slow, ENVELOPE[0])
        self.assertEqual(self.talk.send(ENVELOPE[1]), [])
        self.talk.checks_clock.advance(5)
        self.assertEqual(self.talk.codes, [554])

    def test_the_question_and_its_tarpit_leave_time_for_the_other_checks(self):
        self.said({}, smtp_server_check_timeout="9", smtp_server_assess_timeout="100")
        self.assertEqual(self.link.timeout, 3)

    def test_a_client_that_talks_early(self):
        delay = {"CONNECT": {"action": "DUNNO", "mvmcas_greet_delay": "5"}}
        assembly = assembly_with(SaidLink(delay), clock=(clock := Clock()))
        session = Session(CLIENT, Settings())
        for spoken, expected in ((True, Reject), (False, None), (None, None)):
            session.has_spoken = lambda spoken=spoken: spoken
            deciding = assembly.configuration.policy.decide(session, Stage.CONNECT, b"")
            if spoken is not None:
                self.assertNoResult(deciding)
                clock.advance(5)
            verdict = self.successResultOf(deciding)
            self.assertEqual(None if verdict is None else type(verdict), expected)
        link = SaidLink(delay)
        assembly = assembly_with(link, clock=(clock := Clock()))
        session.has_spoken = lambda: True
        deciding = assembly.configuration.policy.decide(session, Stage.CONNECT, b"")
        clock.advance(5)
        self.assertEqual(self.successResultOf(deciding).check, "mvmcas")
        self.assertEqual(link.events, [("early_talker", 1)])

    def test_without_an_answer_it_goes_on(self):
        self.assertEqual(self.said(dict.fromkeys(ALL, AWAY), *MESSAGE), [220, 250, 250, 250, 354])
        self.assertEqual(self.link.states, ALL[:5])

    def test_without_an_answer_it_puts_off_where_that_is_required(self):
        required = {"smtp_server_assess_required": "on"}
        self.assertEqual(self.said({"CONNECT": AWAY}, **required), [451])
        self.assertEqual(self.said({"RCPT": AWAY}, *ENVELOPE, **required)[-1], 451)

    def test_a_hint_that_comes_later(self):
        waiting = Deferred()
        self.assertEqual(self.said({"HELO": waiting}, *ENVELOPE), [220])
        waiting.callback(Hint("reject", 554, "5.7.1 no"))
        self.assertEqual(self.talk.codes, [554, 250, 250])

    def test_what_nobody_has_an_opinion_on_is_not_logged(self):
        with Lines() as lines:
            self.said({"RCPT": DUNNO}, *ENVELOPE)
            self.said({"RCPT": "WARN look at that"}, *ENVELOPE)
        hints = [line for line in lines if line.startswith("event=hint ")]
        self.assertEqual(len(hints), 1)
        self.assertIn(
            'stage=rcpt argument=r@ours.example action=warn reason="look at that"', hints[0]
        )
