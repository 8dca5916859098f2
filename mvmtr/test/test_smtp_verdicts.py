"""Tests for L{mvmtr.protocol.smtp}: what comes of verdicts, given at once or later."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.session import Accept, Defer, Discard, Reject, Stage
from mvmtr.test.stand_ins import MAIL, RCPT, TEXT, Says, Takes, conversation, talk_with
from mvmtr.test.support import control_folder, folder


class VerdictTests(SynchronousTestCase):
    """What comes of each verdict at each stage, given at once or later."""

    ways = {
        "at once": lambda verdict: lambda: verdict,
        "by a Deferred": lambda verdict: lambda: succeed(verdict),
        "by a coroutine": lambda verdict: lambda: _later(verdict),
    }

    def assert_codes(self, stage, verdict, codes, queued):
        for way, wrap in self.ways.items():
            queue = Takes()
            talk = talk_with(Says(**{stage: wrap(verdict)}), queue=queue)
            self.assertEqual(conversation(talk), codes, (stage, verdict, way))
            self.assertEqual(len(queue.messages), queued, (stage, verdict, way))
            yield talk

    def test_refusals(self):
        table = {
            "helo": [220, 0, 250, 250, 354, 250],
            "mail": [220, 250, 0, 503, 503],
            "rcpt": [220, 250, 250, 0, 503],
            "data": [220, 250, 250, 250, 0],
            "message": [220, 250, 250, 250, 354, 0],
        }
        for stage, template in table.items():
            for verdict in (Reject(550), Reject(521), Defer(451), Defer(450)):
                codes = [code or verdict.code for code in template]
                for talk in self.assert_codes(stage, verdict, codes, stage == "helo"):
                    self.assertFalse(talk.closed)
                    self.assertEqual(talk.send(b"NOOP"), [250])

    def test_a_refusal_at_data_ends_the_transaction(self):
        for verdict in (Reject(554), Defer(451)):
            talk = talk_with(Says(data=verdict))
            talk.send(MAIL, RCPT, b"DATA")
            self.assertEqual(talk.send(b"DATA", RCPT), [503, 503])

    def test_a_refusal_at_connect_closes(self):
        for verdict in (Reject(554), Defer(450), Defer(421)):
            for talk in self.assert_codes("connect", verdict, [verdict.code], 0):
                self.assertTrue(talk.closed)

    def test_421_closes_at_every_stage(self):
        for stage in Stage:
            if stage not in (Stage.AUTH, Stage.CONNECT, Stage.DISCONNECT):
                for way, wrap in self.ways.items():
                    talk = talk_with(Says(**{stage: wrap(Defer(421))}))
                    codes = talk.codes
                    for line in (b"EHLO c", MAIL, RCPT, b"DATA", TEXT[:-2]):
                        if not talk.closed:
                            codes += talk.send(line)
                    self.assertEqual(codes[-1], 421, (stage, way))
                    self.assertTrue(talk.closed, (stage, way))
                    self.assertEqual(talk.send(b"NOOP"), [], (stage, way))

    def test_accept_goes_on(self):
        for stage in Stage:
            for _talk in self.assert_codes(stage, Accept(), [220, 250, 250, 250, 354, 250], 1):
                pass

    def test_discard_says_yes_and_keeps_the_message_from_the_queue(self):
        for stage in Stage:
            if stage not in (Stage.AUTH, Stage.DISCONNECT):
                for _talk in self.assert_codes(stage, Discard(), [220, 250, 250, 250, 354, 250], 0):
                    pass

    def test_a_discarded_recipient_does_not_take_the_others_along(self):
        queue = Takes()
        answers = iter([Discard(), None])
        talk = talk_with(Says(rcpt=lambda: next(answers)), queue=queue)
        talk.send(MAIL, b"RCPT TO:<gone@mvmtr.example>", RCPT, b"DATA")
        self.assertEqual(talk.feed(TEXT), [250])
        self.assertEqual(queue.messages, [((b"r@mvmtr.example",), b"Subject: x\n\nhello\n")])

    def test_a_discard_at_mail_ends_with_its_transaction(self):
        queue = Takes()
        answers = iter([Discard(), None])
        talk = talk_with(Says(mail=lambda: next(answers)), queue=queue)
        for count in (0, 1):
            talk.send(MAIL, RCPT, b"DATA")
            self.assertEqual(talk.feed(TEXT), [250])
            self.assertEqual(len(queue.messages), count)

    def test_a_refusal_at_mail_can_be_held_back_until_every_rcpt(self):
        talk = talk_with(Says(mail=Reject(553, at_rcpt=True)))
        self.assertEqual(talk.send(MAIL, RCPT, RCPT, b"DATA"), [220, 250, 553, 553, 503])
        self.assertEqual(talk.send(b"RSET", RCPT), [250, 503])

    def test_checks_see_what_the_client_gave(self):
        check = Says(connect=None, helo=None, mail=None, rcpt=None, data=None, message=None)
        conversation(talk_with(check))
        self.assertEqual(
            check.asked,
            [
                (Stage.CONNECT, b""),
                (Stage.HELO, b"client.example"),
                (Stage.MAIL, b"s@client.example"),
                (Stage.RCPT, b"r@mvmtr.example"),
                (Stage.DATA, b""),
                (Stage.MESSAGE, b""),
            ],
        )


async def _later(verdict):
    return verdict


class WaitingTests(SynchronousTestCase):
    """While a check or the queue is not done, the client waits, and nothing else happens."""

    batch = (
        b"EHLO client.example\r\n" + MAIL + b"\r\n" + RCPT + b"\r\nDATA\r\n" + TEXT + b"QUIT\r\n"
    )
    codes = [220, 250, 250, 250, 354, 250, 221]

    def waits(self, talk, answer, code_at, code):
        """Feed a whole session in one piece; then let the wait end, after a long time."""
        talk.receiver.dataReceived(self.batch)
        self.assertEqual(talk.transport.producerState, "paused")
        so_far = talk.codes
        self.assertEqual(so_far, self.codes[: len(so_far)])
        self.assertLessEqual(len(so_far), code_at)
        talk.clock.advance(10_000)
        self.assertEqual((talk.codes, talk.closed), ([], False))
        answer.callback(code)
        return so_far + talk.codes

    def test_pipelined_commands_are_answered_in_their_order_at_every_stage(self):
        for position, stage in enumerate(["connect", "helo", "mail", "rcpt", "data", "message"]):
            for verdict in (None, Accept()):
                answer = Deferred()
                check = Says(**{stage: answer})
                talk = talk_with(check)
                self.assertEqual(self.waits(talk, answer, position, verdict), self.codes, stage)
                self.assertEqual(len(check.asked), 1)
                self.assertTrue(talk.closed)

    def test_nothing_later_is_asked_while_a_check_waits(self):
        answer = Deferred()
        later = Says(rcpt=None, data=None, message=None)
        talk = talk_with(Says(mail=answer), later)
        talk.receiver.dataReceived(self.batch)
        self.assertEqual(later.asked, [])
        answer.callback(None)
        self.assertEqual([stage for stage, _argument in later.asked], ["rcpt", "data", "message"])

    def test_the_queue_is_waited_for(self):
        answer = Deferred()
        talk = talk_with(queue=Takes(answer))
        self.assertEqual(self.waits(talk, answer, 5, Accept()), self.codes)

    def test_a_late_refusal_is_told_in_its_place(self):
        answer = Deferred()
        talk = talk_with(Says(rcpt=answer))
        self.assertEqual(talk.send(MAIL, RCPT, b"DATA", b"NOOP"), [220])
        answer.callback(Reject(550))
        self.assertEqual(talk.codes, [250, 550, 503, 250])

    def test_reset_behind_a_waiting_mail_comes_after_it(self):
        answer = Deferred()
        talk = talk_with(Says(mail=answer))
        self.assertEqual(talk.send(MAIL, b"RSET", RCPT), [220])
        answer.callback(None)
        self.assertEqual(talk.codes, [250, 250, 503])

    def test_bytes_that_come_while_it_waits_are_kept_for_later(self):
        answer = Deferred()
        talk = talk_with(Says(helo=answer))
        self.assertEqual(talk.send(b"EHLO c"), [220])
        self.assertEqual(talk.feed(b"NO") + talk.feed(b"OP\r\n"), [])
        answer.callback(None)
        self.assertEqual(talk.codes, [250, 250])

    def test_reading_and_the_clock_of_the_client_go_on_after_the_wait(self):
        answer = Deferred()
        talk = talk_with(Says(helo=answer), smtp_server_timeout="100")
        talk.send(b"EHLO c")
        talk.clock.advance(99)
        answer.callback(None)
        self.assertEqual(talk.codes, [250])
        self.assertEqual(talk.transport.producerState, "producing")
        talk.clock.advance(99)
        self.assertEqual(talk.codes, [])
        talk.clock.advance(1)
        self.assertEqual((talk.codes, talk.closed), ([451], True))

    def test_a_check_that_never_answers_is_451(self):
        talk = talk_with(Says(rcpt=Deferred()), smtp_server_check_timeout="7")
        policy_clock = talk.receiver.configuration.policy._clock
        self.assertEqual(talk.send(MAIL, RCPT), [220])
        policy_clock.advance(7)
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        self.assertEqual(talk.codes, [250, 451])

    def test_a_check_that_raises_is_451_at_every_stage(self):
        def broken():
            raise RuntimeError("boom")

        table = {
            "connect": [451],
            "helo": [220, 451, 250, 250, 354, 250],
            "mail": [220, 250, 451, 503, 503],
            "rcpt": [220, 250, 250, 451, 503],
            "data": [220, 250, 250, 250, 451],
            "message": [220, 250, 250, 250, 354, 451],
        }
        for stage, codes in table.items():
            self.assertEqual(conversation(talk_with(Says(**{stage: broken}))), codes)
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class QmailChecksLastTests(SynchronousTestCase):
    """A check of one's own decides before badmailfrom and rcpthosts, which are not asked then."""

    def setUp(self):
        self.control = control_folder(
            folder(self), {"badmailfrom": "bad@client.example\n", "rcpthosts": "ours.example\n"}
        )

    def talk(self, *checks):
        talk = talk_with(*checks, control=self.control)
        self.seen = []
        talk.receiver.session.witness = lambda name, stage, verdict: self.seen.append((name, stage))
        self.assertEqual(talk.codes, [220])
        return talk

    def codes(self, check, sender=b"bad@client.example", recipient=b"r@ours.example"):
        return self.talk(check).send(
            b"MAIL FROM:<" + sender + b">", b"RCPT TO:<" + recipient + b">"
        )

    def test_a_sender_that_was_accepted_is_not_looked_up_in_badmailfrom(self):
        self.assertEqual(self.codes(Says(mail=Accept())), [250, 250])
        self.assertEqual([name for name, stage in self.seen if stage == "mail"], ["own"])

    def test_a_sender_that_was_refused_is_not_looked_up_in_badmailfrom(self):
        self.assertEqual(self.codes(Says(mail=Reject(550))), [550, 503])
        self.assertEqual(self.seen, [("own", "mail")])

    def test_a_sender_that_nobody_decided_about_is_looked_up_in_badmailfrom(self):
        self.assertEqual(self.codes(Says(mail=None)), [250, 553])
        self.assertEqual(self.seen, [("own", "mail"), ("badmailfrom", "mail")])

    def test_a_recipient_that_was_accepted_is_not_looked_up_in_rcpthosts(self):
        codes = self.codes(Says(rcpt=Accept()), b"s@client.example", b"r@elsewhere.example")
        self.assertEqual(codes, [250, 250])
        self.assertEqual([name for name, stage in self.seen if stage == "rcpt"], ["own"])

    def test_a_recipient_that_was_refused_is_not_looked_up_in_rcpthosts(self):
        codes = self.codes(Says(rcpt=Reject(550)), b"s@client.example")
        self.assertEqual(codes, [250, 550])
        self.assertEqual([name for name, stage in self.seen if stage == "rcpt"], ["own"])

    def test_a_recipient_that_nobody_decided_about_is_looked_up_in_rcpthosts(self):
        for recipient, code in ((b"r@ours.example", 250), (b"r@elsewhere.example", 553)):
            codes = self.codes(Says(rcpt=None), b"s@client.example", recipient)
            self.assertEqual(codes, [250, code])
            asked = [name for name, stage in self.seen if stage == "rcpt"]
            self.assertEqual((asked[0], asked[-1]), ("own", "rcpthosts"))
