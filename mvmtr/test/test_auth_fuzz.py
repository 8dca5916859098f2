"""
Random conversations with AUTH in them, in pieces that break anywhere, against a model of what
has to come of each line.
"""

from __future__ import annotations

import re
from base64 import b64decode

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.auth_support import PASSWORD, USER, AuthTalk, base64, plain
from mvmtr.test.conversations import cut
from mvmtr.test.test_fuzz import EXAMPLES

LINES = (
    b"EHLO c", b"HELO c", b"MAIL FROM:<>", b"RSET", b"NOOP", b"AUTH", b"AUTH PLAIN", b"AUTH LOGIN",
    b"auth plain", b"AUTH NTLM", b"AUTH PLAIN " + plain(), b"AUTH PLAIN " + plain(password=b"x"),
    b"AUTH PLAIN " + plain(other=b"root"), b"AUTH PLAIN =", b"AUTH PLAIN !", b"AUTH PLAIN x x",
    b"AUTH LOGIN " + base64(USER), b"AUTH LOGIN " + base64(b"x"), b"AUTH LOGIN =", b"*", b"=", b"",
    b"!", plain(), plain(), plain(password=b"x"), base64(USER), base64(USER), base64(PASSWORD),
    base64(PASSWORD), base64(b"a\nb"), base64(b"a\0b"), b"x" * 12289, b"\0", b"\xff",
)  # fmt: skip

noise = st.binary(max_size=20).filter(lambda line: not re.search(rb"\n|^[A-Za-z]{4}", line))
lines = st.lists(st.sampled_from(LINES) | noise, max_size=12)


class Model:
    """What has to come of each line: the codes of the replies, and who is logged in."""

    def __init__(self):
        self.esmtp = True
        self.user = None
        self.mail = False
        self.wants = None

    def code(self, line):
        """The code of the reply to a line without its end."""
        if self.wants is not None:
            wants, self.wants = self.wants, None
            if len(line) > 12288:
                return 500
            return 501 if line == b"*" else self.decoded(line, wants)
        if len(line) > 12288:
            return 500
        verb, _blank, argument = line.partition(b" ")
        if b"\0" in line or b"\r" in line:
            return 501
        match verb.upper():
            case b"EHLO" | b"HELO":
                self.esmtp, self.mail = verb.upper() == b"EHLO", False
                return 250
            case b"MAIL":
                self.mail = True
                return 250
            case b"RSET":
                self.mail = False
                return 250
            case b"NOOP":
                return 250
            case b"AUTH":
                name, *rest = argument.split(b" ")
                return self.auth(name.upper(), rest)
        return 502

    def auth(self, name, rest):
        if not name:
            return 501
        if not self.esmtp or self.user or self.mail:
            return 503
        if name not in (b"PLAIN", b"LOGIN"):
            return 504
        if len(rest) > 1:
            return 501
        wants = self.plain if name == b"PLAIN" else self.login
        if rest:
            return self.decoded(b"" if rest == [b"="] else rest[0], wants)
        self.wants = wants
        return 334

    def decoded(self, text, wants):
        if not re.fullmatch(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2,3}={1,2})?", text):
            return 501
        if len(text) % 4 or base64(b64decode(text)) != text:
            return 501
        return wants(b64decode(text))

    def login(self, user):
        if not user or re.search(rb"[\0-\x1f\x7f]", user):
            return 501
        self.wants = lambda password: self.known(user, password)
        return 334

    def plain(self, message):
        parts = message.split(b"\0")
        if len(parts) != 3 or not parts[1] or re.search(rb"[\0-\x1f\x7f]", parts[1]):
            return 501
        if not parts[2]:
            return 501
        return self.known(*parts[1:]) if parts[0] in (b"", parts[1]) else 535

    def known(self, user, password):
        if not password or b"\0" in password:
            return 501
        if (user, password) != (USER, PASSWORD):
            return 535
        self.user = user
        return 235


class FuzzTests(SynchronousTestCase):
    """Whatever comes, and however it is cut."""

    @settings(deadline=None, max_examples=EXAMPLES)
    @given(st.data(), lines)
    def test_conversations_go_as_the_model_says(self, data, said):
        model = Model()
        ends = [data.draw(st.sampled_from((b"\r\n", b"\n"))) for _line in said]
        # A CR at the end of a line is part of its end.
        wanted = [
            model.code((line + end)[:-1].removesuffix(b"\r"))
            for line, end in zip(said, ends, strict=True)
        ]
        checker = InMemoryUsernamePasswordDatabaseDontUse()
        checker.users = {USER: PASSWORD}
        talk = AuthTalk(
            checker,
            smtp_server_auth_delay="0",
            smtp_server_auth_tries="999",
            smtp_server_auth_failures_max="0",
            smtp_server_auth_mechanisms="plain,login",
            smtp_server_command_max="12288",
        )
        heard = []
        whole = b"".join(line + end for line, end in zip(said, ends, strict=True))
        for piece in data.draw(cut(st.just(whole))):
            heard += talk.feed(piece)
        self.assertEqual(heard, wanted, said)
        self.assertEqual(talk.receiver.session.user, model.user)
        self.assertEqual(bool(talk.receiver.session.relay), model.user is not None)
        self.assertEqual(self.flushLoggedErrors(), [])
