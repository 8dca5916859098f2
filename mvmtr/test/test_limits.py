"""Tests of the limits of a session, and of what LIMITS and SIZE say about them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol.conversation import HELD_ALWAYS
from mvmtr.protocol.extensions import size
from mvmtr.protocol.extensions.limits import RECIPIENTS_ALWAYS
from mvmtr.protocol.flow import OUTPUT_MAX
from mvmtr.protocol.load import Load, Memory
from mvmtr.session import Accept
from mvmtr.test.conversations import conversations, cut
from mvmtr.test.stand_ins import MAIL, RCPT, TEXT, Says, Takes, talk_with
from mvmtr.test.support import Talk, assemble, folder

MESSAGE = b"\r\n".join((MAIL, RCPT, b"DATA", TEXT))


class SessionLimitTests(SynchronousTestCase):
    """A session that goes too far ends with 421, and the log says why."""

    def refusals(self, act, **overrides):
        """The reply codes to what C{act} does, and the refusals that it leaves in the log."""
        with capturedLogs() as captured:
            self.talk = talk_with(**overrides)
            act(self.talk)
            codes = self.talk.codes
            self.talk.receiver.connectionLost(connectionDone)
        records = [event["record"] for event in captured if "record" in event]
        return codes, [record for record in records if record["event"] == "refused"]

    def assert_ends(self, act, code, reason, **overrides):
        codes, refused = self.refusals(act, **overrides)
        self.assertEqual((codes[-1], self.talk.closed), (code, True))
        self.assertEqual((refused[-1]["code"], refused[-1]["reason"]), (code, reason))

    def test_commands(self):
        def act(talk):
            talk.receiver.dataReceived(b"NOOP\r\n" * 4)

        limit = {"smtp_server_commands_max": "3"}
        self.assertEqual(self.refusals(act, **limit)[0], [220, 250, 250, 250, 421])
        self.assert_ends(act, 421, "the limit is 3", **limit)

    def test_nothing_is_run_behind_the_last_command(self):
        def act(talk):
            talk.receiver.dataReceived(b"NOOP\r\n" * 9)

        codes, _refused = self.refusals(act, smtp_server_commands_max="3")
        self.assertEqual(codes, [220, 250, 250, 250, 421])

    def test_errors(self):
        def act(talk):
            talk.receiver.dataReceived(b"NONSENSE\r\nNOOP\r\n" * 3)

        codes, _refused = self.refusals(act, smtp_server_errors_max="2")
        self.assertEqual(codes, [220, 502, 250, 502, 421])
        self.assert_ends(act, 421, "the limit is 2", smtp_server_errors_max="2")

    def test_refused_recipients_are_errors(self):
        def act(talk):
            talk.receiver.dataReceived(MAIL + b"\r\n" + b"RCPT TO:<r@elsewhere.example>\r\n" * 5)

        codes, _refused = self.refusals(act, smtp_server_errors_max="3")
        self.assertEqual(codes, [220, 250, 553, 553, 553, 421])

    def test_messages(self):
        def act(talk):
            talk.receiver.dataReceived(MESSAGE * 3)

        limit = {"smtp_server_messages_max": "2"}
        self.assert_ends(act, 421, "the limit is 2", **limit)
        codes, _refused = self.refusals(act, **limit)
        self.assertEqual(codes, [220, *([250, 250, 354, 250] * 2), 421])

    def test_recipients(self):
        def act(talk):
            talk.receiver.dataReceived(b"\r\n".join((MAIL, *[RCPT] * 4, b"DATA", TEXT)))

        codes, refused = self.refusals(act, smtp_server_recipients_max="3")
        self.assertEqual(codes, [220, 250, 250, 250, 250, 452, 354, 250])
        self.assertEqual(
            (refused[0]["check"], refused[0]["reason"]), ("recipients", "the limit is 3")
        )

    def test_the_length_of_a_command(self):
        def act(talk):
            talk.receiver.dataReceived(b"NOOP " + b"x" * 95 + b"\r\nNOOP " + b"x" * 96 + b"\r\n")

        codes, refused = self.refusals(act, smtp_server_command_max="100")
        self.assertEqual(codes, [220, 250, 500])
        self.assertEqual(refused[0]["reason"], "the limit is 100 bytes")

    def test_a_session_that_is_never_idle_ends_all_the_same(self):
        def act(talk):
            for _ in range(400):
                talk.clock.advance(3)
                talk.receiver.dataReceived(b"RSET\r\n")

        self.assert_ends(act, 421, "the limit is 100 seconds", smtp_server_session_timeout="100")
        self.assertEqual(self.talk.clock.seconds(), 1200)

    def test_a_message_does_not_make_a_session_longer(self):
        def act(talk):
            talk.receiver.dataReceived(b"\r\n".join((MAIL, RCPT, b"DATA", b"")))
            for _ in range(40):
                talk.clock.advance(3)
                talk.receiver.dataReceived(b"x")

        queue = Takes()
        self.assert_ends(
            act, 421, "the limit is 100 seconds", smtp_server_session_timeout="100", queue=queue
        )
        self.assertEqual(queue.messages, [])

    def test_a_session_does_not_end_in_the_middle_of_our_own_work(self):
        answer = Deferred()
        talk = talk_with(queue=Takes(answer), smtp_server_session_timeout="100")
        talk.receiver.dataReceived(MESSAGE)
        talk.clock.advance(200)
        self.assertEqual((talk.codes, talk.closed), ([220], False))
        answer.callback(Accept(text="2.0.0 ok"))
        self.assertFalse(talk.closed)
        talk.clock.advance(0)
        self.assertEqual((talk.codes, talk.closed), ([250, 250, 354, 250, 421], True))

    def test_the_defaults_let_a_mailing_list_pass(self):
        talk = talk_with()
        codes = talk.send(MAIL, *[RCPT] * 5000, b"RSET", *[b"NONSENSE"] * 500)
        self.assertEqual((codes.count(250), codes.count(502), talk.closed), (5002, 500, False))


class MemoryTests(SynchronousTestCase):
    """What sessions hold in memory is counted, and bounded when it is much."""

    def talks(self, count, **overrides):
        """So many sessions that share a load."""
        load, talks = Load(), []
        for _ in range(count):
            talk = talk_with(**overrides)
            talk.receiver.load = load
            talk.receiver._memory = Memory(load)
            talks.append(talk)
        self.load = load
        return talks

    def test_what_is_no_whole_command_yet_is_counted(self):
        first, second = self.talks(2)
        first.feed(b"NOOP " + b"x" * 995)
        second.feed(b"NOOP " + b"x" * 495)
        self.assertEqual(self.load.memory, 1500)
        first.feed(b"\r\n")
        self.assertEqual(self.load.memory, 500)
        second.receiver.connectionLost(connectionDone)
        self.assertEqual(self.load.memory, 0)

    def test_what_waits_for_a_check_is_counted(self):
        answer = Deferred()
        talk = talk_with(Says(helo=answer))
        talk.feed(b"EHLO c\r\n" + b"NOOP\r\n" * 10)
        self.assertEqual(talk.receiver.load.memory, 60)
        answer.callback(None)
        self.assertEqual(talk.receiver.load.memory, len(b"c"))

    def test_what_waits_for_a_client_that_does_not_read_is_counted(self):
        talk = talk_with()
        talk.receiver.pauseProducing()
        talk.feed(b"NOOP\r\n" * 10)
        self.assertEqual(talk.receiver.load.memory, 60)
        talk.receiver.resumeProducing()
        self.assertEqual(talk.receiver.load.memory, 0)

    def test_names_and_recipients_are_counted_until_they_are_forgotten(self):
        talk = talk_with()
        talk.send(b"EHLO " + b"c" * 1000)
        self.assertEqual(talk.receiver.load.memory, 1000)
        talk.send(MAIL, *[b"RCPT TO:<" + b"r" * 500 + b"@mvmtr.example>"] * 10)
        self.assertGreater(talk.receiver.load.memory, 1000 + 10 * 600)
        talk.send(b"RSET")
        self.assertEqual(talk.receiver.load.memory, 1000)
        talk.receiver.connectionLost(connectionDone)
        self.assertEqual(talk.receiver.load.memory, 0)

    def test_text_of_a_message_is_counted_until_the_queue_has_it(self):
        talk = talk_with()
        talk.send(MAIL, RCPT, b"DATA", b"x" * 998)
        self.assertGreaterEqual(talk.receiver.load.memory, 998)
        talk.feed(b"\r\n.\r\n")
        self.assertEqual(talk.receiver.load.memory, 0)

    def test_while_memory_is_short_a_long_unfinished_command_ends_the_session(self):
        first, second = self.talks(2, smtp_server_memory_max="8000")
        first.feed(b"x" * 8000)
        self.assertFalse(first.closed)
        with capturedLogs() as captured:
            self.assertEqual(second.feed(b"x" * (HELD_ALWAYS + 1)), [220, 421])
        self.assertTrue(second.closed)
        (record,) = [event["record"] for event in captured if "record" in event]
        self.assertEqual((record["check"], record["code"]), ("memory", 421))

    def test_while_memory_is_short_usual_commands_and_messages_go_on(self):
        first, second = self.talks(2, smtp_server_memory_max="8000")
        first.feed(b"x" * 8000)
        self.assertEqual(second.feed(b"x" * HELD_ALWAYS), [220])
        self.assertEqual(second.feed(b"\r\n" + MESSAGE), [502, 250, 250, 354, 250])

    def test_while_memory_is_short_a_message_has_no_more_recipients_than_it_must(self):
        other, talk = self.talks(2, smtp_server_memory_max="100")
        other.feed(b"x" * 101)
        codes = talk.send(MAIL, *[RCPT] * (RECIPIENTS_ALWAYS + 2), b"RSET", MAIL, RCPT)
        self.assertEqual(codes[2:-3], [250] * RECIPIENTS_ALWAYS + [452, 452])
        self.assertEqual(codes[-3:], [250, 250, 250])

    def test_replies_do_not_pile_up_for_a_client_that_does_not_read(self):
        talk = talk_with()
        written = []

        def write(data):
            written.append(len(data))
            talk.receiver.pauseProducing()

        talk.transport.write = write
        talk.receiver.dataReceived(b"HELP\r\n" * 10_000)
        self.assertLess(sum(written), OUTPUT_MAX + 1000)

    @settings(deadline=None, max_examples=150)
    @given(cut(conversations), st.booleans())
    def test_nothing_is_left_behind_after_any_conversation(self, pieces, waits):
        answer = Deferred()
        checks = [Says(mail=lambda: answer)] if waits else []
        talk = talk_with(*checks, smtp_server_bodycache="20", smtp_server_memory_max="50")
        for piece in pieces:
            talk.feed(piece)
            self.assertGreaterEqual(talk.receiver.load.memory, 0)
        talk.receiver.connectionLost(connectionDone)
        answer.callback(None)
        self.assertEqual(talk.receiver.load.memory, 0)

    def test_nothing_is_left_behind_whatever_a_session_was_at(self):
        for said in (b"x" * 99, MESSAGE, MESSAGE[:-5], b"EHLO " + b"x" * 99 + b"\r\nRSET"):
            talk = talk_with()
            talk.feed(said)
            talk.receiver.connectionLost(connectionDone)
            self.assertEqual(talk.receiver.load.memory, 0, said)


class AnnouncementTests(SynchronousTestCase):
    """What EHLO says about limits."""

    def lines(self, **overrides):
        talk = talk_with(**overrides)
        talk.receiver.dataReceived(b"EHLO c\r\n")
        return [line[4:] for line in talk.said.split(b"\r\n")]

    def test_limits_are_announced(self):
        limits = {"smtp_server_messages_max": "20", "smtp_server_recipients_max": "30"}
        self.assertIn(b"LIMITS MAILMAX=20 RCPTMAX=30", self.lines(**limits))

    def test_a_limit_has_no_more_than_six_digits(self):
        limits = {"smtp_server_messages_max": "1000000", "smtp_server_recipients_max": "9" * 20}
        self.assertIn(b"LIMITS MAILMAX=999999 RCPTMAX=999999", self.lines(**limits))

    def test_a_client_that_keeps_to_them_is_not_refused(self):
        limits = {"smtp_server_messages_max": "2", "smtp_server_recipients_max": "3"}
        talk = talk_with(**limits)
        transaction = b"\r\n".join((MAIL, *[RCPT] * 3, b"DATA", TEXT))
        codes = talk.feed(b"EHLO c\r\n" + transaction * 2 + b"QUIT\r\n")
        self.assertEqual(codes, [220, 250, *([250] * 4 + [354, 250]) * 2, 221])

    def test_the_size_limit_is_announced(self):
        self.assertIn(b"SIZE 1000", self.lines(smtp_server_msgsize_max="1000"))


class RoomTests(SynchronousTestCase):
    """SIZE against the room on the file systems of spool and queue (RFC 1870)."""

    def refusal(self, *words, queue=None, **overrides):
        """The log's record of the refusal of MAIL with these parameters; C{None} without one."""
        with capturedLogs() as captured:
            codes = talk_with(queue=queue, **overrides).send(b" ".join((MAIL, *words)))
        records = [event["record"] for event in captured if "record" in event]
        self.assertEqual(codes[1], records[0]["code"] if records else 250)
        return records[0] if records else None

    def test_a_message_that_there_is_room_for_is_welcome(self):
        self.assertIsNone(self.refusal(b"SIZE=1000"))

    def test_a_message_that_does_not_fit_is_put_off_before_it_is_sent(self):
        spool = folder(self)
        record = self.refusal(b"SIZE=%d" % 10**19, smtp_server_spool=str(spool))
        self.assertEqual((record["code"], record["check"]), (452, "storage"))
        self.assertRegex(record["reason"], f"^{spool}: [0-9]+ bytes are free$")

    def test_what_is_to_be_left_free_counts_for_messages_of_unknown_size_too(self):
        self.assertEqual(self.refusal(smtp_server_spool_free=str(10**19))["code"], 452)
        self.assertIsNone(self.refusal(smtp_server_spool_free="0"))

    def test_a_size_over_the_limit_is_refused_for_good(self):
        record = self.refusal(b"SIZE=1001", smtp_server_msgsize_max="1000")
        self.assertEqual((record["code"], record["reason"]), (552, "the limit is 1000 bytes"))

    def test_the_folder_of_the_queue_is_looked_at_as_well(self):
        queue = Takes()
        queue.folder = str(folder(self))
        asked = []

        def shortage(folders, size, free):
            asked.append((tuple(folders), size, free))
            return "full"

        self.patch(size, "shortage", shortage)
        spool = str(folder(self))
        record = self.refusal(
            b"SIZE=7", queue=queue, smtp_server_spool=spool, smtp_server_spool_free="8"
        )
        self.assertEqual((record["code"], record["reason"]), (452, "full"))
        self.assertEqual(asked, [((spool, queue.folder), 7, 8)])

    def test_the_queues_of_this_package_say_where_they_keep_mail(self):
        home = folder(self)
        maildir = assemble(queue=f"maildir:{home}/Maildir").configuration.queue
        self.assertEqual(maildir.folder, f"{home}/Maildir")
        (home / "control").mkdir()
        self.assertIsNone(assemble(home / "control", "qmail").configuration.queue.folder)
        (home / "queue").mkdir()
        queue = assemble(home / "control", "qmail").configuration.queue
        self.assertEqual(queue.folder, f"{home}/queue")

    def test_a_maildir_that_is_not_there_yet_is_no_hindrance(self):
        assembly = assemble(queue=f"maildir:{folder(self)}/a/b")
        self.assertEqual(Talk(assembly).send(MAIL + b" SIZE=100"), [220, 250])
