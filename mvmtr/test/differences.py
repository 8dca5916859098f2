"""
What mvmtr does instead, for each recorded case that one of the intended differences from
qmail-smtpd touches. The numbers are those of L{MEANING}.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from mvmtr.test.replay import TAKEN, Outcome, recorded

MEANING = {
    1: "greeting: a first line of its own; neither me nor smtpgreeting is needed",
    2: "HELO, EHLO, QUIT, HELP: texts of its own",
    3: "the value of RELAYCLIENT is not appended to recipients",
    4: "control files: comments, blank lines, backslashes; blanks and CR at line ends dropped",
    5: "NUL, CR or LF in a command: 501, no effect",
    6: "no FROM: or TO:, no path, an open quote, a path with no end: 555, no effect",
    7: "ESMTP parameters: those announced are obeyed, others are 555",
    8: "address literals: no numbers over 255, and IPv6",
    9: "hops: only Received: and Delivered-To: fields",
    10: "Received: with ESMTP after EHLO; a HELO name is cut at 255 bytes",
    11: "a command line over 64 KiB: 500, and the session goes on",
    12: "databytes and timeouts are not cut to 32 bits",
    13: "the queue is started only for a message that is complete and within limits",
    14: "texts that come from the queue program are passed on",
    15: "TCP6REMOTEIP and its family",
    16: "300 seconds where timeoutsmtpd is absent",
    17: "recipients of a message beyond a limit: 452",
    18: "a session beyond a limit of time, messages, commands or errors: 421",
}


@dataclass(frozen=True)
class Difference:
    """
    What is not as recorded; C{None} for what is.

    @ivar numbers: which differences apply.
    @ivar replies: all replies.
    @ivar runs: those of the recorded runs of the queue program that happen here as well.
    @ivar changed: for a run, by its place in C{runs}, the values that are not as recorded.
    @ivar steps: what the client does.
    @ivar exit: the exit status.
    """

    numbers: tuple[int, ...]
    replies: tuple[str, ...] | None = None
    runs: tuple[int, ...] | None = None
    changed: dict[int, dict[str, str]] | None = None
    steps: tuple[dict[str, Any], ...] | None = None
    exit: int | None = None


SYNTAX = "555 syntax error (#5.5.4)"
BAD_BYTE = "501 NUL, CR or LF in a command (#5.5.2)"
TOO_LONG = "500 command line too long (#5.5.2)"
UNIMPLEMENTED = "502 unimplemented (#5.5.1)"
MAIL_FIRST = "503 MAIL first (#5.5.1)"
RCPT_FIRST = "503 RCPT first (#5.5.1)"

# MAIL, RCPT, DATA and the text behind them: taken; or what comes of a refused sender or
# recipient, of which a text of one line is answered as one command.
MESSAGE = ("250", "250", "354", TAKEN)
NO_DATA = (MAIL_FIRST, UNIMPLEMENTED)
NO_SENDER = (SYNTAX, MAIL_FIRST, *NO_DATA)
NO_RECIPIENT = ("250", SYNTAX, RCPT_FIRST, UNIMPLEMENTED)
NEITHER = (SYNTAX, SYNTAX, RCPT_FIRST, UNIMPLEMENTED)
FOUR_LINES = (UNIMPLEMENTED,) * 4


def _session(*replies: str) -> tuple[str, ...]:
    return ("220", *replies, "221")


def _ipv6_loopback() -> bool:
    """Whether ::1 is an address of this machine."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _envelope(*addresses: str) -> dict[str, str]:
    sender, *recipients = addresses
    return {"envelope": f"F{sender}\0" + "".join(f"T{one}\0" for one in recipients) + "\0"}


_BAD_RECIPIENT = Difference((5,), _session("250", BAD_BYTE, RCPT_FIRST, *FOUR_LINES), runs=())
_TEN_BYTES_ARE_TAKEN = Difference(
    (12,),
    _session(*MESSAGE),
    runs=(0,),
    changed={0: {"message": "x" * 10 + "\n", **_envelope("s@remote.example", "r@local.example")}},
)
_HELO_8BIT = (
    "Received: from client.example (HELO ????x??) (203.0.113.7)\n  by mx.example with SMTP; $DATE\n"
)
_HELO_LONG = (
    f"Received: from client.example (HELO {'h' * 255}) (203.0.113.7)\n"
    "  by mx.example with SMTP; $DATE\n"
)

DIFFERENCES = {
    "address/empty": Difference(
        (6,), _session(*MESSAGE, *NO_SENDER * 3, *MESSAGE * 2), runs=(0, 4, 5)
    ),
    "address/escape-no-brackets": Difference((7,), _session(*MESSAGE, *NO_SENDER), runs=(0,)),
    "address/keyword-odd": Difference((6,), _session(*NO_SENDER * 2), runs=()),
    "address/keyword-swapped": Difference((6,), _session(*NO_SENDER * 2), runs=()),
    "address/nested": Difference((7,), _session(*NO_SENDER * 2), runs=()),
    "address/no-brackets": Difference(
        (7,), _session(*MESSAGE * 3, *NO_RECIPIENT, *MESSAGE), runs=(0, 1, 2, 4)
    ),
    "address/no-colon": Difference((6,), _session(*NO_SENDER * 2), runs=()),
    "address/odd-bytes": Difference(
        (5,), _session(*MESSAGE, BAD_BYTE, BAD_BYTE, *NO_DATA, *MESSAGE), runs=(0, 2)
    ),
    "address/params": Difference((7,), _session(*NO_RECIPIENT, *NEITHER * 3), runs=()),
    "address/quote-open": Difference((6,), _session(*NO_SENDER * 3), runs=()),
    "address/quoted-bracket": Difference((6,), _session(*MESSAGE, *NO_SENDER), runs=(0,)),
    "address/quoted-open": Difference((6,), _session(*NO_SENDER * 2), runs=()),
    "address/route-no-colon": Difference((6,), _session(*NO_SENDER * 3), runs=()),
    "address/two-paths": Difference((7,), _session(*NO_SENDER * 2), runs=()),
    "badmailfrom/null-sender": Difference((6,), _session("250", "250", SYNTAX, "250")),
    "databytes/env-two-to-32-plus-10": _TEN_BYTES_ARE_TAKEN,
    "databytes/two-to-32-plus-10": _TEN_BYTES_ARE_TAKEN,
    "extensions/auth-parameter": Difference(
        (7,), _session("250", SYNTAX, MAIL_FIRST, MAIL_FIRST, *FOUR_LINES), runs=()
    ),
    "greeting/neither-pipelined": Difference((1,), _session("250"), exit=0),
    "localiphost/malformed": Difference(
        (8,), changed={8: _envelope("a@lip.example", "a@lip.example") if _ipv6_loopback() else {}}
    ),
    "localiphost/no-local-part": Difference((6,), _session(*MESSAGE, *NO_SENDER), runs=(0,)),
    "localiphost/numbers": Difference(
        (8,), changed={1: _envelope("a@[383.256.512.257]", "a@[383.256.512.257]")}
    ),
    "rcpthosts/crlf": Difference((4, 5), _session("250", "250", BAD_BYTE)),
    "received/helo-8bit": Difference(
        (5,),
        _session("250", *MESSAGE, BAD_BYTE, *MESSAGE),
        changed={1: {"received": _HELO_8BIT}},
    ),
    "relayclient/8bit": Difference(
        (3,), changed={0: _envelope("s@remote.example", "r@elsewhere.example")}
    ),
    "relayclient/literal": Difference(
        (3,), changed={0: _envelope("s@remote.example", "r@mx.example")}
    ),
    "relayclient/suffix": Difference(
        (3,),
        changed={
            0: _envelope("s@remote.example", "r@elsewhere.example", "r@local.example", "r", "")
        },
    ),
    "relayclient/suffix-blank": Difference(
        (3,), changed={0: _envelope("s@remote.example", "r@elsewhere.example")}
    ),
    "relayclient/suffix-dot": Difference(
        (3,), changed={0: _envelope("s@remote.example", "r@elsewhere.example")}
    ),
    "syntax/cr-cr-lf": Difference((5,), _session(*[BAD_BYTE] * 4)),
    "syntax/cr-inside": Difference((5,), _session(*[BAD_BYTE] * 4)),
    "syntax/helo-long-1000": Difference((10,), changed={0: {"received": _HELO_LONG}}),
    "syntax/mail-nul": Difference(
        (5,), _session(BAD_BYTE, MAIL_FIRST, MAIL_FIRST, *FOUR_LINES), runs=()
    ),
    "syntax/noop-long": Difference((11,), _session("250", "250", "250", "250", TOO_LONG)),
    "syntax/rcpt-nul": _BAD_RECIPIENT,
    "syntax/rcpt-nul-domain": _BAD_RECIPIENT,
    # It waits for longer than the one second that qmail-smtpd makes of it.
    "timeout/two-to-32": Difference(
        (12,),
        _session(),
        exit=0,
        steps=(
            {"replies": 1},
            {"pause_ms": 1500},
            {"send": "QUIT\r\n", "replies": 1},
            {"until_close": True},
        ),
    ),
}
"""The differences, by case."""


def steps_of(name: str, case: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """What the client does in a case."""
    difference = DIFFERENCES.get(name)
    steps: Iterable[dict[str, Any]] = case["steps"]
    return steps if difference is None or difference.steps is None else difference.steps


def expected(name: str, case: dict[str, Any]) -> Outcome:
    """What mvmtr has to do in a case."""
    difference = DIFFERENCES.get(name)
    if difference is None:
        return recorded(case)
    outcome = recorded(case, difference.runs)
    if difference.replies is not None:
        outcome.replies = list(difference.replies)
    if difference.exit is not None:
        outcome.exit = difference.exit
    for number, values in (difference.changed or {}).items():
        outcome.runs[number] = replace(outcome.runs[number], **values)
    return outcome
