"""Tests for L{mvmtr.protocol.flow}: batches, waiting, silence and ends."""

from __future__ import annotations

import contextlib
import re
import select
import socket

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ITCPTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import alsoProvides

from mvmtr.protocol.flow import LINGER
from mvmtr.session import Accept, Defer
from mvmtr.test.stand_ins import MAIL, RCPT, TEXT, Says, Takes, conversation, talk_with
from mvmtr.test.support import LoopbackServer, assemble, factory_of, in_thread

HALF_A_MESSAGE = (MAIL, RCPT, b"DATA", b"Subject: half")
GONE = Failure(ConnectionDone())


def writes_of(talk):
    """What the server writes from now on, one item for each write."""
    writes = []
    talk.transport.write = writes.append
    return writes


def records(captured, event):
    """The records of one kind among captured log events."""
    found = [one["record"] for one in captured if "record" in one]
    return [record for record in found if record["event"] == event]


class BatchTests(SynchronousTestCase):
    """Replies to what came together leave together."""

    def test_a_batch_of_commands_is_answered_in_one_write(self):
        talk = talk_with()
        writes = writes_of(talk)
        talk.send(b"EHLO c", MAIL, RCPT, b"DATA")
        talk.feed(TEXT + MAIL + b"\r\nQUIT\r\n")
        self.assertEqual(len(writes), 2)
        self.assertEqual([write[-2:] for write in writes], [b"\r\n"] * 2)
        self.assertEqual([len(re.findall(rb"^\d+ ", w, re.M)) for w in writes], [4, 3])

    def test_a_batch_with_a_wait_in_it_is_still_one_write(self):
        answer = Deferred()
        talk = talk_with(Says(rcpt=answer))
        writes = writes_of(talk)
        talk.send(MAIL, RCPT, b"NOOP")
        self.assertEqual(writes, [])
        answer.callback(None)
        self.assertEqual([write.count(b"\r\n") for write in writes], [3])

    def test_half_a_command_is_no_reason_to_wait_with_the_reply_to_the_one_before(self):
        talk = talk_with()
        self.assertEqual(talk.feed(b"NOOP\r\nNO"), [220, 250])


class CongestionTests(SynchronousTestCase):
    """A client that does not read its replies gets no more of them."""

    def test_commands_wait_while_replies_are_not_read(self):
        talk = talk_with()
        talk.receiver.pauseProducing()
        self.assertEqual(talk.transport.producerState, "paused")
        self.assertEqual(talk.send(b"NOOP", b"HELP"), [220])
        talk.receiver.resumeProducing()
        self.assertEqual(talk.codes, [250, 214])
        self.assertEqual(talk.transport.producerState, "producing")

    def test_a_check_that_ends_while_replies_are_not_read_does_not_start_reading(self):
        answer = Deferred()
        talk = talk_with(Says(helo=answer))
        talk.send(b"EHLO c", b"NOOP")
        talk.receiver.pauseProducing()
        answer.callback(None)
        self.assertEqual(talk.transport.producerState, "paused")
        talk.receiver.resumeProducing()
        self.assertEqual(talk.codes, [250, 250])

    def test_replies_that_are_read_while_a_check_waits_do_not_start_reading(self):
        answer = Deferred()
        talk = talk_with(Says(helo=answer))
        talk.send(b"EHLO c", b"NOOP")
        talk.receiver.pauseProducing()
        talk.receiver.resumeProducing()
        self.assertEqual((talk.transport.producerState, talk.codes), ("paused", []))
        answer.callback(None)
        self.assertEqual(talk.codes, [250, 250])

    def test_a_client_that_never_reads_is_cut_off(self):
        talk = talk_with(smtp_server_timeout="100", smtp_server_timeout_helo="100")
        talk.receiver.pauseProducing()
        talk.send(b"NOOP")
        talk.clock.advance(100)
        self.assertTrue(talk.transport.disconnected)


class EndOfInputTests(SynchronousTestCase):
    """The client sends no more, and waits for replies."""

    def test_what_was_sent_is_answered_before_the_end(self):
        talk = talk_with()
        talk.send(b"NOOP")
        talk.receiver.readConnectionLost()
        self.assertTrue(talk.closed)

    def test_work_under_way_is_finished_and_told(self):
        answer, queue = Deferred(), Takes()
        talk = talk_with(Says(message=answer), queue=queue)
        conversation(talk)
        talk.receiver.dataReceived(MAIL + b"\r\n")
        talk.receiver.readConnectionLost()
        self.assertEqual((talk.codes, talk.closed), ([], False))
        answer.callback(None)
        self.assertEqual((talk.codes, talk.closed), ([250, 250], True))
        self.assertEqual(len(queue.messages), 1)

    def test_half_a_message_is_no_message(self):
        queue = Takes()
        talk = talk_with(queue=queue)
        talk.send(*HALF_A_MESSAGE)
        talk.receiver.readConnectionLost()
        self.assertEqual((talk.codes, talk.closed, queue.messages), ([], True, []))


class TimeoutTests(SynchronousTestCase):
    """The client is silent."""

    def silence(self, *lines, **overrides):
        """After how many seconds of silence the session ends; in whole seconds."""
        talk = talk_with(**overrides)
        talk.send(*lines)
        for seconds in range(1, 1000):
            talk.clock.advance(1)
            if talk.closed:
                self.assertEqual(talk.codes, [451])
                return seconds
        return None

    def test_each_part_of_a_session_has_its_timeout(self):
        overrides = {
            "smtp_server_timeout": "40",
            "smtp_server_timeout_helo": "10",
            "smtp_server_timeout_data": "20",
        }
        for lines, seconds in (
            ((), 10),
            ((b"NOOP",), 10),
            ((b"EHLO c",), 40),
            ((MAIL,), 40),
            ((MAIL, RCPT), 40),
            ((b"EHLO c", MAIL, RCPT, b"DATA"), 20),
            (HALF_A_MESSAGE, 20),
            ((*HALF_A_MESSAGE, b"."), 10),
            ((b"EHLO c", *HALF_A_MESSAGE, b"."), 40),
        ):
            self.assertEqual(self.silence(*lines, **overrides), seconds, lines)

    def test_special_timeouts_fall_back_to_the_general_one(self):
        for lines in ((), (b"EHLO c",), HALF_A_MESSAGE):
            self.assertEqual(self.silence(*lines, smtp_server_timeout="7"), 7, lines)
            self.assertEqual(self.silence(*lines), 300, lines)

    def test_every_byte_that_comes_starts_the_wait_again(self):
        talk = talk_with(smtp_server_timeout="10")
        for byte in b"NOOP":
            talk.clock.advance(9)
            talk.feed(bytes([byte]))
        self.assertFalse(talk.closed)
        talk.clock.advance(10)
        self.assertTrue(talk.closed)

    def test_a_client_that_does_not_take_the_last_reply_is_cut_off(self):
        talk = talk_with()
        talk.send(b"QUIT")
        self.assertFalse(talk.transport.disconnected)
        talk.clock.advance(60)
        self.assertTrue(talk.transport.disconnected)


class StopTests(SynchronousTestCase):
    """The server goes down."""

    def test_an_idle_session_is_told_so(self):
        talk = talk_with()
        self.assertEqual(talk.send(b"EHLO c"), [220, 250])
        talk.receiver.stop()
        self.assertEqual((talk.codes, talk.closed), ([421], True))

    def test_a_message_that_is_not_complete_may_be_finished(self):
        queue = Takes()
        talk = talk_with(queue=queue)
        talk.send(*HALF_A_MESSAGE)
        talk.receiver.stop()
        self.assertEqual((talk.codes, talk.closed), ([], False))
        self.assertEqual(talk.feed(b"\r\n.\r\n" + MAIL + b"\r\n"), [250, 421])
        self.assertTrue(talk.closed)
        self.assertEqual(len(queue.messages), 1)

    def test_a_transaction_may_be_finished_but_no_other_one_is_begun(self):
        talk = talk_with()
        talk.send(MAIL)
        talk.receiver.stop()
        self.assertEqual((talk.codes, talk.closed), ([], False))
        self.assertEqual(talk.send(RCPT, b"RSET", MAIL), [250, 250, 421])
        self.assertTrue(talk.closed)

    def test_a_transaction_that_a_silent_client_does_not_finish_ends_as_always(self):
        talk = talk_with()
        talk.send(MAIL)
        talk.receiver.stop()
        talk.clock.advance(1200)
        self.assertEqual((talk.codes, talk.closed), ([451], True))

    def test_a_message_that_the_queue_has_is_answered_first(self):
        answer = Deferred()
        talk = talk_with(queue=Takes(answer))
        conversation(talk)
        talk.receiver.dataReceived(b"NOOP\r\n")
        talk.receiver.stop()
        self.assertEqual((talk.codes, talk.closed), ([], False))
        answer.callback(Accept())
        self.assertEqual((talk.codes, talk.closed), ([250, 421], True))

    def test_stopping_twice_is_stopping_once(self):
        talk = talk_with()
        talk.receiver.stop()
        talk.receiver.stop()
        self.assertEqual(talk.codes, [220, 421])


class LingerTests(SynchronousTestCase):
    """A client in the middle of sending gets time to see why nothing more is read."""

    def setUp(self):
        self.talk = talk_with()
        self.half_closed = []
        self.talk.transport.loseWriteConnection = lambda: self.half_closed.append(True)
        alsoProvides(self.talk.transport, ITCPTransport)
        self.talk.send(MAIL, RCPT, b"DATA")
        self.assertEqual(self.talk.feed(b"a bare\nline feed"), [451])

    def test_a_tcp_connection_is_closed_one_way_first(self):
        self.assertEqual((self.half_closed, self.talk.closed), ([True], False))
        self.assertEqual(self.talk.transport.producerState, "producing")
        self.assertEqual(self.talk.feed(b"\r\n.\r\nNOOP\r\n"), [])
        self.talk.clock.advance(LINGER)
        self.assertTrue(self.talk.closed)

    def test_a_client_that_has_noticed_is_not_waited_for(self):
        self.talk.receiver.readConnectionLost()
        self.assertTrue(self.talk.closed)
        self.talk.receiver.connectionLost(GONE)
        self.assertEqual(self.talk.clock.getDelayedCalls(), [])


class LostTests(SynchronousTestCase):
    """The connection is gone."""

    def test_a_message_that_the_queue_has_is_still_noted(self):
        answer = Deferred()
        talk = talk_with(queue=Takes(answer))
        with capturedLogs() as captured:
            conversation(talk)
            talk.receiver.connectionLost(GONE)
            self.assertNoResult(talk.receiver.finished)
            answer.callback(Accept(reason="file 7"))
        (message,) = records(captured, "message")
        self.assertEqual((message["verdict"], message["reason"]), ("accept", "file 7"))
        (connection,) = records(captured, "connection")
        self.assertEqual((connection["messages"], connection["quit"]), (1, "no"))
        self.successResultOf(talk.receiver.finished)
        self.assertEqual(talk.clock.getDelayedCalls(), [])

    def test_a_check_that_answers_then_has_nothing_done_for_it(self):
        answer, queue = Deferred(), Takes()
        later = Says(data=None)
        talk = talk_with(Says(mail=answer), later, queue=queue)
        talk.send(MAIL, RCPT, b"DATA")
        talk.receiver.connectionLost(GONE)
        answer.callback(None)
        self.assertEqual((later.asked, queue.messages), ([], []))
        self.successResultOf(talk.receiver.finished)

    def test_half_a_message_is_let_go_of(self):
        talk = talk_with()
        talk.send(*HALF_A_MESSAGE)
        body = talk.receiver.session.transaction.body
        talk.receiver.connectionLost(GONE)
        self.assertTrue(body.closed)
        self.successResultOf(talk.receiver.finished)


class ErrorTests(SynchronousTestCase):
    """Errors of this program end the session with 421, and are logged."""

    def broken(self, *_arguments):
        raise ZeroDivisionError("a defect")

    def assert_broken(self, talk, codes):
        self.assertEqual((talk.codes, talk.closed), (codes, True))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        talk.receiver.connectionLost(GONE)
        self.successResultOf(talk.receiver.finished)

    def test_an_error_in_a_command(self):
        talk = talk_with()
        talk.receiver.delivery.receivedHeader = self.broken
        talk.receiver.dataReceived(b"\r\n".join((MAIL, RCPT, b"DATA", b"NOOP", b"")))
        self.assert_broken(talk, [220, 250, 250, 421])

    def test_an_error_after_a_wait(self):
        answer = Deferred()
        talk = talk_with(Says(data=answer))
        talk.receiver.delivery.receivedHeader = self.broken
        talk.receiver.dataReceived(b"\r\n".join((MAIL, RCPT, b"DATA", b"NOOP", b"")))
        answer.callback(None)
        self.assert_broken(talk, [220, 250, 250, 421])

    def test_an_error_before_the_greeting(self):
        assembly = assemble()
        assembly.for_connection = self.broken
        factory = factory_of(assembly)
        talk = talk_with()
        self.assertEqual(talk.codes, [220])
        talk.receiver = factory.buildProtocol(None)
        talk.receiver.callLater = talk.clock.callLater
        talk.transport.producer = None
        talk.receiver.makeConnection(talk.transport)
        self.assert_broken(talk, [421])
        self.assertFalse(factory.sessions)

    def test_a_late_421_closes_and_breaks_nothing(self):
        answer = Deferred()
        talk = talk_with(Says(mail=answer))
        talk.send(MAIL, b"NOOP")
        answer.callback(Defer(421))
        self.assertEqual((talk.codes, talk.closed), ([421], True))
        self.assertEqual(self.flushLoggedErrors(), [])


def received(connection):
    """All that comes until the other side closes."""
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def flood(port, most):
    """Send commands and read nothing, until no more can be sent; then read all replies."""
    command = b"HELP\r\n"
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.setblocking(False)
        sent = 0
        stream = command * 10_000
        while sent < most and select.select([], [connection], [], 2)[1]:
            with contextlib.suppress(BlockingIOError):
                sent += connection.send(stream[sent % len(command) :])
        connection.settimeout(60)
        connection.shutdown(socket.SHUT_WR)
        return sent, received(connection)


def send_all_and_half_close(port, data):
    """Send, then read to the end; a connection that is reset is an error."""
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return received(connection)


class SocketTests(TestCase):
    """The same over real sockets."""

    async def serve(self, **overrides):
        assembly = assemble(smtp_server_rcpt_domains="mvmtr.example", **overrides)
        self.server = LoopbackServer(factory_of(assembly))
        self.addCleanup(lambda: Deferred.fromCoroutine(self.server.stop()))
        return self.server.port

    async def test_a_client_that_reads_nothing_can_not_send_for_ever(self):
        port = await self.serve(smtp_server_commands_max=str(10**9))
        most = 64 << 20
        sent, said = await in_thread(flood, port, most)
        self.assertLess(sent, most)
        self.assertEqual(said.count(b"\n214 "), sent // len(b"HELP\r\n"))

    async def test_a_session_that_was_sent_at_once_and_half_closed_is_answered_whole(self):
        port = await self.serve()
        data = b"\r\n".join((b"EHLO c", MAIL, RCPT, b"DATA", TEXT)) + MAIL + b"\r\nNO"
        said = await in_thread(send_all_and_half_close, port, data)
        codes = [int(line[:3]) for line in said.splitlines() if line[3:4] == b" "]
        self.assertEqual(codes, [220, 250, 250, 250, 354, 250, 250])

    async def test_a_client_in_the_middle_of_sending_hears_why_nothing_more_is_read(self):
        port = await self.serve()
        data = b"\r\n".join((MAIL, RCPT, b"DATA", b"a bare\nline feed", b"x" * 300_000))
        said = await in_thread(send_all_and_half_close, port, data)
        self.assertIn(b"\r\n451 4.5.2 ", said)
