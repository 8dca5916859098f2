"""
Measure how long one session takes to begin: from exec to the greeting of C{--stdio}.

README.rst beside this file says how to read what it prints.
"""

from __future__ import annotations

import argparse
import compileall
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60
"""Seconds that a program may take."""

CONTROLS = {
    "me": "mx.example\n",
    "rcpthosts": "example.com\nexample.net\n.example.org\n",
    "badmailfrom": "spammer@bad.example\n@worse.example\nbulk@worst.example\n",
}


class Start(NamedTuple):
    """How long one program took: seconds by the clock, and of a processor."""

    wall: float
    cpu: float


def cpu_of(pid: int) -> float:
    """Seconds of a processor that a process that runs has used so far, in user and system."""
    # How Linux numbers the processor clocks of other processes; see clock_getcpuclockid(3).
    return time.clock_gettime(~pid << 3 | 2)


def session_on(ours: socket.socket, theirs: socket.socket, command: list[str]) -> Start:
    """
    From exec to the greeting, on both ends of a socket.

    The clock of the process is read when the greeting is here, and says what it took until then.
    """
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, cwd="/"
    )
    theirs.close()
    ours.settimeout(PATIENCE)
    greeting = ours.recv(4096)
    start = Start(time.perf_counter() - begin, cpu_of(process.pid))
    if not greeting.startswith(b"220 "):
        raise SystemExit(f"expected a greeting, got {greeting!r}")
    ours.sendall(b"QUIT\r\n")
    while ours.recv(4096):
        pass
    ours.close()
    process.wait(PATIENCE)
    return start


def session(command: list[str]) -> Start:
    """A session on a TCP socket, as tcpserver has it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _address = listener.accept()
    return session_on(ours, theirs, command)


def pair(command: list[str]) -> Start:
    """A session on a pair of sockets that are not TCP."""
    return session_on(*socket.socketpair(), command)


def program(command: list[str]) -> Start:
    """A program from exec to its end."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _pid, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return Start(wall, used.ru_utime + used.ru_stime)


def main() -> None:
    """Start all of them by turns, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=20, help="how often each is started")
    parser.add_argument("--only", default="", help="only those whose name has this in it")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    # An installed mvmtr has its bytecode, whether or not its user may write there.
    for package in ("mvmtr", "twisted"):
        compileall.compile_dir(ROOT / package, quiet=1)
    tools = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as folder:
        for name, text in CONTROLS.items():
            (Path(folder) / name).write_text(text)
        stdio = ["--stdio", f"--control-dir={folder}", "--queue=discard:"]
        twistd = [str(tools / "twistd"), "mvmtr", *stdio]
        mvmtr = [str(tools / "mvmtr"), *stdio]
        measured = {
            "python -I -S -c pass": (program, [sys.executable, "-I", "-S", "-c", "pass"]),
            "python -c pass": (program, [sys.executable, "-c", "pass"]),
            "import the reactor": (
                program,
                [sys.executable, "-c", "import twisted.internet.reactor"],
            ),
            "twistd --help": (program, [str(tools / "twistd"), "--help"]),
            "twistd mvmtr --stdio": (session, twistd),
            "the same, no TCP": (pair, twistd),
            "mvmtr --stdio": (session, mvmtr),
        }
        found: dict[str, list[Start]] = {}
        for turn in range(options.rounds + 1):
            for name, (measure, command) in measured.items():
                if options.only in name:
                    start = measure(command)
                    # The first one finds nothing in the caches of the system.
                    if turn:
                        found.setdefault(name, []).append(start)
    print(f"{'medians of ' + str(options.rounds):24}  wall ms   CPU ms")
    for name, starts in found.items():
        wall, cpu = (median(values) * 1000 for values in zip(*starts, strict=True))
        print(f"{name:24} {wall:8.1f} {cpu:8.1f}")


if __name__ == "__main__":
    main()
