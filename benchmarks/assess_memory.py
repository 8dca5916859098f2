"""
Measure how much memory and disk a million records take in each store of mvmcas, and how long
questions take then.

README.rst beside this file says how to read what it prints.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

STORES = ("memory", "sqlite", "redis")
TOGETHER = 500
"""Records that are written in one go."""

SETTINGS = {"greylist": True, "reputation": True}


def records(number: int, now: float) -> Iterator[tuple[str, Any]]:
    """As a busy site has them: of ten, seven tries and three for what clients did."""
    from mvmtr.assess.records import Record, key_of

    for n in range(number):
        network = b"%d.%d.%d.0/24" % (1 + n // 65536 % 223, n // 256 % 256, n % 256)
        sender = b"newsletter-%08x@mail%d.sender-%d.example" % (n * 2654435761 % 2**32, n % 9, n)
        if n % 10 < 7:
            recipient = b"first.last%d@recipients.example" % (n % 5000)
            key = key_of("grey", network, sender, recipient)
            yield key, Record({"first": now}, now + 172800)
        else:
            kind = ("client", "helo", "domain")[n % 3]
            name = b"%d.example" % n if kind == "domain" else b"host%d.network.example" % n
            yield key_of(kind, name), Record({"points": 12.345, "at": now}, now + 691200.123)


def memory_of(pid: int | str) -> int:
    """Bytes that a process has in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().split("\n"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} is gone")


def size_of(folder: str) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


async def measure(
    reactor: Any, description: str, number: int, offset: list[float]
) -> dict[str, float]:
    """Fill a store, ask it, and let all of it go."""
    from mvmtr.assess.engine import Engine
    from mvmtr.assess.service import Assessment
    from mvmtr.assess.settings import AssessSettings
    from mvmtr.assess.stores import store_from_string

    store: Any = store_from_string(description, reactor, 10 * number)
    store._now = lambda: time.time() + offset[0]
    await store.open()
    assessment = Assessment(Engine(AssessSettings(**SETTINGS)), store, reactor, store._now)
    before = memory_of("self")
    waiting = records(number, round(time.time(), 3))
    began = time.monotonic()
    while some := dict(islice(waiting, TOGETHER)):
        await store.transact(list(some), lambda _found, some=some: (None, some))
    figures = {"fill": time.monotonic() - began, "memory": memory_of("self") - before}
    figures["question"] = await _questions(assessment)
    print(json.dumps({**figures, "records": await store.count()}), flush=True)
    sys.stdin.readline()
    offset[0] = 1e7
    began = time.monotonic()
    swept = await store.sweep()
    sweep = {"sweep": time.monotonic() - began} if swept else {}
    print(json.dumps({**sweep, "left": await store.count()}), flush=True)
    await store.close()
    return figures


async def _questions(assessment: Any) -> float:
    from mvmtr.assess.question import Question, State

    took = []
    for n in range(2000):
        question = Question(
            State.RCPT,
            b"192.0.%d.7" % (n % 256),
            client_name=b"mx%d.client.example" % n,
            helo=b"mx%d.client.example" % n,
            sender=b"joe@sender%d.example" % n,
            recipient=b"ann@example.com",
        )
        began = time.monotonic()
        await assessment.ask(question)
        took.append(time.monotonic() - began)
    return median(took)


class Redis:
    """A server of our own."""

    def __init__(self, folder: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [
                *("redis-server", "--bind", "127.0.0.1", "--port", str(self.port)),
                *("--dir", folder, "--appendonly", "yes", "--save", ""),
            ],
            stdout=subprocess.DEVNULL,
        )
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                time.sleep(0.02)
        time.sleep(0.2)
        self.before = memory_of(self.process.pid)

    def used(self) -> int:
        """Bytes of memory that it has taken for what it was told."""
        return memory_of(self.process.pid) - self.before

    def compact(self) -> None:
        """Have it write its file anew, as it does by itself when that has doubled."""
        with socket.create_connection(("127.0.0.1", self.port), 60) as connection:
            replies = connection.makefile("rb")
            connection.sendall(b"BGREWRITEAOF\r\n")
            replies.readline()
            text = b"aof_rewrite_in_progress:1"
            while b"aof_rewrite_in_progress:1" in text or b"aof_rewrite_scheduled:1" in text:
                time.sleep(0.2)
                connection.sendall(b"INFO persistence\r\n")
                text = replies.read(int(replies.readline()[1:]) + 2)

    def end(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def run(kind: str, number: int) -> list[str]:
    """One row of the table."""
    with tempfile.TemporaryDirectory(prefix="mvmtr-bench-") as folder:
        server = Redis(folder) if kind == "redis" else None
        description = {
            "memory": "memory:",
            "sqlite": f"sqlite:{folder}/mvmcas.db",
            "redis": f"redis:127.0.0.1:{server.port if server else 0}",
        }[kind]
        child = subprocess.Popen(
            [sys.executable, __file__, "--child", description, "--records", str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdin is not None and child.stdout is not None
        figures = json.loads(child.stdout.readline())
        taken = server.used() if server else 0
        disk = size_of(folder)
        if server:
            server.compact()
            disk = size_of(folder)
        child.stdin.write("\n")
        child.stdin.flush()
        figures.update(json.loads(child.stdout.readline()))
        child.wait()
        if server:
            server.end()
    memory = figures["memory"] + taken
    sweep = f"{figures['sweep']:.1f}" if "sweep" in figures else "-"
    return [
        kind,
        f"{figures['records']:,}",
        f"{figures['fill']:.0f}",
        f"{figures['memory'] / 1e6:.0f}",
        f"{taken / 1e6:.0f}",
        f"{disk / 1e6:.0f}",
        f"{max(memory, disk) / figures['records']:.0f}",
        f"{figures['question'] * 1e6:.0f}",
        sweep,
    ]


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--stores", nargs="+", choices=STORES, default=STORES)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        from twisted.internet.defer import Deferred
        from twisted.internet.task import react

        react(
            lambda reactor: Deferred.fromCoroutine(
                measure(reactor, options.child, options.records, [0.0])
            )
        )
        return
    columns = ("store", "records", "fill s", "memory MB", "server MB", "disk MB")
    columns += ("bytes each", "question us", "sweep s")
    print("".join(f"{column:>12}" for column in columns))
    for kind in options.stores:
        print("".join(f"{value:>12}" for value in run(kind, options.records)), flush=True)


if __name__ == "__main__":
    main()
