"""Drawing of figures: the same figures always give the same file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "mvmtr"
matplotlib.rcParams["svg.fonttype"] = "none"

from matplotlib import pyplot  # noqa: E402 - it looks at the settings above

MARKS = "osv^Dx+*"

WIDE = 20
"""From so many times the smallest value on, the axis is a logarithmic one."""


def draw(path: Path, title: str, panels: Sequence[str]) -> None:
    """
    Draw a CSV file into an SVG file beside it.

    @param panels: for each part of the plot, what the names of its columns end in; it is
        the label of its axis as well.
    """
    with path.open(newline="") as file:
        heading, *rows = csv.reader(file)
    across = [float(row[0]) for row in rows]
    size = 4.2 * len(panels), 3.2
    figure, axes = pyplot.subplots(1, len(panels), figsize=size, squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        marks = iter(MARKS)
        for number, column in enumerate(heading):
            name, comma, kind = column.rpartition(", ")
            if number and kind == panel:
                values = [float(row[number]) for row in rows]
                axis.plot(across, values, marker=next(marks), label=name if comma else None)
        lowest, highest = axis.dataLim.intervaly
        if lowest and highest > WIDE * lowest:
            axis.set(yscale="log")
        else:
            axis.set(ylim=(0, None))
        axis.set(xscale="log", xlabel=heading[0], ylabel=panel)
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[1]:
            axis.legend(fontsize="small")
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    pyplot.close(figure)
