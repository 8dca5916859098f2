"""
Measure how fast questions are answered: a real C{twistd mvmcas} with each of its stores, and
postgrey, on loopback.

README.rst beside this file says how to read what it prints.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import getpass
import grp
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 60
"""Seconds that a server may take to start, or for one answer."""

GREYLIST = ("--set=greylist=on",)
EVERYTHING = (
    *GREYLIST,
    "--set=reputation=on",
    "--set=rate_connections=1000000",
    "--set=rate_recipients=1000000",
    "--set=rate_messages=1000000",
)


class Figures(NamedTuple):
    """What one round showed; the columns of the table."""

    questions_per_second: float
    median_ms: float
    p99_ms: float
    slowest_ms: float
    cpu_per_1000: float
    peak_megabytes: float


def questions(count: int, triples: int) -> list[bytes]:
    """What is asked, the same each time: some of them about what was asked about before."""
    chance = random.Random(1)
    written = []
    for number in range(count):
        who = chance.randrange(triples)
        client = f"198.{18 + who % 2}.{who // 2 % 256}.{1 + who // 512 % 250}"
        lines = (
            "request=smtpd_access_policy", "protocol_state=RCPT", "protocol_name=ESMTP",
            f"client_address={client}", "client_name=unknown", "reverse_client_name=unknown",
            f"helo_name=mx{who % 97}.example", f"sender=user{who}@sender{who % 389}.example",
            f"recipient=user{who % 53}@ours.example", "recipient_count=0", "queue_id=",
            f"instance={number}", "size=12345", "sasl_method=", "sasl_username=", "sasl_sender=",
            "ccert_subject=", "ccert_issuer=", "ccert_fingerprint=",
        )  # fmt: skip
        written.append("\n".join((*lines, "", "")).encode())
    return written


class Clients(asyncio.Protocol):
    """One connection with one question under way, as Postfix has it."""

    def __init__(self, waiting: list[bytes], times: list[float], done: asyncio.Future) -> None:
        self._waiting = waiting
        self._times = times
        self._done = done
        self._said = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask the first question."""
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        if not self._waiting:
            self._done.set_result(None)
            self._transport.close()
            return
        self._began = time.perf_counter()
        self._transport.write(self._waiting.pop())

    def data_received(self, data: bytes) -> None:
        """Measure, and ask the next one."""
        self._said += data
        if self._said.endswith(b"\n\n"):
            self._times.append(time.perf_counter() - self._began)
            if not self._said.startswith(b"action="):
                raise RuntimeError(f"unexpected: {self._said!r}")
            self._said = b""
            self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        """Before the end that is a failure."""
        if not self._done.done():
            self._done.set_exception(error or RuntimeError("the server closed the connection"))


async def ask_all(port: int, waiting: list[bytes], clients: int) -> list[float]:
    """Ask everything over some connections; the time that each answer took."""
    loop = asyncio.get_running_loop()
    times: list[float] = []
    ends = [loop.create_future() for _ in range(clients)]
    for end in ends:
        await loop.create_connection(
            lambda end=end: Clients(waiting, times, end), "127.0.0.1", port
        )
    await asyncio.gather(*ends)
    return times


# Servers


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def process(command: list[str], port: int, home: str) -> Iterator[int]:
    """A process that listens, for as long as the block takes; gives its number."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    with Path(home, "output").open("ab") as output:
        running = subprocess.Popen(
            command, cwd=home, env={**os.environ, "PYTHONPATH": path}, stdout=output, stderr=output
        )
    try:
        wait_for(running, port, command[0], Path(home, "output"))
        yield running.pid
    finally:
        running.kill()
        running.wait()


def wait_for(running: subprocess.Popen, port: int, name: str, output: Path) -> None:
    """Wait until a process listens."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and running.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit(f"the server does not answer: {name}\n{output.read_text()}")


@contextlib.contextmanager
def serving(name: str, options: argparse.Namespace) -> Iterator[tuple[list[int], int]]:
    """A server with nothing in its store; gives its processes and its port."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="mvmcas-bench-"))
        if name == "postgrey":
            yield [stack.enter_context(process(postgrey(port, home), port, home))], port
            return
        store, others = f"{name}:", []
        if name == "sqlite":
            store += f"{home}/db"
        elif name == "redis":
            place = free_port()
            store += f"127.0.0.1:{place}"
            redis = ["redis-server", "--bind", "127.0.0.1", "--port", str(place), "--dir", home,
                     "--appendonly", "yes", "--save", ""]  # fmt: skip
            others = [stack.enter_context(process(redis, place, home))]
        command = [
            str(Path(sys.executable).parent / "twistd"), "--nodaemon", "--pidfile=",
            f"--logfile={home}/log", "mvmcas", f"--store={store}",
            f"--listen=tcp:{port}:interface=127.0.0.1",
            *(EVERYTHING if options.everything else GREYLIST),
        ]  # fmt: skip
        yield [stack.enter_context(process(command, port, home)), *others], port


def postgrey(port: int, home: str) -> list[str]:
    """The command line of postgrey, in the foreground and without its lists of exceptions."""
    os.chmod(home, 0o700)
    Path(home, "empty").touch()
    return [
        shutil.which("postgrey") or "/usr/sbin/postgrey", f"--inet=127.0.0.1:{port}",
        f"--dbdir={home}", f"--user={getpass.getuser()}",
        f"--group={grp.getgrgid(os.getgid()).gr_name}", f"--pidfile={home}/pid",
        f"--whitelist-clients={home}/empty", f"--whitelist-recipients={home}/empty",
    ]  # fmt: skip


# Figures


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of some processes, without their children."""
    total = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def peak_megabytes(pids: list[int]) -> float:
    """The most memory that some processes have held, each at its time."""
    peaks = (Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2] for pid in pids)
    return sum(int(peak.split()[0]) for peak in peaks) * 1024 / 1e6


def measure(name: str, options: argparse.Namespace) -> Figures:
    """One round with one server."""
    waiting = questions(options.questions, options.triples)
    with serving(name, options) as (pids, port):
        before = cpu_seconds(pids)
        began = time.perf_counter()
        times = sorted(asyncio.run(ask_all(port, waiting, options.clients)))
        seconds = time.perf_counter() - began
        cpu = cpu_seconds(pids) - before
        peak = peak_megabytes(pids)
    return Figures(
        questions_per_second=len(times) / seconds,
        median_ms=median(times) * 1000,
        p99_ms=times[int(len(times) * 0.99)] * 1000,
        slowest_ms=times[-1] * 1000,
        cpu_per_1000=cpu / len(times) * 1000,
        peak_megabytes=peak,
    )


def print_table(results: dict[str, list[Figures]]) -> None:
    """The medians."""
    columns = ("questions/s", "median ms", "p99 ms", "slowest ms", "CPU s/1000", "peak MB")
    print(("{:<12}" + "{:>12}" * 6).format("", *columns))
    for name, rounds in results.items():
        middle = map(median, zip(*rounds, strict=True))
        form = "{:<12}{:>12.0f}{:>12.2f}{:>12.2f}{:>12.1f}{:>12.3f}{:>12.1f}"
        print(form.format(name, *middle))


def parse_options() -> argparse.Namespace:
    """The command line."""

    def number(text: str) -> int:
        if (value := int(text)) < 1:
            raise ValueError
        return value

    parser = argparse.ArgumentParser(description="Measure how fast questions are answered.")
    add = parser.add_argument
    add("--questions", type=number, default=10000, help="in a round [%(default)s]")
    add("--clients", type=number, default=20, help="connections that ask [%(default)s]")
    add("--triples", type=number, default=5000, help="that are asked about [%(default)s]")
    add("--rounds", type=number, default=5, help="of all servers by turns [%(default)s]")
    add("--everything", action="store_true", help="mvmcas with reputation and rates as well")
    return parser.parse_args()


def main() -> None:
    """Run all rounds and print what came of them."""
    options = parse_options()
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
    names = ["memory", "sqlite"]
    names += [name for name in ("redis", "postgrey") if shutil.which(name_of(name), path=path)]
    load = os.getloadavg()[0]
    results: dict[str, list[Figures]] = {name: [] for name in names}
    for turn in range(options.rounds):
        for name in names:
            figures = measure(name, options)
            results[name].append(figures)
            rate = f"{figures.questions_per_second:.0f} questions/s"
            print(f"round {turn + 1}: {name} {rate}", file=sys.stderr)
    kind = "everything" if options.everything else "greylisting"
    print(
        f"{kind}, {options.questions} questions about {options.triples} triples, "
        f"{options.clients} clients; medians of {options.rounds} rounds; load before: {load:.2f}"
    )
    print_table(results)


def name_of(name: str) -> str:
    """The program that there must be."""
    return {"redis": "redis-server"}.get(name, name)


if __name__ == "__main__":
    main()
