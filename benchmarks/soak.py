"""
Measure what idle connections cost: open thousands to a real C{twistd mvmtr}, and to servers
to compare with, and look at the memory of the server.

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

from peers import Mvmtr, Peer, Stock
from servers import PATIENCE, cpu_seconds, memory
from shapes import MAIL, RCPT, SHAPES

SPARE = 100
"""Descriptors that a process needs besides those of the connections."""

TOGETHER = 40
"""Connections that are opened before the first of them is waited for."""

STAGES = {
    "greeted": ((b"", 220),),
    "after EHLO": ((b"EHLO client.example\r\n", 250),),
    "after RCPT": ((MAIL, 250), (RCPT, 250)),
}
"""What is said on each connection, and the code of the reply, up to each point."""


def raise_limit(connections: int) -> None:
    """Let this process have as many sockets as it needs, or tell that it can't."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < connections + SPARE:
        raise SystemExit(f"ulimit -Hn is {hard}; {connections} connections want more")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def sources(number: int) -> Iterator[str]:
    """Addresses of this machine, without end and by turns."""
    while True:
        for last in range(2, number + 2):
            yield f"127.0.0.{last}"


def wait(connection: socket.socket, code: int) -> None:
    """Read one reply, which may come in pieces."""
    said = b""
    last = b""
    while last[3:4] != b" ":
        piece = connection.recv(4096)
        said += piece
        if not piece:
            break
        if said.endswith(b"\r\n"):
            last = said[:-2].rpartition(b"\r\n")[2]
    if not last.startswith(b"%d" % code):
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


def idle(peer: Peer, number: int, addresses: int = 20, seconds: float = 0) -> dict[str, float]:
    """
    Open connections to one server, hold them, and let them go.

    @param number: of connections.
    @param addresses: that they come from.
    @param seconds: in which nothing is said.
    @return: bytes for each connection at each stage; connections opened in a second; CPU
        seconds while nothing was said.
    """
    raise_limit(number)
    if isinstance(peer, Mvmtr):
        limits = f"--max-connections={number + SPARE}", "--max-per-address=0"
        peer = Mvmtr(
            peer.name, peer.checkout, (*peer.more, *limits, "--set=smtp_server_timeout=3600")
        )
    figures: dict[str, float] = {}
    with peer.serve(SHAPES["one"]) as (pid, port), ExitStack() as stack:
        with ExitStack() as first:
            # What is made once, at the first sessions, belongs to none of them.
            warm = open_all(TOGETHER, port, addresses, first)
            for steps in list(STAGES.values())[1:]:
                for words, code in steps:
                    say(warm, words, code)
        before = memory(pid)
        begin = time.perf_counter()
        connections = open_all(number, port, addresses, stack)
        opened = number / (time.perf_counter() - begin)
        for stage, steps in STAGES.items():
            for words, code in steps:
                if words:
                    say(connections, words, code)
            figures[stage] = (memory(pid) - before) // number
        cpu = cpu_seconds(pid)
        time.sleep(seconds)
        # They are all alive.
        figures |= {"opened/s": opened, "CPU s": cpu_seconds(pid) - cpu}
        say(connections, b"RSET\r\n", 250)
    return figures


def print_table(results: dict[str, dict[str, float]], options: argparse.Namespace) -> None:
    """A line for each server."""
    print(
        f"{options.connections} connections from {options.addresses} addresses; bytes of the "
        f"server's memory for each; CPU of {options.idle} idle seconds"
    )
    columns = (*STAGES, "opened/s", "CPU s")
    print(("{:<20}" + "{:>12}" * len(columns)).format("", *columns))
    form = "{:<20}" + "{:>12}" * len(STAGES) + "{:>12.0f}{:>12.2f}"
    for name, figures in results.items():
        print(form.format(name, *figures.values()))


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
    results = {}
    for name in options.servers:
        peer = Mvmtr() if name == "mvmtr" else Stock(name)
        results[name] = idle(peer, options.connections, options.addresses, options.idle)
        print(f"done: {name}", file=sys.stderr)
    print_table(results, options)


if __name__ == "__main__":
    main()
