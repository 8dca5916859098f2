"""
Show where the time of messages goes: a real C{twistd mvmtr} under cProfile, from its start to its
end, without the loading of modules.

README.rst beside this file says how to read what it prints.
"""

from __future__ import annotations

import argparse
import csv
import os
import pstats
import signal
import tempfile
from collections import Counter
from pathlib import Path

from load import Run
from peers import Mvmtr
from servers import CORES, pin
from shapes import SHAPES, Shape

SHARES = 20
"""Modules in the table of the documentation."""


class Profiled(Mvmtr):
    """
    A mvmtr under twistd's profiler.

    @param statistics: the file that it writes at its end.
    """

    def __init__(self, statistics: Path) -> None:
        super().__init__()
        self._statistics = statistics

    def twistd(self, home: Path, shape: Shape) -> list[str]:
        """See L{Mvmtr.twistd}."""
        program, *others = super().twistd(home, shape)
        profile = f"--profile={self._statistics}", "--profiler=cprofile", "--savestats"
        return [program, *profile, *others]


def profile(shape: Shape, seconds: float, statistics: Path) -> int:
    """
    Send messages for some time to a server that is profiled.

    @return: how many.
    """
    with Profiled(statistics).serve(shape) as (process, port):
        pin(CORES[-1:])
        try:
            outcome = Run(("127.0.0.1", port), shape.traffic, seconds).play()
        finally:
            pin(CORES)
        os.kill(process, signal.SIGTERM)
        # Until it has written everything; the one who started it waits for it once more.
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    return outcome.count


def by_module(statistics: pstats.Stats) -> list[tuple[str, float]]:
    """Seconds in each module, without what it calls; the most first."""
    seconds: Counter[str] = Counter()
    for (file, _line, _function), found in statistics.stats.items():  # type: ignore[attr-defined]
        parts = Path(file).parts
        start = next((n for n, part in enumerate(parts) if part in ("mvmtr", "twisted")), -1)
        seconds["/".join(parts[start:])] += found[2]
    return seconds.most_common()


def write_shares(path: Path, modules: list[tuple[str, float]]) -> None:
    """Write the first modules with their shares of the time, as the documentation has them."""
    whole = sum(spent for _module, spent in modules)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["module", "percent"])
        for module, spent in modules[:SHARES]:
            name = "functions in C, and the system" if module == "~" else module
            writer.writerow([name, f"{spent / whole * 100:.1f}"])


def main() -> None:
    """Profile and print."""
    parser = argparse.ArgumentParser(description="Show where the time of messages goes.")
    add = parser.add_argument
    add("--seconds", type=float, default=5.0, help="of traffic [%(default)s]")
    add("--shape", choices=list(SHAPES), default="one", metavar="SHAPE", help=str(list(SHAPES)))
    add("--lines", type=int, default=40, help="functions to print [%(default)s]")
    add("--sort", choices=("cumulative", "tottime"), default="tottime", help="[%(default)s]")
    add("--csv", type=Path, metavar="FILE", help="write the shares of the first modules there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mvmtr-where-") as home:
        path = Path(home, "statistics")
        count = profile(SHAPES[options.shape], options.seconds, path)
        print(f"{SHAPES[options.shape].title}: {count} in {options.seconds:g} s, profiled")
        statistics = pstats.Stats(str(path))
        print("seconds in each module, ~ for what is written in C:")
        for module, spent in by_module(statistics)[: options.lines]:
            print(f"{spent:>8.3f} {module}")
        if options.csv is not None:
            write_shares(options.csv, by_module(statistics))
        statistics.strip_dirs().sort_stats(options.sort).print_stats(options.lines)


if __name__ == "__main__":
    main()
