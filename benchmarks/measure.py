"""One round: a server, the traffic of a shape, and what came of it."""

from __future__ import annotations

import threading
from statistics import median, quantiles
from typing import NamedTuple

import load
from peers import Peer
from servers import CORES, cpu_seconds, peak_megabytes, pin
from shapes import Shape, one_each, text

WARM_UP = 0.3
"""Seconds of small messages before each round; what is loaded at the first session is not timed."""


class Figures(NamedTuple):
    """
    What a round, or the median of several, showed.

    @ivar rate: messages (or sessions) a second.
    @ivar cpu: seconds for a thousand of them, of all processes of the server.
    @ivar share: the same in percent of the time.
    @ivar p50: milliseconds of one, the median.
    @ivar p99: milliseconds that 99 of 100 do not exceed.
    @ivar memory: the most that the processes of the server held, in millions of bytes.
    @ivar client: time of the client in percent; near 100 it is the client that is measured.
    """

    rate: float
    cpu: float
    share: float
    p50: float
    p99: float
    memory: float
    client: float


def measure(peer: Peer, shape: Shape, seconds: float) -> Figures:
    """
    A round with one server.

    @param seconds: after which no message is begun.
    """
    with peer.serve(shape) as (process, port):
        # Client and server share the machine where the server needs more than one core.
        pin(CORES if peer.many or shape.spread else CORES[-1:])
        address = "127.0.0.1", port
        load.Run(address, one_each(shape.traffic.sessions, text(1024)), WARM_UP).play()
        peaks: list[float] = []
        # Those of processes that live for a session are gone at the end.
        midway = threading.Timer(seconds / 2, lambda: peaks.append(peak_megabytes(process)))
        before = cpu_seconds(process)
        midway.start()
        try:
            outcome = load.Run(address, shape.traffic, seconds).play()
        finally:
            midway.cancel()
            midway.join()
            pin(CORES)
        cpu = cpu_seconds(process) - before
        peaks.append(peak_megabytes(process))
    return figures_of(outcome, cpu, max(peaks))


def figures_of(outcome: load.Outcome, cpu: float, peak: float) -> Figures:
    """Put them together."""
    count, times = outcome.count, outcome.times
    return Figures(
        rate=count / outcome.seconds,
        cpu=cpu / count * 1000,
        share=cpu / outcome.seconds * 100,
        p50=median(times) * 1000,
        p99=(quantiles(times, n=100, method="inclusive")[98] if count > 1 else times[0]) * 1000,
        memory=peak,
        client=outcome.client_cpu / outcome.seconds * 100,
    )


def medians(rounds: list[Figures]) -> Figures:
    """The median of every figure by itself."""
    return Figures(*map(median, zip(*rounds, strict=True)))
