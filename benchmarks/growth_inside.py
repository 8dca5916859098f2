"""How cost grows, seen from inside: sessions over a transport in memory, and control files."""

from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from peers import control_folder
from servers import ROOT, memory

sys.path.insert(0, str(ROOT))

ENOUGH = 0.1
"""Seconds of CPU that are spent on one point at least."""

PIECE = 65536
"""Bytes that a transport gives to a session in one go."""

Row = dict[str, float]


def cost(act: Callable[[Any], object], prepare: Callable[[], Any] = lambda: None) -> float:
    """
    Seconds of CPU of one call.

    @param act: what is called, as often as is needed.
    @param prepare: makes its argument, and is not timed.
    """
    total, calls = 0.0, 0
    while total < ENOUGH:
        argument = prepare()
        began = time.process_time()
        act(argument)
        total += time.process_time() - began
        calls += 1
    return total / calls


# Sessions


@cache
def _assembly() -> Any:
    """What all sessions have in common: they take mail for example.org."""
    from mvmtr.test.support import assemble

    return assemble(smtp_server_rcpt_domains="example.org")


def session() -> Any:
    """One that has been greeted, in memory."""
    from mvmtr.test.support import Talk

    talk = Talk(_assembly())
    talk.send(b"EHLO client.example")
    return talk


def _in_text() -> Any:
    """One that waits for the text of a message."""
    talk = session()
    talk.send(b"MAIL FROM:<a@client.example>", b"RCPT TO:<b@example.org>", b"DATA")
    return talk


def feed(talk: Any, data: bytes, piece: int, code: int) -> None:
    """Give a session bytes in pieces; the last reply must have this code."""
    receive = talk.receiver.dataReceived
    for start in range(0, len(data), piece):
        receive(data[start : start + piece])
    codes = talk.codes
    if codes[-1] != code:
        raise SystemExit(f"expected {code}, got {codes[-1]}")


def command_bytes(length: int) -> Row:
    """Microseconds for each byte of a command that comes byte by byte."""
    line = b"NOOP ".ljust(length, b"x") + b"\r\n"
    spent = cost(lambda talk: feed(talk, line, 1, 250), session)
    return {"CPU us a byte": spent / length * 1e6}


def address(length: int) -> Row:
    """Nanoseconds for each byte of an address, of several kinds."""
    kinds = {
        "plain": b"a" * length + b"@client.example",
        "quoted": b'"' + b" " * length + b'"@client.example',
        "backslashes": b"\\a" * (length // 2) + b"@client.example",
        "quotes": b'""' * (length // 2) + b"a@client.example",
        "dots": b"a@" + b"a." * (length // 2) + b"example",
        "route": b"@a," * (length // 3) + b"@b:a@client.example",
        "brackets": b"<" * length,
        "literal": b"a@[" + b"1." * (length // 2) + b"]",
    }

    def say(line: bytes) -> Callable[[Any], object]:
        return lambda talk: talk.receiver.dataReceived(line)

    return {
        f"{kind}, CPU ns a byte": cost(say(b"MAIL FROM:<" + text + b">\r\n"), session)
        / length
        * 1e9
        for kind, text in kinds.items()
    }


def header(fields: int) -> Row:
    """Nanoseconds for a field of the header, by their number."""
    texts = {
        "short": b"X-A: b\r\n" * fields,
        "hops": b"Received: by b\r\n" * min(fields, 99) + b"Receive: by b\r\n" * fields,
    }
    end = b"\r\ntext\r\n.\r\n"
    return {
        f"{name} fields, CPU ns each": cost(
            lambda talk, text=text: feed(talk, text + end, PIECE, 250), _in_text
        )
        / fields
        * 1e9
        for name, text in texts.items()
    }


def chunk(piece: int) -> Row:
    """Milliseconds for a MB of text that comes in pieces of so many bytes."""
    size = min(1_000_000, piece * 20_000)
    texts = {"long lines": b"x" * 70 + b"\r\n", "short lines": b"ab\r\n"}
    return {
        f"{name}, CPU ms a MB": cost(
            lambda talk, line=line: feed(talk, line * (size // len(line)) + b".\r\n", piece, 250),
            _in_text,
        )
        / (size / 1e6)
        * 1e3
        for name, line in texts.items()
    }


def together(number: int) -> Row:
    """Microseconds for a small message, by how many of them come in one piece."""
    one = b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nx\r\n.\r\n"
    spent = cost(lambda talk: feed(talk, one * number, len(one) * number, 250), session)
    return {"CPU us a message": spent / number * 1e6}


# Control files


def apart(function: Callable[..., Row], *arguments: Any) -> Row:
    """Call a function in a new process, so that what it needs in memory can be seen."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def domains(number: int) -> Iterator[bytes]:
    """So many names."""
    return (b"domain%d.example" % n for n in range(number))


def _look_up(check: Any, number: int) -> Row:
    """Microseconds of one look-up: of names that are there, and of others."""
    from mvmtr.session import Connection, Session, Stage
    from mvmtr.settings import Settings

    chance, one = random.Random(1), Session(Connection(), Settings())
    there = [b"a@domain%d.example" % chance.randrange(number) for _ in range(1000)]
    others = [b"a@other%d.example" % n for n in range(1000)]

    def ask(addresses: list[bytes]) -> Callable[[Any], object]:
        return lambda _none: [check.check(one, Stage.RCPT, address) for address in addresses]

    found = cost(ask(there)) / 1000 * 1e6
    return {"found, CPU us": found, "not found, CPU us": cost(ask(others)) / 1000 * 1e6}


def rcpthosts(number: int) -> Row:
    """What a list of so many lines costs: to read, to hold, to look into."""
    return apart(_rcpthosts, number)


def _rcpthosts(number: int) -> Row:
    import mvmtr.assemble  # noqa: F401 - what is loaded is not part of the list
    from mvmtr.compat.rcpthosts import read_rcpthosts

    with tempfile.TemporaryDirectory(prefix="mvmtr-growth-") as home:
        control = control_folder(Path(home, "control"))
        (control / "rcpthosts").write_bytes(b"".join(name + b"\n" for name in domains(number)))
        began, before = time.process_time(), memory(os.getpid())
        check = read_rcpthosts(str(control))
        spent = time.process_time() - began
        held, peak = memory(os.getpid()) - before, memory(os.getpid(), "VmHWM") - before
        return {
            "read, CPU s": spent,
            "held, MB": held / 1e6,
            "while it is read, MB": peak / 1e6,
            **_look_up(check, number),
        }


def morercpthosts(number: int) -> Row:
    """What a database of so many names costs."""
    return apart(_morercpthosts, number)


def _morercpthosts(number: int) -> Row:
    import mvmtr.assemble  # noqa: F401
    from mvmtr.compat.rcpthosts import read_rcpthosts

    with tempfile.TemporaryDirectory(prefix="mvmtr-growth-") as home:
        control = control_folder(Path(home, "control"))
        database = control / "morercpthosts.cdb"
        make = subprocess.Popen(["cdbmake", database, f"{database}.tmp"], stdin=subprocess.PIPE)
        assert make.stdin is not None
        for name in domains(number):
            make.stdin.write(b"+%d,0:%s->\n" % (len(name), name))
        make.communicate(b"\n")
        if make.returncode:
            raise SystemExit("cdbmake failed")
        began, before = time.process_time(), memory(os.getpid())
        check = read_rcpthosts(str(control))
        spent = time.process_time() - began
        row = {"open, CPU s": spent, **_look_up(check, number)}
        return row | {"held, MB": (memory(os.getpid()) - before) / 1e6}
