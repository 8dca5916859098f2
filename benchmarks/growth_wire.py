"""How cost grows, seen from outside: a real server, and more and more of one thing."""

from __future__ import annotations

from load import Run, Step, Traffic
from peers import Mvmtr, Peer, Stock
from servers import CORES, cpu_seconds, peak_megabytes, pin
from shapes import DATA, EHLO, GREETING, MAIL, QUIT, SHAPES, message, one_each, text
from soak import raise_limit

SECONDS = 1.0
ROOM = 3000
"""Connections that a server takes."""

Row = dict[str, float]


def play(peer: Peer, traffic: Traffic, queue: str = "one") -> Row:
    """
    Some time of one traffic with a new server.

    @param queue: a shape with that queue.
    """
    raise_limit(ROOM)
    shape = SHAPES[queue]
    with peer.serve(shape) as (process, port):
        address = "127.0.0.1", port
        Run(address, one_each(4, text(1024)), 0.3).play()
        pin(CORES if shape.spread else CORES[-1:])
        before = cpu_seconds(process)
        try:
            outcome = Run(address, traffic, SECONDS).play()
        finally:
            pin(CORES)
        cpu = (cpu_seconds(process) - before) / outcome.count
        peak = peak_megabytes(process)
    times = sorted(outcome.times)
    return {
        "rate": outcome.count / outcome.seconds,
        "cpu": cpu,
        "p99": times[int(len(times) * 0.99)],
        "peak": peak,
    }


def ours() -> Mvmtr:
    """A mvmtr that takes so many connections."""
    return Mvmtr(more=[f"--max-connections={ROOM}"])


def sessions(number: int) -> Row:
    """Messages a second, and milliseconds of CPU for one, by sessions at a time."""
    row: Row = {}
    for name, peer in (("mvmtr", ours()), ("stock Twisted", Stock("twisted"))):
        found = play(peer, one_each(number, text(1024)))
        row |= {
            f"{name}, messages/s": found["rate"],
            f"{name}, CPU ms a message": found["cpu"] * 1e3,
            f"{name}, p99 ms": found["p99"] * 1e3,
        }
    return row


def recipients(number: int) -> Row:
    """
    Microseconds of CPU for one recipient, by recipients of a message. What a message costs
    without recipients is part of it.
    """
    envelope = b"".join(b"RCPT TO:<user%d@mx.example.org>\r\n" % n for n in range(number))
    begin = Step(MAIL + envelope + DATA, (b"250",) * (number + 1) + (b"354",))
    steps = begin, message(text(1024))[-1]
    traffic = Traffic(1, (GREETING, EHLO), steps, (QUIT,))
    row: Row = {}
    for queue, shape in (("discard:", "one"), ("a program", "queue")):
        found = play(ours(), traffic, shape)
        row[f"{queue}, CPU us a recipient"] = found["cpu"] / number * 1e6
        row[f"{queue}, peak MB"] = found["peak"]
    return row


def size(number: int) -> Row:
    """Milliseconds of CPU for a MB, and the most memory, by size of a message in bytes."""
    found = play(ours(), one_each(1, text(number)))
    return {"CPU ms a MB": found["cpu"] * 1e3 / (number / 1e6), "peak MB": found["peak"]}
