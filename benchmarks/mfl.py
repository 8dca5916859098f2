#!/usr/bin/env python3
"""
How fast is a hook of MFL?

The same rule is run as a hook of ten lines with two header tests, and as a plain Python
function. It also measures how long a file takes to read, and shows that a session without a
startup file loads nothing of MFL.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from email.parser import BytesHeaderParser
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mvmtr.mfl.host import Host, MessageSource, message_source  # noqa: E402
from mvmtr.mfl.program import Limits, Program, read  # noqa: E402

HOOK = b"""\
int $hook_message()
{
    if ( test( header :contains "Subject" ["winner", "lottery"] ) && !$relaying() )
        return $defer( 451, "4.7.1 try again later" );
    if header :matches "X-Mailer" "*bulk*" {
        discard;
        stop;
    }
    if ( $remote_ip() == "192.0.2.1" )
        return $reject( 550, "5.7.1 no" );
    return 0;
}
"""

FIELDS = 24

Rule = Callable[[MessageSource, Host], object]


def message_of(fields: int) -> bytes:
    """A message of some header fields and a short body."""
    first = [b"Subject: the minutes of the meeting", b"From: joe@client.example"]
    first += [b"X-Mailer: some program, version 1"]
    more = [b"X-Field-%d: the value of a header field" % number for number in range(fields - 3)]
    return b"\n".join((*first, *more)) + b"\n\nhello\n"


def bare(message: MessageSource, host: Host) -> object:
    """The rule in Python, with the header parser of the standard library."""
    header = BytesHeaderParser().parsebytes(message.header)
    return decide(str(header["Subject"]), str(header["X-Mailer"]), host)


def barest(message: MessageSource, host: Host) -> object:
    """The rule in Python, by a look at the lines; nothing is unfolded or decoded."""
    subject = mailer = ""
    for line in message.header.split(b"\n"):
        name, _colon, value = line.partition(b":")
        lower = name.lower()
        if lower == b"subject":
            subject = value.decode()
        elif lower == b"x-mailer":
            mailer = value.decode()
    return decide(subject, mailer, host)


def decide(subject: str, mailer: str, host: Host) -> object:
    """What the two have in common."""
    lower = subject.lower()
    if ("winner" in lower or "lottery" in lower) and not host.relaying:
        return 451, "4.7.1 try again later"
    if "bulk" in mailer.lower():
        return "discard"
    if host.remote_ip == b"192.0.2.1":
        return 550, "5.7.1 no"
    return None


def hook_of(program: Program) -> Rule:
    """The hook as a function like the others."""
    limits = Limits()

    def call(message: MessageSource, host: Host) -> object:
        host.message = message
        return program.call("message", (), host, limits)

    return call


def microseconds(rule: Callable[[], object], runs: int) -> float:
    """Of one run."""
    begin = perf_counter()
    for _ in range(runs):
        rule()
    return (perf_counter() - begin) / runs * 1e6


def modules(start: bytes | None) -> int:
    """How many modules of MFL a session loads, with a startup file or without one."""
    twistd = Path(sys.executable).parent / "twistd"
    with tempfile.TemporaryDirectory(prefix="mvmtr-bench-") as name:
        (Path(name) / "me").write_text("mx.example\n")
        if start is not None:
            (Path(name) / "mvmtr.mfl").write_bytes(start)
        done = subprocess.run(
            [sys.executable, "-X", "importtime", twistd, "mvmtr", "--stdio",
             f"--control-dir={name}", "--queue=discard:"],
            input=b"EHLO client.example\r\nQUIT\r\n",
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=60,
            check=True,
        )  # fmt: skip
    if b"\r\n221 " not in done.stdout:
        raise SystemExit(f"there was no session: {done.stdout!r}")
    return sum(b"| " in line and b" mvmtr.mfl" in line for line in done.stderr.splitlines())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5000, help="runs in a round")
    parser.add_argument("--rounds", type=int, default=7, help="rounds; the median is shown")
    parser.add_argument("--fields", type=int, default=FIELDS, help="fields in the header")
    options = parser.parse_args()
    host = Host(remote_ip=b"203.0.113.7")
    message = message_source(message_of(options.fields))
    rules = {
        "the hook": hook_of(read("bench.mfl", HOOK)),
        "Python, email.parser": bare,
        "Python, lines only": barest,
    }
    times: dict[str, list[float]] = {name: [] for name in rules}
    reading = []
    for _ in range(options.rounds):
        for name, rule in rules.items():
            times[name].append(microseconds(partial(rule, message, host), options.runs))
        reading.append(microseconds(lambda: read("bench.mfl", HOOK), 50))
    for name, found in times.items():
        print(f"{name:32} {median(found):8.1f} microseconds")
    print(f"{'reading the file':32} {median(reading):8.1f} microseconds")
    print(f"{'MFL modules, no startup file':32} {modules(None):8}")
    print(f"{'MFL modules, a startup file':32} {modules(HOOK):8}")


if __name__ == "__main__":
    main()
