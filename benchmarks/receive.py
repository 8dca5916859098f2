"""
Measure how fast mail is received: a real C{twistd mvmtr}, and peers, on loopback.

README.rst beside this file says how to read what it prints.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 60
"""Seconds that a server may take for one answer."""

CONTROLS = {
    "me": "mx.example\n",
    "rcpthosts": "example.com\nexample.net\n.example.org\n",
    "badmailfrom": "spammer@bad.example\n@worse.example\nbulk@worst.example\n",
}
ENVELOPE = b"MAIL FROM:<sender@client.example>\r\n", b"RCPT TO:<user@mx.example.org>\r\n"
HEADER = b"From: sender@client.example\r\nTo: user@mx.example.org\r\nSubject: benchmark\r\n\r\n"
# Reads message and envelope to their ends and keeps nothing.
QUEUE_PROGRAM = "#!/bin/sh\nexec cat - /dev/fd/3 3<&1 > /dev/null\n"


class Figures(NamedTuple):
    """What one round showed; the columns of the table."""

    messages_per_second: float
    cpu_per_1000: float
    cpu_percent: float
    megabytes_per_second: float
    peak_megabytes: float


class Client:
    """A plain blocking client, so that the server has the more to do of the two."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = self._socket.makefile("rb")
        self.say(b"", 220)
        self.say(b"EHLO client.example\r\n", 250)

    def say(self, data: bytes, *codes: int) -> None:
        """Send in one piece, and wait for one reply for each of the codes."""
        if data:
            self._socket.sendall(data)
        for code in codes:
            line = self._replies.readline()
            while line[3:4] == b"-":
                line = self._replies.readline()
            if line[:4] != b"%d " % code:
                raise RuntimeError(f"expected {code} after {data[:50]!r}, got {line!r}")

    def send(self, text: bytes, pipelined: bool) -> None:
        """Send one message, given with the dot at its end."""
        if pipelined:
            self.say(b"".join(ENVELOPE) + b"DATA\r\n", 250, 250, 354)
        else:
            for command in ENVELOPE:
                self.say(command, 250)
            self.say(b"DATA\r\n", 354)
        self.say(text, 250)

    def quit(self) -> None:
        """Say goodbye and wait until the server has closed."""
        self.say(b"QUIT\r\n", 221)
        self._replies.read()
        self._replies.close()
        self._socket.close()


def message(size: int) -> bytes:
    """A message of that many bytes as it goes over the wire, and the dot at its end."""
    line = b"All work and no play makes Jack a dull boy, and the mail goes on.\r\n"
    text = (HEADER + line * (size // len(line)))[: size - 2].rstrip(b"\r\n")
    return text.ljust(size - 2, b".") + b"\r\n.\r\n"


def run_session(options: argparse.Namespace, port: int, number: int, start: Any) -> None:
    """Send the share of one session, a new connection for every so many messages."""
    text = message(options.size)
    share = len(range(number, options.messages, options.sessions))
    start.wait(PATIENCE)
    while share > 0:
        client = Client(port)
        for _ in range(min(share, options.per_connection)):
            client.send(text, options.pipelined)
        client.quit()
        share -= options.per_connection


def send_all(options: argparse.Namespace, port: int) -> float:
    """Send all messages over all sessions; how many seconds that took."""
    fork = multiprocessing.get_context("fork")
    start = fork.Barrier(options.sessions + 1)
    sessions = [
        fork.Process(target=run_session, args=(options, port, number, start), daemon=True)
        for number in range(options.sessions)
    ]
    for session in sessions:
        session.start()
    start.wait(PATIENCE)
    begin = time.perf_counter()
    for session in sessions:
        session.join()
    seconds = time.perf_counter() - begin
    if any(session.exitcode for session in sessions):
        raise SystemExit("a client failed; the reason stands above")
    return seconds


def serve_twisted(port: int) -> None:
    """The receiver that twisted.mail is as it comes; it logs to a file as twistd does."""
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred, succeed
    from twisted.mail.interfaces import IMessageSMTP
    from twisted.mail.smtp import ESMTP, SMTPFactory
    from twisted.python.log import startLogging
    from zope.interface import implementer

    @implementer(IMessageSMTP)
    class Forgotten:
        def lineReceived(self, line: bytes) -> None: ...
        def connectionLost(self) -> None: ...
        def eomReceived(self) -> Deferred[None]:
            return succeed(None)

    class Everybody(ESMTP):
        def validateFrom(self, helo: object, origin: object) -> object:
            return origin

        def validateTo(self, user: object) -> object:
            return Forgotten

        def receivedHeader(self, helo: object, origin: object, recipients: object) -> bytes:
            return b"Received: from client.example by mx.example with ESMTP"

    factory = SMTPFactory()
    factory.protocol = Everybody
    startLogging(open("log", "a"), setStdout=False)
    reactor.listenTCP(port, factory, interface="127.0.0.1")
    reactor.run()


def serve_aiosmtpd(port: int) -> None:
    """aiosmtpd with a handler that forgets."""
    import asyncio

    from aiosmtpd.smtp import SMTP

    class Forgets:
        async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
            return "250 ok"

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(Forgets(), loop=loop), "127.0.0.1", port)
        await server.serve_forever()

    asyncio.run(serve())


PEERS = {"twisted": serve_twisted, "aiosmtpd": serve_aiosmtpd}


def command_of(name: str, port: int, queue: str, home: Path, *more: str) -> list[str]:
    """The command line of a server, for mvmtr with more options; its files lie in C{home}."""
    if name in PEERS:
        return [sys.executable, __file__, "--serve", name, str(port)]
    control = home / "control"
    control.mkdir()
    for file, content in CONTROLS.items():
        (control / file).write_text(content)
    program = home / "queue"
    program.write_text(QUEUE_PROGRAM)
    program.chmod(0o755)
    where = {"maildir": f"maildir:{home}/Maildir", "qmail": f"qmail:{program}"}.get(queue, queue)
    twistd = str(Path(sys.executable).parent / "twistd")
    command = [twistd, "--nodaemon", "--pidfile=", f"--logfile={home}/log", "mvmtr"]
    endpoint = f"tcp:{port}:interface=127.0.0.1"
    own = f"--control-dir={control}", f"--queue={where}", f"--listen={endpoint}"
    return [*command, *own, *more]


@contextlib.contextmanager
def running(name: str, queue: str, *more: str) -> Iterator[tuple[int, int]]:
    """A server on a free port, for as long as the block takes; gives its process and port."""
    with socket.socket() as probe, tempfile.TemporaryDirectory(prefix="mvmtr-bench-") as home:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        command = command_of(name, port, queue, Path(home), *more)
        process = subprocess.Popen(command, cwd=home, env={**os.environ, "PYTHONPATH": path})
        try:
            wait_for(name, process, port)
            yield process.pid, port
        finally:
            process.kill()
            process.wait()


def wait_for(name: str, process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until a server greets."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            Client(port).quit()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit(f"the server does not answer: {name}")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_megabytes(pid: int) -> float:
    """The most memory that a process has held at a time."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def measure(name: str, options: argparse.Namespace) -> Figures:
    """One round with one server."""
    with running(name, options.queue) as (pid, port):
        before = cpu_seconds(pid)
        seconds = send_all(options, port)
        cpu = cpu_seconds(pid) - before
        peak = peak_megabytes(pid)
    return Figures(
        messages_per_second=options.messages / seconds,
        cpu_per_1000=cpu / options.messages * 1000,
        cpu_percent=cpu / seconds * 100,
        megabytes_per_second=options.messages * options.size / seconds / 1e6,
        peak_megabytes=peak,
    )


def medians(rounds: list[Figures]) -> Figures:
    """The median of every column by itself."""
    return Figures(*map(median, zip(*rounds, strict=True)))


def print_table(results: dict[str, list[Figures]]) -> None:
    """The medians, and how they compare with stock Twisted."""
    columns = ("messages/s", "CPU s/1000", "CPU %", "MB/s", "peak MB")
    print(("{:<20}" + "{:>12}" * 5).format("", *columns))
    form = "{:<20}{:>12.0f}{:>12.3f}{:>12.0f}{:>12.2f}{:>12.1f}"
    for name, rounds in results.items():
        print(form.format(name, *medians(rounds)))
    stock = medians(results["twisted"])
    for name, rounds in results.items():
        if name != "twisted":
            pairs = zip(medians(rounds), stock, strict=True)
            ratios = [own / theirs if theirs else 0 for own, theirs in pairs]
            print(("{:<20}" + "{:>12.2f}" * 5).format(f"{name} : twisted", *ratios))


def parse_options() -> argparse.Namespace:
    """The command line."""

    def number(text: str) -> int:
        if (value := int(text)) < 1:
            raise ValueError
        return value

    parser = argparse.ArgumentParser(description="Measure how fast mail is received.")
    add = parser.add_argument
    add("--messages", type=number, default=8000, help="messages in a round [%(default)s]")
    add("--sessions", type=number, default=8, help="sessions at a time [%(default)s]")
    add("--size", type=number, default=8000, help="bytes of a message, 100 or more [%(default)s]")
    add("--per-connection", type=number, default=10, help="messages of one [%(default)s]")
    add("--pipelined", action="store_true", help="MAIL, RCPT and DATA in one piece")
    add(
        "--queue",
        choices=("discard:", "maildir", "qmail"),
        default="discard:",
        help="of mvmtr; the others keep nothing [%(default)s]",
    )
    add("--rounds", type=number, default=5, help="rounds, of all servers by turns [%(default)s]")
    add("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.size < 100:
        parser.error("--size: a message has 100 bytes or more")
    return options


def main() -> None:
    """Run all rounds and print what came of them."""
    options = parse_options()
    if options.serve:
        name, port = options.serve
        PEERS[name](int(port))
        return
    names = ["mvmtr", *(name for name in PEERS if importlib.util.find_spec(name))]
    load = os.getloadavg()[0]
    results: dict[str, list[Figures]] = {name: [] for name in names}
    for turn in range(options.rounds):
        for name in names:
            figures = measure(name, options)
            results[name].append(figures)
            rate = f"{figures.messages_per_second:.0f} messages/s"
            print(f"round {turn + 1}: {name} {rate}", file=sys.stderr)
    print(
        f"{options.messages} messages of {options.size} bytes, {options.sessions} sessions, "
        f"{options.per_connection} a connection{', pipelined' * options.pipelined}, "
        f"queue {options.queue}; medians of {options.rounds} rounds; load before: {load:.2f}"
    )
    print_table(results)


if __name__ == "__main__":
    main()
