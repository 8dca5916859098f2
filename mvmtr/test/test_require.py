"""Tests for L{mvmtr.checks.require_helo} and L{mvmtr.checks.require_fqdn}."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mvmtr.checks.require_fqdn import RequireFqdn
from mvmtr.checks.require_helo import RequireHelo
from mvmtr.interfaces import ICheck
from mvmtr.session import Connection, Session, Stage
from mvmtr.settings import Settings
from mvmtr.test.stand_ins import MAIL, RCPT, talk_with
from mvmtr.test.support import CLIENT, Talk, assemble


class HeloTests(SynchronousTestCase):
    """smtp_server_require_helo."""

    def talk(self):
        talk = talk_with(smtp_server_require_helo="on")
        self.assertEqual(talk.codes, [220])
        return talk

    def test_it_is_a_check(self):
        self.assertTrue(verifyObject(ICheck, RequireHelo()))

    def test_without_it_a_name_is_not_needed(self):
        talk = talk_with()
        self.assertEqual(talk.send(MAIL), [220, 250])

    def test_mail_before_helo_is_out_of_order(self):
        talk = self.talk()
        self.assertEqual(talk.send(MAIL, RCPT, b"DATA"), [503, 503, 503])
        self.assertEqual(talk.send(b"HELO client.example", MAIL, RCPT), [250, 250, 250])

    def test_a_name_that_is_empty_is_none(self):
        self.assertEqual(self.talk().send(b"HELO", MAIL), [250, 503])

    def test_ehlo_will_do_and_holds_for_the_session(self):
        talk = self.talk()
        self.assertEqual(talk.send(b"EHLO x", MAIL, b"RSET", MAIL), [250, 250, 250, 250])

    def test_relay_clients_must_give_a_name_as_well(self):
        connection = replace(CLIENT, environment={b"RELAYCLIENT": b""})
        talk = Talk(assemble(smtp_server_require_helo="on"), connection)
        self.assertEqual(talk.send(MAIL), [220, 503])


class FqdnTests(SynchronousTestCase):
    """smtp_server_require_fqdn."""

    def talk(self, names):
        talk = talk_with(smtp_server_require_fqdn=names, smtp_server_rcpt_domains="mvmtr.example,x")
        self.assertEqual(talk.codes, [220])
        return talk

    def test_it_is_a_check_of_what_it_looks_at(self):
        self.assertTrue(verifyObject(ICheck, RequireFqdn(("helo",))))
        self.assertEqual(RequireFqdn(("helo",)).stages, {Stage.MAIL})
        self.assertEqual(RequireFqdn(("sender", "recipient")).stages, {Stage.MAIL, Stage.RCPT})

    def test_a_short_helo_name_is_refused_at_mail(self):
        for name in (b"x", b"localhost", b"203.0.113.7", b"[x]", b"a..b", b"x y.example"):
            talk = self.talk("helo")
            self.assertEqual(talk.send(b"EHLO " + name), [250])
            self.assertEqual(talk.send(MAIL, RCPT), [550, 503], name)

    def test_full_names_and_addresses_in_brackets_will_do(self):
        for name in (b"client.example", b"[203.0.113.7]", b"[IPv6:2001:db8::7]", b"a.b."):
            talk = self.talk("helo")
            self.assertEqual(talk.send(b"EHLO " + name, MAIL, RCPT), [250, 250, 250], name)

    def test_no_name_at_all_is_for_the_other_check(self):
        self.assertEqual(self.talk("helo").send(MAIL, RCPT), [250, 250])

    def test_a_sender_without_a_full_domain_is_refused_at_each_recipient(self):
        for sender in (b"joe", b"joe@", b"joe@x", b"joe@203.0.113.7", b"joe@a..b"):
            talk = self.talk("sender")
            self.assertEqual(talk.send(b"MAIL FROM:<" + sender + b">", RCPT), [250, 553], sender)

    def test_the_null_sender_and_an_address_in_brackets_will_do(self):
        for sender in (b"", b"joe@client.example", b"joe@[203.0.113.7]"):
            talk = self.talk("sender")
            self.assertEqual(talk.send(b"MAIL FROM:<" + sender + b">", RCPT), [250, 250], sender)

    def test_a_recipient_without_a_full_domain_is_refused(self):
        talk = self.talk("recipient")
        self.assertEqual(
            talk.send(MAIL, b"RCPT TO:<r@x>", b"RCPT TO:<r>", RCPT), [250, 553, 553, 250]
        )

    def test_the_postmaster_needs_no_domain(self):
        check = RequireFqdn(("recipient",))
        session = Session(Connection(), Settings())
        self.assertIsNone(check.check(session, Stage.RCPT, b"PostMaster"))
        self.assertIsNotNone(check.check(session, Stage.RCPT, b"postmaster@x"))

    def test_only_what_is_named_is_looked_at(self):
        self.assertEqual(self.talk("recipient").send(b"HELO x", b"MAIL FROM:<s>", RCPT), [250] * 3)
        self.assertEqual(self.talk("sender").send(b"HELO x", MAIL, b"RCPT TO:<r@x>"), [250] * 3)

    def test_clients_that_may_relay_are_left_alone(self):
        check = RequireFqdn(("helo", "sender", "recipient"))
        for attributes in ({"relay": "RELAYCLIENT is set"}, {"user": b"joe"}):
            session = Session(Connection(), Settings())
            session.helo = b"MYPC"
            for name, value in attributes.items():
                setattr(session, name, value)
            self.assertIsNone(check.check(session, Stage.MAIL, b"joe"))
            self.assertIsNone(check.check(session, Stage.RCPT, b"joe"))
