"""Tests for L{mvmtr.hooks}: what becomes of sessions, envelopes and messages around hooks."""

from __future__ import annotations

import gc
import io
import socket
from unittest import mock
from weakref import ref

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from mvmtr import resolver as resolver_module
from mvmtr.hooks import message as message_module
from mvmtr.hooks import startfile as startfile_module
from mvmtr.hooks.host import SessionHost
from mvmtr.hooks.lookups import Lookups
from mvmtr.hooks.message import StoredMessage, put_header
from mvmtr.hooks.startfile import StartFile
from mvmtr.session import Connection, Session, Stage, Transaction
from mvmtr.settings import Settings
from mvmtr.test.auth_support import AuthTalk, password_file, plain
from mvmtr.test.stand_ins import MAIL, TEXT, Takes, conversation, talk_with
from mvmtr.test.support import folder


class Silent:
    """A resolver that does not answer before it is told to."""

    def __init__(self):
        self.answer = Deferred()

    def lookupAddress(self, name):
        return self.answer

    def lookupIPV6Address(self, name):
        return succeed(([], [], []))


class SessionCase(SynchronousTestCase):
    def start(self, text, clock=None):
        path = folder(self) / "mvmtr.mfl"
        path.write_text(text)
        self.path = str(path)
        return StartFile(self.path, Settings(), clock or Clock())

    def talk(self, text, clock=None, **settings):
        self.queue = Takes()
        return talk_with(self.start(text, clock), queue=self.queue, **settings)

    def silent(self):
        resolver = Silent()
        self.patch(resolver_module, "resolver_for", lambda server, reactor: resolver)
        return resolver

    def errors(self):
        """What is logged as an error from now on, as text."""
        logged = []
        logger = mock.Mock(error=lambda text, **values: logged.append(text.format(**values)))
        self.patch(startfile_module, "log", logger)
        return logged


class LifeTests(SessionCase):
    def test_nothing_of_a_session_is_left_when_it_is_gone(self):
        start = self.start("int count = 0; int $hook_connect() { count++; return 0; }")
        session = Session(Connection(), Settings())
        start.check(session, Stage.CONNECT, b"")
        gone = ref(session)
        del session
        gc.collect()
        self.assertIsNone(gone())

    def test_a_hook_that_waits_is_ended_by_its_own_time_limit(self):
        clock = Clock()
        self.silent()
        logged = self.errors()
        text = "\n\nint $hook_mail(string s) { return $length($dns_a($domain(s))); }"
        talk = self.talk(text, clock, smtp_server_mfl_seconds="5")
        self.assertEqual(talk.codes + talk.send(MAIL), [220])
        clock.advance(4)
        self.assertEqual(talk.codes, [])
        clock.advance(1)
        self.assertEqual(talk.codes, [451])
        (line,) = logged
        self.assertIn(f"{self.path}:3:", line)
        self.assertIn(talk.receiver.session.id, line)

    def test_a_message_is_taken_although_the_client_leaves_while_a_hook_waits(self):
        resolver = self.silent()
        logged = self.errors()
        text = (
            'int $hook_message() { int size = $body_size(); $dns_a("host.example");'
            ' if (test(body :raw :contains "hello")) $add_header("A", "b"); return size - 7; }'
        )
        talk = self.talk('require "body"; ' + text)
        self.assertEqual(conversation(talk), [220, 250, 250, 250, 354])
        talk.receiver.connectionLost(Failure(ConnectionDone()))
        resolver.answer.callback(([], [], []))
        ((_recipients, stored),) = self.queue.messages
        self.assertEqual((logged, stored), ([], b"A: b\nSubject: x\n\nhello\n"))

    def test_a_hook_that_returns_no_verdict_is_told_with_its_place(self):
        logged = self.errors()
        talk = self.talk("\nint seven() { return 7; }\nint $hook_connect() { return seven(); }")
        self.assertEqual(talk.codes, [451])
        (line,) = logged
        self.assertIn(f"{self.path}:3:", line)


class NameTests(SessionCase):
    def test_a_user_who_may_not_come_in_is_told_so_by_the_hook(self):
        start = self.start(
            'int $hook_auth(string user) { if (user == "ann" && $auth_user() == user)'
            ' return $reject(535, "5.7.8 not you"); return 0; }'
        )
        talk = AuthTalk(password_file(folder(self)), checks=(start,))
        self.assertTrue(talk.hear(b"AUTH PLAIN " + plain()).startswith(b"535 5.7.8 not you"))
        self.assertIsNone(talk.receiver.session.user)

    def test_what_is_no_file_is_not_read(self):
        lookups = Lookups("/dev", None)
        for name in (b"zero", b"."):
            self.assertRaises(OSError, lookups.file_has, name, b"x")

    def test_nobody_is_asked_about_a_name_that_can_not_be(self):
        self.silent()
        talk = self.talk("int $hook_helo(string name) { $dns_a(name); return 0; }")
        names = (b"a" * 64, b"a..b", b"a." * 200 + b"a", b"\xff")
        self.assertEqual(
            talk.codes + talk.send(*(b"HELO " + one for one in names)), [220] + [250] * 4
        )


class EnvelopeTests(SessionCase):
    def recipients(self, text, *to):
        talk = self.talk(text)
        talk.send(b"HELO c", MAIL, *(b"RCPT TO:<%s@mvmtr.example>" % one for one in to), b"DATA")
        self.assertEqual(talk.feed(TEXT), [250])
        return [recipients for recipients, _stored in self.queue.messages]

    def test_a_message_that_is_discarded_goes_only_to_where_it_is_redirected(self):
        text = 'redirect "new@mvmtr.example"; discard;'
        self.assertEqual(self.recipients(text, b"a", b"b"), [(b"new@mvmtr.example",)])

    def test_a_recipient_that_is_discarded_is_replaced_and_the_others_stay(self):
        text = (
            "int $hook_rcpt(string r)"
            ' { if ($local(r) == "b") { redirect "new@mvmtr.example"; discard; } return 0; }'
        )
        kept = (b"a@mvmtr.example", b"new@mvmtr.example", b"c@mvmtr.example")
        self.assertEqual(self.recipients(text, b"a", b"b", b"c"), [kept])

    def test_a_keep_outweighs_a_discard(self):
        text = 'redirect "new@mvmtr.example"; discard; keep;'
        kept = (b"a@mvmtr.example", b"new@mvmtr.example")
        self.assertEqual(self.recipients(text, b"a"), [kept])

    def test_a_redirect_takes_a_message_whose_recipients_were_all_discarded(self):
        text = (
            "int $hook_rcpt(string r) { return $discard(); }"
            'int $hook_message() { redirect "new@mvmtr.example"; return 0; }'
        )
        self.assertEqual(self.recipients(text, b"a"), [(b"new@mvmtr.example",)])

    def test_a_redirect_to_who_gets_it_already_adds_nobody(self):
        text = 'redirect "a@mvmtr.example";'
        self.assertEqual(self.recipients(text, b"a"), [(b"a@mvmtr.example",)])


class HeaderTests(SessionCase):
    def changed(self, text, edit):
        transaction = Transaction(b"")
        transaction.body = io.BytesIO(text)
        stored = StoredMessage(transaction, 1000)
        header = edit(stored.header)
        put_header(transaction, stored, header, Settings())
        transaction.body.seek(0)
        changed = transaction.body.read()
        self.assertEqual(transaction.size, len(changed))
        return changed

    def add(self, header):
        return b"X: y\n" + header

    def test_the_body_stays_as_it_is(self):
        for text in (
            b"A: b\n\nbody\n",
            b"\nbody\n",
            b"A: b\n",
            b"A: b",
            b"",
            b"\n",
            b"A: b\n\n\n\0\xff\r\r",
        ):
            self.assertEqual(self.changed(text, self.add), b"X: y\n" + text)

    def test_a_header_too_long_to_be_seen_is_not_cut(self):
        self.patch(message_module, "HEADER_MAX", 20)
        text = b"One: first\nTwo: second\n folded\nThree: third\n\nbody\n"
        self.assertEqual(self.changed(text, self.add), b"X: y\n" + text)
        at_the_end = self.changed(text, lambda header: header + b"X: y\n")
        self.assertEqual(
            at_the_end, b"One: first\nX: y\nTwo: second\n folded\nThree: third\n\nbody\n"
        )

    def test_edits_reach_a_message_that_came_in_chunks_and_its_bytes_stay(self):
        body = bytes(range(256)) * 2000
        text = b"A: b\r\nTo: x\r\n\r\n" + body
        talk = self.talk('int $hook_message() { $delete_header("to"); $add_header("X", "y"); }')
        self.queue.carries = frozenset({"BINARYMIME"})
        talk.send(b"EHLO c", MAIL + b" BODY=BINARYMIME", b"RCPT TO:<r@mvmtr.example>")
        for place in range(0, len(text), 100_000):
            piece = text[place : place + 100_000]
            last = b" LAST" if place + 100_000 >= len(text) else b""
            talk.feed(b"BDAT %d%s\r\n%s" % (len(piece), last, piece))
        ((_recipients, stored),) = self.queue.messages
        self.assertEqual(stored, b"X: y\r\nA: b\r\n\r\n" + body)

    def test_a_binary_message_is_seen_as_any_other(self):
        transaction = Transaction(b"", {b"BODY": b"binarymime"})
        text = b"A: b\r\n c\r\n\r\none\r\n\r\ntwo\n\r"
        transaction.body = io.BytesIO(text)
        stored = StoredMessage(transaction, 1000)
        self.assertEqual(
            (stored.header, stored.body(), stored.size),
            (b"A: b\n c\n", b"one\n\ntwo\n\r", len(text)),
        )

    def test_sieve_settings_say_where_a_scanner_left_its_score(self):
        talk = self.talk(
            "control smtp_server_mfl_sieve"
            ' ["sieve_spamtest_status_header = X-Score: ([0-9]+)",'
            ' "sieve_spamtest_max_value = 10"];'
            'require ["spamtest", "relational", "reject", "comparator-i;ascii-numeric"];'
            'if spamtest :value "ge" :comparator "i;ascii-numeric" "9" { reject "spam"; }'
        )
        settings = "sieve_spamtest_status_header=X-Score: ([0-9]+)\nsieve_spamtest_max_value=10"
        check = talk.receiver.configuration.policy.checks[0]
        self.assertEqual(b"\n".join(check.values["smtp_server_mfl_sieve"]).decode(), settings)
        for score, code in (b"9", 550), (b"1", 250):
            talk = talk_with(check, queue=Takes(), smtp_server_mfl_sieve=settings)
            talk.send(b"HELO c", MAIL, b"RCPT TO:<r@mvmtr.example>", b"DATA")
            self.assertEqual(talk.feed(b"X-Score: %s\r\n\r\n.\r\n" % score), [code])

    def test_the_name_of_the_server_is_that_of_the_machine_where_none_is_set(self):
        session = Session(Connection(), Settings())
        name = SessionHost(session, Stage.CONNECT, b"", None).local_host
        self.assertEqual(name.decode(), socket.gethostname())
