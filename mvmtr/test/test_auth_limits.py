"""Limits and trouble of L{mvmtr.protocol.extensions.auth}: too many tries, slow checkers."""

from __future__ import annotations

from dataclasses import replace

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock

from mvmtr.auth.sasl import PlainCredentials
from mvmtr.protocol.load import Counts, Load
from mvmtr.test.auth_support import USER, AuthTalk, password_file, plain
from mvmtr.test.support import CLIENT, folder
from mvmtr.test.test_auth import NO, YES
from mvmtr.test.test_auth import AuthTests as _AuthTests


class Slow:
    """Answers when the test says so."""

    def __init__(self, like):
        self.credentialInterfaces = like.credentialInterfaces
        self.asked = []
        self.cancelled = 0

    def requestAvatarId(self, credentials):
        def cancel(_waiting):
            self.cancelled += 1

        self.asked.append(Deferred(cancel))
        return self.asked[-1]


class LimitTests(_AuthTests):
    """Tries, delays, and failures of one client."""

    wrong = b"AUTH PLAIN " + plain(password=b"wrong")

    def test_a_refusal_waits_and_what_comes_behind_waits_too(self):
        talk = self.talk(smtp_server_auth_delay="5")
        self.assertEqual(talk.hear(self.wrong + b"\r\nNOOP"), b"")
        talk.clock.advance(4)
        self.assertEqual(talk.said, b"")
        talk.clock.advance(1)
        self.assertRegex(talk.said, rb"\A535 [^\n]*\n250 ")

    def test_a_login_does_not_wait(self):
        talk = self.talk(smtp_server_auth_delay="5")
        self.assertTrue(talk.hear(b"AUTH PLAIN " + plain()).startswith(YES))

    def test_the_time_that_the_check_took_is_part_of_the_delay(self):
        slow = Slow(password_file(folder(self)))
        talk = AuthTalk(slow, smtp_server_auth_delay="5")
        talk.hear(self.wrong)
        talk.clock.advance(3)
        slow.asked[0].errback(UnauthorizedLogin())
        self.assertEqual(talk.said, b"")
        talk.clock.advance(2)
        self.assertTrue(talk.said.startswith(NO))

    def test_no_delay_is_possible(self):
        self.assertTrue(self.talk(smtp_server_auth_delay="0").hear(self.wrong).startswith(NO))

    def test_too_many_failures_end_the_session(self):
        talk = self.talk(smtp_server_auth_tries="2")
        self.assertTrue(talk.failing(self.wrong).startswith(NO))
        self.assertFalse(talk.closed)
        self.assertRegex(talk.failing(self.wrong), rb"\A535 [^\n]*\n421 4\.7\.0 [^\n]*\n\Z")
        self.assertTrue(talk.closed)

    def test_a_handshake_does_not_give_new_tries(self):
        talk = self.talk(smtp_server_auth_tries="2")
        talk.failing(self.wrong)
        talk.receiver.secured()
        talk.hear(b"EHLO c")
        talk.failing(self.wrong)
        self.assertTrue(talk.closed)

    def test_cancelled_and_malformed_exchanges_are_no_tries(self):
        talk = self.talk(smtp_server_auth_tries="1")
        for answer in b"*", b"!", b"":
            talk.hear(b"AUTH PLAIN")
            talk.hear(answer)
        self.assertFalse(talk.closed)

    def from_all_sessions(self, talk, **_unused):
        """The clock of the server, in which failures are counted."""
        clock = Clock()
        talk.factory.load = Load(Counts(clock.seconds))
        talk.connect()
        return clock

    def test_too_many_failures_of_one_client_are_put_off(self):
        limits = {"smtp_server_auth_failures_max": "3", "smtp_server_auth_failures_time": "60"}
        talk = self.talk(smtp_server_auth_tries="9", **limits)
        clock = self.from_all_sessions(talk)
        for _number in range(3):
            self.assertTrue(talk.failing(self.wrong).startswith(NO))
            talk.connect()
        right = b"AUTH PLAIN " + plain()
        self.assertTrue(talk.hear(right).startswith(b"454 4.7.0 too many"))
        self.assertTrue(talk.hear(b"AUTH PLAIN").startswith(b"454 "))
        clock.advance(60)
        self.assertTrue(talk.hear(right).startswith(YES))

    def test_failures_of_another_client_do_not_count(self):
        talk = self.talk(smtp_server_auth_failures_max="1")
        self.from_all_sessions(talk)
        talk.failing(self.wrong)
        other = replace(CLIENT, remote_ip=b"203.0.113.8")
        talk.factory._describe = lambda _raw: other
        talk.connect()
        self.assertTrue(talk.hear(b"AUTH PLAIN " + plain()).startswith(YES))

    def test_the_addresses_of_a_network_of_ipv6_are_one_client(self):
        talk = self.talk(smtp_server_auth_failures_max="1")
        self.from_all_sessions(talk)
        for address, wanted in (b"2001:db8::1", NO), (b"2001:db8::2", b"454"), (b"2001:db9::1", NO):
            client = replace(CLIENT, remote_ip=address)
            talk.factory._describe = lambda _raw, client=client: client
            talk.connect()
            self.assertTrue(talk.failing(self.wrong).startswith(wanted), address)

    def test_tries_at_the_same_time_count(self):
        slow = Slow(password_file(folder(self)))
        talk = AuthTalk(slow, smtp_server_auth_failures_max="2")
        first = self.begun(talk)
        second = self.begun(talk)
        talk.connect()
        self.assertTrue(talk.hear(self.wrong).startswith(b"454 "))
        slow.asked[0].callback(USER)
        self.assertTrue(first.value().endswith(b"authenticated\r\n"))
        slow.asked[1].errback(UnauthorizedLogin())
        self.assertNotIn(b"235", second.value())
        self.assertEqual(talk.hear(self.wrong), b"")
        self.assertEqual(len(slow.asked), 3)

    def begun(self, talk):
        """A session that waits for its answer; its transport."""
        talk.connect()
        self.assertEqual(talk.hear(self.wrong), b"")
        return talk.transport

    def test_an_exchange_that_was_begun_before_the_limit_does_not_get_through(self):
        talk = self.talk(smtp_server_auth_failures_max="1")
        talk.hear(b"AUTH PLAIN")
        waiting, receiver = talk.transport, talk.receiver
        talk.connect()
        talk.failing(self.wrong)
        waiting.clear()
        receiver.dataReceived(plain() + b"\r\n")
        self.assertTrue(waiting.value().startswith(b"454 "))

    def test_zero_is_no_limit(self):
        limits = {"smtp_server_auth_failures_max": "0", "smtp_server_auth_tries": "99"}
        talk = self.talk(**limits)
        for _number in range(30):
            self.assertTrue(talk.failing(self.wrong).startswith(NO))


class TroubleTests(_AuthTests):
    """Checkers that can't answer, or clients that do not wait."""

    def test_a_check_that_takes_too_long_is_given_up(self):
        slow = Slow(password_file(folder(self)))
        talk = AuthTalk(slow, smtp_server_check_timeout="7", smtp_server_auth_delay="0")
        talk.hear(b"AUTH PLAIN " + plain())
        talk.clock.advance(7)
        self.assertTrue(talk.said.startswith(b"454 4.7.0 unable"))
        self.assertEqual(slow.cancelled, 1)
        self.assertEqual(self.logged_in(talk), (None, ""))

    def test_trouble_is_no_failure(self):
        slow = Slow(password_file(folder(self)))
        talk = AuthTalk(slow, smtp_server_auth_failures_max="1", smtp_server_auth_tries="1")
        for number in range(3):
            talk.hear(b"AUTH PLAIN " + plain())
            slow.asked[number].errback(RuntimeError("no answer"))
            talk.clock.advance(2)
            self.assertTrue(talk.said.startswith(b"454 4.7.0 unable"))
        self.assertFalse(talk.closed)

    def test_a_client_that_leaves_meanwhile_counts_all_the_same(self):
        slow = Slow(password_file(folder(self)))
        talk = AuthTalk(slow, smtp_server_auth_failures_max="1")
        talk.hear(b"AUTH PLAIN " + plain())
        talk.receiver.connectionLost(connectionDone)
        slow.asked[0].errback(UnauthorizedLogin())
        talk.clock.advance(2)
        self.assertEqual(talk.clock.getDelayedCalls(), [])
        talk.connect()
        self.assertTrue(talk.hear(b"AUTH PLAIN " + plain()).startswith(b"454 "))

    def test_a_login_of_a_client_that_has_left_breaks_nothing(self):
        slow = Slow(password_file(folder(self)))
        talk = AuthTalk(slow)
        talk.hear(b"AUTH PLAIN " + plain())
        talk.receiver.connectionLost(connectionDone)
        slow.asked[0].callback(USER)
        self.assertTrue(talk.receiver.finished.called)

    def test_the_program_that_checks_gets_the_connection(self):
        slow = Slow(password_file(folder(self)))
        seen = []
        ask = slow.requestAvatarId
        slow.requestAvatarId = lambda credentials: (seen.append(credentials), ask(credentials))[1]
        AuthTalk(slow).hear(b"AUTH PLAIN " + plain())
        self.assertIsInstance(seen[0], PlainCredentials)
        self.assertEqual(seen[0].environment[b"TCPREMOTEIP"], CLIENT.remote_ip)
