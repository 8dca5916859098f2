"""Server processes: started on a free port, for some time, and what they use."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout whose code is measured."""

TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 60
"""Seconds that a server may take to greet."""

CORES = sorted(os.sched_getaffinity(0))
"""Those that we may use."""


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def with_path(checkout: Path) -> dict[str, str]:
    """The environment of a server, which finds mvmtr in a checkout."""
    path = os.pathsep.join(filter(None, (str(checkout), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}


def pin(cores: Sequence[int]) -> None:
    """Let this process run on some cores only."""
    os.sched_setaffinity(0, cores)


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    port: int,
    home: Path,
    environment: Mapping[str, str],
    cores: Sequence[int] = CORES,
) -> Iterator[int]:
    """
    A server, for as long as the block takes.

    @param home: its folder; what it prints goes to the file C{output} there.
    @param cores: those that it may use.
    @return: its process, for L{family}.
    """
    with (home / "output").open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=home,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: pin(cores),
        )
    try:
        wait_for(process, port, home)
        yield process.pid
    finally:
        # With all that it has started.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(process: subprocess.Popen[bytes], port: int, home: Path) -> None:
    """Wait until a server greets, and say goodbye."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
                if client.recv(4096):
                    client.sendall(b"QUIT\r\n")
                    while client.recv(4096):
                        pass
                    return
        except ConnectionError:
            pass
        time.sleep(0.05)
    said = (home / "output").read_text(errors="replace")
    raise SystemExit(f"the server does not answer: {process.args!r}\n{said}")


# What processes use


def family(pid: int) -> list[int]:
    """A process and all that descend from it and are still there."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                parents.setdefault(int(_stat(int(entry))[1]), []).append(int(entry))
    found = [pid]
    for member in found:
        found += parents.get(member, [])
    return found


def _stat(pid: int) -> list[str]:
    """The fields of C{/proc/PID/stat} from the state on: see proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its descendants, the ended ones too."""
    total = 0
    for member in family(pid):
        with contextlib.suppress(OSError):
            # Its own, and that of the children that it has waited for.
            total += sum(map(int, _stat(member)[11:15]))
    return total / TICKS


def memory(pid: int, what: str = "VmRSS") -> int:
    """
    Bytes of memory that one process holds.

    @param what: C{VmHWM} for the most that it has held.
    """
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{what}:")[2].split()[0]) * 1024


def peak_megabytes(pid: int) -> float:
    """The most memory that a process and its descendants of now have held, each at its time."""
    total = 0
    for member in family(pid):
        with contextlib.suppress(OSError, IndexError):
            total += memory(member, "VmHWM")
    return total / 1e6


def python_program(name: str) -> str:
    """A program beside the interpreter, such as twistd."""
    return str(Path(sys.executable).parent / name)
