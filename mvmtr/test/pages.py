"""The documentation as Sphinx reads it: pages, tables, examples."""

from __future__ import annotations

import functools
import io
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from mvmtr.test.support import ROOT


@functools.cache
def read_pages() -> tuple[dict[str, nodes.document], str]:
    """All pages by name, the README among them; and what Sphinx had to complain about."""
    complaints = io.StringIO()
    with tempfile.TemporaryDirectory(prefix="mvmtr-test-") as home:
        docs = Path(home, "docs")
        shutil.copytree(ROOT / "docs", docs, ignore=shutil.ignore_patterns("_build"))
        shutil.copytree(ROOT / "examples", Path(home, "examples"))
        for name in ("README", "CHANGES"):
            text = (ROOT / f"{name}.rst").read_text()
            (docs / f"{name}.rst").write_text(f":orphan:\n\n{text}")
        sphinx = Sphinx(
            docs, docs, Path(home, "out"), Path(home, "trees"), "dummy", {}, None, complaints
        )
        sphinx.build()
        pages = {name: sphinx.env.get_doctree(name) for name in sphinx.env.found_docs}
    return pages, complaints.getvalue()


def table(page: str, title: str) -> list[list[str]]:
    """The rows of the table with that title, without its heading; C{""} for no title."""
    for found in read_pages()[0][page].findall(nodes.table):
        caption = next(iter(found.findall(nodes.title)), None)
        if title == ("" if caption is None else caption.astext()):
            (body,) = found.findall(nodes.tbody)
            return [[entry.astext() for entry in row] for row in body]
    raise AssertionError(f"{page} has no table {title!r}")


@dataclass
class Example:
    """One example: what to do with it, and its text."""

    how: str
    words: list[str]
    text: str
    source: str | None

    @property
    def commands(self) -> Iterator[tuple[str, str]]:
        """The commands of an example of the shell, and the output of each."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _end, output = part.partition("\n")
            yield command, output.removesuffix("\n")


def examples_of(page: str) -> Iterator[Example]:
    """The examples of a page, in order."""
    for block in read_pages()[0][page].findall(nodes.literal_block):
        place = block.parent.index(block)
        mark = block.parent[place - 1].astext() if place else ""
        how, _colon, what = mark.partition(": ")
        if how != "checked":
            raise AssertionError(f"{page}: no test knows this example:\n{block.astext()}")
        kind, *words = what.split()
        yield Example(kind, words, block.astext(), block.get("source"))
