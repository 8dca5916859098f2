"""
Measure what a connection costs under tcpserver: with C{twistd mvmtr --stdio}, and with each
launcher, which hands it over to a C{mvmtr} that runs already.

README.rst beside this file says how to read what it prints.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "mvmtr" / "launcher"
TWISTD = str(Path(sys.executable).parent / "twistd")
OPTIONS = ("mvmtr", "--no-qmail", "--queue=discard:", "--set=smtp_server_rcpt_domains=example.org",
           "--set=smtp_server_connections_max=200")  # fmt: skip
TEXT = b"Subject: benchmark\r\n\r\n" + (b"x" * 62 + b"\r\n") * 16 + b".\r\n"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def launchers(home: Path) -> dict[str, list[str]]:
    """The command of each way to serve a connection."""
    address = str(home / "socket")
    (home / "python3").symlink_to(os.path.realpath(sys.executable))
    script = shutil.copy(SOURCES / "mvmtr-handoff", home)
    ways = {"script": [script, address]}
    if shutil.which("cc"):
        program = str(home / "compiled")
        source = str(SOURCES / "mvmtr-handoff.c")
        subprocess.run(["cc", "-std=c99", "-O2", "-o", program, source], check=True)
        ways["compiled"] = [program, address]
    ways["--stdio"] = [TWISTD, OPTIONS[0], "--stdio", *OPTIONS[1:]]
    return ways


@contextlib.contextmanager
def running(command: list[str], **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process for as long as it is needed."""
    process = subprocess.Popen(command, env=ENVIRONMENT, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def children_cpu() -> float:
    """CPU seconds of children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def start(command: list[str], count: int) -> tuple[float, float]:
    """Median time from the start to the banner, and CPU for each process, in milliseconds."""
    times = []
    before = children_cpu()
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _each in range(count):
            ours = socket.create_connection(server.getsockname())
            theirs, _address = server.accept()
            begin = time.monotonic()
            process = subprocess.Popen(
                command, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, env=ENVIRONMENT
            )
            theirs.close()
            assert ours.recv(100)[:4] == b"220 "
            times.append(time.monotonic() - begin)
            ours.sendall(b"QUIT\r\n")
            process.wait()
            ours.close()
    return 1000 * median(times), 1000 * (children_cpu() - before) / count


def talk(port: int, message: bool) -> None:
    """One connection: banner and QUIT, or a message in between."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        replies = client.makefile("rb")
        lines = [b"", b"QUIT\r\n"]
        if message:
            lines[1:1] = [b"HELO c\r\n", b"MAIL FROM:<a@example.com>\r\n",
                          b"RCPT TO:<b@example.org>\r\n", b"DATA\r\n", TEXT]  # fmt: skip
        for line in lines:
            client.sendall(line) if line else None
            reply = replies.readline()
            assert reply[:1] in b"23", reply


def rate(port: int, message: bool, seconds: float, sessions: int) -> float:
    """Connections a second with so many sessions at a time."""
    end = time.monotonic() + seconds
    counts = [0] * sessions

    def work(index: int) -> None:
        while time.monotonic() < end:
            talk(port, message)
            counts[index] += 1

    threads = [threading.Thread(target=work, args=(index,)) for index in range(sessions)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - begin)


def under_tcpserver(command: list[str], use: Callable[[int], float]) -> float:
    """What a measurement on the port of a tcpserver gives."""
    options = ["-HRl0", "-1", "-c200", "-b200", "127.0.0.1", "0"]
    with running(
        ["tcpserver", *options, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        assert server.stdout is not None
        with server.stdout as output:
            return use(int(output.readline()))


def main() -> None:
    """Measure round by round, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2, help="for each rate")
    parser.add_argument("--sessions", type=int, default=20, help="at a time")
    parser.add_argument("--starts", type=int, default=20, help="of each way, in each round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        home = Path(folder)
        ways = launchers(home)
        resident = [TWISTD, "-n", "--pidfile=", *OPTIONS, f"--listen=handoff:{home / 'socket'}"]
        log = stack.enter_context(open(home / "log", "wb"))
        stack.enter_context(running(resident, stdout=log, stderr=log))
        while not (home / "socket").exists():
            time.sleep(0.05)
        figures: dict[str, list[tuple[float, ...]]] = {way: [] for way in ways}
        for _round in range(options.rounds):
            for way, command in ways.items():
                rates = [
                    under_tcpserver(
                        command,
                        lambda port, message=message: rate(  # type: ignore[misc]
                            port, message, options.seconds, options.sessions
                        ),
                    )
                    for message in (False, True)
                ]
                figures[way].append((*start(command, options.starts), *rates))
    print(f"{'':10}{'ms to banner':>14}{'CPU ms':>10}{'connections/s':>16}{'messages/s':>13}")
    for way, rounds in figures.items():
        wall, cpu, connections, messages = map(median, zip(*rounds, strict=True))
        print(f"{way:10}{wall:14.1f}{cpu:10.1f}{connections:16.0f}{messages:13.0f}")


if __name__ == "__main__":
    main()
