"""
Measure what idle connections cost: open thousands to a real C{twistd mvmtr}, and to stock
Twisted, and look at the memory of the server.

README.rst beside this file says how to read what it prints.
"""

from __future__ import annotations

import argparse
import resource
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from receive import ENVELOPE, PATIENCE, cpu_seconds, running

SPARE = 100
"""Descriptors that a process needs besides those of the connections."""

TOGETHER = 40
"""Connections that are opened before the first of them is waited for."""

STAGES = {
    "greeted": ((b"", 220),),
    "after EHLO": ((b"EHLO client.example\r\n", 250),),
    "after RCPT": ((ENVELOPE[0], 250), (ENVELOPE[1], 250)),
}
"""What is said on each connection, and the code of the reply, up to each point."""


class Figures(NamedTuple):
    """What one server showed; the columns of the table."""

    bytes_each: dict[str, int]
    seconds: float
    idle_cpu: float


def raise_limit(connections: int) -> None:
    """Let this process have as many sockets as it needs, or tell that it can't."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < connections + SPARE:
        raise SystemExit(f"ulimit -Hn is {hard}; {connections} connections want more")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def memory_of(pid: int) -> int:
    """Bytes of memory that a process holds now."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def sources(number: int) -> Iterator[str]:
    """Addresses of this machine, without end and by turns."""
    while True:
        for last in range(2, number + 2):
            yield f"127.0.0.{last}"


def wait(connection: socket.socket, code: int) -> None:
    """Read one reply, which comes in one piece."""
    said = connection.recv(4096)
    if not said.rpartition(b"\r\n")[0].rpartition(b"\r\n")[2].startswith(b"%d " % code):
        raise SystemExit(f"expected {code}, got {said!r}")


def say(connections: list[socket.socket], words: bytes, code: int) -> None:
    """Say the same on all connections, and wait for all replies."""
    for start in range(0, len(connections), TOGETHER):
        batch = connections[start : start + TOGETHER]
        for connection in batch:
            connection.sendall(words)
        for connection in batch:
            wait(connection, code)


def open_all(number: int, port: int, addresses: int, stack: ExitStack) -> list[socket.socket]:
    """Open connections, and wait until each has been greeted."""
    source = sources(addresses)
    connections: list[socket.socket] = []
    while len(connections) < number:
        batch = [
            stack.enter_context(
                socket.create_connection(("127.0.0.1", port), PATIENCE, (next(source), 0))
            )
            for _ in range(min(TOGETHER, number - len(connections)))
        ]
        for connection in batch:
            wait(connection, 220)
        connections += batch
    return connections


def measure(name: str, options: argparse.Namespace) -> Figures:
    """Open all connections to one server, hold them, and let them go."""
    number = options.connections
    limits = (
        f"--max-connections={number + SPARE}",
        "--max-per-address=0",
        "--set=smtp_server_timeout=3600",
    )
    bytes_each = {}
    with running(name, "discard:", *limits) as (pid, port), ExitStack() as stack:
        with ExitStack() as first:
            # What is made once, at the first sessions, belongs to none of them.
            warm = open_all(TOGETHER, port, options.addresses, first)
            for steps in list(STAGES.values())[1:]:
                for words, code in steps:
                    say(warm, words, code)
        before = memory_of(pid)
        begin = time.perf_counter()
        connections = open_all(number, port, options.addresses, stack)
        seconds = time.perf_counter() - begin
        for stage, steps in STAGES.items():
            for words, code in steps:
                if words:
                    say(connections, words, code)
            bytes_each[stage] = (memory_of(pid) - before) // number
        cpu = cpu_seconds(pid)
        time.sleep(options.idle)
        idle_cpu = cpu_seconds(pid) - cpu
        # They are all alive.
        say(connections, b"RSET\r\n", 250)
    return Figures(bytes_each, seconds, idle_cpu)


def print_table(results: dict[str, Figures], options: argparse.Namespace) -> None:
    """A line for each server."""
    print(
        f"{options.connections} connections from {options.addresses} addresses; bytes of the "
        f"server's memory for each; CPU of {options.idle} idle seconds"
    )
    columns = (*STAGES, "opened/s", "CPU s")
    print(("{:<20}" + "{:>12}" * len(columns)).format("", *columns))
    form = "{:<20}" + "{:>12}" * len(STAGES) + "{:>12.0f}{:>12.2f}"
    for name, (bytes_each, seconds, idle_cpu) in results.items():
        print(form.format(name, *bytes_each.values(), options.connections / seconds, idle_cpu))


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure what idle connections cost.")
    add = parser.add_argument
    add("--connections", type=int, default=10000, help="at a time [%(default)s]")
    add("--addresses", type=int, default=20, help="127.0.0.2 and further ones [%(default)s]")
    add("--idle", type=int, default=10, help="seconds in which nothing is said [%(default)s]")
    add("--servers", nargs="*", default=["mvmtr", "twisted"], help="[%(default)s]")
    return parser.parse_args()


def main() -> None:
    """Measure all servers and print what came of it."""
    options = parse_options()
    raise_limit(options.connections)
    results = {}
    for name in options.servers:
        results[name] = measure(name, options)
        print(f"done: {name}", file=sys.stderr)
    print_table(results, options)


if __name__ == "__main__":
    main()
