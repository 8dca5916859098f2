"""Tests for L{mvmtr.protocol.delivery}: the realm, and the message on its way to the queue."""

from __future__ import annotations

import errno
import io
import os

from twisted.cred.checkers import ANONYMOUS
from twisted.cred.credentials import Anonymous
from twisted.internet.defer import Deferred, fail, succeed
from twisted.mail.interfaces import IMessageDelivery, IMessageSMTP
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mvmtr.protocol.delivery import IncomingMessage, Realm, Refused, anonymous_portal
from mvmtr.protocol.load import Load
from mvmtr.session import Accept, Defer, Discard, Reject, Session, Transaction
from mvmtr.test.stand_ins import MAIL, RCPT, Says, Takes, conversation, talk_with
from mvmtr.test.support import CLIENT, assemble, folder


def open_files(below):
    """The files below a folder that this process has open, whether they have names or not."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:
            continue
        if target.startswith(f"{below}/"):
            found.append(target)
    return found


def send_message(talk, text, recipients=(RCPT,)):
    """Send a message; the code after its end."""
    codes = talk.send(MAIL, *recipients, b"DATA")
    assert codes[-1] == 354, codes
    return talk.feed(text + b"\r\n.\r\n")[-1]


class RealmTests(SynchronousTestCase):
    """Who logs in gets a delivery."""

    def setUp(self):
        self.configuration = assemble().configuration
        self.session = Session(CLIENT, self.configuration.settings)
        self.mind = (self.session, self.configuration)

    def test_everybody_may_log_in_and_gets_a_delivery(self):
        login = anonymous_portal().login(Anonymous(), self.mind, IMessageDelivery)
        interface, delivery, logout = self.successResultOf(login)
        self.assertIs(interface, IMessageDelivery)
        self.assertTrue(verifyObject(IMessageDelivery, delivery))
        logout()
        self.assertIsNone(self.session.user)

    def test_the_delivery_of_a_user_with_a_name_knows_it(self):
        _interface, delivery, _logout = Realm().requestAvatar(b"ann", self.mind, IMessageDelivery)
        self.assertEqual(delivery.user, b"ann")

    def test_there_is_nothing_but_deliveries(self):
        with self.assertRaises(NotImplementedError):
            Realm().requestAvatar(ANONYMOUS, self.mind, IMessageSMTP)

    def test_all_recipients_share_one_message(self):
        talk = talk_with()
        self.assertEqual(talk.send(MAIL), [220, 250])
        delivery = talk.receiver.delivery
        first, second = (delivery.validateTo(name)() for name in (b"a@mvmtr.example",) * 2)
        self.assertIs(first, second)
        self.assertTrue(verifyObject(IMessageSMTP, first))

    def test_a_refusal_is_an_exception_with_its_verdict(self):
        talk = talk_with(Says(mail=Defer(450, "4.7.1 later")))
        talk.receiver.session.transaction = Transaction(b"s@x")
        with self.assertRaises(Refused) as caught:
            talk.receiver.delivery.validateFrom((b"c", b"ip"), b"s@x")
        self.assertEqual((caught.exception.code, caught.exception.resp), (450, "4.7.1 later"))
        self.assertEqual(caught.exception.verdict.check, "own")

    def test_a_recipient_that_nobody_accepts_is_refused(self):
        talk = talk_with(smtp_server_rcpt_domains="")
        self.assertEqual(talk.send(MAIL, RCPT), [220, 250, 553])


class BodyTests(SynchronousTestCase):
    """A message is held whole: in memory, then in a file that has no name."""

    def setUp(self):
        self.spool = folder(self)

    def half(self, text, bodycache):
        """A session in the middle of a message."""
        queue = Takes()
        talk = talk_with(
            queue=queue,
            smtp_server_spool=str(self.spool),
            smtp_server_bodycache=str(bodycache),
        )
        talk.send(MAIL, RCPT, b"DATA")
        talk.feed(text)
        return talk, queue

    def test_up_to_the_body_cache_there_is_no_file(self):
        talk, queue = self.half(b"x" * 100, 100)
        self.assertEqual(open_files(self.spool), [])
        talk.feed(b"\r\n.\r\n")
        self.assertEqual(queue.messages[0][1], b"x" * 100 + b"\n")

    def test_beyond_it_there_is_a_file_that_nobody_can_see(self):
        talk, queue = self.half(b"x" * 101, 100)
        self.assertEqual(len(open_files(self.spool)), 1)
        self.assertEqual(os.listdir(self.spool), [])
        talk.feed(b"\r\n.\r\n")
        self.assertEqual(queue.messages[0][1], b"x" * 101 + b"\n")
        self.assertEqual(open_files(self.spool), [])

    def test_a_body_cache_of_0_holds_nothing_in_memory(self):
        self.half(b"x" * 100, 0)
        self.assertEqual(len(open_files(self.spool)), 1)

    def test_a_lost_connection_gives_the_file_back(self):
        talk, _queue = self.half(b"x" * 101, 100)
        talk.receiver.connectionLost()
        self.assertEqual(open_files(self.spool), [])

    def test_a_message_that_grows_too_large_gives_the_file_back_at_once(self):
        queue = Takes()
        talk = talk_with(
            queue=queue,
            smtp_server_spool=str(self.spool),
            smtp_server_bodycache="10",
            smtp_server_msgsize_max="50",
        )
        talk.send(MAIL, RCPT, b"DATA")
        talk.feed(b"x" * 50)
        self.assertEqual(len(open_files(self.spool)), 1)
        talk.feed(b"x" * 50)
        self.assertEqual(open_files(self.spool), [])
        self.assertEqual(talk.feed(b"\r\n.\r\n"), [552])

    def test_protocols_that_work_by_lines_can_use_it_as_well(self):
        configuration = assemble().configuration
        session = Session(CLIENT, configuration.settings)
        transaction = session.transaction = Transaction(b"s@x")
        message = IncomingMessage(session, configuration)
        message.begin(b"", Load())
        message.lineReceived(b"one")
        message.lineReceived(b"two")
        transaction.body.seek(0)
        self.assertEqual((transaction.body.read(), transaction.size), (b"one\ntwo\n", 8))


class LimitTests(SynchronousTestCase):
    """Messages that are too large, or go round in circles."""

    def test_a_message_may_be_as_large_as_the_limit_and_not_one_byte_more(self):
        for size, code in ((9, 250), (10, 552)):
            queue = Takes()
            talk = talk_with(queue=queue, smtp_server_msgsize_max="10")
            self.assertEqual(send_message(talk, b"x" * size), code)
            self.assertEqual(len(queue.messages), code == 250)
            self.assertEqual(send_message(talk, b"next"), 250)

    def test_a_hundred_hops_are_a_loop(self):
        for hops, code in ((99, 250), (100, 554)):
            queue = Takes()
            talk = talk_with(queue=queue)
            self.assertEqual(send_message(talk, b"Received: x\r\n" * hops + b"\r\n"), code)
            self.assertEqual(len(queue.messages), code == 250)

    def test_the_number_of_hops_can_be_set(self):
        talk = talk_with(smtp_server_hops_max="2")
        self.assertEqual(send_message(talk, b"Received: x\r\ndelivered-to: y\r\n"), 554)

    def test_a_loop_is_told_before_the_size(self):
        talk = talk_with(smtp_server_hops_max="1", smtp_server_msgsize_max="10")
        self.assertEqual(send_message(talk, b"Received: x\r\n\r\n" + b"x" * 100), 554)

    def test_checks_are_not_asked_about_what_is_refused_anyway(self):
        check = Says(message=None)
        talk = talk_with(check, smtp_server_msgsize_max="10")
        send_message(talk, b"x" * 100)
        self.assertEqual(check.asked, [])


class FullDisk:
    """A file on a disk that is full."""

    closed = False

    def write(self, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self):
        self.closed = True


class FullAtTheEnd(io.BytesIO):
    """A file that notices when its buffer is written that the disk is full."""

    def seek(self, *where):
        raise OSError(errno.ENOSPC, "No space left on device")

    def close(self):
        raise OSError(errno.ENOSPC, "No space left on device")


class StorageTests(SynchronousTestCase):
    """A message that can't be held is not lost: the client keeps it."""

    def test_a_disk_that_is_full_is_452_once_and_after_the_message(self):
        queue = Takes()
        talk = talk_with(queue=queue)
        talk.send(MAIL, RCPT, b"DATA")
        talk.receiver.session.transaction.body = full = FullDisk()
        self.assertEqual(talk.feed(b"some text\r\n"), [])
        self.assertEqual(talk.feed(b"more text\r\n"), [])
        self.assertEqual(talk.feed(b".\r\n"), [452])
        self.assertTrue(full.closed)
        self.assertEqual(queue.messages, [])
        self.assertEqual(send_message(talk, b"next"), 250)

    def test_a_disk_that_is_full_only_at_the_end_is_452_as_well(self):
        queue = Takes()
        talk = talk_with(queue=queue)
        talk.send(MAIL, RCPT, b"DATA")
        talk.receiver.session.transaction.body = FullAtTheEnd()
        self.assertEqual(talk.feed(b"some text\r\n.\r\n"), [452])
        self.assertEqual(queue.messages, [])
        self.assertEqual(send_message(talk, b"next"), 250)

    def test_a_session_ends_though_its_message_can_not_be_closed(self):
        talk = talk_with()
        talk.send(MAIL, RCPT, b"DATA")
        talk.receiver.session.transaction.body = FullAtTheEnd()
        talk.feed(b"some text\r\n")
        talk.receiver.connectionLost()
        self.successResultOf(talk.receiver.finished)

    def test_a_spool_folder_that_is_gone_is_452(self):
        queue = Takes()
        spool = folder(self) / "gone"
        talk = talk_with(queue=queue, smtp_server_spool=str(spool), smtp_server_bodycache="10")
        talk.send(MAIL, RCPT, b"DATA")
        self.assertEqual(talk.feed(b"x" * 100) + talk.feed(b"x" * 100), [])
        self.assertEqual(talk.feed(b"\r\n.\r\n"), [452])
        self.assertEqual(send_message(talk, b"x"), 250)
        self.assertEqual([text for _recipients, text in queue.messages], [b"x\n"])


def raises():
    raise ZeroDivisionError("a defect")


async def raises_later():
    raise ZeroDivisionError("a defect")


class QueueTests(SynchronousTestCase):
    """The client hears 250 when the queue has said yes, and not otherwise."""

    def test_the_verdict_of_the_queue_is_the_reply(self):
        for verdict in (Accept(text="2.0.0 taken"), Reject(554, "5.3.0 no"), Defer(452, "4.3.1 x")):
            talk = talk_with(queue=Takes(succeed(verdict)))
            talk.send(MAIL, RCPT, b"DATA")
            talk.receiver.dataReceived(b"x\r\n.\r\n")
            self.assertEqual(talk.said, f"{verdict.code} {verdict.text}\r\n".encode())

    def test_nothing_is_said_before_the_queue_has_answered(self):
        answer = Deferred()
        talk = talk_with(queue=Takes(answer))
        self.assertEqual(conversation(talk)[-1], 354)
        answer.callback(Accept())
        self.assertEqual(talk.codes, [250])

    def test_a_queue_that_fails_in_any_way_is_451(self):
        for queue, error in (
            (Takes(raises), ZeroDivisionError),
            (Takes(lambda: fail(ZeroDivisionError())), ZeroDivisionError),
            (Takes(raises_later), ZeroDivisionError),
            (Takes(lambda: succeed(None)), TypeError),
            (Takes(lambda: succeed("250 ok")), TypeError),
            (Takes(lambda: succeed(True)), TypeError),
            (Takes(lambda: None), TypeError),
            (Takes(lambda: Accept()), TypeError),
        ):
            talk = talk_with(queue=queue)
            self.assertEqual(conversation(talk)[-1], 451)
            self.assertEqual(len(self.flushLoggedErrors(error)), 1)
            self.assertEqual((talk.send(b"NOOP"), talk.closed), ([250], False))

    def test_a_hundred_recipients_are_one_message_for_the_queue(self):
        queue = Takes()
        talk = talk_with(queue=queue)
        names = [b"r%d@mvmtr.example" % number for number in range(100)]
        self.assertEqual(
            send_message(talk, b"hello", [b"RCPT TO:<%s>" % name for name in names]), 250
        )
        self.assertEqual(queue.messages, [(tuple(names), b"hello\n")])

    def test_the_received_field_is_no_part_of_the_body(self):
        seen = []

        def look(session):
            seen.append((session.transaction.header, session.transaction.size))
            return succeed(Accept())

        queue = Takes()
        queue.put = look
        self.assertEqual(send_message(talk_with(queue=queue), b"x"), 250)
        ((header, size),) = seen
        self.assertTrue(header.startswith(b"Received: from client.example (203.0.113.7)\n"))
        self.assertEqual(size, 2)

    def test_a_message_that_a_check_discards_gets_a_reply_like_any_other(self):
        talk = talk_with(Says(message=Discard()))
        talk.send(MAIL, RCPT, b"DATA")
        talk.receiver.dataReceived(b"x\r\n.\r\n")
        self.assertRegex(talk.said, rb"\A250 2\.0\.0 ok \d+ qp \d+\r\n\Z")
