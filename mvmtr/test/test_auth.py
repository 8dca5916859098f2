"""Tests for L{mvmtr.protocol.extensions.auth}: sessions over a transport in memory."""

from __future__ import annotations

import re
from dataclasses import replace

from twisted.internet.protocol import connectionDone
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.auth.from_string import checker_from_string
from mvmtr.session import Defer, Discard, Reject, Stage
from mvmtr.test.auth_support import (
    PASSWORD,
    USER,
    AuthTalk,
    base64,
    cram,
    password_file,
    plain,
    scram_client,
    scram_file,
)
from mvmtr.test.documentation import watch
from mvmtr.test.stand_ins import Says
from mvmtr.test.support import CLIENT, folder

NO, YES = b"535 5.7.8 ", b"235 2.7.0 "


class AuthTests(SynchronousTestCase):
    """One user, whose password is in a file."""

    def talk(self, **overrides):
        return AuthTalk(password_file(folder(self)), **overrides)

    def logged_in(self, talk):
        """The user and why it may relay."""
        session = talk.receiver.session
        return session.user, session.relay


class OfferTests(AuthTests):
    """What EHLO says."""

    def offer(self, *checkers, **overrides):
        said = AuthTalk(*checkers, **overrides).hear(b"EHLO c")
        return [line[4:] for line in said.split(b"\r\n") if line[4:].startswith(b"AUTH")]

    def test_who_has_passwords_can_do_all(self):
        self.assertEqual(
            self.offer(password_file(folder(self))), [b"AUTH SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN"]
        )

    def test_who_has_keys_can_not_do_cram(self):
        self.assertEqual(self.offer(scram_file(folder(self))), [b"AUTH SCRAM-SHA-256 PLAIN LOGIN"])

    def test_the_setting_cuts_the_list(self):
        files = password_file(folder(self))
        mechanisms = {"smtp_server_auth_mechanisms": "login, SCRAM-SHA-256"}
        self.assertEqual(self.offer(files, **mechanisms), [b"AUTH SCRAM-SHA-256 LOGIN"])

    def test_without_checkers_or_mechanisms_there_is_none(self):
        self.assertEqual(self.offer(), [])
        keys = scram_file(folder(self))
        self.assertEqual(self.offer(keys, smtp_server_auth_mechanisms="cram-md5"), [])

    def test_in_clear_there_is_none_unless_the_setting_says_so(self):
        files = password_file(folder(self))
        self.assertEqual(self.offer(files, smtp_server_auth_insecure="off"), [])

    def test_helo_offers_nothing(self):
        self.assertNotIn(b"AUTH", self.talk().hear(b"HELO c"))


class MechanismTests(AuthTests):
    """Each mechanism, with the right password and with a wrong one."""

    def test_plain_with_the_message_behind_auth(self):
        talk = self.talk()
        self.assertTrue(talk.hear(b"AUTH PLAIN " + plain()).startswith(YES))
        self.assertEqual(self.logged_in(talk), (USER, "authenticated as ann"))

    def test_plain_in_two_steps(self):
        talk = self.talk()
        self.assertEqual(talk.hear(b"auth plain"), b"334 \r\n")
        self.assertTrue(talk.hear(plain()).startswith(YES))

    def test_login(self):
        talk = self.talk()
        self.assertEqual(talk.hear(b"AUTH LOGIN"), b"334 VXNlcm5hbWU6\r\n")
        self.assertEqual(talk.hear(base64(USER)), b"334 UGFzc3dvcmQ6\r\n")
        self.assertTrue(talk.hear(base64(PASSWORD)).startswith(YES))

    def test_login_with_the_name_behind_auth(self):
        talk = self.talk()
        self.assertEqual(talk.hear(b"AUTH LOGIN " + base64(USER)), b"334 UGFzc3dvcmQ6\r\n")
        self.assertTrue(talk.hear(base64(PASSWORD)).startswith(YES))

    def test_cram(self):
        talk = self.talk()
        self.assertTrue(talk.hear(cram(talk.hear(b"AUTH CRAM-MD5"))).startswith(YES))
        self.assertEqual(talk.receiver.session.user, USER)

    def test_scram_with_a_file_of_passwords(self):
        talk = self.talk()
        self.assertTrue(talk.scram(scram_client()).startswith(YES))
        self.assertEqual(talk.receiver.session.user, USER)

    def test_scram_with_a_file_of_keys(self):
        talk = AuthTalk(scram_file(folder(self)))
        self.assertTrue(talk.scram(scram_client()).startswith(YES))
        self.assertEqual(talk.receiver.session.user, USER)

    def test_scram_in_two_steps(self):
        talk = self.talk()
        self.assertEqual(talk.hear(b"AUTH SCRAM-SHA-256"), b"334 \r\n")
        first = scram_client().get_client_first().encode()
        self.assertTrue(talk.hear(base64(first)).startswith(b"334 cj"))

    def test_wrong_passwords_and_users_are_refused_alike(self):
        for wrong in (USER, b"wrong"), (b"nobody", PASSWORD):
            talk = self.talk(smtp_server_auth_tries="9")
            said = {talk.failing(b"AUTH PLAIN " + plain(*wrong))}
            talk.hear(b"AUTH LOGIN " + base64(wrong[0]))
            said.add(talk.failing(base64(wrong[1])))
            said.add(talk.failing(cram(talk.hear(b"AUTH CRAM-MD5"), *wrong)))
            said.add(talk.scram(scram_client(*wrong)))
            self.assertEqual(said, {b"535 5.7.8 authentication failed (#5.7.8)\r\n"})
            self.assertEqual(self.logged_in(talk), (None, ""))

    def test_passwords_of_the_command_line(self):
        talk = AuthTalk(checker_from_string("memory:ann:open sesame:bob:x"))
        self.assertTrue(talk.hear(b"AUTH PLAIN " + plain()).startswith(YES))
        talk.connect()
        self.assertTrue(talk.hear(cram(talk.hear(b"AUTH CRAM-MD5"), b"bob", b"x")).startswith(YES))

    def test_scram_is_not_over_before_the_client_has_answered_the_proof(self):
        for last, wanted in (b"*", b"501"), (b"x", b"501"), (base64(b"x"), b"501"):
            talk = self.talk()
            self.assertTrue(talk.scram(scram_client(), last).startswith(wanted))
            self.assertEqual(self.logged_in(talk), (None, ""))

    def test_a_line_too_long_in_the_place_of_the_last_answer_is_no_login(self):
        talk = self.talk()
        said = talk.scram(scram_client(), b"x" * 13000)
        self.assertTrue(said.startswith(b"500 5.5.6"), said)
        self.assertEqual(self.logged_in(talk), (None, ""))


class OrderTests(AuthTests):
    """What AUTH may come after, and with what."""

    def refused(self, talk, line, wanted):
        said = talk.hear(line)
        self.assertTrue(said.startswith(wanted), (line, said))
        self.assertIsNone(talk.receiver.answering)

    def test_without_any_checker_there_is_no_such_command(self):
        for line in b"AUTH", b"AUTH PLAIN", b"AUTH PLAIN " + plain():
            self.refused(AuthTalk(), line, b"502 ")

    def test_in_clear_it_wants_encryption(self):
        talk = self.talk(smtp_server_auth_insecure="off")
        for line in b"AUTH", b"AUTH PLAIN " + plain(), b"AUTH CRAM-MD5", b"AUTH NTLM":
            self.refused(talk, line, b"501" if line == b"AUTH" else b"538 5.7.11 ")

    def test_it_comes_after_ehlo_once_and_not_within_a_transaction(self):
        talk = self.talk()
        talk.hear(b"HELO c")
        self.refused(talk, b"AUTH PLAIN " + plain(), b"503 5.5.1 EHLO first")
        talk.hear(b"EHLO c")
        talk.hear(b"MAIL FROM:<>")
        self.refused(talk, b"AUTH PLAIN " + plain(), b"503 5.5.1 no AUTH within")
        talk.hear(b"RSET")
        self.assertTrue(talk.hear(b"AUTH PLAIN " + plain()).startswith(YES))
        self.refused(talk, b"AUTH PLAIN " + plain(), b"503 5.5.1 authenticated already")

    def test_arguments(self):
        talk = self.talk()
        for line, wanted in (
            (b"AUTH", b"501 5.5.4"),
            (b"AUTH ", b"501 5.5.4"),
            (b"AUTH PLAIN " + plain() + b" x", b"501 5.5.4"),
            (b"AUTH CRAM-MD5 " + base64(b"x"), b"501 5.5.4"),
            (b"AUTH NTLM", b"504 5.5.4"),
            (b"AUTH SCRAM-SHA-256-PLUS", b"504 5.5.4"),
            (b"AUTH \xff\xfe", b"504 5.5.4"),
            (b"AUTH PLAIN =", b"501 5.5.2"),
            (b"AUTH PLAIN ==", b"501 5.5.2"),
            (b"AUTH PLAIN x", b"501 5.5.2"),
            (b"AUTH LOGIN =", b"501 5.5.2"),
            (b"AUTH PLAIN " + plain(other=b"root"), b"535 5.7.8"),
            (b"AUTH PLAIN *", b"501 5.5.2"),
        ):
            self.refused(talk, line, wanted)
        self.assertTrue(talk.hear(b"AUTH PLAIN  " + plain() + b"  ").startswith(YES))

    def test_a_mechanism_that_the_setting_leaves_out_is_too_weak(self):
        talk = self.talk(smtp_server_auth_mechanisms="scram-sha-256")
        for line in b"AUTH PLAIN " + plain(), b"AUTH LOGIN", b"AUTH CRAM-MD5":
            self.refused(talk, line, b"534 5.7.9")
        self.assertTrue(talk.scram(scram_client()).startswith(YES))

    def test_answers(self):
        talk = self.talk()
        for answer, wanted in (
            (b"*", b"501 5.7.0"),
            (b"=", b"501 5.5.2"),
            (b"", b"501 5.5.2"),
            (b"!", b"501 5.5.2"),
            (plain() + b" ", b"501 5.5.2"),
            (plain() + b"\0", b"501 5.5.2"),
            (plain() + b"\r", b"501 5.5.2"),
            (b"NOOP", b"501 5.5.2"),
            (b"QUIT", b"501 5.5.2"),
            (base64(b"x" * 9000), b"501 5.5.2"),
            (b"x" * 12289, b"500 5.5.6"),
        ):
            self.assertEqual(talk.hear(b"AUTH PLAIN"), b"334 \r\n")
            self.refused(talk, answer, wanted)
        self.assertTrue(talk.hear(b"NOOP").startswith(b"250 "))

    def test_lines_of_auth_may_be_longer_than_commands(self):
        talk = self.talk(smtp_server_command_max="600")
        long = b"x" * 9000
        self.assertEqual(len(base64(long)), 12000)
        for line, wanted in (
            (b"NOOP " + b"x" * 596, b"500 5.5.2"),
            (b"NOOP " + b"x" * 595, b"250 "),
            (b"x" * 13000, b"500 5.5.2"),
            (b"AUTH PLAIN " + base64(long), b"501 5.5.2"),
            (b"AUTH PLAIN " + b"x" * 13000, b"500 5.5.2"),
        ):
            self.refused(talk, line, wanted)
        talk.hear(b"AUTH PLAIN")
        self.refused(talk, base64(long), b"501 5.5.2")
        talk.hear(b"AUTH PLAIN")
        self.assertTrue(talk.hear(plain()).startswith(YES))
        self.refused(talk, b"NOOP " + b"x" * 596, b"500 5.5.2")

    def test_pipelined_answers_are_answers(self):
        talk = self.talk()
        said = talk.hear(b"AUTH LOGIN\r\n" + base64(USER) + b"\r\n" + base64(PASSWORD))
        self.assertEqual(re.findall(rb"^\d+", said, re.MULTILINE), [b"334", b"334", b"235"])
        self.assertEqual(talk.receiver.session.user, USER)

    def test_what_was_said_before_in_a_failed_exchange_is_forgotten(self):
        talk = self.talk()
        talk.hear(b"AUTH LOGIN")
        talk.hear(base64(USER))
        self.refused(talk, b"*", b"501")
        talk.hear(b"AUTH LOGIN")
        self.assertEqual(talk.hear(base64(PASSWORD)), b"334 UGFzc3dvcmQ6\r\n")
        self.assertTrue(talk.failing(base64(PASSWORD)).startswith(NO))


class AfterwardsTests(AuthTests):
    """What it is good for."""

    def test_the_user_may_send_anywhere(self):
        talk = self.talk()
        elsewhere = b"RCPT TO:<r@elsewhere.example>"
        talk.hear(b"MAIL FROM:<s@x.example>")
        self.assertTrue(talk.hear(elsewhere).startswith(b"553 "))
        talk.hear(b"RSET")
        talk.hear(b"AUTH PLAIN " + plain())
        talk.hear(b"MAIL FROM:<s@x.example>")
        self.assertTrue(talk.hear(elsewhere).startswith(b"250 "))
        talk.hear(b"DATA")
        header = talk.receiver.session.transaction.header
        self.assertIn(b" with ESMTPA; ", header)

    def test_the_log_has_the_user(self):
        records = watch(self)
        talk = self.talk()
        talk.hear(b"AUTH PLAIN " + plain())
        talk.hear(b"NOSUCH")
        talk.receiver.connectionLost(connectionDone)
        self.assertEqual([record.get("user") for record in records], [USER, USER])

    def test_the_environment_has_the_user(self):
        talk = self.talk()
        talk.hear(b"AUTH PLAIN " + plain())
        variables = talk.receiver.session.as_environment()
        self.assertEqual((variables[b"SMTPAUTHUSER"], variables[b"RELAYCLIENT"]), (USER, b""))

    def test_a_handshake_ends_it(self):
        talk = self.talk()
        talk.hear(b"AUTH PLAIN " + plain())
        talk.receiver.secured()
        self.assertEqual(self.logged_in(talk), (None, ""))

    def test_ehlo_and_rset_do_not_end_it(self):
        talk = self.talk()
        talk.hear(b"AUTH PLAIN " + plain())
        self.assertIn(b"AUTH ", talk.hear(b"EHLO c"))
        talk.hear(b"RSET")
        self.assertEqual(talk.receiver.session.user, USER)

    def test_a_client_that_could_relay_before_keeps_its_reason(self):
        client = replace(CLIENT, environment={b"RELAYCLIENT": b""})
        talk = AuthTalk(password_file(folder(self)), connection=client)
        talk.hear(b"AUTH PLAIN " + plain())
        self.assertEqual(self.logged_in(talk), (USER, "RELAYCLIENT is set"))

    def test_mail_has_the_parameter_auth(self):
        talk = self.talk()
        for value, wanted in (
            (b"AUTH=<>", b"250"),
            (b"AUTH=e+3Dmc2@example.com", b"250"),
            (b"AUTH=", b"501"),
            (b"AUTH", b"501"),
            (b"AUTH=a+0Ab", b"501"),
            (b"AUTH=a+00b", b"501"),
            (b"AUTH=a+b", b"501"),
            (b"AUTH=a=b", b"501"),
            (b"AUTH=a AUTH=a", b"501"),
        ):
            said = talk.hear(b"MAIL FROM:<s@x.example> " + value)
            self.assertTrue(said.startswith(wanted), (value, said))
        clear = self.talk(smtp_server_auth_insecure="off")
        self.assertTrue(clear.hear(b"MAIL FROM:<> AUTH=<>").startswith(b"555 "))


class CheckTests(AuthTests):
    """The stage C{auth}."""

    def test_checks_are_asked_with_the_user(self):
        check = Says(auth=None)
        asked = []
        check.check = lambda session, stage, argument: asked.append(
            (stage, argument, session.user, session.relay)
        )
        talk = AuthTalk(password_file(folder(self)), checks=(check,))
        talk.hear(b"AUTH PLAIN " + plain())
        self.assertEqual(asked, [(Stage.AUTH, USER, USER, "authenticated as ann")])

    def test_a_check_can_refuse_a_user(self):
        for verdict in Reject(534, "5.7.9 too weak"), Defer(454, "4.7.0 later"):
            talk = AuthTalk(password_file(folder(self)), checks=(Says(auth=verdict),))
            said = talk.hear(b"AUTH PLAIN " + plain())
            self.assertEqual(int(said[:3]), verdict.code)
            self.assertEqual(self.logged_in(talk), (None, ""))
            self.assertTrue(talk.scram(scram_client()).startswith(said[:3]))
            self.assertEqual(self.logged_in(talk), (None, ""))

    def test_a_check_can_have_a_user_s_messages_thrown_away(self):
        talk = AuthTalk(password_file(folder(self)), checks=(Says(auth=Discard(reason="x")),))
        self.assertTrue(talk.hear(b"AUTH PLAIN " + plain()).startswith(YES))
        talk.hear(b"MAIL FROM:<s@x.example>")
        self.assertEqual(talk.receiver.session.transaction.discard.reason, "x")

    def test_a_check_that_raises_is_no_yes(self):
        check = Says(auth=None)

        def broken(session, stage, argument):
            raise RuntimeError("broken")

        check.check = broken
        talk = AuthTalk(password_file(folder(self)), checks=(check,))
        self.assertTrue(talk.hear(b"AUTH PLAIN " + plain()).startswith(b"451 "))
        self.assertEqual(self.logged_in(talk), (None, ""))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
