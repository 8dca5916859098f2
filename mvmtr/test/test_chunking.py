"""Tests for L{mvmtr.protocol.extensions.chunking} and C{binarymime}: BDAT in sessions."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.session import Accept, Defer, Discard, Reject
from mvmtr.test.documentation import watch
from mvmtr.test.stand_ins import MAIL, RCPT, Says, Takes, talk_with

READY = (b"EHLO client.example", MAIL, RCPT)
HELLO = b"Subject: x\r\n\r\nhello\r\n"
STORED = b"Subject: x\n\nhello\n"
LIMIT = 1000


def bdat(text, last=False):
    """A chunk with its command."""
    return b"BDAT %d%s\r\n%s" % (len(text), b" LAST" if last else b"", text)


class BdatTestCase(SynchronousTestCase):
    """Has a session that waits for the text of a message."""

    def setUp(self):
        self.begin()

    def begin(self, *checks, answer=None, carries=(), ready=READY, **overrides):
        self.queue = Takes(answer, carries)
        overrides.setdefault("smtp_server_msgsize_max", str(LIMIT))
        self.talk = talk_with(*checks, queue=self.queue, **overrides)
        self.talk.send(*ready)

    @property
    def texts(self):
        """The messages that the queue has got."""
        return [text for _recipients, text in self.queue.messages]


class MessageTests(BdatTestCase):
    """Messages that arrive."""

    def test_one_chunk_is_a_message(self):
        self.assertEqual(self.talk.feed(bdat(HELLO, last=True)), [250])
        self.assertEqual(self.queue.messages, [((b"r@mvmtr.example",), STORED)])

    def test_many_chunks_are_one_message(self):
        chunks = [bdat(HELLO[place : place + 1]) for place in range(len(HELLO))]
        for chunk in chunks:
            self.assertEqual(self.talk.feed(chunk), [250])
        self.assertEqual(self.texts, [])
        self.assertEqual(self.talk.feed(bdat(b"", last=True)), [250])
        self.assertEqual(self.texts, [STORED])

    def test_a_chunk_of_no_length_is_one(self):
        self.assertEqual(self.talk.feed(bdat(b"")), [250])
        self.assertEqual(self.talk.feed(bdat(b"x", last=True)), [250])
        self.assertEqual(self.texts, [b"x\n"])

    def test_a_message_may_be_empty(self):
        self.assertEqual(self.talk.feed(b"BDAT 0 LAST\r\n"), [250])
        self.assertEqual(self.texts, [b""])

    def test_all_can_be_pipelined_and_cut_anywhere(self):
        sent = b"".join(
            [
                *(line + b"\r\n" for line in (MAIL, RCPT)),
                bdat(HELLO[:5]),
                bdat(HELLO[5:], last=True),
                *(line + b"\r\n" for line in (MAIL, RCPT)),
                bdat(b"BDAT 1 LAST\r\n.\r\n", last=True),
                b"NOOP\r\nQUIT\r\n",
            ]
        )
        codes = [250, 250, 250, 250, 250, 250, 250, 250, 221]
        for size in (1, 2, 3, 7, len(sent)):
            self.begin(ready=(b"EHLO c",))
            got = []
            for place in range(0, len(sent), size):
                got += self.talk.feed(sent[place : place + size])
            self.assertEqual(got, codes)
            self.assertEqual(self.texts, [STORED, b"BDAT 1 LAST\n.\n"])

    def test_what_looks_like_the_end_of_a_message_or_a_command_is_text(self):
        text = b"a\r\n.\r\nMAIL FROM:<evil@x>\r\n\n.\n.\r\nQUIT\r\n"
        self.assertEqual(self.talk.feed(bdat(text, last=True)), [250])
        self.assertEqual(self.texts, [text.replace(b"\r\n", b"\n")])
        self.assertFalse(self.talk.closed)

    def test_hops_are_counted_in_all_chunks_and_told_with_the_one_that_is_too_much(self):
        self.begin(smtp_server_hops_max="3")
        hop = b"Received: x\n"
        self.assertEqual(self.talk.feed(bdat(hop * 2, last=True)), [250])
        self.assertEqual(self.talk.send(MAIL, RCPT), [250, 250])
        self.assertEqual(self.talk.feed(bdat(hop) + bdat(hop * 2, last=True)), [250, 554])
        self.assertEqual(self.talk.send(MAIL, RCPT), [250, 250])
        self.assertEqual(self.talk.feed(bdat(hop * 3) + bdat(b"x", last=True)), [554, 503])
        self.assertEqual(len(self.texts), 1)

    def test_the_answer_of_the_queue_is_told(self):
        for answer in (Reject(554), Defer(451), Accept(250)):
            self.begin(answer=succeed(answer))
            self.assertEqual(self.talk.feed(bdat(HELLO, last=True)), [answer.code])

    def test_commands_wait_for_the_answer_of_the_queue(self):
        answer = Deferred()
        self.begin(answer=answer)
        self.assertEqual(self.talk.feed(bdat(HELLO, last=True) + b"NOOP\r\n"), [])
        answer.callback(Reject(550))
        self.assertEqual(self.talk.codes, [550, 250])

    def test_a_message_that_is_discarded_is_accepted(self):
        self.begin(Says(data=Discard()))
        self.assertEqual(self.talk.feed(bdat(b"x") + bdat(b"y", last=True)), [250, 250])
        self.assertEqual(self.texts, [])


class WithoutEhloTests(BdatTestCase):
    """Who has not said EHLO gets what qmail-smtpd answers."""

    def test_bdat_is_unknown_and_no_bytes_belong_to_it(self):
        for helo in ((), (b"HELO c",), (b"EHLO c", b"HELO c")):
            self.begin(ready=(*helo, MAIL, RCPT))
            for line in (b"BDAT 6 LAST", b"BDAT", b"BDAT 6\0"):
                code = 501 if b"\0" in line else 502
                self.assertEqual(self.talk.send(line, b"NOOP"), [code, 250])
            self.assertEqual(self.talk.send(b"DATA", b"."), [354, 250])
            self.assertEqual(self.texts, [b""])


class RefusalTests(BdatTestCase):
    """Chunks that are not taken are swallowed, and never read as commands."""

    evil = b"RSET\r\n" * 5

    def refused(self, codes, *commands):
        """The codes for commands, a chunk that is dropped, and a NOOP."""
        got = self.talk.send(*commands) + self.talk.feed(bdat(self.evil, True) + b"NOOP\r\n")
        self.assertEqual(got, [*codes, 250])
        self.assertEqual(self.texts, [])

    def test_a_chunk_without_mail_is_refused_after_its_end(self):
        self.begin(ready=(b"EHLO c",))
        self.assertEqual(self.talk.feed(b"BDAT 10\r\nRSET\r\n"), [])
        self.assertEqual(self.talk.feed(b"RSET"), [503])
        self.refused([503])

    def test_a_chunk_without_an_accepted_recipient_is_refused(self):
        self.begin(ready=(b"EHLO c", MAIL))
        self.refused([553, 503], b"RCPT TO:<r@elsewhere.example>")

    def test_a_chunk_after_the_last_one_is_refused(self):
        self.talk.feed(bdat(HELLO, last=True))
        self.queue.messages.clear()
        self.refused([503])

    def test_after_reset_the_message_is_gone(self):
        for command in (b"RSET", b"EHLO again.example"):
            self.begin()
            self.talk.feed(bdat(HELLO))
            self.refused([250, 503], command)

    def test_after_mail_another_message_begins(self):
        self.talk.feed(bdat(HELLO))
        self.assertEqual(self.talk.send(MAIL, RCPT), [250, 250])
        self.assertEqual(self.talk.feed(bdat(b"new\n", last=True)), [250])
        self.assertEqual(self.texts, [b"new\n"])

    def test_data_after_bdat_is_out_of_order_and_the_message_may_go_on(self):
        self.assertEqual(self.talk.feed(bdat(b"a")), [250])
        self.assertEqual(self.talk.send(b"DATA", RCPT), [503, 503])
        self.assertEqual(self.talk.feed(bdat(b"b", last=True)), [250])
        self.assertEqual(self.queue.messages, [((b"r@mvmtr.example",), b"ab\n")])

    def test_a_check_at_data_is_asked_once_and_its_refusal_told_after_the_chunk(self):
        check = Says(data=None)
        self.begin(check)
        self.talk.feed(bdat(b"a") + bdat(b"b") + bdat(b"", last=True))
        self.assertEqual([stage for stage, _argument in check.asked], ["data"])
        for verdict in (Reject(550), Defer(450)):
            self.begin(Says(data=verdict))
            self.refused([verdict.code, 503], bdat(self.evil).removesuffix(b"\r\n"))

    def test_a_check_that_waits_keeps_the_chunk_waiting(self):
        answer = Deferred()
        self.begin(Says(data=answer))
        self.assertEqual(self.talk.feed(bdat(self.evil, True) + b"NOOP\r\n"), [])
        answer.callback(Reject(550))
        self.assertEqual(self.talk.codes, [550, 250])

    def test_a_check_that_ends_the_session_does_so_after_the_chunk(self):
        self.begin(Says(data=Defer(421)))
        self.assertEqual(self.talk.feed(bdat(self.evil) + b"NOOP\r\n"), [421])
        self.assertTrue(self.talk.closed)

    def test_a_message_over_the_limit_is_refused_with_the_chunk_that_is_too_much(self):
        half = b"x" * (LIMIT // 2)
        self.assertEqual(self.talk.feed(bdat(half) + bdat(half + b"yy")), [250, 552])
        self.refused([503])

    def test_a_last_chunk_over_the_limit_is_swallowed_and_refused(self):
        self.talk.feed(b"BDAT 10000 LAST\r\n" + b"RSET\r\n" * 1666)
        self.assertEqual(self.talk.codes, [])
        self.assertEqual(self.talk.feed(b"RSETNOOP\r\n"), [552, 250])
        self.assertEqual(self.texts, [])

    def test_the_limit_is_that_of_the_message_as_stored(self):
        fits = b"x" * (LIMIT - 1)
        self.assertEqual(self.talk.feed(bdat(fits + b"\r\n", last=True)), [250])
        self.talk.send(MAIL, RCPT)
        self.assertEqual(self.talk.feed(bdat(fits + b"x", last=True)), [552])

    def test_an_endless_chunk_takes_no_memory(self):
        self.talk.feed(b"BDAT %d LAST\r\n" % (10**20 - 1))
        for _again in range(50):
            self.assertEqual(self.talk.feed(b"RSET\r\n" * 10_000), [])
            self.assertEqual(len(self.talk.receiver.input), 0)
            self.assertLessEqual(self.talk.receiver.load.memory, LIMIT)

    def test_a_session_that_ends_in_a_chunk_leaves_nothing(self):
        self.talk.feed(b"BDAT 100 LAST\r\nhalf")
        body = self.talk.receiver.session.transaction.body
        self.talk.receiver.connectionLost()
        self.assertTrue(body.closed)
        self.assertEqual(self.texts, [])
        self.assertEqual(self.talk.receiver.load.memory, 0)

    def test_a_client_that_is_silent_in_a_chunk_is_timed_out(self):
        self.begin(smtp_server_timeout_data="7")
        self.talk.feed(b"BDAT 100\r\nhalf")
        self.talk.clock.advance(6.9)
        self.assertEqual(self.talk.codes, [])
        self.talk.clock.advance(0.2)
        self.assertEqual(self.talk.codes, [451])

    def test_the_log_tells_refusals_of_bdat_and_messages_that_failed(self):
        records = watch(self)
        self.talk.feed(bdat(b"x" * (LIMIT + 1)) + bdat(b"x", last=True))
        first, second = records
        self.assertEqual((first["event"], first["code"], first["check"]), ("message", 552, "size"))
        self.assertEqual((second["event"], second["command"]), ("refused", "bdat"))


class FramingTests(BdatTestCase):
    """When it is not known how long a chunk is, the session ends."""

    def ends(self, line, code):
        self.assertEqual(self.talk.feed(line + b"\r\nRSET\r\nMAIL FROM:<evil@x>\r\n"), [code], line)
        self.assertTrue(self.talk.closed)
        self.assertEqual(self.texts, [])

    def test_an_argument_that_is_none_ends_the_session(self):
        for argument in (b"", b" ", b" x", b" -1", b" 1 LASTLY", b" 1\t", b" 1 LAST 2", b" 9" * 21):
            self.begin()
            self.ends(b"BDAT" + argument, 501)

    def test_a_line_with_bytes_that_no_line_has_ends_the_session(self):
        for line in (b"BDAT 1\r0", b"bdat\r 10", b"BDAT 10\0", b"BDAT 10 LAST\r"):
            self.begin()
            self.ends(line, 501)

    def test_a_line_over_the_limit_ends_the_session(self):
        for blanks in (b" " * 100, b" " * 1000):
            self.begin(smtp_server_command_max="100")
            self.ends(b"BDAT" + blanks + b"10", 500)

    def test_a_long_line_in_pieces_ends_the_session(self):
        self.begin(smtp_server_command_max="100")
        self.talk.feed(b"bDaT " + b" " * 150)
        self.talk.feed(b" " * 150)
        self.ends(b"10", 500)

    def test_other_lines_like_that_do_not(self):
        self.begin(smtp_server_command_max="100")
        self.assertEqual(self.talk.send(b"NOOP\0", b"XBDAT " + b"x" * 100), [501, 500])
        self.assertFalse(self.talk.closed)


class BinaryTests(BdatTestCase):
    """BINARYMIME."""

    binary = MAIL + b" BODY=BINARYMIME"

    def begin_binary(self, **options):
        self.begin(carries=["BINARYMIME"], ready=(b"EHLO c", self.binary, RCPT), **options)

    def test_it_is_offered_and_known_where_the_queue_carries_it(self):
        for carries, code in ((["BINARYMIME"], 250), ([], 501), (["SMTPUTF8", "DSN"], 501)):
            self.begin(carries=carries, ready=())
            self.talk.receiver.dataReceived(b"EHLO c\r\n")
            said = self.talk.said
            self.assertEqual(b"250-BINARYMIME\r\n" in said, code == 250)
            self.assertRegex(said, rb"250[- ]CHUNKING\r\n")
            self.assertEqual(self.talk.send(self.binary), [code])

    def test_every_byte_stays(self):
        text = bytes(range(256)) + b"a\r\nb\nc\rd\r\n.\r\n"
        self.begin_binary()
        self.assertEqual(self.talk.feed(bdat(text[:14]) + bdat(text[14:], last=True)), [250, 250])
        self.assertEqual(self.texts, [text])

    def test_no_line_end_is_added(self):
        self.begin_binary()
        self.assertEqual(self.talk.feed(bdat(b"X: y\r\n\r\nab\r", last=True)), [250])
        self.assertEqual(self.texts, [b"X: y\r\n\r\nab\r"])

    def test_hops_are_counted(self):
        self.begin_binary(smtp_server_hops_max="2")
        hops = b"Received: x\r\nDelivered-To: y\n\r\nReceived: z\r\n"
        self.assertEqual(self.talk.feed(bdat(hops, last=True)), [554])

    def test_data_is_out_of_order_and_bdat_may_follow(self):
        self.begin_binary()
        self.assertEqual(self.talk.send(b"DATA"), [503])
        self.assertEqual(self.talk.feed(bdat(b"x", last=True)), [250])

    def test_the_next_message_is_none(self):
        self.begin_binary()
        self.talk.feed(bdat(b"a\r\n", last=True))
        self.assertEqual(self.talk.send(MAIL + b" BODY=8BITMIME", RCPT), [250, 250])
        self.talk.feed(bdat(b"a\r\n", last=True))
        self.assertEqual(self.texts, [b"a\r\n", b"a\n"])
