# -*- test-case-name: mvmtr.test.test_reply -*-
"""
Replies as bytes, and those that the protocol itself gives. The texts are qmail-smtpd's
where it has one, with the enhanced status code of RFC 2034 in front.
"""

from __future__ import annotations

from collections.abc import Iterable

from mvmtr.session import Accept, Defer, Reject, Verdict


def reply(code: int, lines: Iterable[bytes]) -> bytes:
    """A reply of one or more lines (RFC 5321, section 4.2.1)."""
    *first, last = lines
    start = b"".join(b"%d-%s\r\n" % (code, line) for line in first)
    return b"%s%d %s\r\n" % (start, code, last)


def reply_of(verdict: Verdict) -> bytes:
    """The reply that tells a verdict."""
    return reply(verdict.code, (verdict.text.encode("ascii"),))


MAIL_OK = Accept(text="2.1.0 ok")
RCPT_OK = Accept(text="2.1.5 ok")
NOOP_OK = Accept(text="2.0.0 ok")
RSET_OK = Accept(text="2.0.0 flushed")
VRFY_OK = Accept(252, "2.0.0 send some mail, i'll try my best")

CONTROLS_UNREADABLE = Defer(421, "4.3.0 unable to read controls (#4.3.0)")
TOO_MANY = Defer(421, "4.7.0 too many connections, try again later (#4.7.0)")
SHUTTING_DOWN = Defer(421, "4.3.2 service is going down (#4.3.2)")
BROKEN = Defer(421, "4.3.0 local error in processing, closing")
LOCAL_ERROR = Defer(451, "4.3.0 local error in processing")
SESSION_TOO_LONG = Defer(421, "4.4.2 this session has lasted too long (#4.4.2)")
TOO_MANY_COMMANDS = Defer(421, "4.7.0 too many commands in one session (#4.7.0)")
TOO_MANY_ERRORS = Defer(421, "4.7.0 too many errors in one session (#4.7.0)")
TOO_MANY_MESSAGES = Defer(421, "4.7.0 too many messages in one session (#4.7.0)")
TIMEOUT = Defer(451, "4.4.2 timeout (#4.4.2)")
BARE_LINE_FEED = Defer(451, "4.5.2 See http://pobox.com/~djb/docs/smtplf.html.")
TOO_MANY_RECIPIENTS = Defer(452, "4.5.3 too many recipients (#4.5.3)")
NO_STORAGE = Defer(452, "4.3.1 insufficient system storage (#4.3.1)")

LINE_TOO_LONG = Reject(500, "5.5.2 command line too long (#5.5.2)")
BAD_BYTE = Reject(501, "5.5.2 NUL, CR or LF in a command (#5.5.2)")
NOT_A_HANDSHAKE = Reject(501, "5.5.2 a TLS handshake was expected (#5.5.2)")
BAD_PARAMETER = Reject(501, "5.5.4 bad parameter (#5.5.4)")
UNIMPLEMENTED = Reject(502, "5.5.1 unimplemented (#5.5.1)")
MAIL_FIRST = Reject(503, "5.5.1 MAIL first (#5.5.1)")
RCPT_FIRST = Reject(503, "5.5.1 RCPT first (#5.5.1)")
NOT_ALLOWED = Reject(553, "5.7.1 sorry, no recipient is allowed here (#5.7.1)")
SYNTAX = Reject(555, "5.5.4 syntax error (#5.5.4)")
TOO_LARGE = Reject(552, "5.3.4 sorry, that message size exceeds my databytes limit (#5.3.4)")
LOOPING = Reject(554, "5.4.6 too many hops, this message is looping (#5.4.6)")
