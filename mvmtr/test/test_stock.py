"""
What the stock SMTP class of Twisted does wrong, and L{mvmtr.protocol.smtp.Receiver} does not.

Each test holds assertions about a session in a function. They must fail against the stock
class, with the error that is named, and hold for mvmtr.
"""

from __future__ import annotations

import subprocess
import sys

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.stdio import PipeAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.mail import smtp
from twisted.mail.interfaces import IMessageDelivery, IMessageSMTP
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from mvmtr.session import Accept, Defer
from mvmtr.test.stand_ins import MAIL, RCPT, Says, Takes, talk_with
from mvmtr.test.support import Talk, environment

LIMIT = 100_000
DATA = (b"HELO c", MAIL, RCPT, b"DATA")


@implementer(IMessageSMTP)
class StockMessage:
    """A message as the stock class wants it: lines that it is given one by one."""

    def __init__(self, talk):
        self.talk = talk
        self.lines = []

    def lineReceived(self, line):
        self.lines.append(line)

    def eomReceived(self):
        self.talk.messages.append(b"".join(line + b"\n" for line in self.lines))
        return self.talk.end()

    def connectionLost(self):
        pass


@implementer(IMessageDelivery)
class StockDelivery:
    """Takes mail for everybody, as the documentation of Twisted shows it."""

    def __init__(self, talk):
        self.talk = talk

    def validateFrom(self, helo, origin):
        return self.talk.at_mail(origin)

    def validateTo(self, user):
        self.talk.recipients.append(user)
        return self.talk.at_data

    def receivedHeader(self, helo, origin, recipients):
        return b"Received: stock"


class StockTalk(Talk):
    """A session with the stock class."""

    def __init__(self):
        self.clock = Clock()
        self.transport = StringTransport(peerAddress=IPv4Address("TCP", "203.0.113.7", 25000))
        self.messages = []
        self.recipients = []
        self.receiver = smtp.ESMTP()
        self.receiver.timeout = 600
        self.receiver.callLater = self.clock.callLater
        self.receiver.delivery = StockDelivery(self)

    def start(self):
        self.receiver.makeConnection(self.transport)
        return self

    def at_mail(self, origin):
        return origin

    def at_data(self):
        return StockMessage(self)

    def end(self):
        return succeed(None)


class OurTalk:
    """What makes a session with mvmtr that takes mail for everybody, for the same assertions."""

    def __init__(self, *checks, answer=None, **overrides):
        self.queue = Takes(answer)
        yes = Says("yes", rcpt=Accept())
        self.talk = talk_with(*checks, yes, queue=self.queue, **overrides)

    def __getattr__(self, name):
        return getattr(self.talk, name)

    @property
    def messages(self):
        return [text for _recipients, text in self.queue.messages]


class StockTests(SynchronousTestCase):
    """Row by row; the numbers are those of the architecture page."""

    def ours(self, *checks, **options):
        return OurTalk(*checks, smtp_server_msgsize_max=str(LIMIT), **options)

    def stock(self, **behaviour):
        talk = StockTalk()
        for name, function in behaviour.items():
            setattr(talk, name, function)
        return talk.start()

    def differ(self, assertions, error=AssertionError, stock=None, ours=None):
        """The assertions fail for the stock class and hold for mvmtr."""
        with self.assertRaises(error):
            assertions(stock or self.stock())
        self.flushLoggedErrors()
        assertions(ours or self.ours())
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_both_take_a_plain_message(self):
        for talk in (self.stock(), self.ours()):
            self.assertEqual(talk.send(*DATA), [220, 250, 250, 250, 354])
            self.assertEqual(talk.send(b"Subject: x", b"", b"..hello", b"."), [250])
            (message,) = talk.messages
            self.assertTrue(message.endswith(b"Subject: x\n\n.hello\n"), message)
            self.assertEqual(talk.send(b"QUIT"), [221])

    def test_02_a_long_line_does_not_end_a_message(self):
        def assertions(talk):
            talk.send(*DATA)
            self.assertEqual(talk.feed(b"x" * 20_000), [])
            self.assertEqual(talk.send(b"", b"MAIL FROM:<evil@client.example>"), [])
            self.assertEqual(talk.send(b"."), [250])
            self.assertIn(b"\nMAIL FROM:<evil@client.example>\n", talk.messages[0])

        self.differ(assertions)

    def test_03_commands_wait_for_the_one_before_them(self):
        def assertions(waiting):
            def assertions(talk):
                self.assertEqual(talk.send(MAIL, RCPT, b"RSET", b"DATA"), [220])
                waiting.pop().callback(None)
                self.assertEqual(talk.codes, [250, 250, 250, 503])

            return assertions

        first, second = Deferred(), Deferred()
        with self.assertRaises(AssertionError):
            assertions([first])(self.stock(at_mail=lambda origin: first))
        assertions([second])(self.ours(Says(mail=second)))

    def test_04_a_temporary_failure_of_the_queue_is_no_bounce(self):
        def assertions(talk):
            talk.send(*DATA)
            self.assertEqual(talk.send(b"."), [451])

        self.differ(
            assertions,
            stock=self.stock(end=lambda: fail(smtp.SMTPServerError(451, "later"))),
            ours=self.ours(answer=succeed(Defer(451))),
        )

    def test_05_many_recipients_have_one_message(self):
        def assertions(talk):
            talk.send(b"HELO c", MAIL, RCPT, RCPT, RCPT, b"DATA")
            self.assertEqual(talk.send(b"hello", b"."), [250])
            self.assertEqual(len(talk.messages), 1)

        self.differ(assertions)

    def test_06_a_message_has_a_limit(self):
        def assertions(talk):
            talk.send(*DATA)
            self.assertEqual(talk.feed(b"x" * 10_000 + b"\r\n"), [])
            for _again in range(10):
                talk.feed(b"x" * 10_000 + b"\r\n")
            self.assertEqual(talk.send(b"."), [552])
            self.assertEqual(talk.messages, [])

        self.differ(assertions)

    def test_06_parameters_are_obeyed_or_refused(self):
        for words, code in (
            (b"SIZE=99999999999", 552),
            (b"BODY=BINARYMIME", 501),
            (b"FOO=BAR", 555),
        ):

            def assertions(talk, words=words, code=code):
                self.assertEqual(talk.send(b"EHLO c", MAIL + b" " + words)[-1], code)

            self.differ(assertions)

    def test_08_addresses_that_qmail_takes_are_taken(self):
        for address in (
            b"a@[1.2.3.4]",
            b"a b@c",
            b"a@b@c",
            b"\xe9@c",
            b"a;b@c",
            b"a[b@c",
            b"a(b@c",
        ):

            def assertions(talk, address=address):
                codes = talk.send(b"HELO c", MAIL, b"RCPT TO:<" + address + b">", b"DATA")
                self.assertEqual(codes[-2:], [250, 354], address)

            self.differ(assertions)

    def test_09_no_address_holds_nul_or_lf(self):
        for address in (b'"a\0Tvictim@x\0"@c', b'"a\nX-Evil: 1"@c', b'"a\rb"@c'):
            for command in (b"MAIL FROM:<", b"RCPT TO:<"):

                def assertions(talk, line=command + address + b">"):
                    codes = talk.send(b"HELO c", *([MAIL] * line.startswith(b"RCPT")), line)
                    self.assertNotEqual(codes[-1], 250, line)

                self.differ(assertions)

    def test_10_the_quadratic_address_parser_has_no_work(self):
        def defective(*_arguments):
            raise ZeroDivisionError("an Address was parsed")

        self.patch(smtp.Address, "__init__", defective)

        def assertions(talk):
            self.assertEqual(talk.send(b"HELO c", MAIL, RCPT), [220, 250, 250, 250])
            long = b"MAIL FROM:<" + b"a." * 8000 + b"@c>"
            self.assertEqual(talk.send(b"RSET", long), [250, 555])

        self.differ(assertions, ZeroDivisionError)

    def test_11_bytes_above_127_in_an_address_do_not_break_the_session(self):
        def assertions(talk):
            codes = talk.send(b"HELO c", b'MAIL FROM:<"\xe9"@c>', b'RCPT TO:<"\xe9"@c>', b"DATA")
            self.assertEqual(codes[-1], 354)
            self.assertEqual(talk.send(b"x", b"."), [250])

        self.differ(assertions, UnicodeDecodeError)

    def test_12_bytes_above_127_in_a_verb_do_not_break_the_session(self):
        def assertions(talk):
            self.assertEqual(talk.send(b"\xff", b"NO\xe9P", b"RSET"), [220, 502, 502, 250])

        self.differ(assertions, UnicodeDecodeError)

    def test_13_a_bare_auth_does_not_break_the_session(self):
        def assertions(talk):
            code, after = talk.send(b"EHLO c", b"AUTH", b"RSET")[-2:]
            self.assertIn(code, (501, 502))
            self.assertEqual(after, 250)

        self.differ(assertions, IndexError)

    def test_14_a_lone_line_feed_makes_no_header(self):
        def assertions(talk):
            talk.send(*DATA)
            self.assertEqual(talk.send(b"Subject: x\nX-Evil: 1", b"", b"."), [451])
            self.assertEqual(talk.messages, [])

        self.differ(assertions)

    def test_15_the_body_is_stored_as_it_came(self):
        def assertions(talk):
            talk.send(*DATA)
            self.assertEqual(talk.send(b"no header", b"text", b"."), [250])
            (message,) = talk.messages
            self.assertEqual(message.removeprefix(b"Received: stock\n"), b"no header\ntext\n")

        self.differ(assertions)

    def test_16_the_client_is_not_blamed_when_the_server_is_slow(self):
        def assertions(talk):
            self.assertEqual(talk.send(MAIL), [220])
            talk.clock.advance(10_000)
            self.assertEqual((talk.codes, talk.closed), ([], False))

        self.differ(
            assertions,
            stock=self.stock(at_mail=lambda origin: Deferred()),
            ours=self.ours(Says(mail=Deferred())),
        )

    def test_17_noop_vrfy_and_help_are_there(self):
        for command, code in ((b"NOOP", 250), (b"VRFY x", 252), (b"HELP", 214)):

            def assertions(talk, command=command, code=code):
                self.assertEqual(talk.send(command), [220, code])

            self.differ(assertions)

    def test_20_a_transport_without_a_host_can_have_ehlo(self):
        def assertions(talk):
            talk.transport.peerAddr = PipeAddress()
            self.assertEqual(talk.send(b"EHLO c"), [220, 250])

        self.differ(assertions, AttributeError)

    def test_22_the_received_field_needs_neither_helo_nor_host(self):
        stock = self.stock()
        stock.receiver.delivery = None

        def assertions(talk):
            field = talk.receiver.receivedHeader((None, b"203.0.113.7"), b"s@c", [b"r@c"])
            self.assertTrue(field.startswith(b"Received: from "))

        self.differ(assertions, TypeError, stock=stock)

    def test_23_a_refusal_at_data_is_told(self):
        def refuse():
            raise smtp.SMTPServerError(451, "later")

        def assertions(talk):
            self.assertEqual(talk.send(*DATA)[-1], 451)
            self.assertEqual(talk.send(b"RSET"), [250])

        self.differ(
            assertions,
            TypeError,
            stock=self.stock(at_data=refuse),
            ours=self.ours(Says(data=Defer(451))),
        )

    def test_26_a_check_may_wait_before_354(self):
        waiting = {}

        def assertions(talk):
            self.assertEqual(talk.send(*DATA[:-1]), [220, 250, 250, 250])
            self.assertEqual(talk.send(b"DATA"), [])
            waiting[type(talk)].callback(None)
            self.assertEqual(talk.codes, [354])

        waiting[StockTalk], waiting[OurTalk] = Deferred(), Deferred()
        self.differ(
            assertions,
            stock=self.stock(at_data=lambda: waiting[StockTalk]),
            ours=self.ours(Says(data=waiting[OurTalk])),
        )


COUNT_LOOK_UPS = """
import socket
asked = []
def gethostbyaddr(name):
    asked.append(name)
    return name, [], []
socket.gethostbyaddr = gethostbyaddr
import {module}
print(len(asked))
"""


class ImportTests(SynchronousTestCase):
    """Row 25: a start that waits for the DNS."""

    def look_ups(self, module):
        done = subprocess.run(
            [sys.executable, "-c", COUNT_LOOK_UPS.format(module=module)],
            env=environment(),
            stdout=subprocess.PIPE,
            check=True,
        )
        return int(done.stdout)

    def test_25_importing_asks_the_dns_nothing(self):
        self.assertGreater(self.look_ups("twisted.mail.smtp"), 0)
        self.assertEqual(self.look_ups("mvmtr.protocol.smtp"), 0)
        self.assertEqual(self.look_ups("mvmtr.tap"), 0)


class OnlyOursTests(SynchronousTestCase):
    """Rows in which there is nothing in the stock class to compare with."""

    def test_18_a_check_can_ask_for_helo(self):
        check = Says(mail=None)
        check.check = lambda session, stage, argument: (
            Defer(450, "4.5.1 HELO first") if session.helo is None else None
        )
        talk = OurTalk(check).talk
        self.assertEqual(talk.send(MAIL, b"HELO c", MAIL), [220, 450, 250, 250])

    def test_19_auth_is_neither_told_nor_taken_in_clear(self):
        talk = OurTalk().talk
        talk.receiver.dataReceived(b"EHLO c\r\n")
        self.assertNotIn(b"AUTH", talk.said)
        self.assertEqual(talk.send(b"AUTH PLAIN AGEAYg=="), [502])
