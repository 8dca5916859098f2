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
    return f"{verdict.code} {verdict.text}\r\n".encode("ascii")


MAIL_OK = Accept(text="2.1.0 ok")
RCPT_OK = Accept(text="2.1.5 ok")
NOOP_OK = Accept(text="2.0.0 ok")
RSET_OK = Accept(text="2.0.0 flushed")
CHUNK_OK = Accept(text="2.0.0 ok, go on")
START_TLS = Accept(220, "2.0.0 ready for TLS")
VRFY_OK = Accept(252, "2.0.0 send some mail, i'll try my best")

AUTH_OK = Accept(235, "2.7.0 ok, authenticated")

CONTROLS_UNREADABLE = Defer(421, "4.3.0 unable to read controls (#4.3.0)")
TOO_MANY = Defer(421, "4.7.0 too many connections, try again later (#4.7.0)")
TOO_FAST = Defer(421, "4.7.0 too many connections in a short time, try again later (#4.7.0)")
NO_MEMORY = Defer(421, "4.3.1 too little memory for this, try again later (#4.3.1)")
SHUTTING_DOWN = Defer(421, "4.3.2 service is going down (#4.3.2)")
BAD_PROXY_HEADER = Defer(421, "4.3.0 there is no good PROXY header (#4.3.0)")
BROKEN = Defer(421, "4.3.0 local error in processing, closing")
LOCAL_ERROR = Defer(451, "4.3.0 local error in processing")
SESSION_TOO_LONG = Defer(421, "4.4.2 this session has lasted too long (#4.4.2)")
TOO_MANY_COMMANDS = Defer(421, "4.7.0 too many commands in one session (#4.7.0)")
TOO_MANY_ERRORS = Defer(421, "4.7.0 too many errors in one session (#4.7.0)")
TOO_MANY_MESSAGES = Defer(421, "4.7.0 too many messages in one session (#4.7.0)")
AUTH_TROUBLE = Defer(454, "4.7.0 unable to check passwords now, try again later (#4.7.0)")
AUTH_LATER = Defer(454, "4.7.0 too many failures, try again later (#4.7.0)")
TOO_MANY_AUTH_FAILURES = Defer(421, "4.7.0 too many failures of AUTH in one session (#4.7.0)")
TIMEOUT = Defer(451, "4.4.2 timeout (#4.4.2)")
BARE_LINE_FEED = Defer(451, "4.5.2 See http://pobox.com/~djb/docs/smtplf.html.")
TOO_MANY_RECIPIENTS = Defer(452, "4.5.3 too many recipients (#4.5.3)")
NO_STORAGE = Defer(452, "4.3.1 insufficient system storage (#4.3.1)")
NO_HANDSHAKE = Defer(454, "4.7.0 the TLS handshake failed (#4.7.0)")
NO_TLS = Defer(454, "4.3.0 TLS is not available now (#4.3.0)")
TOO_MANY_HANDSHAKES = Defer(454, "4.7.0 too many TLS handshakes, try again later (#4.7.0)")

LINE_TOO_LONG = Reject(500, "5.5.2 command line too long (#5.5.2)")
AUTH_LINE_TOO_LONG = Reject(500, "5.5.6 authentication line too long (#5.5.6)")
BAD_BYTE = Reject(501, "5.5.2 NUL, CR or LF in a command (#5.5.2)")
NOT_A_HANDSHAKE = Reject(501, "5.5.2 a TLS handshake was expected (#5.5.2)")
BAD_CHUNK = Reject(501, "5.5.4 BDAT wants a length, and LAST or nothing (#5.5.4)")
AUTH_CANCELLED = Reject(501, "5.7.0 authentication cancelled (#5.7.0)")
AUTH_SYNTAX = Reject(501, "5.5.4 AUTH wants a mechanism, and no more than one word behind (#5.5.4)")
BAD_BASE64 = Reject(501, "5.5.2 this is no base64 (#5.5.2)")
BAD_SASL = Reject(501, "5.5.2 the mechanism has no such message (#5.5.2)")
BAD_PARAMETER = Reject(501, "5.5.4 bad parameter (#5.5.4)")
NO_ARGUMENTS = Reject(501, "5.5.4 STARTTLS has no arguments (#5.5.4)")
UNIMPLEMENTED = Reject(502, "5.5.1 unimplemented (#5.5.1)")
EHLO_FIRST = Reject(503, "5.5.1 EHLO first (#5.5.1)")
AUTH_TWICE = Reject(503, "5.5.1 authenticated already (#5.5.1)")
AUTH_TOO_LATE = Reject(503, "5.5.1 no AUTH within a mail transaction (#5.5.1)")
ENCRYPTED_ALREADY = Reject(503, "5.5.1 this is TLS already (#5.5.1)")
MAIL_FIRST = Reject(503, "5.5.1 MAIL first (#5.5.1)")
RCPT_FIRST = Reject(503, "5.5.1 RCPT first (#5.5.1)")
IN_TRANSACTION = Reject(503, "5.5.1 not within a transaction (#5.5.1)")
BDAT_ONLY = Reject(503, "5.5.1 a binary message wants BDAT (#5.5.1)")
MESSAGE_BEGUN = Reject(503, "5.5.1 the text of the message has begun (#5.5.1)")
SENDER_NOT_UTF8 = Reject(553, "5.1.7 sorry, the sender's address is not UTF-8 (#5.1.7)")
RECIPIENT_NOT_UTF8 = Reject(553, "5.1.3 sorry, the recipient's address is not UTF-8 (#5.1.3)")
XCLIENT_NOT_ALLOWED = Reject(550, "5.7.0 you may not speak for others (#5.7.0)")
NO_MECHANISM = Reject(504, "5.5.4 no such mechanism (#5.5.4)")
WEAK_MECHANISM = Reject(534, "5.7.9 this mechanism is not good enough here (#5.7.9)")
BAD_CREDENTIALS = Reject(535, "5.7.8 authentication failed (#5.7.8)")
WANTS_ENCRYPTION = Reject(538, "5.7.11 encryption required for authentication (#5.7.11)")
NOT_ALLOWED = Reject(553, "5.7.1 sorry, no recipient is allowed here (#5.7.1)")
SYNTAX = Reject(555, "5.5.4 syntax error (#5.5.4)")
TOO_LARGE = Reject(552, "5.3.4 sorry, that message size exceeds my databytes limit (#5.3.4)")
LOOPING = Reject(554, "5.4.6 too many hops, this message is looping (#5.4.6)")
