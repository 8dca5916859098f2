"""Tests for L{mvmtr.checks.require_tls}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mvmtr.checks.require_tls import RequireTls
from mvmtr.interfaces import ICheck
from mvmtr.session import Encryption
from mvmtr.test.stand_ins import conversation, talk_with


class RequireTlsTests(SynchronousTestCase):
    """No mail in clear."""

    def test_it_is_a_check(self):
        self.assertTrue(verifyObject(ICheck, RequireTls()))

    def test_mail_in_clear_is_530(self):
        talk = talk_with(smtp_server_require_tls="on")
        self.assertEqual(conversation(talk), [220, 250, 530, 503, 503])

    def test_mail_under_tls_is_taken(self):
        talk = talk_with(smtp_server_require_tls="on")
        talk.receiver.session.encryption = Encryption("TLSv1.3", "x")
        self.assertEqual(conversation(talk)[:3], [220, 250, 250])

    def test_it_is_off_by_default(self):
        self.assertEqual(conversation(talk_with())[:3], [220, 250, 250])
