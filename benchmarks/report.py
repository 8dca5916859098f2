"""
What was measured, as tables: C{report.py RESULTS.json} prints them, and with C{--docs FOLDER} it
writes those that the documentation includes.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from shapes import SHAPES, Shape

Results = dict[str, Any]

COLUMNS = ("msgs/s", "CPU s/1000", "CPU %", "p50 ms", "p99 ms", "MB", "client %")
FORMATS = ("{:.0f}", "{:.3f}", "{:.0f}", "{:.2f}", "{:.2f}", "{:.1f}", "{:.0f}")
IDLE_WANTED = 4096
"""Bytes of memory of an idle connection that mvmtr is to have at most."""

_NAMES = ("rate", "cpu", "share", "p50", "p99", "memory", "client")


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    cpu = Path("/proc/cpuinfo").read_text().partition("model name")[2].partition("\n")[0]
    return {
        "cpu": cpu.strip(" \t:"),
        "cores": len(os.sched_getaffinity(0)),
        "memory GB": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "twisted": version("Twisted"),
    }


def figures(results: Results, shape: str) -> dict[str, dict[str, float]]:
    """The medians of the servers in a shape; of none if it was not measured."""
    peers = results["shapes"].get(shape, {})
    return {peer: entry["median"] for peer, entry in peers.items()}


def converted(found: dict[str, dict[str, float]], shape: Shape, peer: str) -> float | None:
    """
    Messages a second where qmail-smtpd has 1: measured if it was there, else by way of a server
    whose ratio to qmail-smtpd is published.
    """
    rate = found[peer]["rate"]
    if "qmail" in found:
        return rate / found["qmail"]["rate"]
    if shape.base in found and shape.base in shape.published:
        return rate / found[shape.base]["rate"] * shape.published[shape.base]
    return None


def ratio(found: dict[str, dict[str, float]], peer: str) -> float | None:
    """Messages a second where stock Twisted has 1."""
    return found[peer]["rate"] / found["twisted"]["rate"] if "twisted" in found else None


def _cell(value: float | None, form: str = "{:.2f}") -> str:
    return "-" if value is None else form.format(value)


def _by_qmail(found: dict[str, dict[str, float]]) -> str:
    return ": qmail" if "qmail" in found else "converted"


def tables(results: Results) -> Iterator[list[list[str]]]:
    """For each shape: title, columns, and a line for each server."""
    for name, shape in SHAPES.items():
        found = figures(results, name)
        if not found:
            continue
        rows = [[shape.title], ["", *COLUMNS, ": twisted", _by_qmail(found), "published"]]
        for peer, row in found.items():
            values = (
                form.format(row[column]) for form, column in zip(FORMATS, _NAMES, strict=True)
            )
            published = shape.wanted if peer == "mvmtr" else shape.published.get(peer)
            theirs = _cell(published, "wanted {:g}" if peer == "mvmtr" else "{:g}")
            ratios = _cell(ratio(found, peer)), _cell(converted(found, shape, peer)), theirs
            rows.append([peer, *values, *ratios])
        yield rows
    if idle := results["shapes"].get("idle"):
        yield _idle(idle)


def _idle(idle: dict[str, Any]) -> list[list[str]]:
    columns = [name for name in next(iter(idle.values())) if name != "CPU s"]
    rows = [["memory of an idle connection, bytes"], ["", *columns]]
    for peer, row in idle.items():
        rows.append([peer, *(f"{row[column]:.0f}" for column in columns)])
    return rows


def show(results: Results) -> None:
    """Print all tables."""
    print(", ".join(f"{name} {value}" for name, value in results["machine"].items()))
    print(
        f"{results['rounds']} rounds of {results['seconds']:g} s; load before: "
        f"{results['load']:.2f}; medians. converted: to qmail-smtpd by the published ratio"
    )
    for (title,), *rows in tables(results):
        print(f"\n{title}")
        for first, *others in rows:
            print(f"{first:<20}" + "".join(f"{cell:>12}" for cell in others))


def write_docs(results: Results, folder: Path) -> None:
    """Write one table for each shape, and one of all, as the documentation includes them."""
    folder.mkdir(parents=True, exist_ok=True)
    summary = [["shape", "mvmtr", "best other", "", ": stock Twisted", "as qmail = 1", "wanted"]]
    for name, shape in SHAPES.items():
        found = figures(results, name)
        if "mvmtr" in found:
            summary.append(_summary(found, shape))
    idle = results["shapes"].get("idle", {})
    if "mvmtr" in idle and "twisted" in idle:
        ours, theirs = (idle[peer]["greeted"] for peer in ("mvmtr", "twisted"))
        both = f"{ours:.0f}", "twisted", f"{theirs:.0f}", f"{ours / theirs:.2f}"
        summary.append(
            ["bytes of memory of an idle connection", *both, "-", f"{IDLE_WANTED} bytes"]
        )
    _write(folder / "summary.csv", summary)
    names = [name for name in (*SHAPES, "idle") if name in results["shapes"]]
    for name, (_title, *rows) in zip(names, tables(results), strict=True):
        _write(folder / f"{name}.csv", rows)
    machine = [[name, str(value)] for name, value in results["machine"].items()]
    machine.append(["load before", f"{results['load']:.1f}"])
    machine.append(["rounds", f"{results['rounds']} of {results['seconds']:g} s"])
    _write(folder / "machine.csv", machine)
    (folder / "bench.json").write_text(json.dumps(results, indent=1) + "\n")


def _summary(found: dict[str, dict[str, float]], shape: Shape) -> list[str]:
    """A line of the table of all shapes."""
    # Those that keep nothing are no peers of a queue.
    names = ["postfix", "qmail"]
    if shape.queue == "discard":
        names += ["twisted", "aiosmtpd"]
    others = {peer: row["rate"] for peer, row in found.items() if peer in names}
    best = max(others, key=others.__getitem__) if others else ""
    return [
        shape.title,
        f"{found['mvmtr']['rate']:.0f}",
        best,
        _cell(others.get(best), "{:.0f}"),
        _cell(ratio(found, "mvmtr")),
        _cell(converted(found, shape, "mvmtr")),
        _cell(shape.wanted, "{:g}"),
    ]


def _write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def merged(runs: list[Results]) -> Results:
    """The shapes of several runs on the same machine; of a shape the last one counts."""
    shapes = {name: peers for run in runs for name, peers in run["shapes"].items()}
    return {**runs[-1], "shapes": shapes}


def main() -> None:
    """Read figures and show them."""
    parser = argparse.ArgumentParser(description="Show what make bench has measured.")
    parser.add_argument("results", type=Path, nargs="+", help="what bench.py --json wrote")
    parser.add_argument("--docs", type=Path, help="folder for tables that the documentation has")
    options = parser.parse_args()
    results = merged([json.loads(path.read_text()) for path in options.results])
    if options.docs is None:
        show(results)
    else:
        write_docs(results, options.docs)


if __name__ == "__main__":
    main()
