"""Tests for C{$assess}: what hooks hear of the assessment server."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from mvmtr.assemble import Assembly, Sources
from mvmtr.assess.link import Link
from mvmtr.session import Connection
from mvmtr.test.stand_ins import MAIL, RCPT
from mvmtr.test.support import Talk, folder

FILE = """\
int $hook_rcpt( string recipient )
{
    $log( "hint: " + $assess( "action" ) );
    if ( $assess( "action" ) =~ "^defer" )
        return $defer( 450, "4.7.1 " + $assess( "reason" ) );
    return 0;
}
"""


class AssessTests(TestCase):
    """A hook asks before the check does, and the question is one."""

    def talk(self, text, **controls):
        path = folder(self) / "mvmtr.mfl"
        path.write_text(text)
        link = None
        if controls:
            link = Link("local", "memory:", controls)
            self.addCleanup(lambda: Deferred.fromCoroutine(link.close()))
        overrides = {"smtp_server_rcpt_domains": "mvmtr.example"}
        sources = Sources(
            None, queue="discard:", overrides=overrides, start_file=str(path), assess=link
        )
        self.link = link
        return Talk(Assembly(sources, reactor), Connection(remote_ip=b"203.0.113.7"))

    def test_a_hook_hears_the_action_and_the_reason(self):
        talk = self.talk(FILE, greylist="on")
        self.assertEqual(talk.send(b"HELO c", MAIL), [220, 250, 250])
        talk.receiver.dataReceived(RCPT + b"\r\n")
        self.assertRegex(talk.said, rb"450 4\.7\.1 greylist: greylisted for 300 s, not seen before")

    def test_a_question_that_a_hook_has_asked_is_not_asked_again(self):
        asked = []
        talk = self.talk(FILE, rate_recipients="2")
        hint = self.link.hint

        def counted(attributes, timeout):
            asked.append(attributes[b"protocol_state"])
            return hint(attributes, timeout)

        self.link.hint = counted
        self.assertEqual(talk.send(b"HELO c", MAIL, RCPT, RCPT), [220, 250, 250, 250, 250])
        self.assertEqual(asked.count(b"RCPT"), 2)
        self.assertEqual(talk.send(RCPT), [450])

    def test_without_a_server_there_is_nothing_to_hear(self):
        talk = self.talk(FILE)
        self.assertEqual(talk.send(b"HELO c", MAIL, RCPT), [220, 250, 250, 250])
