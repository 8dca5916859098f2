"""Tests for L{mvmtr.protocol.reply}."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol import reply
from mvmtr.session import Accept, Defer, Discard, Reject, Verdict

AS_IN_QMAIL = {
    "BARE_LINE_FEED": (451, "See http://pobox.com/~djb/docs/smtplf.html."),
    "CONTROLS_UNREADABLE": (421, "unable to read controls (#4.3.0)"),
    "LOOPING": (554, "too many hops, this message is looping (#5.4.6)"),
    "MAIL_FIRST": (503, "MAIL first (#5.5.1)"),
    "RCPT_FIRST": (503, "RCPT first (#5.5.1)"),
    "SYNTAX": (555, "syntax error (#5.5.4)"),
    "TIMEOUT": (451, "timeout (#4.4.2)"),
    "TOO_LARGE": (552, "sorry, that message size exceeds my databytes limit (#5.3.4)"),
    "UNIMPLEMENTED": (502, "unimplemented (#5.5.1)"),
}

VERDICTS = st.builds(
    lambda kind, text: kind(text=text),
    st.sampled_from([Accept, Discard, Reject, Defer]),
    # Without dots, so that none begins with an enhanced status code of another class.
    st.text(st.characters(exclude_characters="."), max_size=600),
)


class ReplyTests(SynchronousTestCase):
    """Replies as bytes."""

    def test_a_reply_of_one_line(self):
        self.assertEqual(reply.reply(250, [b"ok"]), b"250 ok\r\n")

    def test_all_but_the_last_line_have_a_hyphen(self):
        expected = b"250-mx.example\r\n250-SIZE 0\r\n250 8BITMIME\r\n"
        self.assertEqual(reply.reply(250, [b"mx.example", b"SIZE 0", b"8BITMIME"]), expected)

    def test_lines_may_come_from_any_iterable(self):
        self.assertEqual(reply.reply(220, iter([b"a", b"b"])), b"220-a\r\n220 b\r\n")

    def test_percent_signs_stay(self):
        self.assertEqual(reply.reply(220, [b"%s", b"%d"]), b"220-%s\r\n220 %d\r\n")

    @settings(deadline=None, max_examples=300)
    @given(VERDICTS)
    def test_a_verdict_is_one_short_line_whatever_its_text(self, verdict):
        line = reply.reply_of(verdict)
        self.assertLessEqual(len(line), 512)
        form = rb"%d %d\.\d{1,3}\.\d{1,3}(?: [ -~]+)?\r\n" % (verdict.code, verdict.hundred)
        self.assertTrue(re.fullmatch(form, line), line)


class ConstantTests(SynchronousTestCase):
    """The replies that the protocol gives by itself."""

    def constants(self):
        found = {name: value for name, value in vars(reply).items() if isinstance(value, Verdict)}
        self.assertTrue(found)
        return found

    def test_texts_are_those_of_qmail_behind_an_enhanced_status_code(self):
        for name, (code, text) in AS_IN_QMAIL.items():
            verdict = self.constants()[name]
            self.assertEqual(verdict.code, code)
            self.assertEqual(verdict.text.partition(" ")[2], text)

    def test_a_code_in_the_text_is_the_enhanced_status_code(self):
        for name, verdict in self.constants().items():
            for code in re.findall(r"\(#([\d.]+)\)", verdict.text):
                self.assertEqual(verdict.text.partition(" ")[0], code, name)

    def test_none_has_the_status_code_of_its_class_for_want_of_one(self):
        for name, verdict in self.constants().items():
            if not isinstance(verdict, Accept) and verdict is not reply.NOT_ALLOWED:
                self.assertNotEqual(verdict.text.split()[0], verdict.status, name)
