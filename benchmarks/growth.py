"""
Measure how the cost of receiving mail grows, write the figures as CSV files, and draw them.

README.rst beside this file says how to read what it writes.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import growth_inside as inside
import growth_wire as wire
from servers import ROOT

PLOTS = ROOT / "docs" / "plots"


@dataclass(frozen=True)
class Growth:
    """
    Something that there can be more and more of.

    @ivar title: of the plot.
    @ivar x: what there is more of.
    @ivar points: how many of it.
    @ivar measure: gives the columns for one point.
    @ivar panels: parts of the plot: the label, and what the columns that it shows end in.
    """

    title: str
    x: str
    points: Sequence[int]
    measure: Callable[[int], Mapping[str, float]]
    panels: Sequence[str]


def powers(first: int, last: int, factor: int = 10) -> list[int]:
    """From the first number to the last one, times a factor each."""
    numbers = [first]
    while numbers[-1] * factor <= last:
        numbers.append(numbers[-1] * factor)
    return numbers


SESSIONS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]

GROWTHS = {
    "sessions": Growth(
        "Messages of 1 KiB, one a connection",
        "sessions at a time",
        SESSIONS,
        wire.sessions,
        ("messages/s", "CPU ms a message", "p99 ms"),
    ),
    "recipients": Growth(
        "Recipients of a message",
        "recipients",
        powers(1, 10_000),
        wire.recipients,
        ("CPU us a recipient", "peak MB"),
    ),
    "size": Growth(
        "The size of a message",
        "bytes",
        [1024, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000],
        wire.size,
        ("CPU ms a MB", "peak MB"),
    ),
    "rcpthosts": Growth(
        "Lines of rcpthosts",
        "lines",
        powers(10, 1_000_000),
        inside.rcpthosts,
        ("CPU s", "MB", "CPU us"),
    ),
    "morercpthosts": Growth(
        "Names in morercpthosts.cdb",
        "names",
        powers(10, 10_000_000),
        inside.morercpthosts,
        ("MB", "CPU us"),
    ),
    "command": Growth(
        "A command that comes byte by byte",
        "bytes",
        powers(10, 60_000, 4),
        inside.command_bytes,
        ("CPU us a byte",),
    ),
    "address": Growth(
        "An address at MAIL, of several kinds",
        "bytes",
        powers(10, 60_000, 4),
        inside.address,
        ("CPU ns a byte",),
    ),
    "header": Growth(
        "Fields of a header",
        "fields",
        powers(10, 1_000_000),
        inside.header,
        ("CPU ns each",),
    ),
    "chunk": Growth(
        "A message that comes in pieces",
        "bytes in a piece",
        powers(1, 262_144, 4),
        inside.chunk,
        ("CPU ms a MB",),
    ),
    "together": Growth(
        "Small messages, pipelined",
        "messages in one piece",
        [1, 4, 16, 64, 256, 900],
        inside.together,
        ("CPU us a message",),
    ),
}


def measure(growth: Growth, most: int | None) -> list[list[str]]:
    """
    All points, as lines of a table with a heading.

    @param most: leave out points beyond it, but for the first one.
    """
    rows: list[list[str]] = []
    few = growth.points if most is None else [n for n in growth.points if n <= most]
    for point in few or growth.points[:1]:
        began = time.monotonic()
        found = growth.measure(point)
        if not rows:
            rows.append([growth.x, *found])
        rows.append([str(point), *(f"{value:.4g}" for value in found.values())])
        print(f"{growth.x} {point}: {time.monotonic() - began:.1f} s", file=sys.stderr)
    return rows


def show(title: str, rows: list[list[str]]) -> None:
    """Print a table."""
    print(f"\n{title}")
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    for row in rows:
        print("".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure how cost grows.")
    add = parser.add_argument
    names = list(GROWTHS)
    add("--only", nargs="+", choices=names, default=names, metavar="NAME", help=str(names))
    add("--most", type=int, metavar="NUMBER", help="leave out what is more than that")
    add("--into", type=Path, default=PLOTS, help="folder for figures and plots [docs/plots]")
    add("--draw", action="store_true", help="measure nothing, only draw what was measured")
    return parser.parse_args()


def main() -> None:
    """Measure, write and draw."""
    options = parse_options()
    options.into.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        growth, path = GROWTHS[name], options.into / f"{name}.csv"
        if not options.draw:
            rows = measure(growth, options.most)
            with path.open("w", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)
            show(growth.title, rows)
    try:
        import plots
    except ImportError as error:
        raise SystemExit(f"nothing is drawn: {error}; pip install '.[bench]'") from None
    for name in options.only:
        plots.draw(options.into / f"{name}.csv", GROWTHS[name].title, GROWTHS[name].panels)


if __name__ == "__main__":
    main()
