"""The shapes of traffic that are measured, and what is known of other servers in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from load import Step, Traffic

GREETING = Step(b"", (b"220",))
EHLO = Step(b"EHLO client.example\r\n", (b"250",))
QUIT = Step(b"QUIT\r\n", (b"221",))
MAIL = b"MAIL FROM:<sender@client.example>\r\n"
RCPT = b"RCPT TO:<user@mx.example.org>\r\n"
DATA = b"DATA\r\n"

_HEADER = b"From: sender@client.example\r\nTo: user@mx.example.org\r\nSubject: benchmark\r\n\r\n"
_LINE = b"All work and no play makes Jack a dull boy, and the mail goes on.\r\n"
KEPT = 500
"""Messages of a kept connection; mvmtr takes 1000 by default."""


def text(size: int, line: bytes = _LINE) -> bytes:
    """A message of that many bytes on the wire, without the dot at its end."""
    whole = (_HEADER + line * (size // len(line)))[: size - 2].rstrip(b"\r\n")
    return whole.ljust(size - 2, b".") + b"\r\n"


def message(body: bytes) -> tuple[Step, ...]:
    """The steps of one message."""
    end = Step(body + b".\r\n", (b"250",))
    return Step(MAIL, (b"250",)), Step(RCPT, (b"250",)), Step(DATA, (b"354",)), end


def pipelined(sessions: int, body: bytes) -> Traffic:
    """
    Kept connections with as much in one piece as RFC 2920 allows: the text of a message, and
    all commands of the next one. The last message of a connection is not counted.
    """
    begin = Step(MAIL + RCPT + DATA, (b"250", b"250", b"354"))
    again = Step(body + b".\r\n" + begin.words, (b"250", *begin.codes))
    close = Step(body + b".\r\n" + QUIT.words, (b"250", *QUIT.codes))
    return Traffic(sessions, (GREETING, EHLO, begin), (again,), (close,), KEPT)


def one_each(sessions: int, body: bytes) -> Traffic:
    """One message a connection."""
    return Traffic(sessions, (GREETING, EHLO), message(body), (QUIT,))


@dataclass(frozen=True)
class Shape:
    """
    A kind of traffic.

    @ivar title: what it is, for the tables.
    @ivar queue: where mail goes, for the servers that have a choice: C{discard}, C{program}
        (one that reads and forgets) or C{maildir}.
    @ivar published: messages a second of other servers where qmail-smtpd has 1, measured once
        in the same run with one, under tcpserver and with a do-nothing queue program.
    @ivar base: which of them our figures are converted by.
    @ivar wanted: what mvmtr is to reach, where qmail-smtpd has 1.
    @ivar spread: whether programs and threads share the work, so that all cores are used.
    """

    title: str
    traffic: Traffic
    queue: str = "discard"
    tls: bool = False
    published: Mapping[str, float] = field(default_factory=dict)
    base: str = "twisted"
    wanted: float | None = None
    spread: bool = False


_SMALL = text(1024)
_LINES = text(1_000_000, b"a\r\nbc\r\n")
_TLS = Step(b"STARTTLS\r\n", (b"220",), handshake=True)

SHAPES = {
    "one": Shape(
        "1 KiB, one message a connection, 20 sessions",
        one_each(20, _SMALL),
        published={"twisted": 3.3, "aiosmtpd": 1.4},
        wanted=5,
    ),
    "kept": Shape(
        "1 KiB, kept connections, 20 sessions",
        Traffic(20, (GREETING, EHLO), message(_SMALL), (QUIT,), KEPT),
        published={"twisted": 3.5},
        wanted=5,
    ),
    "pipelined": Shape(
        "1 KiB, kept connections, pipelined, 20 sessions",
        pipelined(20, _SMALL),
        published={"twisted": 4.6},
        wanted=8,
    ),
    "large": Shape(
        "5 MB, 4 sessions",
        one_each(4, text(5_000_000)),
        published={"twisted": 1.06, "postfix": 3.1, "aiosmtpd": 0.45},
        wanted=3,
    ),
    "medium": Shape(
        "64 KiB, 20 sessions",
        one_each(20, text(65536)),
        published={"postfix": 1.7},
        base="postfix",
        wanted=3.5,
    ),
    "lines": Shape(
        "1 MB of 1-2 character lines, 4 sessions",
        one_each(4, _LINES),
        published={"twisted": 0.05, "postfix": 1.14},
        base="postfix",
        wanted=1.1,
    ),
    "connect": Shape(
        "connect, banner, QUIT, 20 sessions",
        Traffic(20, (GREETING,), (), (QUIT,), whole_sessions=True),
        published={"twisted": 5.3},
        wanted=7,
    ),
    "queue": Shape(
        "1 KiB to a do-nothing queue program, one message a connection, 20 sessions",
        one_each(20, _SMALL),
        queue="program",
        # What keeps nothing does the same here as in the first row, and so does qmail-smtpd.
        published={"twisted": 3.3},
        wanted=1.7,
        spread=True,
    ),
    "maildir": Shape(
        "1 KiB to a Maildir, one message a connection, 20 sessions",
        one_each(20, _SMALL),
        queue="maildir",
        published={"twisted": 3.3, "postfix": 1.2},
        wanted=2.5,
        spread=True,
    ),
    "starttls": Shape(
        "STARTTLS and a message, 20 sessions",
        Traffic(20, (GREETING, EHLO, _TLS, EHLO), message(_SMALL), (QUIT,), whole_sessions=True),
        tls=True,
    ),
}
